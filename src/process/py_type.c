/* DESIGN
 * An object begins at its block's start, or behind the collector's header of two words, or behind
 * that and two words more. Its type is compared with the known ones, which are nearly all; else it
 * is looked at whether it is a type at all. Tables of dict keys, blocks of deques and the items of
 * lists are no objects: they are known by sizes and fields that fit.
 */
#include "py_type.h"

#include "py_class.h"
#include "py_layout.h"
#include "safe_read.h"

#include <string.h>

#define PY_TYPE_MOST_REFERENCES (1u << 20)
#define PY_TYPE_WORDS           8 /* of a block that are looked at */
#define PY_TYPE_DEQUE_BYTES     (66 * 8)
#define PY_TYPE_LARGEST_TUPLE                                                                      \
	(16 + 24 + 20 * 8) /* of a free list: 20 items, with the collector's header */
#define PY_TYPE_MINOR(minor) (1u << (minor))
#define PY_TYPE_SINCE(minor) (~0u << (minor))
#define PY_TYPE_ALWAYS       (~0u)

/* What an object of a known type is where that has a free list, and where not (OTHER: its class has
 * the name). */
static const struct {
	enum py_type pooled, certain;
	unsigned minors; /* that have a free list for it */
} py_type_kinds[PY_LAYOUT_TYPES] = {
	[PY_KNOWN_TUPLE] = {PY_TYPE_TUPLE, PY_TYPE_LONG_TUPLE, PY_TYPE_ALWAYS},
	[PY_KNOWN_LIST] = {PY_TYPE_LIST, PY_TYPE_OTHER, PY_TYPE_ALWAYS},
	[PY_KNOWN_DICT] = {PY_TYPE_DICT, PY_TYPE_OTHER, PY_TYPE_ALWAYS},
	[PY_KNOWN_FLOAT] = {PY_TYPE_FLOAT, PY_TYPE_OTHER, PY_TYPE_ALWAYS},
	[PY_KNOWN_INT] = {PY_TYPE_LATE_INT, PY_TYPE_INT, PY_TYPE_SINCE(14)},
	[PY_KNOWN_STR] = {PY_TYPE_OTHER, PY_TYPE_STR, 0},
	[PY_KNOWN_BYTES] = {PY_TYPE_OTHER, PY_TYPE_BYTES, 0},
	[PY_KNOWN_BYTEARRAY] = {PY_TYPE_OTHER, PY_TYPE_BYTEARRAY, 0},
	[PY_KNOWN_SET] = {PY_TYPE_OTHER, PY_TYPE_SET, 0},
	[PY_KNOWN_FUNCTION] = {PY_TYPE_OTHER, PY_TYPE_FUNCTION, 0},
	[PY_KNOWN_FRAME] = {PY_TYPE_FRAME, PY_TYPE_OTHER,
			    PY_TYPE_MINOR(8) | PY_TYPE_MINOR(9) | PY_TYPE_MINOR(10)},
	[PY_KNOWN_METHOD] = {PY_TYPE_METHOD, PY_TYPE_OTHER, PY_TYPE_MINOR(8) | PY_TYPE_SINCE(14)},
	[PY_KNOWN_BUILTIN] = {PY_TYPE_BUILTIN, PY_TYPE_OTHER, PY_TYPE_MINOR(8) | PY_TYPE_SINCE(14)},
	[PY_KNOWN_CONTEXT] = {PY_TYPE_CONTEXT, PY_TYPE_OTHER, PY_TYPE_ALWAYS},
	[PY_KNOWN_ASEND] = {PY_TYPE_ASEND, PY_TYPE_OTHER, PY_TYPE_ALWAYS},
	[PY_KNOWN_WRAPPED] = {PY_TYPE_WRAPPED, PY_TYPE_OTHER, PY_TYPE_ALWAYS},
	[PY_KNOWN_TYPE] = {PY_TYPE_OTHER, PY_TYPE_TYPE, 0},
};

/* Its first words, as far as it has them; those behind are 0. */
static bool py_type_read(const void *block, size_t size, bool is_python, uint64_t *words)
{
	size_t count =
		size / sizeof(uint64_t) < PY_TYPE_WORDS ? size / sizeof(uint64_t) : PY_TYPE_WORDS;

	memset(words, 0, PY_TYPE_WORDS * sizeof(*words));
	if (!is_python)
		return count > 0 && safe_read(block, words, count * sizeof(*words));
	for (size_t i = 0; i < count; i++)
		words[i] = __atomic_load_n((const uint64_t *)block + i, __ATOMIC_RELAXED);
	return count > 0;
}

/* PyDictKeysObject. From 3.11 on: sizes as logarithms in two bytes, the kind of its entries, and
 * behind 32 bytes the indices and room for two thirds as many entries; before: 40 bytes, and
 * entries of three words. The smallest, of eight slots (and of str alone, from 3.11 on), have a
 * free list, and no references while they wait in it. */
