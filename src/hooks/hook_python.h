/* hook_python: CPython's own allocators, below the interpreter: the OBJ and MEM domains, by
 * PyMem_SetAllocator.
 *
 * Runs      inside the interpreter's allocations, with the GIL (free-threaded builds: without).
 *           Same fast path as libc's.
 * Promises  every block is counted in one layer only: blocks of at most 512 bytes here, unless libc
 *           turns out to serve them; the allocator's `ctx` is never changed, so that installing is
 *           safe at any moment.
 */
#ifndef TL_HOOKS_HOOK_PYTHON_H
#define TL_HOOKS_HOOK_PYTHON_H

#include "../base/types.h"

/* Wraps the two domains. From the constructor, before the interpreter starts, or while this thread
 * is attached to it. */
TL_INTERNAL void hook_python_install(void);

/* From libc's slow path: something (PYTHONMALLOC, -X dev, a second Py_Initialize) may have put
 * CPython's own allocators back; installs again where that is so. Costs two loads when all is well.
 * */
TL_INTERNAL void hook_python_heal(void);
/* True while it has nothing to do, as long as the interpreter stays up. */
TL_INTERNAL bool hook_python_is_well(void);

#endif
