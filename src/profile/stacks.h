/* stacks: a trie of frames {caller, function, line}; a whole stack is the number of its innermost
 * frame. A frame in native code is {caller, module, offset}.
 *
 * Runs      in any thread, inside the hooks. Finding takes no lock.
 * Gives up  when full: the stack ends at the outermost frames that are known. Counted.
 */
#ifndef TL_PROFILE_STACKS_H
#define TL_PROFILE_STACKS_H

#include "../base/types.h"

#define STACKS_ROOT   0u
#define STACKS_NATIVE UINT32_C(0x80000000) /* in `function`: the rest is a module's number */

struct stack_frame {
	uint32_t caller; /* STACKS_ROOT: none */
	uint32_t function;
	uint32_t line; /* of a native frame the offset in its file */
};

/* `has_natives`: there is room for the longer stacks that native frames make. */
TL_INTERNAL enum tl_err stacks_start(bool has_natives);
TL_INTERNAL void stacks_reset_in_child(void);

/* The stack `caller` with one more frame called by it. */
TL_INTERNAL uint32_t stacks_push(uint32_t caller, uint32_t function, uint32_t line);
TL_INTERNAL struct stack_frame stacks_frame(uint32_t stack);
static inline bool stacks_is_native(const struct stack_frame *frame)
{
	return (frame->function & STACKS_NATIVE) != 0;
}
/* The innermost frame with a function, which is to blame; STACKS_ROOT: none. */
TL_INTERNAL uint32_t stacks_blamed(uint32_t stack);
/* Numbers are below this. */
TL_INTERNAL uint32_t stacks_end(void);
TL_INTERNAL uint64_t stacks_refused(void);

TL_INTERNAL void stacks_renew_locks(void); /* see recorder_renew_locks */

#endif
