/* links: base/lock.c base/math.c base/pages.c base/random.c base/thread.c profile/sampler.c profile/live_blocks.c */
#include "profile/live_blocks.h"

#include "base/clock.h"
#include "base/random.h"
#include "profile/sampler.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

TL_INTERNAL unsigned classes_of_block(const void *block, size_t size, bool is_python)
{
	(void)block;
	(void)size;
	(void)is_python;
	return PY_TYPE_OTHER;
}

#define SMALLEST 1000 /* TRACKLEAK_TABLE_SIZE */

static struct live_block held[LIVE_ENTRIES_PER_BLOCK], replaced[LIVE_ENTRIES_PER_BLOCK];
static size_t replaced_count;
static struct thread thread;
static size_t table_size;

/* A table is only made once for each size: a test asks for it, and has it empty. */
static void use_table(size_t slots)
{
	if (table_size != slots)
		assert_int_equal(live_blocks_start(slots), TL_OK);
	table_size = slots;
	live_blocks_reset_in_child();
	sampler_start(50, 131072, 500, 1);
	sampler_restart_in_child();
	thread = (struct thread){0};
	sampler_prepare(&thread, 0);
}

static int small_table(void **state)
{
	(void)state;
	use_table(SMALLEST);
	return 0;
}

static struct live_block block_at(uint64_t address, uint64_t size)
{
	return (struct live_block){
		.address = address,
		.size = size & LIVE_LARGEST,
		.probability = (float)sampler_probability(0, size),
		.line = 1,
		.stack = 1,
	};
}

static struct live_block growth_at(uint64_t address, uint64_t size, double probability,
				   uint32_t line)
{
	struct live_block growth = block_at(address, size);

	growth.flags = LIVE_IS_GROWTH;
	growth.probability = (float)probability;
	growth.line = growth.stack = line;
	return growth;
}

static enum tl_err insert(const struct live_block *block)
{
	return live_blocks_insert(&thread, block, replaced, &replaced_count);
}

static size_t take(uint64_t address)
{
	return live_blocks_take((void *)(uintptr_t)address, LIVE_LIBC, held);
}

/* All entries, in no order; returns how many. `copy` has room for the table. */
static size_t copy_all(struct live_block *copy)
{
	size_t count = 0;

	for (size_t shard = 0; shard < live_blocks_shards(); shard++)
		count += live_blocks_copy_shard(shard, copy + count);
	return count;
}

static size_t count_all(void)
{
	static struct live_block copy[300000];

	return copy_all(copy);
}

static void before_the_start_every_free_is_told_that_nothing_is_here(void **state)
{
	(void)state;
	for (uintptr_t address = 0; address < 1u << 20; address += 4096)
		assert_false(live_blocks_may_hold((void *)address));
}

static void a_block_is_held_from_insert_to_take(void **state)
{
	struct live_block block = block_at(0x5000, 1000);

	(void)state;
	assert_false(live_blocks_may_hold((void *)0x5000));
	assert_int_equal(insert(&block), TL_OK);

	assert_true(live_blocks_may_hold((void *)0x5000));
	assert_int_equal(count_all(), 1);
	assert_int_equal(take(0x5010), 0);
	assert_int_equal(take(0x5000), 1);
	assert_memory_equal(&held[0], &block, sizeof(block));
	assert_int_equal(take(0x5000), 0);
	assert_int_equal(count_all(), 0);
	assert_false(live_blocks_may_hold((void *)0x5000));
}

static void each_layer_takes_its_own(void **state)
{
	struct live_block libcs = block_at(0x5000, 1000), pythons = block_at(0x6000, 100);

	(void)state;
	pythons.flags = LIVE_IS_PYTHON;
	insert(&libcs);
	insert(&pythons);

	assert_int_equal(live_blocks_take((void *)0x5000, LIVE_PYTHON, held), 0);
	assert_int_equal(live_blocks_take((void *)0x6000, LIVE_LIBC, held), 0);
	assert_int_equal(live_blocks_take((void *)0x6000, LIVE_PYTHON, held), 1);
	assert_int_equal(live_blocks_take((void *)0x5000, LIVE_LIBC, held), 1);
}

