/* log_file: an append-only log that many processes share, with rotation.
 *
 * Runs      in the worker, at exit, and for the event log in hooks. The caller serialises calls on
 *           one struct.
 * Promises  one write a call when the file system takes it whole, so that processes do not mix
 *           their lines. No descriptor is kept between calls: logrotate's rename and copytruncate,
 *           a deleted folder, and a program that closes all descriptors are nothing special. Never
 *           writes through a symlink, into anything but a regular file, or, in a folder others can
 *           write to, into a file that is not ours or has a second name. errno is kept.
 * Gives up  on what cannot be written: it is counted, and said once for each log. A line that was
 *           torn by a full disk is ended before the next one is written.
 */
#ifndef TL_OUTPUT_LOG_FILE_H
#define TL_OUTPUT_LOG_FILE_H

#include "../base/types.h"

struct text;

struct log_file {
	const char
		*name; /* in the log folder, or absolute, or `-` for stderr; `%p` becomes the pid */
	uint64_t lost_bytes;                /* that could not be written */
	bool is_whole;                      /* our last append was written whole */
	bool has_complained, has_recovered; /* the line about each has been said */
};

/* A forked child has lost nothing yet, and does not say what its parent has said. */
TL_INTERNAL void log_file_reset_in_child(struct log_file *file);

/* Appends whole lines; rotates before when the file would pass config.log_max_mb. */
TL_INTERNAL enum tl_err log_file_append(struct log_file *file, const char *bytes, size_t length);
/* The full path of a log of that name in this process, for people to read. */
TL_INTERNAL void log_file_path(struct text *path, const char *name);

#endif
