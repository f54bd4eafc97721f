/* history: the earlier dumps of a process, from the JSON lines that stand beside its snapshot
 * (docs/FORMAT.md, profiler.jsonl). They hold functions, and neither lines nor stacks.
 *
 * Promises  only whole dumps are given; lines that cannot be read, being cut, count as missing, and
 *           so do files of a folder that this user may not read.
 */
#ifndef TL_CLI_PROFILE_HISTORY_H
#define TL_CLI_PROFILE_HISTORY_H

#include "profile.h"

struct history_dump {
	double number, time; /* epoch seconds */
	double rss_bytes, live_bytes;
	size_t functions, least; /* read, and what a whole dump has at least */
};

struct history {
	const char *path; /* a file, or the folder of several */
	double pid, start;
	struct history_dump *dumps; /* oldest first */
	struct profile **profiles;  /* of the dumps; NULL until they are asked for */
	size_t count, room;
	size_t kept; /* dumps there were before they were thinned out */
};

/* Of the process that wrote this snapshot, from `path`, a file or a folder; NULL: the folder of the
 * snapshot. Fails with one line when that cannot be read. */
struct history *history_of(const struct profile *process, const char *path);
/* Of the process that dumped last in this file of JSON lines; fails with one line when none did. */
struct history *history_of_file(const char *path);
bool history_is_file(const char *path); /* by its name */
/* One of the dumps as a profile of functions. */
struct profile *history_profile(const struct history *history, size_t dump);
/* Leaves so many dumps (4 at least): the first, the last, those where RSS and live bytes were at
 * their maximum, and others at even steps. */
void history_thin(struct history *history, size_t most);
/* Makes `profiles` of all of them, of each the `most` functions that held most, in any order; the
 * files are read once for all. */
void history_fill(struct history *history, size_t most);

#endif
