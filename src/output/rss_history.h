/* rss_history: what RSS was at the dumps so far, up to 32 that always span the whole life.
 *
 * Runs      in whoever makes a dump, one at a time (agent/reports sees to it).
 */
#ifndef TL_OUTPUT_RSS_HISTORY_H
#define TL_OUTPUT_RSS_HISTORY_H

#include "../analysis/rss_breakdown.h"

TL_INTERNAL void rss_history_reset_in_child(void);

/* How RSS has grown since the middle of the life so far; no cause before the fourth moment. */
TL_INTERNAL struct rss_growth rss_history_growth(const struct rss_moment *now);
TL_INTERNAL void rss_history_add(const struct rss_moment *now);

#endif
