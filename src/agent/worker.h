/* worker: the one background thread. It dumps at the interval, whether or not the program
 * allocates, and does what must not be done inside a hook.
 *
 * Runs      started and stopped by lifecycle only. All signals are blocked in it; it is called
 *           `trackleak`.
 * Promises  stopping it takes no longer than is said; it holds no lock of ours while it waits or
 *           writes.
 */
#ifndef TL_AGENT_WORKER_H
#define TL_AGENT_WORKER_H

#include "../base/types.h"

/* Starts it unless it is running. False when the system refuses. */
TL_INTERNAL bool worker_start(void);
/* Ends it, within `wait_ms`; false when it is still busy, and then it goes on. */
TL_INTERNAL bool worker_stop(unsigned wait_ms);
TL_INTERNAL bool worker_is_running(void);
/* A forked child has no worker. */
TL_INTERNAL void worker_forget_in_child(void);

#endif
