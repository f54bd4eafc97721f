/* mixed_stack: the Python frames and the C frames of one moment, in one order.
 *
 * Runs      in any thread, inside the hooks.
 *
 * The C frame of an evaluation loop is where the Python frames stand that it runs, and is left out
 * itself. So are the agent's own frames, those outside of the outermost Python frame, and between
 * two Python frames those of the interpreter's file, which are only the way of a call.
 *
 * Where the loops cannot be told for certain, the C frames stand inside of the innermost Python
 * frame only.
 */
#ifndef TL_PROFILE_MIXED_STACK_H
#define TL_PROFILE_MIXED_STACK_H

#include "../process/native_stack.h"

#define MIXED_STACK_PYTHON 512 /* frames at most */
#define MIXED_STACK_MOST   (MIXED_STACK_PYTHON + NATIVE_STACK_DEEPEST)

struct mixed_frame {
	bool is_native;
	uint16_t index; /* of the one or the other */
};

/* All innermost first. */
struct mixed_parts {
	const struct native_frame *natives;
	size_t native_count;
	const uintptr_t *loops; /* of each Python frame; see py_frame_find_loops */
	size_t depth;
	uintptr_t loop_start, loop_end; /* code of the evaluation loop; 0: not known */
	bool has_loop_each;             /* each Python frame has a loop of its own */
	uint16_t own_module;
};

/* The calling thread's, as it stands: its C frames, of which there are NATIVE_STACK_DEEPEST at most,
 * and all of both. `depth`: of the Python frames that py_frame_walk has just given. Returns how many
 * `mixed` has. */
TL_INTERNAL size_t mixed_stack_read(struct thread *thread, const void *thread_state, size_t depth,
				    struct native_frame *natives, struct mixed_frame *mixed);

/* Innermost first; there is room for all of both. Returns how many. */
TL_INTERNAL size_t mixed_stack_merge(const struct mixed_parts *parts, struct mixed_frame *mixed);

#endif
