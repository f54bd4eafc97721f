/* links: base/math.c base/hash.c base/random.c base/text.c analysis/growth.c analysis/survival.c analysis/verdict.c */
/* The verdict as a statistic: programs of every shape are played, sampled as the agent samples, and
 * looked at once a second; what is counted is how often the verdict is right. */
#include "analysis/verdict.h"
#include "base/math.h"
#include "base/random.h"
#include "base/text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define T            131072.0
#define OLDER        0.5
#define FOREVER      1e18
#define MOST_SAMPLES 60000
#define MIB          1048576.0

/* What a program does: blocks of `size`, `rate` a second, evenly; how long the one born at `birth`
 * lives. */
struct shape {
	const char *name;
	double size, rate;
	double (*life)(uint64_t *chance, double birth, double parameter);
	double parameter;
	double until_s; /* no births afterwards; 0: for ever */
	double fill_s;  /* how long it grows before its plateau */
};

struct sample {
	double birth, death;
};

struct play {
	struct sample samples[MOST_SAMPLES];
	size_t count;
	double size, probability;
	double epochs[32];
	double held[33];
	unsigned epoch_count, period;
};

static double lives_for_ever(uint64_t *chance, double birth, double parameter)
{
	(void)chance;
	(void)birth;
	(void)parameter;
	return FOREVER;
}

static double lives_so_long(uint64_t *chance, double birth, double parameter)
{
	(void)chance;
	(void)birth;
	return parameter;
}

static double lives_at_random(uint64_t *chance, double birth, double parameter)
{
	(void)birth;
	return -parameter * math_log(random_unit(chance));
}

static double lives_to_the_next_clearing(uint64_t *chance, double birth, double parameter)
{
	(void)chance;
	return (floor(birth / parameter) + 1) * parameter - birth;
}

/* One of 1,000 stays; the others live for a tenth of a second. */
static double one_of_1000_stays(uint64_t *chance, double birth, double parameter)
{
	(void)birth;
	(void)parameter;
	return random_unit(chance) < 0.001 ? FOREVER : -0.1 * math_log(random_unit(chance));
}

static void play_shape(struct play *play, const struct shape *shape, double seconds, uint64_t seed)
{
	double probability = math_one_minus_exp(shape->size / T), at = 0, end = shape->until_s;
	uint64_t chance[2];

	memset(play, 0, sizeof(*play));
	random_seed(chance, seed, 3);
	play->size = shape->size;
	play->probability = probability;
	play->period = 1;
	at = random_unit(chance) / shape->rate;
	while (play->count < MOST_SAMPLES) {
		double birth = at + (random_geometric(chance, 1 / probability) - 1) / shape->rate;

		if (birth > seconds || (end > 0 && birth > end))
			return;
		play->samples[play->count++] = (struct sample){
			birth, birth + shape->life(chance, birth, shape->parameter)};
		at = birth + 1 / shape->rate;
	}
	fail_msg("%s: more samples than there is room for", shape->name);
}

static unsigned class_of(double seconds)
{
	unsigned class = 0;

	for (double units = seconds * 100; units >= 1 && class < SURVIVAL_CLASSES - 1; units /= 2)
		class ++;
	return class;
}

static bool is_held(const struct sample *sample, double at)
{
	return sample->birth <= at - OLDER && sample->death > at;
}

static double held_at(const struct play *play, double at)
{
	double held = 0;

	for (size_t i = 0; i < play->count; i++) {
		if (is_held(&play->samples[i], at))
			held += play->size / play->probability;
	}
	return held;
}

/* As profile/contexts keeps them: neighbours are joined when all 32 are used. */
static void end_epoch(struct play *play, double now)
{
	if (play->epoch_count > 0 && now < play->epochs[play->epoch_count - 1] + play->period)
		return;
	if (play->epoch_count == 32) {
		for (unsigned i = 0; i < 16; i++) {
			play->epochs[i] = play->epochs[2 * i + 1];
			play->held[i] = play->held[2 * i + 1];
		}
		play->epoch_count = 16;
		play->period *= 2;
	}
	play->epochs[play->epoch_count] = now;
	play->held[play->epoch_count++] = held_at(play, now);
}

static struct verdict look(const struct play *play, double now)
{
	struct verdict_evidence evidence = {0};
	uint32_t deaths[SURVIVAL_CLASSES] = {0}, alive[SURVIVAL_CLASSES] = {0};
	double weight = play->size / play->probability, generations[33] = {0};
	uint32_t deaths_held[SURVIVAL_CLASSES], alive_held[SURVIVAL_CLASSES];
	unsigned begin = 0;

