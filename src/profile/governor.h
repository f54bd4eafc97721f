/* governor: keeps what sampling costs below a share of one core, by the sampler's level.
 *
 * Runs      around the work for samples in any thread, inside the hooks; the tick in the worker,
 *           once a second.
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

/* Around each piece of work for samples: a birth, a death, a move; or a miss, where the filter let
 * a free come that was no sample's. One in 16 is timed; what the first returns is for the second.
 * The second raises the level when too much has been spent. */
TL_INTERNAL uint64_t governor_work_begins(void);
TL_INTERNAL void governor_work_ends(uint64_t began_ns, bool is_miss);

/* Lowers the level by one where the last half second and more cost below a quarter of the share. */
TL_INTERNAL void governor_tick(void);

/* CPU seconds of the program's threads that all this work has taken, estimated. */
TL_INTERNAL double governor_spent_s(void);

#endif
