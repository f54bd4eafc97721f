/* links: base/math.c base/random.c base/thread.c profile/sampler.c */
#include "profile/sampler.h"

#include "base/math.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct thread thread;

static void start(uint64_t rate, uint64_t bytes, uint64_t min_size, uint64_t seed)
{
	sampler_start(rate, bytes, min_size, seed);
	sampler_restart_in_child(); /* level 0, threads counted from 0 */
	thread = (struct thread){0};
	sampler_prepare(&thread, 0);
}

static int defaults(void **state)
{
	(void)state;
	start(50, 131072, 500, 1);
	return 0;
}

/* As the hooks and the recorder do it: is an allocation of this size a sample? */
static bool is_sample(size_t size)
{
	bool is_byte_hit, is_count_hit;

	thread.countdown -= (int64_t)size;
	if (thread.countdown >= 0 && size < sampler_min_size)
		return false;
	sampler_prepare(&thread, size);
	is_byte_hit = sampler_byte_hit(&thread);
	is_count_hit = size >= sampler_min_size && sampler_count_hit(&thread);
	sampler_adapt(&thread);
	return is_byte_hit || is_count_hit;
}

/* Within 4 standard deviations: by chance 1 in 16,000 is not. */
static void assert_chance(unsigned hits, unsigned trials, double chance)
{
	double error = hits - trials * chance;

	if (error * error > 16 * trials * chance * (1 - chance) + 1e-9)
		fail_msg("%u hits of %u, %.1f expected", hits, trials, trials * chance);
}

static void nothing_is_counted_before_the_start(void **state)
{
	(void)state;

	assert_int_equal(sampler_min_size, SIZE_MAX);
}

static void while_closed_no_size_is_slow_and_a_fork_opens(void **state)
{
	(void)state;
	assert_int_equal(sampler_slow_size, 500);
	sampler_close();
	assert_int_equal(sampler_slow_size, SIZE_MAX);
	assert_int_equal(sampler_min_size, 500);
	sampler_open();
	assert_int_equal(sampler_slow_size, 500);
	sampler_close();
	sampler_before_fork();
	assert_int_equal(sampler_slow_size, 500);
}

static void the_chance_of_a_size_is_that_of_both_tiers_together(void **state)
{
	double bytes = math_one_minus_exp(1000 / 131072.0);

	(void)state;

	assert_true(sampler_probability(0, 499) == math_one_minus_exp(499 / 131072.0));
	assert_true(sampler_probability(0, 1000) > 1 - (1 - bytes) * (1 - 0.02) - 1e-15);
	assert_true(sampler_probability(0, 1000) < 1 - (1 - bytes) * (1 - 0.02) + 1e-15);
	assert_true(sampler_probability(0, 1) > 0);
	assert_true(sampler_probability(0, (size_t)1 << 46) == 1);
	assert_true(sampler_probability(SAMPLER_LEVELS - 1, 1) > 0);
	for (size_t size = 1; size < 10000; size++)
		assert_true(sampler_probability(0, size) < sampler_probability(0, size + 1));
}

static void every_size_is_sampled_as_often_as_its_chance_says(void **state)
{
	static const size_t sizes[] = {1, 16, 100, 499, 500, 501, 4096, 50000, 131072, 500000};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(sizes); i++) {
		unsigned trials = sizes[i] < 500 ? 2000000 : 300000, hits = 0;

		for (unsigned n = 0; n < trials; n++)
			hits += is_sample(sizes[i]);

		assert_chance(hits, trials, sampler_probability(0, sizes[i]));
	}
}

/* The gap that a small block leaves over is the next one's, and so on: sizes in a row do not change
 * each other's chance. */
static void sizes_that_take_turns_do_not_change_each_others_chance(void **state)
{
	static const size_t sizes[] = {16, 3000, 499, 100000, 500, 64};
	unsigned hits[TL_COUNT_OF(sizes)] = {0}, turns = 300000;

	(void)state;
	for (unsigned turn = 0; turn < turns; turn++) {
		for (size_t i = 0; i < TL_COUNT_OF(sizes); i++)
			hits[i] += is_sample(sizes[i]);
	}

	for (size_t i = 0; i < TL_COUNT_OF(sizes); i++)
		assert_chance(hits[i], turns, sampler_probability(0, sizes[i]));
}

