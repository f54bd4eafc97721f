/* governor: keeps what sampling costs below a share of one core, by the sampler's level.
 *
 * Runs      a sample's begin and end in any thread, inside the hooks; the tick in the worker, once
 *           a second.
 * Promises  estimates stay unbiased: it only chooses the level, by what has been, and each sample
 *           weighs by the level that it was drawn at.
 * Gives up  where every allocation is to be a sample (sampler_is_exhaustive), or the share is 0.
 */
#ifndef TL_PROFILE_GOVERNOR_H
#define TL_PROFILE_GOVERNOR_H

#include "../base/types.h"

/* After sampler_start and sampler_change. `percent` of one core; 0: never acts. A forked child
 * begins anew. */
TL_INTERNAL void governor_start(double percent);
TL_INTERNAL void governor_restart_in_child(void);

/* Around the work on each sample. One in 16 is timed; what the first returns is for the second. */
TL_INTERNAL uint64_t governor_sample_begins(void);
TL_INTERNAL void governor_sample_ends(uint64_t began_ns);

/* Looks at the time since the last tick, raises the level by as many doublings as the cost is over
 * the share, or lowers it by one where the cost is below a quarter of it. */
TL_INTERNAL void governor_tick(void);

#endif