static enum py_type py_type_of_keys(const uint64_t *words, size_t size)
{
	bool is_late = py_layout.minor >= 11;
	uint64_t slots = is_late ? UINT64_C(1) << (words[1] & 63) : words[1];
	uint64_t indices = is_late ? UINT64_C(1) << (words[1] >> 8 & 63)
				   : slots * (slots <= 0xff     ? 1
					      : slots <= 0xffff ? 2
								: 4);
	size_t head = is_late ? 32 : 40, entry = is_late && (words[1] >> 16 & 0xff) != 0 ? 16 : 24;
	uint64_t room = slots <= UINT32_MAX ? slots * 2 / 3 : UINT32_MAX;
	uint64_t left_and_used = words[head / 8 - 2] + words[head / 8 - 1];

	if (slots < 8 || slots > UINT32_MAX || indices < slots || indices > 8 * slots ||
	    (slots & (slots - 1)) != 0 || left_and_used > room ||
	    size != head + indices + room * entry)
		return PY_TYPE_OTHER;
	return slots == 8 && (!is_late || entry == 16) ? PY_TYPE_SMALL_KEYS : PY_TYPE_KEYS;
}

static bool py_type_is_known(uint64_t type)
{
	for (size_t i = 0; i < PY_LAYOUT_TYPES; i++) {
		if (type == (uintptr_t)py_layout.types[i])
			return type != 0;
	}
	return false;
}

static bool py_type_is_object(uint64_t address)
{
	uint64_t words[4], identity, type;

	if (address < 4096 || address % sizeof(uint64_t) != 0 ||
	    !safe_read((const void *)(uintptr_t)address, words,
		       (size_t)py_layout.object_type + sizeof(uint64_t)))
		return false;
	type = words[py_layout.object_type / 8];
	return py_type_is_known(type) || py_class_is(type, &identity);
}

/* Links to other blocks, and 64 references between; a first block is filled from its start or
 * from its middle. */
static bool py_type_is_deque(const void *block)
{
	uint64_t words[PY_TYPE_DEQUE_BYTES / 8], link;
	uintptr_t self = (uintptr_t)block, last = PY_TYPE_DEQUE_BYTES - 8;

	if (!safe_read(block, words, sizeof(words)))
		return false;
	return (safe_read((const void *)(uintptr_t)(words[0] + last), &link, sizeof(link)) &&
		link == self) ||
	       (safe_read((const void *)(uintptr_t)words[65], &link, sizeof(link)) &&
		link == self) ||
	       py_type_is_object(words[33]) || py_type_is_object(words[2]);
}

static enum py_type py_type_of_buffer(const void *block, const uint64_t *words, size_t size)
{
	/* Without the GIL a list's items stand behind their number. */
	const uint64_t *items = &words[py_layout.free_threaded ? 1 : 0];

	/* Up to 3.10 all deques share a free list; an empty one's block looks like anything. */
	if (size == PY_TYPE_DEQUE_BYTES && py_layout.minor <= 10)
		return PY_TYPE_EARLY_DEQUE;
	if (size == PY_TYPE_DEQUE_BYTES && py_type_is_deque(block))
		return PY_TYPE_DEQUE;
	if (py_type_is_object(items[0]) && (size < 16 || py_type_is_object(items[1])))
		return PY_TYPE_ITEMS;
	return PY_TYPE_OTHER;
}

static enum py_type py_type_of_known(size_t known, size_t size)
{
	bool is_pooled = py_type_kinds[known].minors & PY_TYPE_MINOR(py_layout.minor);

	if (known == PY_KNOWN_TUPLE && size > PY_TYPE_LARGEST_TUPLE)
		is_pooled = false;
	return is_pooled ? py_type_kinds[known].pooled : py_type_kinds[known].certain;
}

/* An object's reference count, so that a list of types is not taken for an instance: below any
 * address. Its upper bits are flags from 3.14 on; without the GIL it is the shared count, two words
 * further. */
static bool py_type_is_count(const uint64_t *object)
{
	return (object[py_layout.free_threaded ? 2 : 0] & ((UINT64_C(1) << 48) - 1)) <
	       PY_TYPE_MOST_REFERENCES;
}

/* In a free list, a float's type is a link, up to 3.13: what it is shows when it is used again. */
static bool py_type_is_parked_float(const uint64_t *words, size_t size)
{
	return size == 24 && words[0] == 0 && py_layout.minor <= 13;
}

static enum py_type py_type_of_object(const uint64_t *object, size_t size)
{
	uint64_t type = object[py_layout.object_type / 8];

