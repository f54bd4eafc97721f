/* verdict: is it a leak? One word, and the figures that stand behind it.
 *
 * Runs      anywhere. Pure: evidence in, verdict out. docs/VERDICT.md tells the rules and what was
 *           measured of them.
 * Promises  rather late than false: over 1,000 healthy sites at most one is called leaking.
 */
#ifndef TL_ANALYSIS_VERDICT_H
#define TL_ANALYSIS_VERDICT_H

#include "growth.h"
#include "survival.h"

#define VERDICT_EPOCHS 33 /* 32 kept ones, and now */

enum verdict_kind {
	VERDICT_UNCLEAR, /* too little is known */
	VERDICT_CHURN,   /* what it allocates is soon freed */
	VERDICT_STARTUP, /* it holds what it allocated at first */
	VERDICT_PLATEAU, /* it holds much, but no more than before: a cache */
	VERDICT_GROWING, /* it grows */
	VERDICT_LEAKING, /* it grows, and what it held stays */
};

/* What is known of a site, or of a site as called from one place. "Held": alive, and of an age of
 * OLDER at least. All bytes are weighted. */
struct verdict_evidence {
	/* Held at each epoch since it began, oldest first, and now. Seconds since the profile's
	 * start. */
	unsigned epochs;
	double seconds[VERDICT_EPOCHS], bytes[VERDICT_EPOCHS];
	double begin_s;  /* the last epoch at which it held nothing */
	unsigned middle; /* the epoch in the middle of its life (verdict_middle) */

	/* Sums over the samples held now: bytes, sampling variance, squares, and how many; `born`
	 * are those that came to be held after the middle. */
	double held, held_variance, held_squares;
	double born, born_variance, born_squares;
	uint32_t held_samples, born_samples;

	unsigned generations;        /* epochs that own some of what is held */
	unsigned recent_generations; /* the same, after the middle */

	uint64_t samples_seen; /* ever, freed ones too */
	double share_older;    /* of what it allocates, alive after OLDER; NaN: not known */
	/* Of what it allocates, and of that part which lives for OLDER; units are seconds. */
	struct survival survival, survival_of_held;
};

struct verdict {
	enum verdict_kind kind;
	struct growth growth;     /* bytes per second since the middle; NaN: cannot be said */
	struct survival survival; /* as in the evidence */
	unsigned generations;
	uint64_t samples_seen;
	double held;
	double age_s; /* of its life so far */
};

/* The epoch that ends the first half of a life that began at begin_s: the last one not after the
 * middle. `epochs` counts those in `seconds`, the last of which is now. */
TL_INTERNAL unsigned verdict_middle(const double *seconds, unsigned epochs, double begin_s);

TL_INTERNAL struct verdict verdict_judge(const struct verdict_evidence *evidence);

TL_INTERNAL const char *verdict_word(enum verdict_kind kind);
TL_INTERNAL bool verdict_is_alarm(enum verdict_kind kind); /* worth a person's time */

struct text;
/* What stands behind the word, as one line of plain text without it. */
TL_INTERNAL void verdict_put_sentence(struct text *text, const struct verdict *verdict);

#endif