static void hits_in_a_row_are_independent(void **state)
{
	unsigned trials = 400000, both = 0;
	bool before = is_sample(60000);
	double p = sampler_probability(0, 60000);

	(void)state;
	for (unsigned n = 0; n < trials; n++) {
		bool now = is_sample(60000);

		both += before && now;
		before = now;
	}

	/* Pairs overlap, so their variance is a little more than a coin's. */
	double error = both - trials * p * p;
	double variance = trials * (p * p * (1 - p * p) + 2 * (p * p * p - p * p * p * p));

	assert_true(error * error < 16 * variance);
}

static void exhaustive_means_every_allocation_until_the_level_rises(void **state)
{
	(void)state;
	start(1, 131072, 1, 1);

	assert_true(sampler_is_exhaustive);
	for (size_t size = 1; size < 5000; size++) {
		assert_true(is_sample(size));
		assert_true(sampler_probability(0, size) == 1);
	}
	sampler_raise(0);
	assert_false(sampler_is_exhaustive);
	sampler_restart_in_child();
	assert_true(sampler_is_exhaustive);
	start(1, 131072, 2, 1);
	assert_false(sampler_is_exhaustive);
	start(2, 131072, 1, 1);
	assert_false(sampler_is_exhaustive);
}

static void each_level_doubles_t_and_n_and_only_who_saw_the_last_one_raises_it(void **state)
{
	(void)state;

	sampler_raise(0);
	assert_int_equal(sampler_level(), 1);
	assert_true(sampler_bytes_now() == 262144 && sampler_rate_now() == 100);
	sampler_raise(0); /* another thread was as fast */
	assert_int_equal(sampler_level(), 1);
	assert_true(sampler_probability(1, 400) == math_one_minus_exp(400 / 262144.0));
	for (unsigned i = 0; i < 100; i++)
		sampler_raise(sampler_level());
	assert_int_equal(sampler_level(), SAMPLER_LEVELS - 1);
}

static void chance_follows_the_level_from_the_next_allocation_on(void **state)
{
	unsigned hits = 0, trials = 200000;

	(void)state;
	for (unsigned n = 0; n < trials; n++) {
		if (n % 4 == 0) /* before each four, another level: up from 0 again */
			sampler_restart_in_child();
		for (unsigned level = 0; level < n % 4; level++)
			sampler_raise(level);
		sampler_adapt(&thread); /* as at the end of any slow path */
		hits += is_sample(20000);
	}

	double chance = 0;

	for (unsigned level = 0; level < 4; level++)
		chance += sampler_probability(level, 20000) / 4;
	assert_chance(hits, trials, chance);
}

/* What was drawn before keeps its chance, and what is drawn after has the new one. */
static void other_settings_are_another_row_of_levels(void **state)
{
	double before = sampler_probability(1, 1000);
	unsigned hits = 0, trials = 200000, level;

	(void)state;
	sampler_raise(0);
	assert_true(sampler_change(10, 32768));
	level = sampler_level();

	assert_true(sampler_bytes_now() == 32768 && sampler_rate_now() == 10);
	assert_true(sampler_probability(1, 1000) == before);
	sampler_adapt(&thread);
	assert_int_equal(thread.level, level);
	for (unsigned n = 0; n < trials; n++)
		hits += is_sample(1000);
	assert_chance(hits, trials, sampler_probability(level, 1000));
	assert_chance(hits, trials, 1 - (1 - math_one_minus_exp(1000 / 32768.0)) * 0.9);

	sampler_raise(level);
	assert_true(sampler_bytes_now() == 65536);
	sampler_lower(level + 1);
	sampler_lower(level);
	assert_int_equal(sampler_level(), level); /* not into the row below */
	sampler_restart_in_child();
	assert_int_equal(sampler_level(), level); /* a child has what is in force */
}

