/* links: base/lock.c base/descriptor.c base/hash.c base/math.c base/random.c base/sort.c base/clock.c base/pages.c base/intern.c base/thread.c base/text.c process/modules.c process/proc_memory.c process/script_name.c profile/sampler.c profile/governor.c profile/names.c profile/stacks.c profile/sites.c process/safe_read.c process/py_type.c profile/classes.c profile/live_blocks.c process/py_layout.c profile/frame_memo.c profile/tallies.c profile/maps.c profile/mixed_stack.c profile/stack_memo.c profile/blame.c profile/recorder.c process/own_code.c profile/contexts.c analysis/growth.c analysis/survival.c analysis/verdict.c analysis/rss_breakdown.c output/evidence.c output/snapshot_work.c output/snapshot_live.c output/snapshot_sites.c output/snapshot_stacks.c output/rss_history.c output/snapshot_build.c */

/* The estimates as statistics: whole profiles under many seeds, from the countdown to the snapshot, against the truth
 * that the program knows.
 *
 * The seeds are fixed, so a run repeats. With fresh ones each test would fail by chance less than once in 1,000 runs:
 * `check_bias` and `check_intervals` say what they allow. */
#include "profile/contexts.h"
#include "profile_fixture.h"

#include "base/math.h"
#include "base/random.h"
#include "output/snapshot_build.h"

#include <stdio.h>

#define MOST_KINDS 64

/* The program under profile: a function for each kind of allocation. */
struct kind {
	struct fake_function function;
	char name[16];
	size_t low, high; /* sizes: powers of `ratio` between them */
	size_t count;
	enum live_layer layer;
	unsigned growths;   /* how often every block is grown, by its first size */
	bool is_cut_in_end; /* and every other one then is cut to three quarters */
};

/* What the program holds in the end, and what a perfect sampler would make of it. */
struct truth {
	double value[4];   /* in the order of enum figure */
	double squares[2]; /* sum over parts of k^2 / p, for Kish's effective number of samples */
	double share_sum;  /* sum of p */
	double parts;
};

enum figure { LIVE_BYTES, LIVE_COUNT, TOTAL_BYTES, TOTAL_COUNT, FIGURES };

struct tally {
	double errors[FIGURES],
		squares[FIGURES];  /* of estimate minus truth: sum, and sum of squares */
	double variances[FIGURES]; /* sum of the stated ones */
	unsigned holds[FIGURES];   /* how often the 95 % interval held the truth */
};

static unsigned all_intervals[2], all_holds[2]; /* of live bytes and counts, over all tests */

static struct kind kinds[MOST_KINDS];
static struct truth truths[MOST_KINDS];
static struct tally tallies[MOST_KINDS];
static size_t kind_count;
static unsigned runs; /* how many profiles the tallies are of */
static uintptr_t next_address;
static uint64_t shape[2];          /* chance of the program, apart from the sampler's */
static void (*now_and_then)(void); /* what else happens while the program runs */

static struct kind *add_kind(size_t low, size_t high, size_t count, enum live_layer layer)
{
	struct kind *kind = &kinds[kind_count++];

	*kind = (struct kind){.low = low, .high = high, .count = count, .layer = layer};
	snprintf(kind->name, sizeof(kind->name), "kind_%02zu", kind_count - 1);
	kind->function = (struct fake_function){kind->name, "program.py", 100};
	return kind;
}

/* As the hooks do it: charge, settle, record, adapt. */
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
	sampler_adapt(&thread_self);
}

static void program_free(enum live_layer layer, uintptr_t block)
{
	if (live_blocks_may_hold((void *)block))
		recorder_freed((void *)block, layer);
}

static void program_realloc(enum live_layer layer, uintptr_t old, size_t from, uintptr_t new,
			    size_t to)
{
	struct live_block held[LIVE_ENTRIES_PER_BLOCK];
	bool is_byte_hit;
	size_t count = 0;

	if (!program_charge(to) && !live_blocks_may_hold((void *)old))
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
	double size = (double)kind->low;

	if (kind->low == kind->high)
		return kind->low;
	/* Log-uniform: as many doublings, and a part of one, as chance says. */
	for (double left = random_unit(shape) * math_log((double)kind->high / size) / math_log(2);
	     left > 0; left--)
		size *= left >= 1 ? 2 : 1 + left;
	return size < (double)kind->high ? (size_t)size : kind->high;
}

