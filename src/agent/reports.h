/* reports: the dumps of this process: who it is, when it dumps, and the figures that were frozen
 * for the last one.
 *
 * Runs      in the worker, and in a thread that ends the process. One dump at a time.
 * Promises  a snapshot that was frozen when the interpreter began to tear down is what the last
 *           dump shows.
 */
#ifndef TL_AGENT_REPORTS_H
#define TL_AGENT_REPORTS_H

#include "../base/types.h"

struct snapshot_identity;

TL_INTERNAL void reports_start(void);
TL_INTERNAL void reports_restart_in_child(void);
TL_INTERNAL void reports_renew_lock(void); /* see recorder_renew_locks */

/* Writes a dump. A final one waits at most `wait_ms` for another that is under way, then gives up.
 * After it nothing is written any more, until the process goes on: reports_go_on. */
TL_INTERNAL void reports_dump(bool is_final, unsigned wait_ms);
TL_INTERNAL void reports_go_on(void);

/* Writes the snapshot file and nothing else, as of now, or as it was frozen. It is none of the
 * dumps. TL_ERR_UNKNOWN: another dump was under way for all of `wait_ms`; TL_ERR_FULL: no memory;
 * TL_ERR_SYSTEM: it could not be written; TL_ERR_REFUSED: the final dump is written. */
TL_INTERNAL enum tl_err reports_snapshot(unsigned wait_ms);

/* From now on growth and verdicts are of what is allocated from now on. False: another dump was
 * under way for all of `wait_ms`. */
TL_INTERNAL bool reports_baseline(unsigned wait_ms);

/* Who this process is, for others to say; stale figures do no harm. */
TL_INTERNAL const struct snapshot_identity *reports_identity(void);
/* The interpreter has ended, the process has not. */
TL_INTERNAL bool reports_are_frozen(void);

/* Notes what is held, once a second at first and ever more rarely: the verdicts' history. */
TL_INTERNAL void reports_note(void);

/* Keeps the figures of this moment for the next dump (unless another thread is at work on one for
 * longer than this); forgets them. */
TL_INTERNAL void reports_freeze(unsigned wait_ms);
TL_INTERNAL void reports_thaw(void);
/* Returns when no figures are being taken, after `wait_ms` at the latest. */
TL_INTERNAL void reports_await(unsigned wait_ms);

/* The worker's CPU seconds so far, for the report of our own cost. */
TL_INTERNAL void reports_note_cpu(double cpu_s);

#endif
