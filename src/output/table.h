/* table: the text table of CONTRACT 3, which people read with tail -f.
 *
 * Runs      in the worker and at exit. Pure: a snapshot in, text out.
 * Promises  one row is one line, whatever its names hold; columns are never narrower than the
 *           header's, and a name that is wider pushes the rest of its own row only.
 */
#ifndef TL_OUTPUT_TABLE_H
#define TL_OUTPUT_TABLE_H

#include "../base/types.h"

struct snapshot;
struct text;

/* Room that is enough for a table of so many rows. */
TL_INTERNAL size_t table_room(uint64_t rows);
/* Header, dashed line, at most `top` rows, verdicts, where RSS is, trailer. */
TL_INTERNAL void table_build(struct text *text, const struct snapshot *snapshot, uint64_t top);

#endif
