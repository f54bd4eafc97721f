/* py_type: what a block holds: which kind of Python object, or an instance of which class.
 *
 * Runs      in the worker, on a block that cannot be freed meanwhile. Inside a block of CPython's
 *           layer by plain loads; what may be protected or gone is read fault-safely.
 * Gives up  with PY_TYPE_OTHER: a raw buffer, or half-built.
 */
#ifndef TL_PROCESS_PY_TYPE_H
#define TL_PROCESS_PY_TYPE_H

#include "../base/types.h"

enum py_type {
	PY_TYPE_NOT_LOOKED,
	PY_TYPE_OTHER,
	/* These come from free lists: who allocated the block need not be who made the object. */
	PY_TYPE_TUPLE,
	PY_TYPE_LIST,
	PY_TYPE_DICT,
	PY_TYPE_SMALL_KEYS, /* of a dict */
	PY_TYPE_FLOAT,
	PY_TYPE_LATE_INT, /* int, from 3.14 on */
	PY_TYPE_FRAME,    /* up to 3.10 */
	PY_TYPE_METHOD,   /* 3.8, and from 3.14 on */
	PY_TYPE_BUILTIN,  /* a function in C: 3.8, and from 3.14 on */
	PY_TYPE_CONTEXT,
	PY_TYPE_ASEND,
	PY_TYPE_WRAPPED,
	PY_TYPE_EARLY_DEQUE, /* a block of collections.deque, up to 3.10 */
	PY_TYPE_FREE_LISTS_END,
	/* And these do not. */
	PY_TYPE_INT = PY_TYPE_FREE_LISTS_END,
	PY_TYPE_STR,
	PY_TYPE_BYTES,
	PY_TYPE_BYTEARRAY,
	PY_TYPE_SET,
	PY_TYPE_FUNCTION,
	PY_TYPE_TYPE,
	PY_TYPE_LONG_TUPLE, /* too long for the free list */
	PY_TYPE_KEYS,       /* of a dict, likewise */
	PY_TYPE_DEQUE,      /* a block of collections.deque */
	PY_TYPE_ITEMS,      /* an array of references: a list's, nearly always */
	/* This and one of the first kind: made where the block's sample says, CPython has told us
	 * (hooks/hook_create). */
	PY_TYPE_MADE,
	PY_TYPE_COUNT = PY_TYPE_MADE + PY_TYPE_FREE_LISTS_END
};

struct py_type_found {
	enum py_type type; /* PY_TYPE_NOT_LOOKED: look again later */
	uintptr_t class;   /* not 0: the block is an instance of this type object; type is OTHER */
	uint64_t identity; /* of the class, see py_class_is */
};

/* `is_python`: allocated by CPython's object allocator, so readable for certain. Without `may_ask`
 * only what plain loads tell is found: the rest is PY_TYPE_NOT_LOOKED. */
TL_INTERNAL struct py_type_found py_type_of(const void *block, size_t size, bool is_python,
					    bool may_ask);
TL_INTERNAL const char *py_type_name(enum py_type type);

/* What an object that is just being made is, by plain loads, where its type has a free list; else
 * PY_TYPE_NOT_LOOKED. Its length is not known yet: a long tuple is one like any other. */
struct py_type_pooled {
	enum py_type type;
	bool is_collected; /* the collector's header stands before it */
};
TL_INTERNAL struct py_type_pooled py_type_pooled_object(const void *object);
/* Types that differ only in where their blocks come from are shown as one. */
TL_INTERNAL enum py_type py_type_shown(enum py_type type);

/* Of any number of a type (profile/classes): the first ones are these. */
static inline bool py_type_is_uncertain(unsigned type)
{
	return type >= PY_TYPE_TUPLE && type < PY_TYPE_FREE_LISTS_END;
}

static inline bool py_type_is_made(unsigned type)
{
	return type > PY_TYPE_MADE && type < PY_TYPE_COUNT;
}

#endif