static void a_block_and_its_growths_leave_together(void **state)
{
	struct live_block first = block_at(0x5000, 1000);
	uint64_t bytes = 0;

	(void)state;
	insert(&first);
	for (uint32_t i = 1; i < LIVE_ENTRIES_PER_BLOCK; i++) {
		struct live_block growth = growth_at(0x5000, 100 * i, 0.5, i);

		assert_int_equal(insert(&growth), TL_OK);
	}
	assert_int_equal(count_all(), LIVE_ENTRIES_PER_BLOCK);

	assert_int_equal(take(0x5000), LIVE_ENTRIES_PER_BLOCK);

	for (size_t i = 0; i < LIVE_ENTRIES_PER_BLOCK; i++)
		bytes += held[i].size;
	assert_int_equal(bytes, 1000 + 100 * (15 * 16 / 2));
	assert_int_equal(count_all(), 0);
	assert_false(live_blocks_may_hold((void *)0x5000));
}

static void an_address_that_is_handed_out_again_tells_what_was_still_there(void **state)
{
	struct live_block old = block_at(0x5000, 1000), growth = growth_at(0x5000, 50, 0.5, 2),
			  new = block_at(0x5000, 7);

	(void)state;
	insert(&old);
	insert(&growth);
	assert_int_equal(replaced_count, 0);

	assert_int_equal(insert(&new), TL_OK);

	assert_int_equal(replaced_count, 2);
	assert_int_equal(replaced[0].size + replaced[1].size, 1050);
	assert_int_equal(take(0x5000), 1);
	assert_int_equal(held[0].size, 7);
}

static void certain_growths_from_one_place_are_one_entry_and_exact(void **state)
{
	struct live_block first = block_at(0x5000, 1000);

	(void)state;
	first.probability = 1;
	insert(&first);
	for (int i = 0; i < 1000; i++) {
		struct live_block here = growth_at(0x5000, 10, 1, 1),
				  there = growth_at(0x5000, 3, 1, 2);

		insert(&here);
		insert(&there);
	}

	assert_int_equal(take(0x5000), 3);
	for (size_t i = 0; i < 3; i++) {
		uint64_t wanted = held[i].flags == 0 ? 1000 : held[i].line == 1 ? 10000 : 3000;

		assert_int_equal(held[i].size, wanted);
		assert_true(held[i].probability >= 1);
	}
}

static void weigh(const struct live_block *block, double *bytes, double *variance)
{
	double p = (double)block->probability, k = (double)block->size;

	*bytes += k / p;
	*variance += (1 - p) / p / p * k * k;
}

/* Of one line: the sum of what all stand for, and of its variance, whatever joins. */
static void growths_beyond_the_last_entry_keep_estimate_and_variance(void **state)
{
	double bytes = 0, variance = 0, kept_bytes = 0, kept_variance = 0;
	uint64_t random[2];

	(void)state;
	random_seed(random, 1, 1);
	for (uint64_t i = 0; i < 500; i++) {
		struct live_block growth = growth_at(0x5000, 1000 + random_bits(random) % 100000,
						     0.01 + 0.99 * random_unit(random), 1);

		growth.stack = (uint32_t)i;
		assert_int_equal(insert(&growth), TL_OK);
		weigh(&growth, &bytes, &variance);
	}

	size_t count = take(0x5000);

	assert_int_equal(count, LIVE_ENTRIES_PER_BLOCK);
	for (size_t i = 0; i < count; i++)
		weigh(&held[i], &kept_bytes, &kept_variance);
	assert_true(kept_bytes > bytes * (1 - 1e-4) && kept_bytes < bytes * (1 + 1e-4));
	assert_true(kept_variance > variance * 0.999 && kept_variance < variance * 1.001);
}

/* A buffer that has grown for an hour: what it grew by in its last entries is as old as it is. */
static void a_growing_block_keeps_the_ages_of_its_last_growths(void **state)
{
	enum { GROWTHS = 3600, LATEST = LIVE_ENTRIES_PER_BLOCK - 1 };
	static const double probabilities[] = {1, 0.9};

	(void)state;
	for (size_t p = 0; p < TL_COUNT_OF(probabilities); p++) {
		double bytes = 0;
		unsigned seen = 0;

		for (uint32_t i = 1; i <= GROWTHS; i++) {
			struct live_block growth = growth_at(0x5000, 9000, probabilities[p], 1);

			growth.birth = i * CLOCK_TICKS_PER_S;
			insert(&growth);
		}

		size_t count = take(0x5000);

		assert_int_equal(count, LIVE_ENTRIES_PER_BLOCK);
		for (size_t i = 0; i < count; i++) {
			uint32_t after = GROWTHS - held[i].birth / CLOCK_TICKS_PER_S;

			bytes += (double)held[i].size / (double)held[i].probability;
			if (after < LATEST && held[i].size == 9000)
				seen |= 1u << after;
		}
		assert_int_equal(seen, (1u << LATEST) - 1);
		assert_true(fabs(bytes * probabilities[p] / (9000.0 * GROWTHS) - 1) < 1e-3);
	}
}

