/* links: base/math.c base/hash.c base/random.c base/text.c analysis/growth.c analysis/survival.c analysis/verdict.c */
/* The verdict as a statistic: programs of every shape are played, sampled as the agent samples, and
 * looked at once a second; what is counted is how often the verdict is right. */
#include "verdict_play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define T 131072.0

static const struct shape healthy[] = {
	{"ring of 3 s", 200, 10000, lives_so_long, 3, 0, 3},
	{"ring of 3 s, slow", 200, 1000, lives_so_long, 3, 0, 3},
	{"ring of 6 s, few", 200, 1500, lives_so_long, 6, 0, 6},
	{"cache, random eviction", 200, 5000, lives_at_random, 2, 0, 6},
	{"cache, random, slow", 200, 1000, lives_at_random, 2, 0, 6},
	{"warm-up of 5 s", 200, 10000, lives_for_ever, 0, 5, 5},
	{"saw-tooth of 4 s", 200, 10000, lives_to_the_next_clearing, 4, 0, 4},
	{"saw-tooth of 7 s", 200, 3000, lives_to_the_next_clearing, 7, 0, 7},
	{"traffic", 200, 100000, lives_at_random, 0.1, 0, 1},
	{"long traffic", 2000, 2000, lives_at_random, 1, 0, 3},
	{"large blocks in a ring", 300000, 10, lives_so_long, 3, 0, 3},
	{"saw-tooth, slow", 200, 1200, lives_to_the_next_clearing, 6, 0, 6},
	{"ring of 6 s", 200, 5000, lives_so_long, 6, 0, 6},
	{"start", 200, 50000, lives_for_ever, 0, 1, 1},
	{"days of 8 s", 200, 5000, lives_by_the_day, 8, 0, 8},
	{"slow start", 200, 5000, lives_so_long_later, 10, 0, 13},
	{"collected every 1.5 s", 200, 5000, lives_to_the_next_clearing, 1.5, 0, 3},
};

static struct play play;

/* VERDICT_TEST_LONG=1: four times as many healthy sites. */
static bool is_long(void)
{
	return getenv("VERDICT_TEST_LONG") != NULL;
}

/* At most one of 1,000 judged sites, of every shape together, is ever called leaking; none but for
 * chance is called growing once its plateau has lasted as long as its growth. */
static void healthy_programs_are_not_called_leaking(void **state)
{
	unsigned sites = 0, leaking = 0, growing = 0, runs = is_long() ? 1000 : 250;

	(void)state;
	for (size_t s = 0; s < TL_COUNT_OF(healthy); s++) {
		unsigned bad = 0, late = 0;

		for (uint64_t seed = 1; seed <= runs; seed++) {
			bool was_leaking = false, was_growing = false;

			play_shape(&play, &healthy[s], T, 40, seed * 100 + s);
			for (double now = 1; now <= 40; now++) {
				struct verdict verdict = look(&play, now);

				was_leaking |= verdict.kind == VERDICT_LEAKING;
				was_growing |= verdict_is_alarm(verdict.kind) &&
					       now > 2 * healthy[s].fill_s + 1;
				end_epoch(&play, now);
			}
			bad += was_leaking;
			late += was_growing;
		}
		if (getenv("VERDICT_TEST_SHOW") != NULL)
			printf("%-24s leaking %u growing %u of %u\n", healthy[s].name, bad, late,
			       runs);
		sites += runs;
		leaking += bad;
		growing += late;
	}
	assert_true(leaking <= sites / 1000);
	assert_true(growing <= sites / 100);
}

/* `stays`: the share of what is born. 0: it goes by the time of day, and no rate is the truth. */
static const struct {
	struct shape shape;
	double stays;
	unsigned runs;
} leaks[] = {
	{{"200 KB/s of 200 bytes", 200, 1000, lives_for_ever, 0, 0, 0}, 1, 1000},
	{{"1 MB/s of 200 bytes", 200, 5000, lives_for_ever, 0, 0, 0}, 1, 1000},
	{{"1 MB/s of 64 KB", 65536, 16, lives_for_ever, 0, 0, 0}, 1, 1000},
	{{"5 MB/s in blocks of 128 KiB", 131072, 40, lives_for_ever, 0, 0, 0}, 1, 1000},
	{{"half of 800 KB/s stays", 200, 4000, half_of_them_stay, 0.2, 0, 0}, 0.5, 1000},
	{{"1.2 MB/s in bursts", 200, 6000, lives_for_ever_in_bursts, 0.1, 0, 0}, 1.0 / 3, 1000},
	{{"100 KB/s in 100 MB/s", 500, 200000, one_of_1000_stays, 0, 0, 0}, 0.001, 30},
};

static void leaks_are_found_and_their_intervals_hold_the_truth(void **state)
{
	(void)state;
	for (size_t s = 0; s < TL_COUNT_OF(leaks); s++) {
		const struct shape *shape = &leaks[s].shape;
		bool is_hidden = shape->life == one_of_1000_stays;
		double truth = shape->size * shape->rate * leaks[s].stays, first = 0;
		unsigned found = 0, held = 0, runs = leaks[s].runs;
		double seconds = is_hidden ? 60 : 40;

		for (uint64_t seed = 1; seed <= runs; seed++) {
			struct verdict verdict = {0};
			double named = 0;

			play_shape(&play, shape, T, seconds, seed * 100 + s);
			for (double now = 1; now <= seconds; now++) {
				bool is_last = now == seconds;

				if (is_last || named == 0)
					verdict = look(&play, now);
				if (named == 0 && verdict_is_alarm(verdict.kind))
					named = now;
				end_epoch(&play, now);
			}
			first += named;
			found += verdict.kind == VERDICT_LEAKING;
			held += verdict.growth.low <= truth && truth <= verdict.growth.high;
		}
		if (getenv("VERDICT_TEST_SHOW") != NULL)
			printf("%-28s leaking %u, interval holds %u of %u, named after %.1f s\n",
			       shape->name, found, held, runs, first / runs);
		assert_true(found >= runs * 95 / 100);
		assert_true(is_hidden || (held >= runs * 93 / 100 && held <= runs * 97 / 100));
		assert_true(first / runs <= (is_hidden ? 20 : 10));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(healthy_programs_are_not_called_leaking),
		cmocka_unit_test(leaks_are_found_and_their_intervals_hold_the_truth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
