/* history: the earlier dumps of a process, from the JSON lines that stand beside its snapshot
 * (docs/FORMAT.md, profiler.jsonl). They hold functions, and neither lines nor stacks.
 *
 * Promises  only whole dumps are given; lines that cannot be read, being cut, count as missing.
 */
#ifndef TL_CLI_PROFILE_HISTORY_H
#define TL_CLI_PROFILE_HISTORY_H

#include "profile.h"

struct history_dump {
	double number, time;     /* epoch seconds */
	size_t functions, least; /* read, and what a whole dump has at least */
};

struct history {
	const char *path; /* a file, or the folder of several */
	double pid, start;
	struct history_dump *dumps; /* oldest first */
	size_t count, room;
};

/* Of the process that wrote this snapshot. Fails with one line when its folder cannot be read. */
struct history *history_of(const struct profile *process);
/* Of the process that dumped last in this file of JSON lines; fails with one line when none did. */
struct history *history_of_file(const char *path);
bool history_is_file(const char *path); /* by its name */
/* One of the dumps as a profile of functions. */
struct profile *history_profile(const struct history *history, size_t dump);

#endif
