/* links: base/math.c base/random.c base/thread.c profile/sampler.c profile/governor.c */
#include "profile/governor.h"

#include "base/clock.h"
#include "base/thread.h"
#include "profile/sampler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t now_ns;
static double work_s; /* what was really spent */

TL_INTERNAL uint64_t clock_precise_ns(void)
{
	return now_ns;
}

static void work(bool is_miss, uint64_t takes_ns)
{
	uint64_t began = governor_work_begins();

	now_ns += takes_ns;
	work_s += (double)takes_ns / 1e9;
	governor_work_ends(began, is_miss);
}

/* A second in which the program makes so many samples at level 0, and so many misses at any, evenly,
 * each of a microsecond. */
static void a_second_with_misses(double samples_at_level_0, double misses)
{
	uint64_t until_ns = now_ns + 1000000000u;
	double samples_due = 0, misses_due = 0;

	while (now_ns < until_ns) {
		uint64_t before_ns = now_ns;

		for (; samples_due >= 1; samples_due--)
			work(false, 1000);
		for (; misses_due >= 1; misses_due--)
			work(true, 1000);
		now_ns += 500;
		samples_due += (double)(now_ns - before_ns) / 1e9 * samples_at_level_0 /
			       (double)(1u << sampler_level());
		misses_due += (double)(now_ns - before_ns) / 1e9 * misses;
	}
	governor_tick();
}

static void a_second_of(double samples_at_level_0)
{
	a_second_with_misses(samples_at_level_0, 0);
}

static void seconds_of(int seconds, double samples_at_level_0)
{
	while (seconds-- > 0)
		a_second_of(samples_at_level_0);
}

/* N = 1, so every other run of the same start is exhaustive but for min_size. */
static void start(uint64_t min_size, double percent)
{
	now_ns += 1000000000u;
	sampler_start(1, 131072, min_size, 1);
	sampler_restart_in_child();
	governor_restart_in_child();
	governor_start(percent);
	work_s = 0;
}

static int one_percent(void **state)
{
	(void)state;
	start(500, 1);
	return 0;
}

static void below_the_share_the_settings_stay(void **state)
{
	(void)state;
	seconds_of(10, 9500);
	assert_int_equal(sampler_level(), 0);
}

static void above_it_they_do_not(void **state)
{
	(void)state;
	seconds_of(3, 10500);
	assert_int_equal(sampler_level(), 1);
}

static void what_was_spent_is_known(void **state)
{
	(void)state;
	for (int n = 0; n < 100000; n++)
		work(n % 3 == 0, n % 2 == 0 ? 300 : 3000);
	assert_true(governor_spent_s() > work_s * 0.97 && governor_spent_s() < work_s * 1.03);
}

static void what_short_threads_spend_is_known_too(void **state)
{
	(void)state;
	for (int n = 0; n < 5000; n++) {
		thread_self = (struct thread){0};
		for (int i = 0; i < 3; i++)
			work(false, 1000);
	}
	assert_true(governor_spent_s() > work_s * 0.9 && governor_spent_s() < work_s * 1.1);
}

static void a_burst_is_answered_within_a_second_and_taken_back_level_by_level(void **state)
{
	(void)state;
	a_second_of(5000);
	assert_int_equal(sampler_level(), 0);

	a_second_of(500000); /* 50 % of a core: 50 times the share */
	assert_int_equal(sampler_level(), 6);
	seconds_of(10, 500000);
	assert_int_equal(sampler_level(), 6);

	a_second_of(6000);
	assert_int_equal(sampler_level(), 5);
	seconds_of(10, 6000);
	/* 0.3 % at level 1: from a quarter of the share on it rests. */
	assert_int_equal(sampler_level(), 1);
	seconds_of(5, 0);
	assert_int_equal(sampler_level(), 0);
}

static void ten_seconds_of_a_hundredfold_rate_cost_less_than_twice_the_share(void **state)
{
	(void)state;
	seconds_of(3, 9000);
	assert_int_equal(sampler_level(), 0);

	work_s = 0;
	seconds_of(10, 900000);
	assert_true(work_s < 0.2);

	seconds_of(30, 9000);
	assert_int_equal(sampler_level(), 1); /* 0.45 % */
}

