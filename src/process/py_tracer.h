/* py_tracer: CPython's place for a function that it calls for each object that is made (3.13 on).
 *
 * Runs      py_tracer_take in a thread that is attached to the interpreter; the rest anywhere, by
 *           plain loads.
 * Promises  the place is taken only when it is empty: it is the one that tracemalloc uses.
 * Gives up  where the place cannot be found in CPython's state, which is how its loss is seen.
 */
#ifndef TL_PROCESS_PY_TRACER_H
#define TL_PROCESS_PY_TRACER_H

#include "py_layout.h"

/* CPython's PyRefTracerEvent. */
enum py_tracer_event { PY_TRACER_CREATE, PY_TRACER_DESTROY, PY_TRACER_REMOVED };

/* The next slow path of CPython's allocators has something to look at: it is the first one, or the
 * place is to be taken. Raised before the start, by each start of an interpreter, and with each
 * loss of the place. */
TL_DATA bool py_tracer_is_due;

/* Why this process cannot have it; NULL: it can. */
TL_INTERNAL const char *py_tracer_refusal(void);

/* Puts our function there. TL_ERR_FULL: somebody else's stands there; TL_ERR_UNKNOWN: it could not
 * be found again, so it was taken out, and must not be tried again. The interpreter is up. */
TL_INTERNAL enum tl_err py_tracer_take(py_tracer tracer);
/* Does it still stand there? A program that puts our own function back has not taken it away,
 * as far as this can tell. */
TL_INTERNAL bool py_tracer_is_held(void);

#endif
