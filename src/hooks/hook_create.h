/* hook_create: with TRACKLEAK_PRECISE=1, each object that CPython makes, free lists or not (3.13 and
 * later, with the GIL): a sample that is recycled ends its life at its line and begins one at the
 * line that makes it anew.
 *
 * Runs      inside the interpreter, with the GIL, for each object that is made or destroyed.
 * Promises  not installed without the setting. Gives way to whoever takes CPython's one place for
 *           such a function (tracemalloc), and is back when that is empty again.
 */
#ifndef TL_HOOKS_HOOK_CREATE_H
#define TL_HOOKS_HOOK_CREATE_H

#include "../base/types.h"

/* At a safe point of CPython's allocators: takes the place where it is wanted and empty. True: ask
 * again at the next one. */
TL_INTERNAL bool hook_create_look(void);

#endif
