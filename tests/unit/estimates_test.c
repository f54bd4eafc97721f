/* links: base/hash.c base/math.c base/random.c base/sort.c base/clock.c base/pages.c base/intern.c base/thread.c base/text.c process/modules.c process/proc_memory.c profile/sampler.c profile/names.c profile/stacks.c profile/sites.c profile/live_blocks.c profile/maps.c profile/recorder.c output/snapshot_build.c */

/* The estimates as statistics: whole profiles under many seeds, from the countdown to the snapshot, against the truth that the
 * program knows. The seeds are fixed, so a run repeats; with fresh ones a test here would fail by chance about once in 10,000
 * runs (the bounds are chosen for the number of comparisons that are made; see check_bias and check_coverage). */
#include "profile_fixture.h"

#include "base/random.h"
#include "output/snapshot_build.h"

#include <math.h>
#include <stdio.h>

#define MOST_SITES 48
#define T 131072.0
#define N 50

/* The program under profile: one function for each kind of allocation, and what it holds. */
struct kind {
	struct fake_function function;
	char name[16];
	size_t low, high; /* sizes, log-uniform between them */
	size_t count;
	enum live_layer layer;
	bool is_grown; /* every block is made small and grown by reallocs */
};

struct truth {
	double bytes, count;
	double expected; /* samples alive */
};

struct tally {
	double errors[2], squares[2]; /* bytes, count: sum of (estimate - truth) and of its square */
	double variances[2];	      /* sum of the stated ones */
	unsigned intervals[2], holds[2], below[2], runs;
};

static struct kind kinds[MOST_SITES];
static struct truth truths[MOST_SITES];
static struct tally tallies[MOST_SITES];
static size_t kind_count;
static uintptr_t next_address;
static uint64_t shape[2]; /* chance of the program, apart from the sampler's */
static void (*interruption)(void); /* once in a while */

static struct kind *add_kind(size_t low, size_t high, size_t count, enum live_layer layer)
{
	struct kind *kind = &kinds[kind_count++];

	*kind = (struct kind){.low = low, .high = high, .count = count, .layer = layer};
	snprintf(kind->name, sizeof(kind->name), "kind_%02zu", kind_count - 1);
	kind->function = (struct fake_function){kind->name, "program.py", 100};
	return kind;
}

/* As the hooks do it. */
static bool program_charge(size_t size)
{
	thread_self.countdown -= (int64_t)size;
	return thread_self.countdown < 0 || size >= sampler_min_size;
}

static void program_born(const struct recorder_birth *birth)
{
	int saved_errno;

	if (recorder_enter(&thread_self, &saved_errno)) {
		recorder_born(&thread_self, birth);
		recorder_leave(&thread_self, saved_errno);
	}
	sampler_adapt(&thread_self);
}

static void program_malloc(enum live_layer layer, uintptr_t block, size_t size)
{
	if (!program_charge(size))
		return;
	sampler_prepare(&thread_self, size);
	program_born(&(struct recorder_birth){
		.layer = layer,
		.block = (void *)block,
		.size = size,
		.charged = size,
		.is_byte_hit = sampler_byte_hit(&thread_self),
	});
}

static void program_free(enum live_layer layer, uintptr_t block)
{
	struct live_block held[LIVE_ENTRIES_PER_BLOCK];

	if (live_blocks_may_hold((void *)block))
		recorder_died(held, recorder_take((void *)block, layer, held));
}

/* The block moves at every step. */
static void program_realloc(enum live_layer layer, uintptr_t old, size_t from, uintptr_t new, size_t to)
{
	struct live_block held[LIVE_ENTRIES_PER_BLOCK];
	bool is_slow = program_charge(to), is_byte_hit;
	size_t count = 0;

	if (!is_slow && !live_blocks_may_hold((void *)old))
		return;
	sampler_prepare(&thread_self, to);
	is_byte_hit = sampler_byte_hit(&thread_self);
	if (live_blocks_may_hold((void *)old))
		count = recorder_take((void *)old, layer, held);
	recorder_restore(&thread_self, held, count, (void *)new, from, to);
	if (to > from) {
		program_born(&(struct recorder_birth){
			.layer = layer,
			.block = (void *)new,
			.size = to - from,
			.charged = to,
			.is_growth = true,
			.is_byte_hit = is_byte_hit,
		});
	}
	sampler_adapt(&thread_self);
}

static uintptr_t take_address(size_t size)
{
	uintptr_t address = next_address;

	next_address += (size + 31) & ~(size_t)15;
	return address;
}

static size_t draw_size(const struct kind *kind)
{
	if (kind->low == kind->high)
		return kind->low;
	return (size_t)((double)kind->low *
			pow((double)kind->high / (double)kind->low, random_unit(shape)));
}

static double expected_samples(size_t size)
{
	return sampler_probability(0, size);
}

/* Two in three blocks stay, the others are freed a while after. A grown one is made by ten steps, and every other one is cut to
 * three quarters in the end. */