/* A part of a block that stays: `size` bytes of it are left in the end. */
static void truth_add(struct truth *truth, size_t allocated, double left, bool is_growth)
{
	static size_t last; /* mostly the same as before */
	static double p;

	if (allocated != last)
		p = sampler_probability(0, allocated);
	last = allocated;
	truth->value[LIVE_BYTES] += left;
	truth->squares[LIVE_BYTES] += left * left / p;
	if (!is_growth) {
		truth->value[LIVE_COUNT] += 1;
		truth->squares[LIVE_COUNT] += 1 / p;
	}
	truth->share_sum += p;
	truth->parts++;
}

/* Two blocks in three stay; the third is freed 64 of its like later. */
static void run_kind(const struct kind *kind, struct truth *truth)
{
	uintptr_t doomed[64] = {0};

	fake_run(&kind->function, 7);
	for (size_t i = 0; i < kind->count; i++) {
		size_t first = draw_size(kind), size = first;
		uintptr_t block = take_address(size), *slot = &doomed[i / 3 % 64];

		if (now_and_then != NULL && i % 16 == 0)
			now_and_then();
		program_malloc(kind->layer, block, size);
		for (unsigned growth = 0; growth < kind->growths; growth++) {
			uintptr_t moved = take_address(size + first);

			program_realloc(kind->layer, block, size, moved, size + first);
			block = moved;
			size += first;
		}

		bool is_cut = kind->is_cut_in_end && i % 2 == 0;

		if (is_cut)
			program_realloc(kind->layer, block, size, block, size / 4 * 3);
		truth->value[TOTAL_BYTES] += (double)size;
		truth->value[TOTAL_COUNT] += 1 + kind->growths;
		if (i % 3 != 0) {
			for (unsigned part = 0; part <= kind->growths; part++)
				truth_add(truth, first, (double)first * (is_cut ? 0.75 : 1),
					  part > 0);
			continue;
		}
		if (*slot != 0)
			program_free(kind->layer, *slot);
		*slot = block;
	}
	for (size_t i = 0; i < 64; i++) {
		if (doomed[i] != 0)
			program_free(kind->layer, doomed[i]);
	}
}

static void judge(size_t k, enum figure figure, struct estimate estimate)
{
	struct tally *tally = &tallies[k];
	double error = estimate.value - truths[k].value[figure], reach = 1.959964 * estimate.se;

	tally->errors[figure] += error;
	tally->squares[figure] += error * error;
	tally->variances[figure] += estimate.se * estimate.se;
	tally->holds[figure] += -reach <= error && error <= reach;
}

static void judge_profile(void)
{
	struct snapshot *snapshot = snapshot_build(&(struct snapshot_identity){0});

	assert_non_null(snapshot);
	assert_int_equal(snapshot->lost_samples, 0);
	for (size_t k = 0; k < kind_count; k++) {
		struct site_figures figures = {0};

		for (size_t row = 0; row < snapshot->site_count; row++) {
			if (strcmp(snapshot->sites[row].function, kinds[k].name) == 0)
				figures = snapshot->sites[row].figures;
		}
		judge(k, LIVE_BYTES, figures.live_bytes);
		judge(k, LIVE_COUNT, figures.live_count);
		judge(k, TOTAL_BYTES, figures.total_bytes);
		judge(k, TOTAL_COUNT, figures.count);
	}
	snapshot_release(snapshot);
}

