/* stacks: a trie of frames {caller, function, line}; a whole stack is the number of its innermost
 * frame.
 *
 * Runs      in any thread, inside the hooks. Finding takes no lock.
 * Gives up  when full: the stack ends at the outermost frames that are known. Counted.
 */
#ifndef TL_PROFILE_STACKS_H
#define TL_PROFILE_STACKS_H

#include "../base/types.h"

#define STACKS_ROOT 0u

struct stack_frame {
	uint32_t caller; /* STACKS_ROOT: none */
	uint32_t function;
	uint32_t line;
};

TL_INTERNAL enum tl_err stacks_start(void);
TL_INTERNAL void stacks_reset_in_child(void);

/* The stack `caller` with one more frame called by it. */
TL_INTERNAL uint32_t stacks_push(uint32_t caller, uint32_t function, uint32_t line);
TL_INTERNAL struct stack_frame stacks_frame(uint32_t stack);
/* Numbers are below this. */
TL_INTERNAL uint32_t stacks_end(void);
TL_INTERNAL uint64_t stacks_refused(void);

TL_INTERNAL void stacks_renew_locks(void); /* see recorder_renew_locks */

#endif