static void run_kind(const struct kind *kind, struct truth *truth)
{
	uintptr_t doomed[64] = {0};

	fake_run(&kind->function, 7);
	for (size_t i = 0; i < kind->count; i++) {
		size_t size = draw_size(kind);
		uintptr_t block = take_address(size);
		double expected = expected_samples(size);

		if (interruption != NULL && i % 64 == 0)
			interruption();
		program_malloc(kind->layer, block, size);
		for (unsigned step = 0; kind->is_grown && step < 10; step++) {
			size_t to = step < 9 || i % 2 == 0 ? size + size / 4 : size - size / 4;
			uintptr_t moved = take_address(to);

			program_realloc(kind->layer, block, size, moved, to);
			block = moved;
			if (to > size)
				expected += expected_samples(to - size);
			size = to;
		}
		if (i % 3 != 0) {
			truth->bytes += (double)size;
			truth->count += 1;
			truth->expected += expected;
			continue;
		}
		if (doomed[i / 3 % 64] != 0)
			program_free(kind->layer, doomed[i / 3 % 64]);
		doomed[i / 3 % 64] = block;
	}
	for (size_t i = 0; i < 64; i++) {
		if (doomed[i] != 0)
			program_free(kind->layer, doomed[i]);
	}
}

static void judge(struct tally *tally, int which, double truth, struct estimate estimate)
{
	double error = estimate.value - truth;

	tally->errors[which] += error;
	tally->squares[which] += error * error;
	tally->variances[which] += estimate.se * estimate.se;
	tally->intervals[which]++;
	tally->holds[which] += fabs(error) <= 1.959964 * estimate.se;
	tally->below[which] += error < -1.959964 * estimate.se;
}

static void judge_profile(void)
{
	struct snapshot *snapshot = snapshot_build(&(struct snapshot_identity){0});

	for (size_t k = 0; k < kind_count; k++) {
		struct estimate bytes = {0}, count = {0};

		for (size_t row = 0; row < snapshot->site_count; row++) {
			if (strcmp(snapshot->sites[row].function, kinds[k].name) == 0) {
				bytes = snapshot->sites[row].figures.live_bytes;
				count = snapshot->sites[row].figures.live_count;
			}
		}
		judge(&tallies[k], 0, truths[k].bytes, bytes);
		judge(&tallies[k], 1, truths[k].count, count);
		tallies[k].runs++;
	}
	snapshot_release(snapshot);
}

static void run_profiles(unsigned runs)
{
	memset(tallies, 0, sizeof(tallies));
	for (unsigned run = 0; run < runs; run++) {
		recorder_restart_in_child();
		sampler_start(N, (uint64_t)T, 500, run);
		thread_self = (struct thread){0};
		next_address = 0x10000000;
		memset(truths, 0, sizeof(truths));
		random_seed(shape, 42, 0); /* every run is of the same program */
		for (size_t k = 0; k < kind_count; k++)
			run_kind(&kinds[k], &truths[k]);
		judge_profile();
	}
}

static void print_tallies(void)
{
	for (size_t k = 0; k < kind_count; k++) {
		for (int which = 0; which < 2; which++) {
			const struct tally *t = &tallies[k];
			double mean = t->errors[which] / t->runs;
			double sd = sqrt(t->squares[which] / t->runs - mean * mean);
			double truth = which ? truths[k].count : truths[k].bytes;
			printf("%s %7zu-%-7zu %s n=%.0f exp=%.1f bias z=%+.2f sd=%.4f se/sd=%.3f cover=%.3f below=%.3f\n", kinds[k].name, kinds[k].low,
			       kinds[k].high, which ? "count" : "bytes", truths[k].count, truths[k].expected, mean / (sd / sqrt(t->runs)), sd/truth,
			       sqrt(t->variances[which] / t->runs) / sd, (double)t->holds[which] / t->runs, (double)t->below[which] / t->runs);
		}
	}
}

static int start(void **state)
{
	(void)state;
	config.table_size = 200000;
	config.stack_depth = 32;
	sampler_start(N, (uint64_t)T, 500, 1);
	return recorder_start(0) == TL_OK ? 0 : -1;
}

static void are_unbiased_and_their_intervals_hold(void **state)
{
	static const size_t sizes[] = {16, 100, 512, 500, 1000, 4096, 20000, 65536, 131072, 200000, 1048576};

	(void)state;
	kind_count = 0;
	for (size_t i = 0; i < TL_COUNT_OF(sizes); i++) {
		double p = expected_samples(sizes[i]);
		for (int e = 12; e <= 200; e *= 4) {
			size_t count = (size_t)(1.5 * e / p) + 1;
			if (e > 50 && sizes[i] < 100) continue;
			add_kind(sizes[i], sizes[i], count, sizes[i] <= 512 && sizes[i] != 500 ? LIVE_PYTHON : LIVE_LIBC);
		}
	}
	add_kind(16, 512, 60000, LIVE_PYTHON);
	add_kind(100, 10000, 2000, LIVE_LIBC);
	add_kind(500, 1048576, 200, LIVE_LIBC);
	add_kind(16, 1048576, 200, LIVE_LIBC);
	add_kind(1000, 1000, 500, LIVE_LIBC)->is_grown = true;
	add_kind(100, 10000, 500, LIVE_LIBC)->is_grown = true;
	add_kind(50000, 50000, 30, LIVE_LIBC)->is_grown = true;
	run_profiles(250);
	print_tallies();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(are_unbiased_and_their_intervals_hold),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