static void run_profiles(unsigned seeds, uint64_t sample_rate, uint64_t sample_bytes,
			 uint64_t min_size)
{
	memset(tallies, 0, sizeof(tallies));
	runs = seeds;
	for (uint64_t seed = 1; seed <= seeds; seed++) {
		recorder_restart_in_child();
		contexts_reset_in_child();
		sampler_start(sample_rate, sample_bytes, min_size, seed);
		thread_self = (struct thread){0};
		next_address = 0x10000000;
		memset(truths, 0, sizeof(truths));
		random_seed(shape, 42, 0); /* every run is of the same program */
		for (size_t k = 0; k < kind_count; k++)
			run_kind(&kinds[k], &truths[k]);
		judge_profile();
	}
}

/* The mean error of the runs, in its standard errors; 0 where every run was exact. */
static double mean_error(size_t k, enum figure figure)
{
	double mean = tallies[k].errors[figure] / runs;
	double variance = tallies[k].squares[figure] / runs - mean * mean;

	if (variance <= 0) {
		assert_true(mean == 0);
		return 0;
	}
	return mean / math_sqrt(variance / runs);
}

/* Of each kind the mean error lies within 2.6 standard errors of zero; by chance one kind in 107 does not, so of about
 * 40 up to four are let pass (more: 1 in 3,000), if none is beyond 4.5, and if they do not lean to one side:
 * all together within 3.5 (beyond: 1 in 2,000). */
static void check_bias(enum figure figure)
{
	double sum = 0, kinds_judged = 0;
	unsigned beyond = 0;

	for (size_t k = 0; k < kind_count; k++) {
		double z = mean_error(k, figure);

		if (z < -4.5 || z > 4.5)
			fail_msg("%s, figure %d: mean error is %.2f standard errors", kinds[k].name,
				 figure, z);
		beyond += z < -2.6 || z > 2.6;
		sum += z;
		kinds_judged += z != 0;
	}
	print_message("figure %d: %u of %.0f kinds beyond 2.6, all together %.2f\n", figure, beyond,
		      kinds_judged, sum / math_sqrt(kinds_judged));
	assert_true(kinds_judged > 0);
	assert_in_range(beyond, 0, 4);
	assert_true(sum * sum <= 3.5 * 3.5 * kinds_judged);
}

/* The stated variance is right on the average over all kinds and runs, against the square of the
 * error: within 4 standard errors of that average (of about normal errors, with room for tails). */
static void check_variance(enum figure figure)
{
	double ratio_sum = 0, kinds_judged = 0, ratio;

	for (size_t k = 0; k < kind_count; k++) {
		if (tallies[k].squares[figure] > 0) {
			ratio_sum += tallies[k].variances[figure] / tallies[k].squares[figure];
			kinds_judged++;
		}
	}
	ratio = ratio_sum / kinds_judged;
	print_message("figure %d: stated variance is %.3f of the true one\n", figure, ratio);
	assert_true((ratio - 1) * (ratio - 1) < 16 * 2.5 / (kinds_judged * runs));
}

/* How many samples of equal weight would know as much (Kish 1965). */
static double effective_samples(const struct truth *truth, enum figure figure)
{
	return truth->value[figure] * truth->value[figure] / truth->squares[figure];
}

/* The accuracy bar: pooled over the kinds with 10 expected samples or more and p < 0.9, 93 to 97 % of
 * the 95 % intervals hold. An expected sample is one of equal weight: a count to which blocks of 16
 * bytes weigh 200 times what blocks of 500 do rests on the few small ones that are seen. */
static void check_intervals(enum figure figure, unsigned intervals, unsigned holds)
{
	print_message("figure %d: %u intervals, %.2f %% hold\n", figure, intervals,
		      100.0 * holds / intervals);
	assert_true(holds >= 0.93 * intervals && holds <= 0.97 * intervals);
}

static void pool_intervals(enum figure figure, unsigned *intervals, unsigned *holds)
{
	for (size_t k = 0; k < kind_count; k++) {
		if (effective_samples(&truths[k], figure) < 10 ||
		    truths[k].share_sum >= 0.9 * truths[k].parts)
			continue;
		*intervals += runs;
		*holds += tallies[k].holds[figure];
	}
}