static void certain_growths_of_one_moment_are_one_entry(void **state)
{
	struct live_block growth = growth_at(0x5000, 1000, 1, 1);

	(void)state;
	for (growth.birth = 1; growth.birth <= 2 * CLOCK_TICKS_PER_S; growth.birth++)
		insert(&growth);

	assert_int_equal(take(0x5000), 2);
	assert_int_equal(held[0].size + held[1].size, 1000 * 2 * CLOCK_TICKS_PER_S);
}

/* Of two lines: either may be kept, and each stands for its own on the average. */
static void growths_of_different_lines_that_join_stay_true_on_the_average(void **state)
{
	enum { ROUNDS = 4000 };
	double bytes[2] = {0}, squares = 0;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		double of_second = 0;

		for (uint32_t i = 0; i < 16; i++) { /* line 1, entries full */
			struct live_block growth = growth_at(0x5000, 3000, 0.5, 1);

			insert(&growth);
		}

		struct live_block other = growth_at(0x5000, 1000, 0.25, 2);

		insert(&other);

		size_t count = take(0x5000);

		assert_int_equal(count, LIVE_ENTRIES_PER_BLOCK);
		for (size_t i = 0; i < count; i++) {
			double stands_for = (double)held[i].size / (double)held[i].probability;

			bytes[held[i].line - 1] += stands_for;
			of_second += held[i].line == 2 ? stands_for : 0;
		}
		squares += of_second * of_second;
	}

	double mean = bytes[1] / ROUNDS, error = mean - 4000;

	/* 10,000 with chance 0.4: within 4 standard errors. */
	assert_true(error * error < 16 * (squares / ROUNDS - mean * mean) / ROUNDS);
	assert_true(bytes[0] + bytes[1] > ROUNDS * 99999.0 &&
		    bytes[0] + bytes[1] < ROUNDS * 100001.0);
}

/* Insertions, growths, and takes at random: after each the table holds what a list of entries does.
 * Few addresses in a small table make long runs, over the end of a shard too. */
static void holds_what_a_naive_list_does(void **state)
{
	enum { ADDRESSES = 300, STEPS = 30000 };
	static struct live_block copy[SMALLEST];
	uint64_t addresses[ADDRESSES], random[2];
	unsigned entries[ADDRESSES] = {0}, total = 0, longest = 0;
	uint64_t bytes[ADDRESSES] = {0};

	(void)state;
	random_seed(random, 5, 5);
	for (size_t i = 0; i < ADDRESSES; i++)
		addresses[i] = (random_bits(random) & 0x7fffffffffe0) | 0x10;
	for (int step = 0; step < STEPS; step++) {
		uint64_t bits = random_bits(random);
		size_t i = bits % ADDRESSES;
		uint64_t size = 1 + (bits >> 32) % 5000;
		unsigned action = (bits >> 16) % 8;

		if (action < 6 && total < 450 && (entries[i] == 0 || entries[i] < 14)) {
			struct live_block block = block_at(addresses[i], size);

			block.flags = entries[i] > 0 ? LIVE_IS_GROWTH : 0;
			assert_int_equal(insert(&block), TL_OK);
			assert_int_equal(replaced_count, 0);
			entries[i]++;
			total++;
			bytes[i] += size;
		} else {
			uint64_t taken = 0;
			size_t count = take(addresses[i]);

			assert_int_equal(count, entries[i]);
			for (size_t e = 0; e < count; e++) {
				assert_int_equal(held[e].address, addresses[i]);
				taken += held[e].size;
			}
			assert_int_equal(taken, bytes[i]);
			total -= entries[i];
			entries[i] = 0;
			bytes[i] = 0;
		}
		if (total > longest)
			longest = total;
		assert_true(entries[i] == 0 || live_blocks_may_hold((void *)addresses[i]));
		if (step % 500 == 0)
			assert_int_equal(copy_all(copy), total);
	}
	assert_int_equal(live_blocks_thinned(), 0);
	assert_int_equal(longest, 450);
	for (size_t i = 0; i < ADDRESSES; i++)
		assert_int_equal(take(addresses[i]), entries[i]);
	for (size_t i = 0; i < ADDRESSES; i++)
		assert_false(live_blocks_may_hold((void *)addresses[i]));
}

