/* hook_mmap: anonymous memory that is mapped past the allocators.
 *
 * Runs      around syscalls, so a look at the owner each time is cheap.
 * Promises  results, errno and arguments are the kernel's and the program's; a map is forgotten
 *           before it is unmapped.
 */
#ifndef TL_HOOKS_HOOK_MMAP_H
#define TL_HOOKS_HOOK_MMAP_H

#include "../base/types.h"

/* Learns where the interpreter's code lies. Reads files: from the constructor, or the worker. */
TL_INTERNAL void hook_mmap_find_python(void);

#endif