static void check_live(void)
{
	for (enum figure figure = LIVE_BYTES; figure <= LIVE_COUNT; figure++) {
		check_bias(figure);
		check_variance(figure);
		pool_intervals(figure, &all_intervals[figure], &all_holds[figure]);
	}
}

/* `expected` samples will be alive in the end. */
static struct kind *add_kind_of(size_t size, double expected, enum live_layer layer)
{
	return add_kind(size, size, (size_t)(1.5 * expected / sampler_probability(0, size)) + 1,
			layer);
}

static int start(void **state)
{
	(void)state;
	config.table_size = 200000;
	config.stack_depth = 32;
	config.app = "";
	config.older_s = 0.5;
	sampler_start(50, 131072, 500, 1);
	return recorder_start(0) == TL_OK && contexts_start() == TL_OK ? 0 : -1;
}

static int forget(void **state)
{
	(void)state;
	kind_count = 0;
	now_and_then = NULL;
	recorder_restart_in_child();
	contexts_reset_in_child();
	sampler_start(50, 131072, 500, 1);
	return 0;
}

static void are_true_on_the_average_from_16_bytes_to_1_mb_in_both_layers(void **state)
{
	static const size_t python[] = {64, 100, 256, 499, 500, 512};
	static const size_t libc[] = {499, 513, 1000, 4096, 20000, 65536, 131072, 200000};

	(void)state;
	add_kind_of(16, 10.1, LIVE_PYTHON);
	for (double expected = 12; expected < 200; expected *= 4) {
		for (size_t i = expected > 12 ? 3 : 0; i < TL_COUNT_OF(python); i++)
			add_kind_of(python[i], expected, LIVE_PYTHON);
		for (size_t i = 0; i < TL_COUNT_OF(libc); i++)
			add_kind_of(libc[i], expected, LIVE_LIBC);
	}
	add_kind_of(1048576, 100, LIVE_LIBC);
	run_profiles(200, 50, 131072, 500);

	check_live();
	assert_true(all_intervals[LIVE_BYTES] >= 5000);
	check_intervals(LIVE_BYTES, all_intervals[LIVE_BYTES], all_holds[LIVE_BYTES]);
	check_intervals(LIVE_COUNT, all_intervals[LIVE_COUNT], all_holds[LIVE_COUNT]);
	check_bias(TOTAL_BYTES);
	check_bias(TOTAL_COUNT);
	for (size_t k = 0; k < kind_count; k++) {
		if (kinds[k].low >= 500) /* counted one by one */
			assert_true(tallies[k].squares[TOTAL_BYTES] == 0 &&
				    tallies[k].squares[TOTAL_COUNT] == 0);
	}
}

static void are_true_where_one_line_allocates_many_sizes(void **state)
{
	(void)state;
	add_kind(16, 64, 60000, LIVE_PYTHON);
	add_kind(50, 200, 30000, LIVE_PYTHON);
	add_kind(100, 512, 30000, LIVE_PYTHON);
	add_kind(100, 10000, 20000, LIVE_LIBC);
	add_kind(500, 10000, 2000, LIVE_LIBC);
	add_kind(5000, 100000, 300, LIVE_LIBC);
	add_kind(20000, 200000, 200, LIVE_LIBC);
	add_kind(500, 1048576, 2000, LIVE_LIBC);
	run_profiles(100, 50, 131072, 500);

	check_live();
}

static void are_true_of_blocks_that_grow_and_shrink_by_realloc(void **state)
{
	(void)state;
	for (unsigned growths = 1; growths <= 12; growths += 11) {
		for (int cut = 0; cut < 2; cut++) {
			add_kind(100, 100, 6000, LIVE_PYTHON)->growths = growths;
			kinds[kind_count - 1].is_cut_in_end = cut;
			add_kind(2000, 2000, 1000, LIVE_LIBC)->growths = growths;
			kinds[kind_count - 1].is_cut_in_end = cut;
			add_kind(30000, 30000, 100, LIVE_LIBC)->growths = growths;
			kinds[kind_count - 1].is_cut_in_end = cut;
		}
	}
	run_profiles(100, 50, 131072, 500);

	check_live();
}

