/* DESIGN
 * A healthy site must pass for a leak in every one of these ways before it is called one:
 *     the second half of its life grew           a cache that has filled up did not
 *     by more than chance explains               coming and going are taken for coin tosses
 *     as a trend, and to the last                a burst, or a step, is none
 *     above all that it held in its first third  a saw-tooth falls back
 *     and what it held before is still there     a queue that lags lets go of the old
 * The half is what forgives a cache its growth once the plateau has lasted as long. Before a cache
 * is full nothing tells it from a leak; so for the first seconds the word is `growing`.
 *
 * Thirds, because of a saw-tooth's fall that lies before the last third, the rise since then is at
 * most a third of the life, which the first third has reached too; two falls cannot both miss it.
 *
 * Chance: the sampling error alone would be too sure of itself where a few large blocks, each
 * certain to be sampled, come and go. Each sample counts as an event of its own: the variance is
 * the sum of squares.
 */
#include "verdict.h"

#include "../base/math.h"
#include "../base/text.h"

#include <string.h>

#define VERDICT_MIB 1048576.0

/* How sure `growing` and `leaking` have to be, in standard errors. Where what was there stays,
 * there is no coming and going that could be out of balance by chance: the young may be named
 * earlier. A leak without deaths needs 4 samples since the middle to be `growing` (of a buffer that
 * is extended by an eighth each time, 1.98 errors), and 11 to be `leaking`. */
#define VERDICT_YOUNG_Z   1.9
#define VERDICT_GROWING_Z 3.3
#define VERDICT_LEAKING_Z 3.3
#define VERDICT_TREND_Z   1.64 /* of Mann and Kendall */
#define VERDICT_YOUNG_S   20.0
/* Seconds of its life before it can be called so, and epochs since the middle. */
#define VERDICT_GROWING_S           5.0
#define VERDICT_LEAKING_S           9.0
#define VERDICT_EPOCHS_SINCE_MIDDLE 4
/* Of the growth since the middle, so much of what would be its share falls into the last half. */
#define VERDICT_GROWING_LAST 0.4
#define VERDICT_LEAKING_LAST 0.55
/* The floor of the last third is above the ceiling of the first by so much of the rest. */
#define VERDICT_FLOOR_SHARE   0.25
#define VERDICT_KEPT_SHARE    0.5
#define VERDICT_YOUNG_KEPT    0.9
#define VERDICT_SURVIVAL      0.05
#define VERDICT_SAMPLES       5
#define VERDICT_CHURN_SAMPLES 20

TL_INTERNAL unsigned verdict_middle(const double *seconds, unsigned epochs, double begin_s)
{
	double middle_s = (begin_s + seconds[epochs - 1]) / 2;
	unsigned middle = 0;

	while (middle + 1 < epochs && seconds[middle + 1] <= middle_s)
		middle++;
	return middle;
}

/* What came and went since the middle. With `squares`, each sample is an event that chance may have
 * sent or not, else only its sampling is left to chance. */
static struct growth_change verdict_change(const struct verdict_evidence *evidence, bool squares)
{
	double held_before = evidence->held - evidence->born;
	double died = evidence->bytes[evidence->middle] - held_before;
	double variance = squares ? evidence->held_squares : evidence->held_variance;
	double each = evidence->held > 0 ? variance / evidence->held : 0;

	/* Slightly negative by rounding, or when a full table was thinned: noise all the same. */
	return (struct growth_change){
		.born = evidence->born + (died < 0 ? -died : 0),
		.died = died > 0 ? died : 0,
		.born_variance = (squares ? evidence->born_squares : evidence->born_variance) +
				 (died < 0 ? -died * each : 0),
		.died_variance = died > 0 ? died * each : 0,
		.seconds = evidence->seconds[evidence->epochs - 1] -
			   evidence->seconds[evidence->middle],
	};
}

static double verdict_standard_errors(const struct verdict_evidence *evidence)
{
	struct growth_change change = verdict_change(evidence, true);
	double variance = change.born_variance + change.died_variance;

	return variance > 0 ? (change.born - change.died) / math_sqrt(variance) : 0;
}

