/* links: base/math.c */
#include "base/math.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct value {
	double x, y;
};

/* Is `found` within this share of `wanted`? */
static void assert_close(double found, double wanted, double share)
{
	double error = found - wanted, size = wanted < 0 ? -wanted : wanted;

	if (!(error <= size * share && -error <= size * share))
		fail_msg("%.17g is not %.17g", found, wanted);
}

static void log_is_right_to_14_digits(void **state)
{
	static const struct value known[] = {
		{1e-300, -690.7755278982137},
		{2.2250738585072014e-308, -708.3964185322641},
		{1e-16, -36.841361487904734},
		{0.001, -6.907755278982137},
		{0.1, -2.3025850929940455},
		{0.25, -1.3862943611198906},
		{0.5, -0.6931471805599453},
		{0.7071067811865475, -0.34657359027997275},
		{0.7071067811865476, -0.3465735902799726},
		{0.9, -0.10536051565782628},
		{0.99999, -1.0000050000287824e-05},
		{0.9999999999999999, -1.1102230246251565e-16},
		{1.0, 0.0},
		{1.0000000000000002, 2.2204460492503128e-16},
		{1.1, 0.09531017980432493},
		{1.414213562373095, 0.3465735902799726},
		{1.4142135623730951, 0.3465735902799727},
		{1.4142135623730954, 0.34657359027997287},
		{2.0, 0.6931471805599453},
		{2.718281828459045, 1.0},
		{3.0, 1.0986122886681098},
		{10.0, 2.302585092994046},
		{10000000000.0, 23.025850929940457},
		{1e+300, 690.7755278982137},
	};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(known); i++)
		assert_close(math_log(known[i].x), known[i].y, 1e-14);
}

static void log_of_a_product_is_the_sum_of_the_logs(void **state)
{
	(void)state;
	for (double x = 0.01; x < 100; x *= 1.0173)
		assert_close(math_log(x) + math_log(1000), math_log(1000 * x), 1e-14);
}

static void log_never_falls(void **state)
{
	double before = math_log(0x1p-60);

	(void)state;
	for (double x = 0x1p-60; x < 8; x *= 1.00007) {
		double now = math_log(x);

		assert_true(now >= before);
		before = now;
	}
}

static void one_minus_exp_is_right_to_12_digits_near_zero_too(void **state)
{
	static const struct value known[] = {
		{1e-300, 1e-300},
		{1e-17, 1e-17},
		{1e-12, 9.999999999995e-13},
		{1e-08, 9.999999950000001e-09},
		{0.0001220703125, 0.00012206286222255873},
		{0.001, 0.0009995001666250085},
		{0.1, 0.09516258196404043},
		{0.24999, 0.22119142888182425},
		{0.25, 0.22119921692859512},
		{0.25000001, 0.22119922471660292},
		{0.5, 0.3934693402873666},
		{1.0, 0.6321205588285577},
		{2.0, 0.8646647167633873},
		{8.0, 0.9996645373720975},
		{20.0, 0.9999999979388464},
		{36.0, 0.9999999999999998},
		{49.9, 1.0},
	};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(known); i++)
		assert_close(math_one_minus_exp(known[i].x), known[i].y, 1e-12);
}

static void one_minus_exp_of_a_log_is_the_rest(void **state)
{
	(void)state;
	for (double x = 0.001; x < 0.999; x += 0.000713)
		assert_close(math_one_minus_exp(-math_log(1 - x)), x, 1e-12);
}

static void one_minus_exp_is_a_probability(void **state)
{
	(void)state;

	assert_true(math_one_minus_exp(0) == 0);
	assert_true(math_one_minus_exp(50.1) == 1);
	assert_true(math_one_minus_exp(1e300) == 1);
	for (double x = 1e-6; x < 1000; x *= 1.01)
		assert_true(math_one_minus_exp(x) > 0 && math_one_minus_exp(x) <= 1);
}

static void sqrt_squared_is_the_number(void **state)
{
	(void)state;
	for (double x = 1e-300; x < 1e300; x *= 7.31)
		assert_close(math_sqrt(x) * math_sqrt(x), x, 2e-15);
	for (double root = 1; root < 3000; root++)
		assert_close(math_sqrt(root * root), root, 1e-15);
}

static void sqrt_of_what_is_not_positive_is_0(void **state)
{
	(void)state;

	assert_true(math_sqrt(0) == 0);
	assert_true(math_sqrt(-0.0) == 0);
	assert_true(math_sqrt(-1e-20) == 0);
	assert_true(math_sqrt((double)__builtin_nanf("")) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(log_is_right_to_14_digits),
		cmocka_unit_test(log_of_a_product_is_the_sum_of_the_logs),
		cmocka_unit_test(log_never_falls),
		cmocka_unit_test(one_minus_exp_is_right_to_12_digits_near_zero_too),
		cmocka_unit_test(one_minus_exp_of_a_log_is_the_rest),
		cmocka_unit_test(one_minus_exp_is_a_probability),
		cmocka_unit_test(sqrt_squared_is_the_number),
		cmocka_unit_test(sqrt_of_what_is_not_positive_is_0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
