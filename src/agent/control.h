/* control: does what is asked over the control socket, and answers with one JSON line.
 * docs/FORMAT.md has the requests and the answers.
 *
 * Runs      in the worker; what others may ask for directly (hooks/api) in any thread.
 * Promises  no request waits longer than for a dump that is under way; what is refused is said.
 */
#ifndef TL_AGENT_CONTROL_H
#define TL_AGENT_CONTROL_H

#include "../base/types.h"

/* Answers one request; false: there is none. */
TL_INTERNAL bool control_serve(void);

#endif
