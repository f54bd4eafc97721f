/* log_folder: the folder our files go to, picked and made by us.
 *
 * Runs      in the constructor, the worker and at exit; in a hook only for the event log. Takes no
 *           lock.
 * Promises  never a folder that another user could have planted: LOG_DIR is the administrator's
 *           word, but what we fall back to under /tmp is ours, no symlink, and writable by nobody
 *           else, looked at before each use. One line says so when it is not LOG_DIR. A folder that
 *           was deleted is made again; one that may no longer be written (a worker that gave up its
 *           rights) is replaced by the next choice.
 * Gives up  when no folder can be had: one line, files are not written, profiling goes on.
 */
#ifndef TL_OUTPUT_LOG_FOLDER_H
#define TL_OUTPUT_LOG_FOLDER_H

#include "../base/types.h"

struct text;

/* Picks the folder, in the constructor: a relative LOG_DIR means the directory the program was
 * started in. With `silent` nothing is said of a fall-back (a child of a profiled process,
 * TRACKLEAK_QUIET). */
TL_INTERNAL void log_folder_start(bool silent);
/* The folder, opened for openat, or -1. Made if missing. The caller closes it. */
TL_INTERNAL int log_folder_open(void);
/* Its path as picked by the last log_folder_open, or config.log_dir when there is none. */
TL_INTERNAL void log_folder_path(struct text *path);
/* Could a user other than us, root, and those whom a group was given to, plant something in this
 * open folder? */
TL_INTERNAL bool log_folder_is_shared(int folder);

/* This process writes no file any more: a child that was forked inside the agent goes on with what
 * its parent writes, too. */
TL_DATA bool log_folder_is_shut;
/* Is this open folder ours, and writable by nobody else? */
TL_INTERNAL bool log_folder_is_private(int folder);

/* Where the fall-back folders stand: /tmp. Changed by tests only. */
TL_DATA const char *log_folder_temporary;

#endif
