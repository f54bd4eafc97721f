/* profile_find: the snapshots that a person means: a file, a folder, a pid, or nothing at all. */
#ifndef TL_CLI_PROFILE_PROFILE_FIND_H
#define TL_CLI_PROFILE_PROFILE_FIND_H

#include "profile.h"

struct profile_list {
	struct profile **profiles; /* newest first */
	size_t count, room;
};

/* Every snapshot of a folder; one that cannot be read is left out with a line on stderr.
 * A folder that is not there holds none. */
void profile_find_all(struct profile_list *list, const char *folder);
/* The folders where agents write unless told otherwise, TRACKLEAK_LOG_DIR first; NULL at the end.
 * */
char **profile_find_folders(void);
/* The folder that a process was told to write to (TRACKLEAK_LOG_DIR), or NULL. */
char *profile_find_folder_of(unsigned long pid);
/* Does a file of this name hold a snapshot? */
bool profile_find_is_snapshot(const char *name);
/* Is the process that wrote it still there, on this machine? */
bool profile_find_is_running(const struct profile *profile);
/* Is the verdict of `a` worse, or the same and it holds more? */
bool profile_find_is_worse(const struct profile *a, const struct profile *b);
/* The newest service of a folder, as one: the processes of one program and script whose profiles overlap;
 * while some of them run, only those. NULL when there is no snapshot. */
struct profile *profile_find_newest(const char *folder, const struct profile **worst);
/* One profile for `wanted` (NULL: the newest service in the usual folders); fails with one line.
 * Of a folder it is the newest service.
 * `worst`, if not NULL: the one process of several whose verdict is worst, or which holds most. */
struct profile *profile_find(const char *wanted, const struct profile **worst);

#endif