static void a_burst_after_a_long_lull_is_answered_as_fast(void **state)
{
	(void)state;
	now_ns += 3600000000000u; /* and the worker never came */
	a_second_of(500000);
	assert_int_equal(sampler_level(), 6);
}

static void misses_count_but_do_not_starve_the_samples(void **state)
{
	(void)state;
	a_second_with_misses(6000, 3000);
	assert_int_equal(sampler_level(), 0);

	a_second_with_misses(6000, 6000); /* 0.4 % are left */
	assert_int_equal(sampler_level(), 1);

	for (int n = 0; n < 10; n++)
		a_second_with_misses(6000, 50000); /* 5 %: a quarter is left nevertheless */
	assert_int_equal(sampler_level(), 2);

	for (int n = 0; n < 10; n++)
		a_second_with_misses(1800, 50000);
	assert_int_equal(sampler_level(), 1); /* 0.09 % of the 0.25 */
}

static void a_tick_soon_after_a_look_waits_for_the_next(void **state)
{
	(void)state;
	a_second_of(500000);
	for (int n = 0; n < 100; n++) {
		now_ns += 1000000;
		governor_tick();
	}
	assert_int_equal(sampler_level(), 6);
}

static void a_thread_that_lost_the_core_in_the_middle_does_not_count(void **state)
{
	(void)state;
	for (int n = 0; n < 100; n++) {
		work(false, 20000000);
		a_second_of(159);
	}
	assert_int_equal(sampler_level(), 0);
	assert_true(governor_spent_s() > 0.001); /* some of them were timed */
}

static void what_a_full_table_raised_is_not_lowered(void **state)
{
	(void)state;
	sampler_raise(0);
	sampler_raise(1);
	seconds_of(5, 0);
	assert_int_equal(sampler_level(), 2);
}

static void nothing_moves_without_a_share_or_in_exhaustive_mode(void **state)
{
	(void)state;
	start(500, 0);
	a_second_of(900000);
	assert_int_equal(sampler_level(), 0);
	start(1, 1);
	a_second_of(900000);
	assert_int_equal(sampler_level(), 0);
	assert_true(sampler_is_exhaustive);
}

static void another_share_takes_over_what_was_raised(void **state)
{
	(void)state;
	a_second_of(500000);
	assert_int_equal(sampler_level(), 6);

	governor_start(10);
	seconds_of(10, 500000); /* 0.8 % at level 6; 1.6 at 5; 3.1 at 4 */
	assert_int_equal(sampler_level(), 4);

	governor_start(0);
	seconds_of(10, 500000);
	assert_int_equal(sampler_level(), 0);
}

static void a_forked_child_begins_anew(void **state)
{
	(void)state;
	a_second_of(500000);
	assert_int_equal(sampler_level(), 6);
	sampler_restart_in_child();
	governor_restart_in_child();
	assert_true(governor_spent_s() == 0);
	sampler_raise(0); /* its table */
	seconds_of(5, 0);
	assert_int_equal(sampler_level(), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, one_percent)
	const struct CMUnitTest tests[] = {
		TEST(below_the_share_the_settings_stay),
		TEST(above_it_they_do_not),
		TEST(what_was_spent_is_known),
		TEST(what_short_threads_spend_is_known_too),
		TEST(a_burst_is_answered_within_a_second_and_taken_back_level_by_level),
		TEST(ten_seconds_of_a_hundredfold_rate_cost_less_than_twice_the_share),
		TEST(a_burst_after_a_long_lull_is_answered_as_fast),
		TEST(misses_count_but_do_not_starve_the_samples),
		TEST(a_tick_soon_after_a_look_waits_for_the_next),
		TEST(a_thread_that_lost_the_core_in_the_middle_does_not_count),
		TEST(what_a_full_table_raised_is_not_lowered),
		TEST(nothing_moves_without_a_share_or_in_exhaustive_mode),
		TEST(another_share_takes_over_what_was_raised),
		TEST(a_forked_child_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
