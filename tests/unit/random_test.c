/* links: base/random.c base/math.c */
#include "base/random.h"

#include "base/math.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DRAWS 200000

/* Of DRAWS trials of this chance, `hits` hit: within 4 standard deviations (1 in 16,000). */
static void assert_chance(unsigned hits, double chance)
{
	double error = hits - DRAWS * chance;

	if (error * error > 16 * DRAWS * chance * (1 - chance))
		fail_msg("%u of %d, expected %.1f", hits, DRAWS, DRAWS * chance);
}

static void equal_seeds_and_streams_repeat(void **state)
{
	uint64_t first[2], second[2];

	(void)state;
	random_seed(first, 7, 3);
	random_seed(second, 7, 3);

	for (int i = 0; i < 1000; i++)
		assert_int_equal(random_bits(first), random_bits(second));
}

static void seeds_and_streams_that_differ_in_one_bit_have_nothing_in_common(void **state)
{
	(void)state;
	for (int bit = 0; bit < 128; bit++) {
		uint64_t one[2], other[2];
		int differing = 0;

		random_seed(one, 1000, 1);
		random_seed(other, 1000 ^ (bit < 64 ? UINT64_C(1) << bit : 0),
			    1 ^ (bit < 64 ? 0 : UINT64_C(1) << (bit - 64)));
		for (int i = 0; i < 100; i++)
			differing += __builtin_popcountll(random_bits(one) ^ random_bits(other));
		/* 3200 +- 40 of 6400 bits; 5 standard deviations, 128 times. */
		assert_in_range(differing, 3000, 3400);
	}
}

static void a_seed_of_zero_is_as_good_as_any(void **state)
{
	uint64_t random[2];
	int ones = 0;

	(void)state;
	random_seed(random, 0, 0);
	for (int i = 0; i < 100; i++)
		ones += __builtin_popcountll(random_bits(random));

	assert_in_range(ones, 3000, 3400);
}

static void unit_is_above_0_and_at_most_1_and_even(void **state)
{
	unsigned below_tenth = 0, below_half = 0, below_most = 0;
	uint64_t random[2];

	(void)state;
	random_seed(random, 1, 1);
	for (int i = 0; i < DRAWS; i++) {
		double unit = random_unit(random);

		assert_true(unit > 0 && unit <= 1);
		below_tenth += unit < 0.1;
		below_half += unit < 0.5;
		below_most += unit < 0.99;
	}

	assert_chance(below_tenth, 0.1);
	assert_chance(below_half, 0.5);
	assert_chance(below_most, 0.99);
}

static void exponential_hits_a_block_of_k_bytes_with_1_minus_exp(void **state)
{
	static const double means[] = {1, 100, 131072};
	static const double parts[] = {0.01, 0.1, 1, 3};
	uint64_t random[2];

	(void)state;
	random_seed(random, 2, 2);
	for (size_t m = 0; m < TL_COUNT_OF(means); m++) {
		for (size_t p = 0; p < TL_COUNT_OF(parts); p++) {
			int64_t size = (int64_t)(means[m] * parts[p]) + 1;
			unsigned hits = 0;

			for (int i = 0; i < DRAWS; i++)
				hits += random_exponential(random, means[m]) < size;

			assert_chance(hits, math_one_minus_exp((double)size / means[m]));
		}
	}
}

static void exponential_forgets_what_it_has_waited(void **state)
{
	unsigned long_enough = 0, hits = 0;
	uint64_t random[2];

	(void)state;
	random_seed(random, 3, 3);
	for (int i = 0; i < DRAWS; i++) {
		int64_t gap = random_exponential(random, 1000);

		if (gap >= 700) {
			long_enough++;
			hits += gap - 700 < 500;
		}
	}

	double chance = math_one_minus_exp(0.5), error = hits - long_enough * chance;

	assert_true(error * error < 16 * long_enough * chance * (1 - chance));
}

static void exponential_stays_within_62_bits_for_any_mean(void **state)
{
	uint64_t random[2];
	unsigned full = 0;

	(void)state;
	random_seed(random, 4, 4);
	for (int i = 0; i < 1000; i++) {
		int64_t gap = random_exponential(random, 1e30);

		assert_true(gap >= 0 && gap <= INT64_C(1) << 62);
		full += gap == INT64_C(1) << 62;
	}

	assert_int_equal(full, 1000);
}

static void geometric_waits_as_often_as_chance_has_it(void **state)
{
	static const double means[] = {1.5, 2, 50, 100000};
	uint64_t random[2];

	(void)state;
	random_seed(random, 5, 5);
	for (size_t m = 0; m < TL_COUNT_OF(means); m++) {
		unsigned first = 0, within_mean = 0, mean = (unsigned)means[m];
		double miss = 1;

		for (int i = 0; i < DRAWS; i++) {
			uint32_t trials = random_geometric(random, means[m]);

			assert_true(trials >= 1);
			first += trials == 1;
			within_mean += trials <= mean;
		}

		for (unsigned i = 0; i < mean; i++)
			miss *= 1 - 1 / means[m];
		assert_chance(first, 1 / means[m]);
		assert_chance(within_mean, 1 - miss);
	}
}

static void geometric_of_mean_1_is_always_1(void **state)
{
	uint64_t random[2];

	(void)state;
	random_seed(random, 6, 6);

	for (int i = 0; i < 1000; i++)
		assert_int_equal(random_geometric(random, 1), 1);
}

/* 1 - 1/mean has fewer and fewer digits, and is 1 in the end. */
static void geometric_is_right_for_huge_means(void **state)
{
	static const double means[] = {1e7, 4e9, 1e12, 1e16, 1e22};
	uint64_t random[2];

	(void)state;
	random_seed(random, 7, 7);
	for (size_t m = 0; m < TL_COUNT_OF(means); m++) {
		double limit = means[m] < 4e9 ? means[m] : 4e9;
		unsigned within = 0;

		for (int i = 0; i < DRAWS; i++)
			within += random_geometric(random, means[m]) <= limit;

		assert_chance(within, math_one_minus_exp(limit / means[m]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_seeds_and_streams_repeat),
		cmocka_unit_test(seeds_and_streams_that_differ_in_one_bit_have_nothing_in_common),
		cmocka_unit_test(a_seed_of_zero_is_as_good_as_any),
		cmocka_unit_test(unit_is_above_0_and_at_most_1_and_even),
		cmocka_unit_test(exponential_hits_a_block_of_k_bytes_with_1_minus_exp),
		cmocka_unit_test(exponential_forgets_what_it_has_waited),
		cmocka_unit_test(exponential_stays_within_62_bits_for_any_mean),
		cmocka_unit_test(geometric_waits_as_often_as_chance_has_it),
		cmocka_unit_test(geometric_of_mean_1_is_always_1),
		cmocka_unit_test(geometric_is_right_for_huge_means),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
