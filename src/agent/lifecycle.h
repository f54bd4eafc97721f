/* lifecycle: when things happen: the start, the interpreter's end, fork, exec, the process's end.
 *
 * Runs      lifecycle_start in the constructor; the rest from hooks, in any thread.
 * Promises  a process that we have no business in is left alone (dormant), in silence. The figures
 *           are taken before the interpreter tears down.
 */
#ifndef TL_AGENT_LIFECYCLE_H
#define TL_AGENT_LIFECYCLE_H

#include "../base/types.h"

/* After a fork the forking thread comes to a slow path so often, until the worker is back. */
#define LIFECYCLE_SUMMONS_BYTES 256

/* True when this process is profiled from now on; false: dormant for good. */
TL_INTERNAL bool lifecycle_start(void);
/* Once the hooks are in: counting may begin, the worker starts. */
TL_INTERNAL void lifecycle_run(void);
TL_INTERNAL bool lifecycle_is_active(void);
/* Active, not over, and the process itself: not a vfork child. */
TL_INTERNAL bool lifecycle_is_profiled(void);

/* From a slow path, with the thread busy, before the event is recorded: has the interpreter begun
 * to end, or come back? */
TL_INTERNAL void lifecycle_look(void);
/* The interpreter was up at the last look, or there is none. */
TL_INTERNAL bool lifecycle_is_steady(void);
/* From the slow path of CPython's layer: no lock of libc or the loader is held here, so a worker
 * that a fork has cost us can be started again. */
TL_INTERNAL void lifecycle_safe_point(void);
/* A fork has cost us the worker. */
TL_INTERNAL bool lifecycle_misses_worker(void);
/* The same, and it is time to have it back. */
TL_INTERNAL bool lifecycle_wants_safe_point(void);

/* Dumps for the last time, before the process ends or becomes another program. Does nothing in a
 * vfork child, which shares its parent's memory. `is_exec`: the call may fail and the process go
 * on; a forked child that has not begun to work (no worker yet) leaves no trace. */
TL_INTERNAL void lifecycle_end(bool is_exec);
/* The exec failed: the process goes on. */
TL_INTERNAL void lifecycle_go_on(void);
/* The interpreter has ended and the process has not dumped since. */
TL_INTERNAL bool lifecycle_python_has_ended(void);

#endif