static void the_filter_knows_the_place_of_every_live_block_and_forgets_the_dead(void **state)
{
	uint64_t random[2], addresses[600];

	(void)state;
	random_seed(random, 9, 9);
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < TL_COUNT_OF(addresses); i++) {
			/* Some share a stretch, some share a cell of the filter. */
			addresses[i] = 0x10000000 + (random_bits(random) % 20000) * 16 +
				       (random_bits(random) % 4 << 40);

			struct live_block block = block_at(addresses[i], 64);

			insert(&block);
		}
		for (size_t i = 0; i < TL_COUNT_OF(addresses); i++) {
			assert_true(live_blocks_may_hold((void *)addresses[i]));
			assert_true(live_blocks_may_start((void *)addresses[i]));
		}
		for (size_t i = 0; i < TL_COUNT_OF(addresses); i++) {
			assert_true(live_blocks_may_hold((void *)addresses[i]) ||
				    take(addresses[i]) == 0);
			take(addresses[i]);
		}
		for (size_t i = 0; i < TL_COUNT_OF(addresses); i++) {
			assert_false(live_blocks_may_hold((void *)addresses[i]));
			assert_false(live_blocks_may_start((void *)addresses[i]));
		}
	}
}

static void a_cell_with_more_samples_than_its_byte_can_count_stays_watched(void **state)
{
	uint64_t apart = (live_filter_mask + 1) << LIVE_FILTER_SHIFT; /* the next with this cell */

	(void)state;
	for (uint64_t i = 0; i < 256; i++) {
		struct live_block block = block_at(0x5000 + i * apart, 16);

		insert(&block);
	}
	for (uint64_t i = 0; i < 256; i++) {
		assert_true(live_blocks_may_hold((void *)(uintptr_t)(0x5000 + i * apart)));
		assert_int_equal(take(0x5000 + i * apart), 1);
	}

	assert_true(live_blocks_may_hold((void *)0x5000));
	assert_int_equal(take(0x5000), 0);
}

static void others_may_watch_a_place_as_often_as_they_like(void **state)
{
	struct live_block block = block_at(0x5000, 100);

	(void)state;
	live_blocks_watch((void *)0x5010);
	insert(&block);
	live_blocks_watch((void *)0x5020);
	take(0x5000);
	assert_true(live_blocks_may_hold((void *)0x5000));
	live_blocks_unwatch((void *)0x5010);
	assert_true(live_blocks_may_hold((void *)0x5000));
	live_blocks_unwatch((void *)0x5020);

	assert_false(live_blocks_may_hold((void *)0x5000));
}

static void a_neighbour_is_told_from_the_block_itself(void **state)
{
	uint64_t apart = (live_filter_mask + 1) << 16; /* the same cell of the first filter */
	struct live_block block = block_at(0x5010, 100);

	(void)state;
	insert(&block);
	assert_true(live_blocks_may_hold((void *)0x5020));
	assert_true(live_blocks_may_hold((void *)(uintptr_t)(0x5010 + apart)));
	assert_true(live_blocks_may_start((void *)0x5010));
	assert_false(live_blocks_may_start((void *)(uintptr_t)(0x5010 + apart)));
	assert_false(live_blocks_may_start((void *)0x5000));
	assert_false(live_blocks_may_start((void *)0x5020));
	live_blocks_watch((void *)0x5020);
	assert_true(live_blocks_may_start((void *)0x5020));
	live_blocks_reset_in_child();
	assert_false(live_blocks_may_start((void *)0x5010));
	assert_false(live_blocks_may_start((void *)0x5020));
}

/* The i-th block, if the level in force makes a sample of it as well. */
static enum tl_err insert_at_level(uint64_t i, uint64_t size)
{
	struct live_block block = block_at(0x10000 + i * 64, size);
	double p = sampler_probability(sampler_level(), size);

	if (sampler_unit(&thread) * (double)block.probability > p)
		return TL_OK;
	block.level = sampler_level() & 63;
	block.probability = (float)p;
	return insert(&block);
}

