/* dump: writes one snapshot everywhere it belongs: the table, the JSON lines, the snapshot file.
 *
 * Runs      in the worker and at exit, never in a hook. The caller lets one run at a time.
 * Promises  the table leaves in one write, JSON lines in writes of whole lines; scratch memory is
 *           given back; errno is kept; nothing fails upward.
 * Gives up  on what cannot be written: each kind is counted and said once.
 */
#ifndef TL_OUTPUT_DUMP_H
#define TL_OUTPUT_DUMP_H

#include "../base/types.h"

struct snapshot;

/* NULL: there was no memory to take one; that is said. */
TL_INTERNAL void dump_write(const struct snapshot *snapshot);
TL_INTERNAL void dump_reset_in_child(void);

#endif
