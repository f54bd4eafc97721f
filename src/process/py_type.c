/* DESIGN
 * An object begins at its block's start, or behind the collector's header of two words, or behind
 * that and two words more. Its second word is its type. Small tables of dict keys are no objects,
 * but they come from a free list too, and are known by their size and by fields that fit.
 */
#include "py_type.h"

#include "py_layout.h"

#include <string.h>

#define PY_TYPE_LARGEST_TUPLE                                                                      \
	(16 + 24 + 20 * 8) /* of a free list: 20 items, with the collector's header */

/* In the order of py_layout's known types. */
static const enum py_type py_type_kinds[PY_LAYOUT_TYPES] = {
	PY_TYPE_TUPLE, PY_TYPE_LIST,     PY_TYPE_DICT,        PY_TYPE_FLOAT,
	PY_TYPE_INT,   PY_TYPE_STR,      PY_TYPE_BYTES,       PY_TYPE_BYTEARRAY,
	PY_TYPE_SET,   PY_TYPE_FUNCTION, PY_TYPE_EARLY_FRAME,
};

static uint64_t py_type_word(const char *at)
{
	return __atomic_load_n((const uint64_t *)(const void *)at, __ATOMIC_RELAXED);
}

/* PyDictKeysObject of eight slots: 3.11 and later have sizes as logarithms in two bytes, and tables
 * of five strings; before it was 40 bytes, the indices, and five entries of three words. */
static bool py_type_is_dict_keys(const char *block, size_t size)
{
	if (py_layout.minor >= 11)
		return size == 120 && (py_type_word(block + 8) & 0xffff) == 0x0303 &&
		       py_type_word(block + 16) + py_type_word(block + 24) <= 5;
	return size == 168 && py_type_word(block + 8) == 8 &&
	       py_type_word(block + 24) + py_type_word(block + 32) <= 5;
}

static enum py_type py_type_refine(enum py_type type, size_t size)
{
	if (type == PY_TYPE_INT && py_layout.minor >= 14)
		return PY_TYPE_LATE_INT;
	if (type == PY_TYPE_TUPLE && size > PY_TYPE_LARGEST_TUPLE)
		return PY_TYPE_OTHER;
	if (type == PY_TYPE_EARLY_FRAME && py_layout.minor >= 11)
		return PY_TYPE_OTHER;
	return type;
}

TL_INTERNAL enum py_type py_type_of(const void *block, size_t size)
{
	const char *start = block;

	if (py_layout.minor == 0 || (uintptr_t)block % sizeof(uint64_t) != 0)
		return PY_TYPE_OTHER;
	for (size_t header = 0; header <= 32; header += 16) {
		size_t at = header + (size_t)py_layout.object_type;
		uint64_t type;

		if (at + sizeof(uint64_t) > size)
			break;
		type = py_type_word(start + at);
		for (size_t i = 0; i < PY_LAYOUT_TYPES && type != 0; i++) {
			if (type == (uintptr_t)py_layout.types[i])
				return py_type_refine(py_type_kinds[i], size);
		}
	}
	return py_type_is_dict_keys(start, size) ? PY_TYPE_DICT_KEYS : PY_TYPE_OTHER;
}

TL_INTERNAL const char *py_type_name(enum py_type type)
{
	static const char *const names[PY_TYPE_COUNT] = {
		[PY_TYPE_NOT_LOOKED] = "",       [PY_TYPE_OTHER] = "",
		[PY_TYPE_TUPLE] = "tuple",       [PY_TYPE_LIST] = "list",
		[PY_TYPE_DICT] = "dict",         [PY_TYPE_DICT_KEYS] = "dict keys",
		[PY_TYPE_FLOAT] = "float",       [PY_TYPE_LATE_INT] = "int",
		[PY_TYPE_INT] = "int",           [PY_TYPE_STR] = "str",
		[PY_TYPE_BYTES] = "bytes",       [PY_TYPE_BYTEARRAY] = "bytearray",
		[PY_TYPE_SET] = "set",           [PY_TYPE_FUNCTION] = "function",
		[PY_TYPE_EARLY_FRAME] = "frame",
	};

	return names[type];
}
