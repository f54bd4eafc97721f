/* event_log: one JSON line for each allocation and free, for debugging (MEMORY_PROFILER_EVENTS=1,
 * CONTRACT 4).
 *
 * Runs      in hooks: the only writer that does. Which blocks are logged is the caller's business.
 * Promises  whole lines in the order of the calls; the file is touched once in 64 KiB and at a
 *           flush. Every call keeps errno and allocates nothing. Costs a lock and a few hundred ns
 *           a line.
 * Gives up  without memory for its buffer: nothing is logged. On a full disk: what is lost is
 *           counted and said once.
 *
 * Lock order: its mutex is the lowest of all: it may be taken while a profile lock is held, and
 * nothing is taken under it.
 */
#ifndef TL_OUTPUT_EVENT_LOG_H
#define TL_OUTPUT_EVENT_LOG_H

#include "../base/types.h"

/* `epoch_s` is the wall clock in seconds; names are NUL-terminated UTF-8, escaped here; line 0
 * is unknown. */
TL_INTERNAL void event_log_alloc(const void *block, size_t size, const char *function,
				 const char *file, uint32_t line, int64_t epoch_s);
TL_INTERNAL void event_log_free(const void *block, int64_t epoch_s);
/* Writes what is buffered. From the worker each second, at dumps, and before exit and exec. */
TL_INTERNAL void event_log_flush(void);

/* In a forked child: what is buffered is the parent's to write. Makes the lock anew, whoever held
 * it. */
TL_INTERNAL void event_log_fork_child(void);

#endif
