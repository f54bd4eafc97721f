/* session: what `trackleak run` saw of a program, saved as session.json beside the snapshots. */
#ifndef TL_CLI_PROFILE_SESSION_H
#define TL_CLI_PROFILE_SESSION_H

#include <stdbool.h>
#include <stddef.h>

struct session_sample {
	double time_s; /* since the start */
	double rss_bytes;
};

struct session {
	char *command;
	double start;                                     /* epoch seconds */
	int status;                                       /* as a shell has it; -1: it still runs */
	double rss_threshold_bytes, heap_threshold_bytes; /* 0: none */
	struct session_sample *samples;
	size_t sample_count, sample_room;
};

void session_add(struct session *session, double time_s, double rss_bytes);
/* Growth by a straight line through all but the first tenth, MiB an hour; NaN: too little is known.
 * */
double session_growth(const struct session *session);
/* Bytes grown since the first tenth of its time, at most. */
double session_rss_grown(const struct session *session);
/* False when it could not be written; errno says why. */
bool session_write(const struct session *session, const char *folder);
/* NULL: there is none in this folder. Fails with one line when it is broken. */
struct session *session_read(const char *folder);

#endif
