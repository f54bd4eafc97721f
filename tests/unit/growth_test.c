/* links: base/math.c analysis/growth.c */
#include "analysis/growth.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void a_line_has_its_slope_and_a_quarter_of_wild_values_do_not_matter(void **state)
{
	double times[20], values[20];

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		times[i] = 2 * i;
		values[i] = 100 + 6 * i;
	}
	assert_true(fabs(growth_theil_sen(times, values, 20) - 3) < 1e-12);

	values[3] = values[9] = 1e9;
	values[15] = -1e9;
	assert_true(fabs(growth_theil_sen(times, values, 20) - 3) < 1e-9);
}

static void the_median_of_an_even_number_of_slopes_lies_between_the_two(void **state)
{
	static const double times[] = {0, 1, 2, 3}, values[] = {0, 1, 4, 9}; /* 1 2 3 3 4 5 */

	(void)state;
	assert_true(growth_theil_sen(times, values, 4) == 3);
	assert_true(growth_theil_sen(times, values, 3) == 2);
	assert_true(growth_theil_sen(times, values, 2) == 1);
}

static void one_value_has_no_slope_and_no_trend(void **state)
{
	static const double one[] = {7};

	(void)state;
	assert_true(growth_theil_sen(one, one, 1) == 0);
	assert_true(growth_mann_kendall(one, 1) == 0);
	assert_true(growth_mann_kendall(one, 0) == 0);
}

/* Worked by hand: ten rising values have S = 45, variance 125. Two pairs of ties: S = 4, and
 * (4 3 13 - 2 (2 1 9)) / 18 = 20 / 3. */
static void mann_kendall_is_what_the_formula_says(void **state)
{
	static const double rising[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
	static const double tied[] = {1, 1, 2, 2};
	static const double flat[] = {5, 5, 5, 5, 5};
	double falling[10];

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		falling[i] = -rising[i];
	assert_true(fabs(growth_mann_kendall(rising, 10) - 44 / sqrt(125)) < 1e-12);
	assert_true(fabs(growth_mann_kendall(falling, 10) + 44 / sqrt(125)) < 1e-12);
	assert_true(fabs(growth_mann_kendall(tied, 4) - 3 / sqrt(20.0 / 3)) < 1e-12);
	assert_true(growth_mann_kendall(flat, 5) == 0);
}

static void an_interval_of_nothing_is_nothing(void **state)
{
	struct growth_change change = {.seconds = 10};
	struct growth growth = growth_between(&change);

	(void)state;
	assert_true(growth.rate == 0 && growth.low == 0 && growth.high == 0);
}

/* Ten samples of weight 100 each: Rao's interval for a count of ten is 5.43 to 18.40. */
static void few_samples_have_a_lopsided_interval(void **state)
{
	struct growth_change change = {.born = 1000, .born_variance = 100000, .seconds = 2};
	struct growth growth = growth_between(&change);

	(void)state;
	assert_true(fabs(growth.rate - 500) < 1e-9);
	assert_true(fabs(growth.low - 50 * 5.4325) < 0.1);
	assert_true(fabs(growth.high - 50 * 18.4089) < 0.1);

	change = (struct growth_change){.died = 1000, .died_variance = 100000, .seconds = 2};
	growth = growth_between(&change);
	assert_true(fabs(growth.high + 50 * 5.4325) < 0.1);
	assert_true(fabs(growth.low + 50 * 18.4089) < 0.1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_its_slope_and_a_quarter_of_wild_values_do_not_matter),
		cmocka_unit_test(the_median_of_an_even_number_of_slopes_lies_between_the_two),
		cmocka_unit_test(one_value_has_no_slope_and_no_trend),
		cmocka_unit_test(mann_kendall_is_what_the_formula_says),
		cmocka_unit_test(an_interval_of_nothing_is_nothing),
		cmocka_unit_test(few_samples_have_a_lopsided_interval),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
