/* DESIGN: as the epochs of profile/contexts: when all places are used every other moment is dropped,
 * and they are kept half as often. The half of a life is what forgives a start its growth.
 */
#include "rss_history.h"

#define RSS_HISTORY_MOMENTS 32u
#define RSS_HISTORY_FEWEST  3 /* besides now: two moments make no growth */

static struct {
	struct rss_moment moments[RSS_HISTORY_MOMENTS];
	unsigned used;
	double period_s, last_s;
} rss_history;

TL_INTERNAL void rss_history_reset_in_child(void)
{
	rss_history.used = 0;
	rss_history.period_s = 0;
}

TL_INTERNAL struct rss_growth rss_history_growth(const struct rss_moment *now)
{
	unsigned middle = 0;

	if (rss_history.used < RSS_HISTORY_FEWEST)
		return (struct rss_growth){0};
	while (middle + 1 < rss_history.used &&
	       rss_history.moments[middle + 1].seconds <= now->seconds / 2)
		middle++;
	return rss_growth_between(&rss_history.moments[middle], now);
}

TL_INTERNAL void rss_history_add(const struct rss_moment *now)
{
	struct rss_moment *moments = rss_history.moments;

	if (rss_history.used > 0 && now->seconds < rss_history.last_s + rss_history.period_s)
		return;
	if (rss_history.used == RSS_HISTORY_MOMENTS) {
		for (unsigned i = 0; i < RSS_HISTORY_MOMENTS / 2; i++)
			moments[i] = moments[2 * i + 1];
		rss_history.used /= 2;
		rss_history.period_s = (now->seconds - moments[0].seconds) / rss_history.used;
	}
	moments[rss_history.used++] = *now;
	rss_history.last_s = now->seconds;
}
