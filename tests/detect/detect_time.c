/* links: base/math.c base/hash.c base/random.c base/text.c analysis/growth.c analysis/survival.c analysis/verdict.c */
/* How long until a leak is named? Fast motion: leaks of a constant rate, of blocks of 200 bytes, are played (verdict_play),
 * and looked at every second at first and at every epoch later. One line for each T and rate:
 *     T  bytes/s  predicted s  named s: median, 10 %, 90 %  called leaking s: median
 * `tools/detect_time.py` makes table and picture of it. */
#include "../unit/verdict_play.h"

#include <stdio.h>

#define SEEDS 200
#define NEVER 1e9

static struct play play;

static int by_size(const void *left, const void *right)
{
	const double *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

/* The seconds to the first word, and to `leaking`. */
static void play_leak(double between, double rate, uint64_t seed, double *named, double *leaking)
{
	struct shape shape = {.size = 200, .rate = rate / 200, .life = lives_for_ever};
	double longest = 10 + 80 * between / rate;

	*named = *leaking = NEVER;
	play_shape(&play, &shape, between, longest, seed);
	for (double now = 1; now <= longest && *leaking == NEVER; now++) {
		bool is_epoch = play.epoch_count == 0 ||
				now >= play.epochs[play.epoch_count - 1] + play.period;

		if (now <= 60 || is_epoch) {
			enum verdict_kind kind = look(&play, now).kind;

			if (*named == NEVER && verdict_is_alarm(kind))
				*named = now;
			if (kind == VERDICT_LEAKING)
				*leaking = now;
		}
		end_epoch(&play, now);
	}
}

/* Half of a life must hold so many samples, and each stands for T bytes: 4 in the first 20 s, 11
 * afterwards. */
static double predicted(double between, double rate)
{
	double young = 2 * 4 * between / rate, old = 2 * 11 * between / rate;

	return young <= 20 ? (young < 5 ? 5 : young) : old < 20 ? 20 : old;
}

int main(void)
{
	static const double rates[] = {
		1e6, 200e3, 20e3, 1048576.0 / 60, 1048576.0 / 3600, 102400.0 / 3600};
	static const double betweens[] = {131072, 16384};

	for (size_t b = 0; b < TL_COUNT_OF(betweens); b++) {
		for (size_t r = 0; r < TL_COUNT_OF(rates); r++) {
			double named[SEEDS], leaking[SEEDS];

			for (uint64_t seed = 0; seed < SEEDS; seed++)
				play_leak(betweens[b], rates[r], seed + 1, &named[seed],
					  &leaking[seed]);
			qsort(named, SEEDS, sizeof(*named), by_size);
			qsort(leaking, SEEDS, sizeof(*leaking), by_size);
			printf("%.0f %.1f %.1f %.0f %.0f %.0f %.0f\n", betweens[b], rates[r],
			       predicted(betweens[b], rates[r]), named[SEEDS / 2],
			       named[SEEDS / 10], named[SEEDS * 9 / 10], leaking[SEEDS / 2]);
			fflush(stdout);
		}
	}
	return 0;
}
