/* stack_memo: the stack that a thread was last found on, so that of the next one only what is new
 * needs to be looked up. Neighbouring samples of a thread mostly differ in their innermost frames.
 *
 * Runs      in any thread, inside the hooks. No lock: who finds its memo in use goes without.
 * Promises  what frame_memo, stacks and sites would say, now.
 */
#ifndef TL_PROFILE_STACK_MEMO_H
#define TL_PROFILE_STACK_MEMO_H

#include "../base/thread.h"
#include "../process/py_frame.h"

#define STACK_MEMO_DEEPEST 512 /* as TRACKLEAK_STACK_DEPTH may be */

struct stack_memo;

TL_INTERNAL enum tl_err stack_memo_start(void);
TL_INTERNAL void stack_memo_reset_in_child(void);

/* The thread's, to be given back; NULL: somebody else has it. */
TL_INTERNAL struct stack_memo *stack_memo_borrow(const struct thread *thread);
TL_INTERNAL void stack_memo_return(struct stack_memo *memo);

/* Up to the innermost of some frames: their stack (stacks.h), and the line to blame where that
 * frame is the leaf (sites.h). */
struct stack_memo_place {
	uint32_t stack, line; /* SITES_OTHERS: not asked for yet */
};

/* How many of the outermost of the `depth` frames (innermost first) are those of last time, and
 * their *place, untouched where there are none. The others are forgotten. */
TL_INTERNAL size_t stack_memo_match(struct stack_memo *memo, const struct py_frame *frames,
				    size_t depth, struct stack_memo_place *place);
/* A frame further inward, of which frame_memo knows; `outer` are outside of it. It is not kept where
 * one of those is not, or there is no room. */
TL_INTERNAL void stack_memo_add(struct stack_memo *memo, size_t outer, const struct py_frame *frame,
				const struct stack_memo_place *place);

#endif
