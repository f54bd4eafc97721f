/* growth: how fast something grows, how sure that is, and whether it is a trend.
 *
 * Runs      anywhere. Pure arithmetic, no memory of its own; a call costs a few microseconds.
 */
#ifndef TL_ANALYSIS_GROWTH_H
#define TL_ANALYSIS_GROWTH_H

#include "../base/types.h"

#define GROWTH_MOST 64 /* values in one series */

/* What changed between two moments: weighted bytes that came and are still there, bytes that were
 * there and have gone, with the variance of each. */
struct growth_change {
	double born, died;
	double born_variance, died_variance;
	double seconds; /* between the two moments, > 0 */
};

/* Bytes per second and its 95 % interval. */
struct growth {
	double rate, low, high;
};

/* The difference of two Horvitz-Thompson estimates. What is alive at both moments cancels, so the
 * error is that of what came and what went; the interval is a score interval, right down to a
 * handful of samples (Rao 1948; for a count: n + z^2/2 +- z sqrt(n + z^2/4)). */
TL_INTERNAL struct growth growth_between(const struct growth_change *change);

/* The median of all slopes between two values (Theil 1950, Sen 1968): a quarter of the values may
 * be wild. 0 for fewer than two. `times` ascend, `count` is at most GROWTH_MOST. */
TL_INTERNAL double growth_theil_sen(const double *times, const double *values, unsigned count);

/* z of the test for a monotone trend (Mann 1945, Kendall 1975), ties taken into account: above 1.64
 * it rises, with 95 % confidence, if the values are independent. */
TL_INTERNAL double growth_mann_kendall(const double *values, unsigned count);

#endif
