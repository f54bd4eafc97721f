/* DESIGN
 * Two questions, two tools. How fast: the difference of two estimates, because its error is known
 * exactly from the samples themselves. Whether it is a trend, and not a saw-tooth that was looked
 * at in two bad moments: Theil-Sen and Mann-Kendall over the series.
 *
 * Theil-Sen was tried as the rate too. Sampled live bytes are no line with independent errors: a
 * sample that stays, stays in every later value, so the errors are a random walk. Of a walk the end
 * points tell all that can be known, and the median slope's interval had no form that held for
 * walks (leaks) and for independent errors (traffic) alike.
 */
#include "growth.h"

#include "../base/math.h"

#define GROWTH_Z 1.959964 /* 95 %, two-sided */

TL_INTERNAL struct growth growth_between(const struct growth_change *change)
{
	double variance = change->born_variance + change->died_variance;
	double moved = change->born + change->died;
	double unit = moved > 0 ? variance / moved : 0; /* what one sample stands for */
	double lean = variance > 0 ? (change->born_variance - change->died_variance) / variance : 0;
	double skew = GROWTH_Z * unit * lean / 2;
	double difference = change->born - change->died;
	double half = GROWTH_Z * math_sqrt(variance + skew * skew);
	double middle = difference + GROWTH_Z * skew;

	return (struct growth){
		.rate = difference / change->seconds,
		.low = (middle - half) / change->seconds,
		.high = (middle + half) / change->seconds,
	};
}

/* The k-th smallest, by partition (Hoare 1961). Reorders the values: none before it is larger. */
static double growth_select(double *values, size_t count, size_t k)
{
	size_t low = 0, high = count - 1;

	while (low < high) {
		double pivot = values[(low + high) / 2];
		size_t i = low, j = high;

		for (;;) {
			while (values[i] < pivot)
				i++;
			while (values[j] > pivot)
				j--;
			if (i >= j)
				break;

			double swapped = values[i];

			values[i++] = values[j];
			values[j--] = swapped;
		}
		if (k <= j)
			high = j;
		else
			low = j + 1;
	}
	return values[k];
}

TL_INTERNAL double growth_theil_sen(const double *times, const double *values, unsigned count)
{
	double slopes[GROWTH_MOST * (GROWTH_MOST - 1) / 2];
	size_t pairs = 0;

	for (unsigned j = 1; j < count; j++) {
		for (unsigned i = 0; i < j; i++) {
			if (times[j] > times[i])
				slopes[pairs++] = (values[j] - values[i]) / (times[j] - times[i]);
		}
	}
	if (pairs == 0)
		return 0;

	double upper = growth_select(slopes, pairs, pairs / 2);

	if (pairs % 2 == 1)
		return upper;

	double lower = slopes[0]; /* the largest of those that were put before it */

	for (size_t i = 1; i < pairs / 2; i++)
		lower = slopes[i] > lower ? slopes[i] : lower;
	return (upper + lower) / 2;
}

TL_INTERNAL double growth_mann_kendall(const double *values, unsigned count)
{
	double n = count, variance = n * (n - 1) * (2 * n + 5);
	int score = 0;

	for (unsigned j = 0; j < count; j++) {
		int ties = 0; /* the values of its group, itself included */

		for (unsigned i = 0; i < count; i++)
			ties += values[i] == values[j];
		for (unsigned i = 0; i < j; i++)
			score += (values[j] > values[i]) - (values[j] < values[i]);
		variance -= (ties - 1) * (2 * ties + 5); /* t (t - 1) (2 t + 5) for the group */
	}
	variance /= 18;
	if (variance <= 0 || score == 0)
		return 0;
	return (score > 0 ? score - 1 : score + 1) / math_sqrt(variance);
}