	while (begin < play->epoch_count && play->held[begin] == 0)
		begin++;
	for (unsigned i = begin; i < play->epoch_count; i++) {
		evidence.seconds[evidence.epochs] = play->epochs[i];
		evidence.bytes[evidence.epochs++] = play->held[i];
	}
	evidence.begin_s = begin > 0 ? play->epochs[begin - 1] : 0;
	if (evidence.epochs == 0 || evidence.seconds[evidence.epochs - 1] < now) {
		evidence.seconds[evidence.epochs] = now;
		evidence.bytes[evidence.epochs++] = held_at(play, now);
	}
	evidence.middle = verdict_middle(evidence.seconds, evidence.epochs, evidence.begin_s);
	for (size_t i = 0; i < play->count; i++) {
		const struct sample *sample = &play->samples[i];
		unsigned generation = 0;

		if (sample->birth > now)
			continue;
		evidence.samples_seen++;
		if (sample->death <= now)
			deaths[class_of(sample->death - sample->birth)]++;
		else
			alive[class_of(now - sample->birth)]++;
		if (!is_held(sample, now))
			continue;
		while (generation < evidence.epochs &&
		       evidence.seconds[generation] < sample->birth + OLDER)
			generation++;
		generations[generation]++;
		evidence.held_samples++;
		evidence.held += weight;
		evidence.held_squares += weight * weight;
		evidence.held_variance += weight * weight * (1 - play->probability);
		if (sample->birth <= evidence.seconds[evidence.middle] - OLDER)
			continue;
		evidence.born_samples++;
		evidence.born += weight;
		evidence.born_squares += weight * weight;
		evidence.born_variance += weight * weight * (1 - play->probability);
	}
	for (unsigned i = 0; i <= 32; i++) {
		evidence.generations += generations[i] > 0;
		evidence.recent_generations += i > evidence.middle && generations[i] > 0;
	}
	evidence.survival = survival_estimate(deaths, alive);
	memcpy(deaths_held, deaths, sizeof(deaths));
	memcpy(alive_held, alive, sizeof(alive));
	evidence.survival.units /= 100;
	for (unsigned i = 0; i <= class_of(OLDER); i++)
		deaths_held[i] = alive_held[i] = 0;
	evidence.survival_of_held = survival_estimate(deaths_held, alive_held);
	evidence.share_older = survival_after(deaths, alive, class_of(OLDER));
	return verdict_judge(&evidence);
}

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
};

static struct play play;

/* At most one of 1,000 judged sites, of every shape together, is ever called leaking; none but for
 * chance is called growing once its plateau has lasted as long as its growth. */
static void healthy_programs_are_not_called_leaking(void **state)
{
	unsigned sites = 0, leaking = 0, growing = 0, runs = 250;

	(void)state;
	for (size_t s = 0; s < TL_COUNT_OF(healthy); s++) {
		unsigned bad = 0, late = 0;

		for (uint64_t seed = 1; seed <= runs; seed++) {
			bool was_leaking = false, was_growing = false;

			play_shape(&play, &healthy[s], 40, seed * 100 + s);
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

static const struct shape leaks[] = {
	{"200 KB/s of 200 bytes", 200, 1000, lives_for_ever, 0, 0, 0},
	{"1 MB/s of 200 bytes", 200, 5000, lives_for_ever, 0, 0, 0},
	{"1 MB/s of 64 KB", 65536, 16, lives_for_ever, 0, 0, 0},
	{"5 MB/s in blocks of 128 KiB", 131072, 40, lives_for_ever, 0, 0, 0},
	{"100 KB/s in 100 MB/s", 500, 200000, one_of_1000_stays, 0, 0, 0},
};

static void leaks_are_found_and_their_intervals_hold_the_truth(void **state)
{
	(void)state;
	for (size_t s = 0; s < TL_COUNT_OF(leaks); s++) {
		const struct shape *shape = &leaks[s];
		bool is_hidden = shape->life == one_of_1000_stays;
		double truth = shape->size * shape->rate * (is_hidden ? 0.001 : 1), first = 0;
		unsigned found = 0, held = 0, runs = is_hidden ? 30 : 1000;
		double seconds = is_hidden ? 60 : 40;

		for (uint64_t seed = 1; seed <= runs; seed++) {
			struct verdict verdict = {0};
			double named = 0;

			play_shape(&play, shape, seconds, seed * 100 + s);
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