	for (size_t i = 0; i < PY_LAYOUT_TYPES && type != 0; i++) {
		enum py_type known = type == (uintptr_t)py_layout.types[i]
					     ? py_type_of_known(i, size)
					     : PY_TYPE_OTHER;

		/* One that waits in a free list may have a link for a count. */
		if (known != PY_TYPE_OTHER &&
		    (py_type_is_uncertain(known) || py_type_is_count(object)))
			return known;
	}
	return PY_TYPE_OTHER;
}

/* An instance's class; 0: it is none. */
static uintptr_t py_type_class_of(const uint64_t *object, uint64_t *identity)
{
	uint64_t type = object[py_layout.object_type / 8];

	return type != 0 && py_type_is_count(object) && py_class_is(type, identity) ? type : 0;
}

TL_INTERNAL struct py_type_found py_type_of(const void *block, size_t size, bool is_python,
					    bool may_ask)
{
	static const size_t headers[] = {2, 0, 4}; /* words; the commonest first */
	struct py_type_found found = {.type = PY_TYPE_OTHER};
	uint64_t words[PY_TYPE_WORDS];

	if (py_layout.minor == 0 || (uintptr_t)block % sizeof(uint64_t) != 0)
		return found;
	if (!is_python && !may_ask)
		return (struct py_type_found){.type = PY_TYPE_NOT_LOOKED};
	if (!py_type_read(block, size, is_python, words))
		return found;
	found.type = py_type_of_keys(words, size);
	for (size_t h = 0; h < TL_COUNT_OF(headers) && found.type == PY_TYPE_OTHER; h++)
		found.type = py_type_of_object(&words[headers[h]], size);
	if (found.type != PY_TYPE_OTHER)
		return found;
	if (!may_ask || py_type_is_parked_float(words, size))
		return (struct py_type_found){.type = PY_TYPE_NOT_LOOKED};
	for (size_t h = 0; h < TL_COUNT_OF(headers) && found.class == 0; h++)
		found.class = py_type_class_of(&words[headers[h]], &found.identity);
	if (found.class == 0)
		found.type = py_type_of_buffer(block, words, size);
	return found;
}

TL_INTERNAL struct py_type_pooled py_type_pooled_object(const void *object)
{
	const uint64_t *words = object;
	uint64_t type = words[py_layout.object_type / 8];
	size_t known = 0;

	while (known < PY_LAYOUT_TYPES && type != (uintptr_t)py_layout.types[known])
		known++;
	if (known == PY_LAYOUT_TYPES ||
	    !(py_type_kinds[known].minors & PY_TYPE_MINOR(py_layout.minor)))
		return (struct py_type_pooled){.type = PY_TYPE_NOT_LOOKED};
	return (struct py_type_pooled){
		.type = py_type_kinds[known].pooled,
		.is_collected = known != PY_KNOWN_FLOAT && known != PY_KNOWN_INT,
	};
}

TL_INTERNAL enum py_type py_type_shown(enum py_type type)
{
	if (py_type_is_made(type))
		type -= PY_TYPE_MADE;
	switch (type) {
	case PY_TYPE_LONG_TUPLE:
		return PY_TYPE_TUPLE;
	case PY_TYPE_KEYS:
		return PY_TYPE_SMALL_KEYS;
	case PY_TYPE_EARLY_DEQUE:
		return PY_TYPE_DEQUE;
	default:
		return type;
	}
}

TL_INTERNAL const char *py_type_name(enum py_type type)
{
	static const char *const names[PY_TYPE_MADE] = {
		[PY_TYPE_NOT_LOOKED] = "",
		[PY_TYPE_OTHER] = "",
		[PY_TYPE_TUPLE] = "tuple",
		[PY_TYPE_LIST] = "list",
		[PY_TYPE_DICT] = "dict",
		[PY_TYPE_SMALL_KEYS] = "dict keys",
		[PY_TYPE_FLOAT] = "float",
		[PY_TYPE_LATE_INT] = "int",
		[PY_TYPE_FRAME] = "frame",
		[PY_TYPE_METHOD] = "method",
		[PY_TYPE_BUILTIN] = "builtin_function_or_method",
		[PY_TYPE_CONTEXT] = "Context",
		[PY_TYPE_ASEND] = "async_generator_asend",
		[PY_TYPE_WRAPPED] = "async_generator_wrapped_value",
		[PY_TYPE_INT] = "int",
		[PY_TYPE_STR] = "str",
		[PY_TYPE_BYTES] = "bytes",
		[PY_TYPE_BYTEARRAY] = "bytearray",
		[PY_TYPE_SET] = "set",
		[PY_TYPE_FUNCTION] = "function",
		[PY_TYPE_TYPE] = "type",
		[PY_TYPE_DEQUE] = "deque block",
		[PY_TYPE_ITEMS] = "list items",
	};

	return names[py_type_shown(type)];
}
