/* snapshot_sites: the rows of sites and of their lines, for one snapshot.
 *
 * Runs      in snapshot_build, when what is alive has been summed up.
 */
#ifndef TL_OUTPUT_SNAPSHOT_SITES_H
#define TL_OUTPUT_SNAPSHOT_SITES_H

#include "../base/types.h"

struct snapshot_work;

/* Fills the snapshot's sites and lines, in their order, and the tables that lead to the rows. */
TL_INTERNAL void snapshot_sites_build(struct snapshot_work *work);

#endif
