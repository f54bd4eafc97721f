/* links: base/math.c base/random.c base/thread.c profile/sampler.c profile/governor.c */
#include "profile/governor.h"

#include "base/clock.h"
#include "profile/sampler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t now_ns;

TL_INTERNAL uint64_t clock_precise_ns(void)
{
	return now_ns;
}

/* A second in which the program makes so many samples at level 0, each of a microsecond. */
static void a_second_of(unsigned samples_at_level_0)
{
	unsigned samples = samples_at_level_0 >> sampler_level();
	uint64_t until = now_ns + 1000000000u;

	for (unsigned n = 0; n < samples; n++) {
		uint64_t began = governor_sample_begins();

		now_ns += 1000;
		governor_sample_ends(began);
	}
	if (now_ns < until)
		now_ns = until;
	governor_tick();
}

/* N = 1, so every other run of the same start is exhaustive but for min_size. */
static void start(uint64_t min_size, double percent)
{
	now_ns += 1000000000u;
	sampler_start(1, 131072, min_size, 1);
	sampler_restart_in_child();
	governor_start(percent);
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
	for (int n = 0; n < 10; n++)
		a_second_of(9900);
	assert_int_equal(sampler_level(), 0);
}

static void a_burst_is_answered_at_the_next_tick_and_taken_back_level_by_level(void **state)
{
	(void)state;
	a_second_of(5000);
	assert_int_equal(sampler_level(), 0);

	a_second_of(500000); /* 50 % of a core: 50 times the share */
	assert_int_equal(sampler_level(), 6);
	for (int n = 0; n < 10; n++)
		a_second_of(500000);
	assert_int_equal(sampler_level(), 6);

	a_second_of(5000);
	assert_int_equal(sampler_level(), 5);
	for (int n = 0; n < 10; n++)
		a_second_of(5000);
	/* 0.25 % at level 1: a quarter of the share is where it rests. */
	assert_int_equal(sampler_level(), 1);
	for (int n = 0; n < 5; n++)
		a_second_of(0);
	assert_int_equal(sampler_level(), 0);
}

static void a_tick_too_soon_waits_for_the_next(void **state)
{
	(void)state;
	for (int n = 0; n < 100; n++) {
		uint64_t began = governor_sample_begins();

		now_ns += 1000;
		governor_sample_ends(began);
		governor_tick();
	}
	assert_int_equal(sampler_level(), 0);
	a_second_of(500000);
	assert_int_equal(sampler_level(), 6);
}

static void a_thread_that_lost_the_core_in_the_middle_does_not_count(void **state)
{
	(void)state;
	for (int n = 0; n < 5; n++) {
		uint64_t began = governor_sample_begins();

		now_ns += 20000000;
		governor_sample_ends(began);
		a_second_of(159);
	}
	assert_int_equal(sampler_level(), 0);
}

static void what_a_full_table_raised_is_not_lowered(void **state)
{
	(void)state;
	sampler_raise(0);
	sampler_raise(1);
	for (int n = 0; n < 5; n++)
		a_second_of(0);
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

static void a_forked_child_begins_anew(void **state)
{
	(void)state;
	a_second_of(500000);
	assert_int_equal(sampler_level(), 6);
	sampler_restart_in_child();
	governor_restart_in_child();
	sampler_raise(0); /* its table */
	for (int n = 0; n < 5; n++)
		a_second_of(0);
	assert_int_equal(sampler_level(), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, one_percent)
	const struct CMUnitTest tests[] = {
		TEST(below_the_share_the_settings_stay),
		TEST(a_burst_is_answered_at_the_next_tick_and_taken_back_level_by_level),
		TEST(a_tick_too_soon_waits_for_the_next),
		TEST(a_thread_that_lost_the_core_in_the_middle_does_not_count),
		TEST(what_a_full_table_raised_is_not_lowered),
		TEST(nothing_moves_without_a_share_or_in_exhaustive_mode),
		TEST(a_forked_child_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