/* Small blocks that are all alive, into the smallest table. */
static void a_full_table_is_thinned_never_wiped_and_nothing_is_lost(void **state)
{
	static struct live_block copy[SMALLEST];

	(void)state;
	for (uint64_t i = 0; i < 20000; i++) {
		assert_int_equal(insert_at_level(i, 48), TL_OK);

		size_t count = i % 100 == 0 ? copy_all(copy) : 300;

		assert_in_range(count, i < 300 ? i : 300, SMALLEST * 3 / 4);
	}

	assert_true(live_blocks_thinned() > 2);
	assert_in_range(sampler_level(), 4, 7); /* 20,000 into at most 750 */
	for (size_t i = 0, count = copy_all(copy); i < count; i++)
		assert_true(live_blocks_may_hold((void *)copy[i].address));
}

/* Each stays with chance p(1)/p(0) and then weighs so much more. */
static void thinning_keeps_the_expected_weight_of_every_size_and_large_blocks_stay(void **state)
{
	enum { SIZES = 4, ROUNDS = 400, BLOCKS = 760 };
	static const uint64_t sizes[SIZES] = {64, 2000, 100000, 8 << 20};
	static struct live_block copy[SMALLEST];
	double sums[SIZES] = {0}, squares[SIZES] = {0};

	(void)state;
	for (uint64_t round = 0; round < ROUNDS; round++) {
		double change[SIZES] = {0};
		unsigned largest = 0;

		use_table(SMALLEST);
		random_seed(thread.random, round, 7);
		for (uint64_t i = 0; i < BLOCKS; i++) {
			struct live_block block = block_at(0x10000 + i * 64, sizes[i % SIZES]);

			insert(&block);
			change[i % SIZES] -= 1 / (double)block.probability;
		}
		assert_int_equal(sampler_level(), 1);
		for (size_t i = 0, count = copy_all(copy); i < count; i++) {
			size_t size = (copy[i].address - 0x10000) / 64 % SIZES;
			double p = (double)copy[i].probability, wanted;

			wanted = sampler_probability((unsigned)copy[i].level, sizes[size]);
			assert_true(p > wanted * 0.999999 && p < wanted * 1.000001);
			change[size] += 1 / p;
			largest += size == 3;
		}
		assert_int_equal(largest, BLOCKS / SIZES);
		for (size_t i = 0; i < SIZES; i++) {
			sums[i] += change[i];
			squares[i] += change[i] * change[i];
		}
	}
	for (size_t i = 0; i < SIZES; i++) /* within 4 standard errors of no change */
		assert_true(sums[i] * sums[i] <= 16 * squares[i] + 1e-6);
	assert_true(squares[0] > 0);
}

/* Level after level rises until they go; nothing is refused, nothing hangs. */
static void a_table_full_of_large_blocks_is_thinned_too(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 3000; i++)
		assert_int_equal(insert_at_level(i, 1 << 20), TL_OK);

	assert_in_range(sampler_level(), 4, 8);
	assert_in_range(count_all(), 200, 750);
}

/* The level cannot rise any more: only then is a sample lost, and the table still works. */
static void when_nothing_can_be_thinned_the_sample_is_refused(void **state)
{
	unsigned refused = 0;

	(void)state;
	for (unsigned level = 0; level < SAMPLER_LEVELS; level++)
		sampler_raise(level);
	for (uint64_t i = 0; i < 1200; i++) {
		struct live_block block = block_at(0x10000 + i * 64, 100);

		block.level = sampler_level() & 63;
		refused += insert(&block) == TL_ERR_FULL;
	}

	assert_int_equal(count_all() + refused, 1200);
	assert_in_range(count_all(), 900, SMALLEST - live_blocks_shards());
	for (uint64_t i = 0; i < 1200; i++)
		refused += (unsigned)take(0x10000 + i * 64);
	assert_int_equal(refused, 1200);
	assert_int_equal(count_all(), 0);
}

static void the_default_table_holds_three_quarters_of_its_size_before_it_is_thinned(void **state)
{
	uint64_t i = 0;

	(void)state;
	use_table(200000);
	for (; live_blocks_thinned() == 0; i++) {
		struct live_block block = block_at(0x10000 + i * 48, 48);

		insert(&block);
	}

	assert_int_equal(live_blocks_capacity(), 200000);
	assert_in_range(i, 200000 * 6 / 10,
			live_blocks_shards() * (live_blocks_shard_slots() * 3 / 4 + 1));
	assert_in_range(count_all(), i - 800, i);
}

static void a_forked_child_starts_empty(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 5000; i++) {
		struct live_block block = block_at(0x10000 + i * 64, 100);

		insert(&block);
	}
	assert_true(live_blocks_thinned() > 0);

	live_blocks_reset_in_child();

	assert_int_equal(live_blocks_thinned(), 0);
	assert_int_equal(count_all(), 0);
	for (uint64_t i = 0; i < 5000; i++)
		assert_false(live_blocks_may_hold((void *)(uintptr_t)(0x10000 + i * 64)));
}

