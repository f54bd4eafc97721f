/* snapshot_json: the whole profile as one versioned JSON document, for the `trackleak` command.
 * docs/FORMAT.md describes it.
 *
 * Runs      in the worker and at exit. Streams through the caller's buffer; needs no memory of its
 *           own.
 * Gives up  at the first failure of a write: the rest is left out.
 */
#ifndef TL_OUTPUT_SNAPSHOT_JSON_H
#define TL_OUTPUT_SNAPSHOT_JSON_H

#include "../base/types.h"

struct snapshot;

#define SNAPSHOT_JSON_BUFFER ((size_t)64 * 1024)

/* `buffer` has SNAPSHOT_JSON_BUFFER bytes. Returns 0 or the errno of what failed. */
TL_INTERNAL int snapshot_json_put(int fd, const struct snapshot *snapshot, char *buffer);

#endif
