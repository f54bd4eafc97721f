/* py_type: what kind of Python object a block holds, told by the addresses of known types.
 *
 * Runs      anywhere, on a block that cannot be freed meanwhile. Plain loads inside the block.
 * Gives up  with PY_TYPE_OTHER: no known object, a raw buffer, or half-built.
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
	PY_TYPE_DICT_KEYS,
	PY_TYPE_FLOAT,
	PY_TYPE_LATE_INT,    /* int, from 3.14 on */
	PY_TYPE_EARLY_FRAME, /* a frame, up to 3.10 */
	PY_TYPE_FREE_LISTS_END,
	/* And these do not. */
	PY_TYPE_INT = PY_TYPE_FREE_LISTS_END,
	PY_TYPE_STR,
	PY_TYPE_BYTES,
	PY_TYPE_BYTEARRAY,
	PY_TYPE_SET,
	PY_TYPE_FUNCTION,
	PY_TYPE_COUNT
};

_Static_assert(PY_TYPE_COUNT <= 16, "kept in four bits");

/* Never PY_TYPE_NOT_LOOKED. */
TL_INTERNAL enum py_type py_type_of(const void *block, size_t size);
TL_INTERNAL const char *py_type_name(enum py_type type);

static inline bool py_type_is_uncertain(enum py_type type)
{
	return type >= PY_TYPE_TUPLE && type < PY_TYPE_FREE_LISTS_END;
}

#endif