/* All threads share pages and shards; each knows what it holds. Returns what went wrong. */
static void *hold_and_let_go(void *number)
{
	struct live_block mine[LIVE_ENTRIES_PER_BLOCK];
	struct thread self = {0};
	uint64_t first = *(uint64_t *)number, random[2];
	bool is_held[64] = {false};
	size_t count;

	sampler_prepare(&self, 0);
	random_seed(random, first, 0);
	for (int step = 0; step < 10000; step++) {
		size_t i = random_bits(random) % 64;
		uint64_t address = 0x100000 + (i * 8 + first) * 512;
		struct live_block block = block_at(address, 100 + first);

		if (is_held[i] && (!live_blocks_may_hold((void *)(uintptr_t)address) ||
				   !live_blocks_may_start((void *)(uintptr_t)address)))
			return "a live block is not in the filter";
		if (is_held[i]) {
			count = live_blocks_take((void *)(uintptr_t)address, LIVE_LIBC, mine);
			if (count != 1 || mine[0].size != 100 + first)
				return "a block was lost or mixed up";
		} else if (live_blocks_insert(&self, &block, mine, &count) != TL_OK || count != 0) {
			return "a block was refused";
		}
		is_held[i] = !is_held[i];
	}
	return NULL;
}

/* ThreadSanitizer's search for deadlocks gives up a thread that holds more than 64 locks at once; all
 * locks of a table are taken in one order. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "detect_deadlocks=0";
}

static void threads_keep_their_blocks_while_reports_look_on(void **state)
{
	uint64_t numbers[3] = {1, 2, 3};
	pthread_t threads[3];
	void *failed;

	(void)state;
	use_table(200000);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hold_and_let_go, &numbers[i]),
				 0);
	for (int i = 0; i < 20; i++)
		assert_in_range(count_all(), 0, 3 * 64);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], &failed);
		if (failed != NULL)
			fail_msg("%s", (char *)failed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_the_start_every_free_is_told_that_nothing_is_here),
		cmocka_unit_test_setup(a_block_is_held_from_insert_to_take, small_table),
		cmocka_unit_test_setup(each_layer_takes_its_own, small_table),
		cmocka_unit_test_setup(a_block_and_its_growths_leave_together, small_table),
		cmocka_unit_test_setup(
			an_address_that_is_handed_out_again_tells_what_was_still_there,
			small_table),
		cmocka_unit_test_setup(certain_growths_from_one_place_are_one_entry_and_exact,
				       small_table),
		cmocka_unit_test_setup(growths_beyond_the_last_entry_keep_estimate_and_variance,
				       small_table),
		cmocka_unit_test_setup(
			growths_of_different_lines_that_join_stay_true_on_the_average, small_table),
		cmocka_unit_test_setup(a_growing_block_keeps_the_ages_of_its_last_growths,
				       small_table),
		cmocka_unit_test_setup(certain_growths_of_one_moment_are_one_entry, small_table),
		cmocka_unit_test_setup(holds_what_a_naive_list_does, small_table),
		cmocka_unit_test_setup(
			the_filter_knows_the_place_of_every_live_block_and_forgets_the_dead,
			small_table),
		cmocka_unit_test_setup(
			a_cell_with_more_samples_than_its_byte_can_count_stays_watched,
			small_table),
		cmocka_unit_test_setup(a_neighbour_is_told_from_the_block_itself, small_table),
		cmocka_unit_test_setup(others_may_watch_a_place_as_often_as_they_like, small_table),
		cmocka_unit_test_setup(a_full_table_is_thinned_never_wiped_and_nothing_is_lost,
				       small_table),
		cmocka_unit_test_setup(
			thinning_keeps_the_expected_weight_of_every_size_and_large_blocks_stay,
			small_table),
		cmocka_unit_test_setup(a_table_full_of_large_blocks_is_thinned_too, small_table),
		cmocka_unit_test_setup(when_nothing_can_be_thinned_the_sample_is_refused,
				       small_table),
		cmocka_unit_test(
			the_default_table_holds_three_quarters_of_its_size_before_it_is_thinned),
		cmocka_unit_test_setup(a_forked_child_starts_empty, small_table),
		cmocka_unit_test(threads_keep_their_blocks_while_reports_look_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