static void settings_can_be_changed_seven_times_and_back_at_any_time(void **state)
{
	unsigned level = sampler_level();

	(void)state;
	for (uint64_t rate = 1; rate < SAMPLER_ROWS; rate++)
		assert_true(sampler_change(rate, 1000));

	assert_false(sampler_change(SAMPLER_ROWS, 1000));
	assert_true(sampler_rate_now() == SAMPLER_ROWS - 1);
	for (unsigned i = 0; i < 256; i++)
		sampler_raise(sampler_level());
	assert_int_equal(sampler_level(), SAMPLER_ROWS * SAMPLER_LEVELS - 1);
	assert_true(sampler_change(50, 131072));
	assert_int_equal(sampler_level(), level);
	assert_false(sampler_is_exhaustive);
}

/* Put aside, once or twice, but for some bytes, and put back: as if nothing had been. */
static void a_withheld_countdown_calls_for_a_slow_path_and_changes_no_chance(void **state)
{
	bool plain[20000];

	(void)state;
	for (unsigned n = 0; n < 20000; n++)
		plain[n] = is_sample(300 + n % 400);

	start(50, 131072, 500, 1);
	for (unsigned n = 0; n < 20000; n++) {
		if (n % 3 == 0)
			sampler_withhold(&thread, 1000);
		if (n % 4 == 0)
			sampler_withhold(&thread, 0);
		if (n % 4 == 0)
			assert_true(thread.countdown - 1 < 0);
		else if (n % 3 == 0)
			assert_true(thread.countdown - 1001 < 0);
		if (n % 5 == 0)
			sampler_release(&thread);

		assert_int_equal(is_sample(300 + n % 400), plain[n]);
	}
}

static void what_passes_without_a_chance_favours_nobody(void **state)
{
	unsigned hits = 0, trials = 300000;

	(void)state;
	for (unsigned n = 0; n < trials; n++) {
		/* A malloc that fails, of any size there is. */
		size_t failed = n % 2 == 0 ? 20000 : SIZE_MAX - n;

		thread.countdown = (int64_t)((uint64_t)thread.countdown - failed);
		sampler_prepare(&thread, failed);
		sampler_byte_hit(&thread);
		sampler_pass(&thread);
		hits += is_sample(20000);
	}

	assert_chance(hits, trials, sampler_probability(0, 20000));
}

static void what_passes_leaves_a_slow_path_called_for(void **state)
{
	(void)state;
	sampler_withhold(&thread, 100);
	thread.countdown -= 70;
	sampler_pass(&thread);
	assert_true(thread.countdown - 31 < 0);

	thread.countdown -= 70;
	sampler_pass(&thread);
	assert_true(thread.countdown - 1 < 0);
}

/* A realloc is charged with its whole size; the growth alone is hit with 1 - exp(-g/T). */
static void growth_is_accepted_with_its_own_chance(void **state)
{
	static const struct {
		size_t growth, charged;
	} cases[] = {{16, 400}, {400, 400}, {1000, 100000}, {100000, 110000}, {1, 1000000}};

	(void)state;
	start(50, 131072, SIZE_MAX, 1); /* without the counted tier */
	for (size_t i = 0; i < TL_COUNT_OF(cases); i++) {
		unsigned trials = 1000000, hits = 0;

		for (unsigned n = 0; n < trials; n++)
			hits += is_sample(cases[i].charged) &&
				sampler_accepts_growth(&thread, cases[i].growth, cases[i].charged);

		assert_chance(hits, trials, math_one_minus_exp((double)cases[i].growth / 131072));
	}
}

/* The first 2,000 decisions of a new thread. */
static void first_decisions(bool *decisions)
{
	thread = (struct thread){0};
	for (unsigned n = 0; n < 2000; n++)
		decisions[n] = is_sample(20000);
}

