#include "survival.h"

#include "../base/math.h"

#define SURVIVAL_Z       1.959964
#define SURVIVAL_AT_RISK 5 /* fewer tell nothing of a share */

/* Those who died or are alive, at any age. */
static double survival_all(const uint32_t *deaths, const uint32_t *alive)
{
	double count = 0;

	for (unsigned i = 0; i < SURVIVAL_CLASSES; i++)
		count += (double)deaths[i] + (double)alive[i];
	return count;
}

static void survival_wilson(struct survival *survival, double samples)
{
	double z2 = SURVIVAL_Z * SURVIVAL_Z, share = survival->share;
	double middle = (share + z2 / (2 * samples)) / (1 + z2 / samples);
	double half = SURVIVAL_Z / (1 + z2 / samples) *
		      math_sqrt(share * (1 - share) / samples + z2 / (4 * samples * samples));

	survival->low = middle - half;
	survival->high = middle + half;
}

TL_INTERNAL struct survival survival_estimate(const uint32_t *deaths, const uint32_t *alive)
{
	struct survival survival = {.share = 1};
	double greenwood = 0; /* sum of d / (n (n - d)) */
	double reached = survival_all(deaths, alive);

	survival.at_risk = reached;
	for (unsigned i = 0; i < SURVIVAL_CLASSES; i++) {
		double risk = reached - (double)alive[i] / 2, dead = deaths[i];
		double further = reached - (double)alive[i] - dead;

		if (reached < SURVIVAL_AT_RISK)
			break;
		if (dead >= risk && further <= 0 &&
		    dead > 0) { /* nobody is older: the curve ends */
			survival.share = 0;
			survival.units = (double)(UINT64_C(1) << i);
			survival.at_risk = reached;
			break;
		}
		survival.share *= 1 - dead / risk;
		greenwood += dead / (risk * (risk - dead));
		survival.units = (double)(UINT64_C(1) << i);
		survival.at_risk = reached;
		reached = further;
	}
	if (survival.units == 0) {
		survival.share = survival.low = survival.high = (double)__builtin_nanf("");
		return survival;
	}

	/* The number of samples without censoring that would give this variance. */
	double share = survival.share, samples = survival.at_risk;

	if (greenwood > 0 && share > 0 && share < 1)
		samples = (1 - share) / (share * greenwood);
	survival_wilson(&survival, samples);
	return survival;
}

TL_INTERNAL double survival_after(const uint32_t *deaths, const uint32_t *alive, unsigned age_class)
{
	double share = 1, reached = survival_all(deaths, alive);

	if (reached == 0)
		return (double)__builtin_nanf("");
	for (unsigned i = 0; i <= age_class && i < SURVIVAL_CLASSES; i++) {
		double risk = reached - (double)alive[i] / 2;

		if (deaths[i] > 0)
			share *= risk > deaths[i] ? 1 - (double)deaths[i] / risk : 0;
		reached -= (double)alive[i] + (double)deaths[i];
	}
	return share;
}
