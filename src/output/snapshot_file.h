/* snapshot_file: `snapshot-<pid>.json` in the log folder.
 *
 * Runs      in the worker and at exit.
 * Promises  the file is replaced as a whole or not at all: a reader never sees half of it, and a
 *           killed process leaves its last one. Snapshots of dead processes are kept
 *           config.log_keep deep, the newest; never is a file touched that another user owns.
 * Gives up  on what cannot be written: the former snapshot stays, and one line says so.
 */
#ifndef TL_OUTPUT_SNAPSHOT_FILE_H
#define TL_OUTPUT_SNAPSHOT_FILE_H

#include "../base/types.h"

struct snapshot;
struct text;

/* `buffer` has SNAPSHOT_JSON_BUFFER bytes and is aligned for any type. */
TL_INTERNAL enum tl_err snapshot_file_write(const struct snapshot *snapshot, char *buffer);
/* Where it stands, for people and for the command. */
TL_INTERNAL void snapshot_file_path(struct text *path, uint64_t pid);
/* Has this process a snapshot already, of what it was before an exec? */
TL_INTERNAL bool snapshot_file_is_there(void);

#endif