/* The second half of the time since the middle has so much of its share of the growth. */
static bool verdict_grew_to_the_last(const struct verdict_evidence *evidence, double enough)
{
	unsigned last = evidence->epochs - 1, middle = evidence->middle, late = middle;
	double middle_s = evidence->seconds[middle], now_s = evidence->seconds[last];

	while (late + 1 < last && evidence->seconds[late + 1] <= (middle_s + now_s) / 2)
		late++;

	double share = (now_s - evidence->seconds[late]) / (now_s - middle_s);
	double growth = evidence->bytes[last] - evidence->bytes[middle];

	return evidence->bytes[last] - evidence->bytes[late] > enough * share * growth;
}

/* What it never fell below in the last third of its life is well above all it held in the first. */
static bool verdict_floor_rose(const struct verdict_evidence *evidence)
{
	unsigned last = evidence->epochs - 1;
	double begin_s = evidence->begin_s, age_s = evidence->seconds[last] - begin_s;
	double ceiling = 0, floor = evidence->bytes[last];

	for (unsigned i = 0; i < last; i++) {
		double at_s = evidence->seconds[i] - begin_s;

		if (at_s <= age_s / 3 && evidence->bytes[i] > ceiling)
			ceiling = evidence->bytes[i];
		if (at_s >= age_s * 2 / 3 && evidence->bytes[i] < floor)
			floor = evidence->bytes[i];
	}
	return floor - ceiling > VERDICT_FLOOR_SHARE * (evidence->bytes[last] - ceiling);
}

/* Of what it held at the middle, so much is still there. */
static bool verdict_has_kept(const struct verdict_evidence *evidence, double share)
{
	return evidence->held - evidence->born >= share * evidence->bytes[evidence->middle];
}

static bool verdict_is_growing(const struct verdict_evidence *evidence, double age_s)
{
	unsigned middle = evidence->middle, since = evidence->epochs - middle;
	const double *seconds = &evidence->seconds[middle], *bytes = &evidence->bytes[middle];
	bool is_young = age_s < VERDICT_YOUNG_S && verdict_has_kept(evidence, VERDICT_YOUNG_KEPT);

	return since >= VERDICT_EPOCHS_SINCE_MIDDLE &&
	       verdict_standard_errors(evidence) >=
		       (is_young ? VERDICT_YOUNG_Z : VERDICT_GROWING_Z) &&
	       evidence->recent_generations >= 3 &&
	       verdict_grew_to_the_last(evidence, VERDICT_GROWING_LAST) &&
	       verdict_floor_rose(evidence) &&
	       growth_mann_kendall(bytes, since) >= VERDICT_TREND_Z &&
	       growth_theil_sen(seconds, bytes, since) > 0;
}

static bool verdict_is_leaking(const struct verdict_evidence *evidence, const struct growth *growth)
{
	return verdict_standard_errors(evidence) >= VERDICT_LEAKING_Z && growth->low > 0 &&
	       evidence->recent_generations >= 4 &&
	       verdict_grew_to_the_last(evidence, VERDICT_LEAKING_LAST) &&
	       verdict_has_kept(evidence, VERDICT_KEPT_SHARE) &&
	       !(evidence->survival_of_held.low < VERDICT_SURVIVAL);
}

/* Of a site that does not grow. */
static enum verdict_kind verdict_of_healthy(const struct verdict_evidence *evidence)
{
	if (evidence->share_older < 0.5 && !(evidence->survival.high > 0.05))
		return VERDICT_CHURN;
	if (evidence->held_samples == 0)
		return VERDICT_CHURN;
	if (evidence->born < 0.05 * evidence->held && verdict_has_kept(evidence, 0.9))
		return VERDICT_STARTUP;
	return VERDICT_PLATEAU;
}

TL_INTERNAL struct verdict verdict_judge(const struct verdict_evidence *evidence)
{
	double nan = (double)__builtin_nanf("");
	struct verdict verdict = {
		.growth = {nan, nan, nan},
		.survival = evidence->survival,
		.generations = evidence->generations,
		.samples_seen = evidence->samples_seen,
		.held = evidence->held,
	};

	if (evidence->epochs > 0)
		verdict.age_s = evidence->seconds[evidence->epochs - 1] - evidence->begin_s;
	/* Never yet anything at an epoch, and most of what was seen has died. */
	if (evidence->epochs == 1 && evidence->held_samples == 0 &&
	    evidence->seconds[0] >= VERDICT_GROWING_S && evidence->survival.high < 0.5 &&
	    evidence->samples_seen >= VERDICT_CHURN_SAMPLES) {
		verdict.kind = VERDICT_CHURN;
		return verdict;
	}
	if (evidence->samples_seen < VERDICT_SAMPLES ||
	    evidence->epochs < VERDICT_EPOCHS_SINCE_MIDDLE || verdict.age_s < VERDICT_GROWING_S)
		return verdict;

	struct growth_change change = verdict_change(evidence, false);

	if (change.seconds > 0)
		verdict.growth = growth_between(&change);
	if (!verdict_is_growing(evidence, verdict.age_s))
		verdict.kind = verdict_of_healthy(evidence);
	else if (verdict.age_s >= VERDICT_LEAKING_S &&
		 verdict_is_leaking(evidence, &verdict.growth))
		verdict.kind = VERDICT_LEAKING;
	else
		verdict.kind = VERDICT_GROWING;
	return verdict;
}

