/* snapshot_live: what is alive, summed up by line, stack, context and site, for one snapshot.
 *
 * Runs      in snapshot_build. Takes the lock of one shard at a time.
 */
#ifndef TL_OUTPUT_SNAPSHOT_LIVE_H
#define TL_OUTPUT_SNAPSHOT_LIVE_H

#include "../base/types.h"

struct snapshot_work;

/* Fills work->live and the rows of stacks, and hands each sample to the evidence. */
TL_INTERNAL enum tl_err snapshot_live_gather(struct snapshot_work *work);

/* The dump at tick `now` ends an interval, by which generations are counted. */
TL_INTERNAL void snapshot_live_end_interval(uint32_t now);
/* Forgets the times of earlier dumps. */
TL_INTERNAL void snapshot_live_reset_in_child(void);

#endif
