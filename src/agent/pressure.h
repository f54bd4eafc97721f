/* pressure: does memory come close to the control group's limit? A dump then, so that a kill for
 * want of memory leaves a picture that is seconds old.
 *
 * Runs      in the worker, once a second.
 * Promises  each of 80, 90 and 95 % is told once when it is crossed, and again only after memory
 *           has been 5 points below it.
 */
#ifndef TL_AGENT_PRESSURE_H
#define TL_AGENT_PRESSURE_H

#include "../base/types.h"

/* Has a step been crossed since the last call? A forked child begins at the step its parent was
 * at. */
TL_INTERNAL bool pressure_has_risen(void);

#endif
