/* hook_malloc: libc's allocation functions, as the program calls them.
 *
 * Runs      everywhere, from the process's first instruction. The fast path of malloc is one subtraction, two tests and a jump
 *           into the real function; of free, one bit.
 * Promises  results, errno and alignment are the real allocator's; a sampled block is forgotten before its address can be
 *           handed out again.
 */
#ifndef TL_HOOKS_HOOK_MALLOC_H
#define TL_HOOKS_HOOK_MALLOC_H

#include "../base/types.h"

/* A dormant process's threads come to the slow path once; this sends them off for good. */
#define HOOK_NEVER (INT64_MAX / 2)

#endif
