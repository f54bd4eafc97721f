/* verdict_play: programs of any shape in fast motion: played, sampled as the agent samples, and looked at as the worker
 * looks, by a clock that is a loop. Linked with base/math, base/hash, base/random, and analysis. */
#ifndef VERDICT_PLAY_H
#define VERDICT_PLAY_H

#include "analysis/verdict.h"
#include "base/math.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define OLDER        0.5
#define FOREVER      1e18
#define MOST_SAMPLES 60000

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

static inline double lives_for_ever(uint64_t *chance, double birth, double parameter)
{
	(void)chance;
	(void)birth;
	(void)parameter;
	return FOREVER;
}

static inline double lives_so_long(uint64_t *chance, double birth, double parameter)
{
	(void)chance;
	(void)birth;
	return parameter;
}

static inline double lives_at_random(uint64_t *chance, double birth, double parameter)
{
	(void)birth;
	return -parameter * math_log(random_unit(chance));
}

static inline double lives_to_the_next_clearing(uint64_t *chance, double birth, double parameter)
{
	(void)chance;
	return (floor(birth / parameter) + 1) * parameter - birth;
}

/* Days of so many seconds: what is born in the morning stays longest. */
static inline double lives_by_the_day(uint64_t *chance, double birth, double parameter)
{
	double hour = birth / parameter - floor(birth / parameter), noon = 2 - fabs(4 * hour - 2);

	return (0.5 + noon) * lives_at_random(chance, birth, 1);
}

/* Nothing stays for so many seconds; then there is a ring of three. */
static inline double lives_so_long_later(uint64_t *chance, double birth, double parameter)
{
	(void)chance;
	return birth < parameter ? 0.01 : 3;
}

/* Every other one stays. */
static inline double half_of_them_stay(uint64_t *chance, double birth, double parameter)
{
	return random_unit(chance) < 0.5 ? FOREVER : lives_at_random(chance, birth, parameter);
}

/* Those of one second of three stay. */
static inline double lives_for_ever_in_bursts(uint64_t *chance, double birth, double parameter)
{
	(void)chance;
	return birth - 3 * floor(birth / 3) < 1 ? FOREVER : parameter;
}

/* One of 1,000 stays; the others live for a tenth of a second. */
static inline double one_of_1000_stays(uint64_t *chance, double birth, double parameter)
{
	(void)birth;
	(void)parameter;
	return random_unit(chance) < 0.001 ? FOREVER : -0.1 * math_log(random_unit(chance));
}

static inline void play_shape(struct play *play, const struct shape *shape, double between,
			      double seconds, uint64_t seed)
{
	double probability = math_one_minus_exp(shape->size / between), at = 0,
	       end = shape->until_s;
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
	abort(); /* more samples than there is room for */
}

static inline unsigned class_of(double seconds)
{
	unsigned class = 0;

	for (double units = seconds * 100; units >= 1 && class < SURVIVAL_CLASSES - 1; units /= 2)
		class ++;
	return class;
}

static inline bool is_held(const struct sample *sample, double at)
{
	return sample->birth <= at - OLDER && sample->death > at;
}

static inline double held_at(const struct play *play, double at)
{
	double held = 0;

	for (size_t i = 0; i < play->count; i++) {
		if (is_held(&play->samples[i], at))
			held += play->size / play->probability;
	}
	return held;
}

/* As profile/contexts keeps them: of two neighbours the later one stays when all 32 are used. Was it
 * time for one? */
static inline bool end_epoch(struct play *play, double now)
{
	if (play->epoch_count > 0 && now < play->epochs[play->epoch_count - 1] + play->period)
		return false;
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
	return true;
}

static inline struct verdict look(const struct play *play, double now)
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

#endif
