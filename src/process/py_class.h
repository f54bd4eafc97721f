/* py_class: the name of a class, read from its type object without asking CPython.
 *
 * Runs      in the worker, in one thread at a time: a few syscalls for each class. The type may be
 *           freed, or be no type at all: every read is fault-safe, and what does not look right is
 *           no class.
 * Gives up  with false, or with a name that lacks its module.
 */
#ifndef TL_PROCESS_PY_CLASS_H
#define TL_PROCESS_PY_CLASS_H

#include "../base/types.h"

/* Is there a type object at this address? *identity: a number that changes when another type takes
 * the address (but for one whose names and tables came to lie at the same addresses too). */
TL_INTERNAL bool py_class_is(uintptr_t type, uint64_t *identity);
/* Answers of py_class_is are kept, to spare syscalls, until this is called: as often as types may
 * come and go. */
TL_INTERNAL void py_class_forget(void);

/* `app.Session`, `collections.deque`, `cell`: the qualified name with its module, but for builtins.
 * NUL-terminated; `capacity` at least 2. */
TL_INTERNAL bool py_class_name(uintptr_t type, char *name, size_t capacity);

#endif