TL_INTERNAL const char *verdict_word(enum verdict_kind kind)
{
	static const char *const words[] = {
		[VERDICT_UNCLEAR] = "unclear", [VERDICT_CHURN] = "churn",
		[VERDICT_STARTUP] = "startup", [VERDICT_PLATEAU] = "plateau",
		[VERDICT_GROWING] = "growing", [VERDICT_LEAKING] = "leaking",
	};

	return words[kind];
}

TL_INTERNAL bool verdict_is_alarm(enum verdict_kind kind)
{
	return kind == VERDICT_LEAKING || kind == VERDICT_GROWING;
}

/* As a person would say it: 40 s, 4 min, 3 h, 2 days. */
static void verdict_put_duration(struct text *text, double seconds)
{
	static const struct {
		double seconds;
		const char *name;
	} units[] = {{86400, " days"}, {3600, " h"}, {60, " min"}, {1, " s"}};
	size_t i = 0;

	while (i + 1 < TL_COUNT_OF(units) && seconds < 2 * units[i].seconds)
		i++;
	text_put_fixed(text, seconds / units[i].seconds, seconds < 2 ? 1 : 0);
	text_put(text, units[i].name);
}

static void verdict_put_rate(struct text *text, double bytes_per_s)
{
	double mib_per_h = bytes_per_s * 3600 / VERDICT_MIB;
	double size = mib_per_h < 0 ? -mib_per_h : mib_per_h;

	text_put_fixed(text, mib_per_h, size < 1 ? 2 : size < 1000 ? 1 : 0);
}

static void verdict_put_survival(struct text *text, const struct verdict *verdict)
{
	text_put_fixed(text, verdict->survival.share * 100, 0);
	text_put(text, " % alive after ");
	verdict_put_duration(text, verdict->survival.units);
}

TL_INTERNAL void verdict_put_sentence(struct text *text, const struct verdict *verdict)
{
	bool has_survival = !__builtin_isnan(verdict->survival.share);

	switch (verdict->kind) {
	case VERDICT_LEAKING:
	case VERDICT_GROWING:
		text_put(text, verdict->growth.rate < 0 ? "" : "+");
		verdict_put_rate(text, verdict->growth.rate);
		text_put(text, " MB/h (");
		verdict_put_rate(text, verdict->growth.low);
		text_put(text, " to ");
		verdict_put_rate(text, verdict->growth.high);
		text_put_char(text, ')');
		if (has_survival) {
			text_put(text, ", ");
			verdict_put_survival(text, verdict);
		}
		text_put(text, ", ");
		text_put_u64(text, verdict->generations);
		text_put(text, verdict->generations == 1 ? " generation" : " generations");
		break;
	case VERDICT_PLATEAU:
		text_put(text, "holds ");
		text_put_fixed(text, verdict->held / VERDICT_MIB, 1);
		text_put(text, " MB, and no more than before");
		break;
	case VERDICT_STARTUP:
		text_put(text, "holds what it allocated at first, ");
		text_put_fixed(text, verdict->held / VERDICT_MIB, 1);
		text_put(text, " MB");
		break;
	case VERDICT_CHURN:
		text_put(text, "frees what it allocates");
		if (has_survival) {
			text_put(text, ", ");
			verdict_put_survival(text, verdict);
		}
		break;
	case VERDICT_UNCLEAR:
		text_put_u64(text, verdict->samples_seen);
		text_put(text, verdict->samples_seen == 1 ? " sample in " : " samples in ");
		verdict_put_duration(text, verdict->age_s);
		break;
	}
}
