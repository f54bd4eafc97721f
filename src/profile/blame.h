/* blame: which line an allocation made now is told to, and the stack that leads there.
 *
 * Runs      in any thread, inside the hooks, with its `busy` set. No allocation, no lock but those
 *           that intern what is met for the first time.
 */
#ifndef TL_PROFILE_BLAME_H
#define TL_PROFILE_BLAME_H

#include "../process/py_frame.h"
#include "frame_memo.h"
#include "live_blocks.h"

TL_INTERNAL enum tl_err blame_start(void);

/* A line (sites.h), and a stack (stacks.h). */
struct blame_place {
	uint32_t line, stack;
};

/* The innermost Python frame's line, or where there is none, the calling place `caller`. */
TL_INTERNAL uint32_t blame_line(enum live_layer layer, const void *caller);
/* The same, and the stack. */
TL_INTERNAL struct blame_place blame_place(enum live_layer layer, const void *caller);

static inline void *blame_thread_state(enum live_layer layer)
{
	return py_frame_thread_state(layer == LIVE_PYTHON ? PY_HOOK_OBJECTS : PY_HOOK_LIBC);
}

/* For blame_peek, where there is an interpreter. */
TL_INTERNAL struct py_frame_spot blame_peek_python(const char *caller);

/* The frame to blame, unchecked or stamped. No code: the interpreter is down, and more than
 * counting may be due. */
static inline struct py_frame_spot blame_peek(const char *caller)
{
	if (py_layout.is_initialized == NULL)
		return (struct py_frame_spot){.code = caller};
	return blame_peek_python(caller);
}

#endif
