/* links: analysis/rss_breakdown.c output/rss_history.c */
#include "output/rss_history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB 1048576.0

/* A life with a dump every so many seconds, what libc keeps growing by a MiB each second from
 * `begin_s` to `end_s`. Returns what is said at its last dump. */
static struct rss_growth live(double seconds, double every_s, double begin_s, double end_s)
{
	struct rss_growth growth = {0};

	rss_history_reset_in_child();
	for (double at = every_s; at <= seconds; at += every_s) {
		double end = at < end_s ? at : end_s, grown = end > begin_s ? end - begin_s : 0;
		struct rss_moment now = {
			.seconds = at,
			.rss = (uint64_t)((100 + grown) * MIB),
			.live = 50 * MIB,
			.parts = {.libc_free = (uint64_t)(grown * MIB)},
		};

		growth = rss_history_growth(&now);
		rss_history_add(&now);
	}
	return growth;
}

static void growth_is_said_over_the_second_half_of_a_life_of_any_length(void **state)
{
	const double lives[] = {100, 1000, 100000};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(lives); i++) {
		struct rss_growth growth = live(lives[i], 5, 0, lives[i]);

		assert_non_null(growth.cause);
		assert_in_range(growth.seconds, lives[i] * 0.45, lives[i] * 0.6);
		assert_in_range(growth.rss / MIB, lives[i] * 0.45, lives[i] * 0.6);
	}
}

static void two_moments_make_no_growth(void **state)
{
	(void)state;
	assert_null(live(150, 50, 0, 150).cause);
	assert_non_null(live(200, 50, 0, 200).cause);
}

static void a_start_is_forgiven_once_it_is_the_first_half(void **state)
{
	(void)state;
	assert_non_null(live(90, 1, 0, 80).cause);
	assert_null(live(170, 1, 0, 80).cause);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(growth_is_said_over_the_second_half_of_a_life_of_any_length),
		cmocka_unit_test(two_moments_make_no_growth),
		cmocka_unit_test(a_start_is_forgiven_once_it_is_the_first_half),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
