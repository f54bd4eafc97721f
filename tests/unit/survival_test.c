/* links: base/math.c base/hash.c base/random.c analysis/survival.c */
#include "analysis/survival.h"
#include "base/math.h"
#include "base/random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static unsigned class_of(double units)
{
	unsigned class = 0;

	while (units >= 1 && class < SURVIVAL_CLASSES - 1) {
		units /= 2;
		class ++;
	}
	return class;
}

static void nothing_is_known_of_nothing(void **state)
{
	static const uint32_t none[SURVIVAL_CLASSES];

	(void)state;
	assert_true(isnan(survival_estimate(none, none).share));
	assert_true(isnan(survival_after(none, none, 3)));
}

static void where_nobody_died_all_are_alive_and_the_doubt_is_that_of_their_number(void **state)
{
	static const uint32_t none[SURVIVAL_CLASSES];
	uint32_t alive[SURVIVAL_CLASSES] = {[10] = 8, [12] = 2};
	struct survival survival = survival_estimate(none, alive);

	(void)state;
	assert_true(survival.share == 1 && survival.high > 0.999);
	assert_true(survival.units == 1024 && survival.at_risk == 10);
	assert_true(fabs(survival.low - 10 / (10 + 3.8415)) < 1e-3); /* Wilson at 10 of 10 */
}

static void where_all_died_young_nothing_survives(void **state)
{
	static const uint32_t none[SURVIVAL_CLASSES];
	uint32_t deaths[SURVIVAL_CLASSES] = {[0] = 50, [3] = 50};
	struct survival survival = survival_estimate(deaths, none);

	(void)state;
	assert_true(survival.share == 0 && survival.low < 1e-9 && survival.high < 0.08);
	assert_true(survival_after(deaths, none, 2) == 0.5);
	assert_true(survival_after(deaths, none, 3) == 0);
}

/* A share `kept` lives for ever, the rest for an exponential time; watched since a random time, so
 * that many are too young to have died. */
static void the_interval_holds_the_truth_in_93_to_98_of_100(void **state)
{
	(void)state;
	for (double kept = 0.1; kept < 0.95; kept += 0.4) {
		unsigned held = 0, trials = 2000;

		for (unsigned trial = 0; trial < trials; trial++) {
			uint32_t deaths[SURVIVAL_CLASSES] = {0}, alive[SURVIVAL_CLASSES] = {0};
			uint64_t chance[2];

			random_seed(chance, trial + 1, 7);
			for (unsigned i = 0; i < 150; i++) {
				double watched = 20000 * random_unit(chance);
				double life = random_unit(chance) < kept
						      ? 1e18
						      : -50 * math_log(random_unit(chance));

				if (life < watched)
					deaths[class_of(life)]++;
				else
					alive[class_of(watched)]++;
			}

			struct survival survival = survival_estimate(deaths, alive);

			held += survival.low <= kept && kept <= survival.high;
		}
		assert_in_range(held, trials * 93 / 100, trials * 98 / 100);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_known_of_nothing),
		cmocka_unit_test(
			where_nobody_died_all_are_alive_and_the_doubt_is_that_of_their_number),
		cmocka_unit_test(where_all_died_young_nothing_survives),
		cmocka_unit_test(the_interval_holds_the_truth_in_93_to_98_of_100),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
