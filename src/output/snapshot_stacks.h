/* snapshot_stacks: the rows of stacks, of their frames and of their contexts, for one snapshot.
 *
 * Runs      in snapshot_build, when the sites have their rows.
 */
#ifndef TL_OUTPUT_SNAPSHOT_STACKS_H
#define TL_OUTPUT_SNAPSHOT_STACKS_H

#include "../base/types.h"

struct snapshot_work;

/* Fills the snapshot's stacks, frames and contexts. */
TL_INTERNAL void snapshot_stacks_build(struct snapshot_work *work);

#endif
