/* documents: the JSON documents of CONTRACT 5, one object a line.
 *
 * Runs      in the worker and at exit. Pure: a snapshot in, text out.
 * Promises  each document is valid JSON on one line whatever its names hold; what is not known is
 *           null. Its `_id` is the same each time that the same dump of the same process is
 *           written, and no other's. docs/FORMAT.md describes the fields.
 */
#ifndef TL_OUTPUT_DOCUMENTS_H
#define TL_OUTPUT_DOCUMENTS_H

#include "../base/types.h"

struct snapshot;
struct text;

#define DOCUMENTS_MOST 1000 /* functions in a dump */

/* Appends one document and its newline; when it does not fit, nothing, and `cut` is set. 48 KiB
 * are always enough. */
TL_INTERNAL void documents_function(struct text *text, const struct snapshot *snapshot, size_t site,
				    bool is_queued);
/* A library's function as called from one of the program's. */
TL_INTERNAL void documents_context(struct text *text, const struct snapshot *snapshot,
				   size_t context, bool is_queued);
TL_INTERNAL void documents_process(struct text *text, const struct snapshot *snapshot,
				   bool is_queued);

/* Fills `order` with the sites by live bytes, most first; `order` and `keys` have room for all of
 * them. Returns how many are to be written. */
TL_INTERNAL size_t documents_rank(const struct snapshot *snapshot, uint32_t *order, double *keys);

#endif