static void are_true_of_a_block_that_grew_more_often_than_it_has_entries(void **state)
{
	(void)state;
	add_kind(30000, 30000, 60, LIVE_LIBC)->growths = 60;
	add_kind(60000, 60000, 60, LIVE_LIBC)->growths = 40;
	add_kind(100000, 100000, 60, LIVE_LIBC)->growths = 100;
	run_profiles(200, 50, 131072, 500);

	check_live();
}

static void raise_now_and_then(void)
{
	if (sampler_level() < 4 && random_unit(shape) < 0.0005)
		sampler_raise(sampler_level());
}

static void stay_true_while_the_level_rises(void **state)
{
	static const size_t sizes[] = {400, 600, 2000, 20000, 50000, 300000};

	(void)state;
	for (double expected = 200; expected < 500; expected *= 2) {
		for (size_t i = expected > 200; i < TL_COUNT_OF(sizes); i++)
			add_kind_of(sizes[i], expected, sizes[i] < 512 ? LIVE_PYTHON : LIVE_LIBC);
	}
	now_and_then = raise_now_and_then;
	run_profiles(100, 50, 131072, 500);

	assert_in_range(sampler_level(), 2, 4);
	check_live();
}

static void stay_true_when_a_small_table_is_thinned(void **state)
{
	static const size_t sizes[] = {400, 600, 2000, 20000, 150000};

	(void)state;
	assert_int_equal(live_blocks_start(1000), TL_OK);
	for (double expected = 150; expected < 1000; expected *= 4) {
		for (size_t i = expected > 150; i < TL_COUNT_OF(sizes); i++)
			add_kind_of(sizes[i], expected, sizes[i] < 512 ? LIVE_PYTHON : LIVE_LIBC);
	}
	run_profiles(100, 50, 131072, 500);

	assert_true(live_blocks_thinned() > 0);
	check_live();
	assert_int_equal(live_blocks_start(200000), TL_OK);
}

static void are_exact_when_every_allocation_is_a_sample(void **state)
{
	(void)state;
	add_kind(16, 512, 5000, LIVE_PYTHON);
	add_kind(1, 100000, 2000, LIVE_LIBC);
	add_kind(1000, 1000, 100, LIVE_LIBC)->growths = 40;
	add_kind(999, 999, 100, LIVE_LIBC)->growths = 3;
	run_profiles(20, 1, 131072, 1);

	for (size_t k = 0; k < kind_count; k++) {
		for (enum figure figure = 0; figure < FIGURES; figure++) {
			assert_true(tallies[k].squares[figure] == 0);
			assert_true(tallies[k].variances[figure] == 0);
		}
	}
}

static void have_intervals_that_hold_as_often_as_they_say(void **state)
{
	(void)state;

	for (enum figure figure = LIVE_BYTES; figure <= LIVE_COUNT; figure++) {
		assert_true(all_intervals[figure] >= 5000);
		check_intervals(figure, all_intervals[figure], all_holds[figure]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(are_true_on_the_average_from_16_bytes_to_1_mb_in_both_layers,
				       forget),
		cmocka_unit_test_setup(are_true_where_one_line_allocates_many_sizes, forget),
		cmocka_unit_test_setup(are_true_of_blocks_that_grow_and_shrink_by_realloc, forget),
		cmocka_unit_test_setup(are_true_of_a_block_that_grew_more_often_than_it_has_entries,
				       forget),
		cmocka_unit_test_setup(stay_true_while_the_level_rises, forget),
		cmocka_unit_test_setup(stay_true_when_a_small_table_is_thinned, forget),
		cmocka_unit_test_setup(are_exact_when_every_allocation_is_a_sample, forget),
		cmocka_unit_test(have_intervals_that_hold_as_often_as_they_say),
	};

#ifdef __SANITIZE_THREAD__
	cmocka_set_test_filter("are_exact*"); /* of one thread it has nothing to say, for minutes */
#endif
	return cmocka_run_group_tests(tests, start, NULL);
}