static void equal_seeds_repeat_and_threads_draw_apart(void **state)
{
	bool first[2000], second[2000], again[2000];

	(void)state;
	start(50, 131072, 500, 99);
	first_decisions(first);
	first_decisions(second);
	start(50, 131072, 500, 99);
	first_decisions(again);

	assert_memory_equal(first, again, sizeof(first));
	assert_memory_not_equal(first, second, sizeof(first));
}

/* A prefork server: its workers do the same work, and must not make the same mistakes. */
static void children_draw_apart_from_their_parent_and_from_each_other_and_repeat(void **state)
{
	bool decisions[8][2000];

	(void)state;
	for (unsigned run = 0; run < 2; run++) {
		sampler_start(50, 131072, 500, 5);
		first_decisions(decisions[4 * run]);
		/* One process plays them all: child 1 is the first fork of seed 5, child 2 its
		 * second, grandchild the first fork of child 2. */
		sampler_before_fork();
		sampler_restart_in_child();
		first_decisions(decisions[4 * run + 1]);
		sampler_start(50, 131072, 500, 5);
		sampler_before_fork();
		sampler_before_fork();
		sampler_restart_in_child();
		first_decisions(decisions[4 * run + 2]);
		sampler_before_fork();
		sampler_restart_in_child();
		first_decisions(decisions[4 * run + 3]);
		sampler_restart_in_child();
	}

	for (unsigned i = 1; i < 4; i++) {
		assert_memory_equal(decisions[i], decisions[4 + i], sizeof(decisions[i]));
		for (unsigned j = 0; j < i; j++)
			assert_memory_not_equal(decisions[i], decisions[j], sizeof(decisions[i]));
	}
}

static void a_thread_that_lived_on_in_a_child_draws_anew(void **state)
{
	uint64_t before[2] = {thread.random[0], thread.random[1]};

	(void)state;
	sampler_raise(0);
	sampler_adapt(&thread);
	sampler_before_fork();
	sampler_restart_in_child();
	thread.countdown -= 1000;

	sampler_prepare(&thread, 1000);

	assert_memory_not_equal(thread.random, before, sizeof(before));
	assert_int_equal(thread.level, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_counted_before_the_start),
		cmocka_unit_test_setup(the_chance_of_a_size_is_that_of_both_tiers_together,
				       defaults),
		cmocka_unit_test_setup(every_size_is_sampled_as_often_as_its_chance_says, defaults),
		cmocka_unit_test_setup(sizes_that_take_turns_do_not_change_each_others_chance,
				       defaults),
		cmocka_unit_test_setup(while_closed_no_size_is_slow_and_a_fork_opens, defaults),
		cmocka_unit_test_setup(hits_in_a_row_are_independent, defaults),
		cmocka_unit_test_setup(exhaustive_means_every_allocation_until_the_level_rises,
				       defaults),
		cmocka_unit_test_setup(
			each_level_doubles_t_and_n_and_only_who_saw_the_last_one_raises_it,
			defaults),
		cmocka_unit_test_setup(chance_follows_the_level_from_the_next_allocation_on,
				       defaults),
		cmocka_unit_test_setup(other_settings_are_another_row_of_levels, defaults),
		cmocka_unit_test_setup(settings_can_be_changed_seven_times_and_back_at_any_time,
				       defaults),
		cmocka_unit_test_setup(
			a_withheld_countdown_calls_for_a_slow_path_and_changes_no_chance, defaults),
		cmocka_unit_test_setup(what_passes_without_a_chance_favours_nobody, defaults),
		cmocka_unit_test_setup(what_passes_leaves_a_slow_path_called_for, defaults),
		cmocka_unit_test_setup(growth_is_accepted_with_its_own_chance, defaults),
		cmocka_unit_test_setup(equal_seeds_repeat_and_threads_draw_apart, defaults),
		cmocka_unit_test_setup(
			children_draw_apart_from_their_parent_and_from_each_other_and_repeat,
			defaults),
		cmocka_unit_test_setup(a_thread_that_lived_on_in_a_child_draws_anew, defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
