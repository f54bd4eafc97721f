/* DESIGN
 *     type object: header, name, sizes ... flags ... base, dict ... | a class made by Python: its
 *                                                                     qualified name
 *     dict -> keys: header, indices, entries -> the one whose key is `__module__`
 * The head of PyTypeObject has not moved since 3.8, and of the tail one offset is needed: a table.
 * A class statement sets `__module__` first, type() after what it was given, so few entries are
 * looked at. The key is interned: once found, it is known by its address.
 */
#include "py_class.h"

#include "../base/hash.h"
#include "../base/text.h"
#include "py_frame.h"
#include "py_layout.h"
#include "safe_read.h"

#include <string.h>

#define PY_CLASS_FLAG_HEAP  (UINT64_C(1) << 9)
#define PY_CLASS_FLAG_READY (UINT64_C(1) << 12)
#define PY_CLASS_FLAG_TYPE  (UINT64_C(1) << 31) /* its instances are types */
#define PY_CLASS_ENTRIES    64                  /* of a class's dict that are looked at */
#define PY_CLASS_LONGEST    256                 /* bytes of a name that are read */
#define PY_CLASS_KEPT       256u

/* Words of PyTypeObject, from the end of the object's header on. */
enum {
	PY_CLASS_NAME = 1, /* behind the word for variable sizes */
	PY_CLASS_SIZE = 2,
	PY_CLASS_FLAGS = 19,
	PY_CLASS_BASE = 30,
	PY_CLASS_DICT = 31,
	PY_CLASS_WORDS = 32,
};

/* ht_qualname in PyHeapTypeObject, from the end of the object's header on; by minor, from 8 on. */
static const int py_class_qualname[] = {848, 840, 848, 848, 856, 856, 856, 864};

static struct {
	uintptr_t type; /* 0: none */
	uint64_t identity;
} py_class_kept[PY_CLASS_KEPT];

static uintptr_t py_class_module_key; /* the str `__module__`, once met */

static size_t py_class_header(void)
{
	return (size_t)py_layout.object_type + 8;
}

static uintptr_t py_class_type_of(uintptr_t object)
{
	uintptr_t type;

	return object % sizeof(uint64_t) == 0 && object >= 4096 &&
			       safe_read((const void *)(object + (size_t)py_layout.object_type),
					 &type, sizeof(type))
		       ? type
		       : 0;
}

static bool py_class_read(uintptr_t type, uint64_t *words)
{
	return type >= 4096 && type % sizeof(uint64_t) == 0 &&
	       safe_read((const void *)(type + py_class_header()), words,
			 PY_CLASS_WORDS * sizeof(*words));
}

/* Is it `type`, or a metaclass? */
static bool py_class_makes_types(uintptr_t type)
{
	uint64_t words[PY_CLASS_WORDS];

	if (type == (uintptr_t)py_layout.types[PY_KNOWN_TYPE])
		return true;
	return py_class_read(type, words) && (words[PY_CLASS_FLAGS] & PY_CLASS_FLAG_TYPE) != 0 &&
	       (words[PY_CLASS_FLAGS] & PY_CLASS_FLAG_READY) != 0;
}

TL_INTERNAL void py_class_forget(void)
{
	memset(py_class_kept, 0, sizeof(py_class_kept));
}

TL_INTERNAL bool py_class_is(uintptr_t type, uint64_t *identity)
{
	size_t place = hash_bytes(&type, sizeof(type), 0) % PY_CLASS_KEPT;
	uint64_t words[PY_CLASS_WORDS];

	if (type != 0 && py_class_kept[place].type == type) {
		*identity = py_class_kept[place].identity;
		return true;
	}
	if (!py_class_read(type, words) || (words[PY_CLASS_FLAGS] & PY_CLASS_FLAG_READY) == 0 ||
	    words[PY_CLASS_SIZE] < 16 || words[PY_CLASS_SIZE] > UINT32_MAX ||
	    !py_class_makes_types(py_class_type_of(type)))
		return false;
	*identity = hash_bytes(&words[PY_CLASS_BASE], 2 * sizeof(*words), words[PY_CLASS_NAME]);
	py_class_kept[place].type = type;
	py_class_kept[place].identity = *identity;
	return true;
}

/* A str's text as UTF-8; 0: too long, or none. */
static size_t py_class_copy_str(uintptr_t object, char *text, size_t capacity)
{
	char copy[80 + 4 * PY_CLASS_LONGEST];
	size_t bytes;

	if (py_class_type_of(object) != (uintptr_t)py_layout.types[PY_KNOWN_STR] ||
	    !safe_read((const void *)object, copy, (size_t)py_layout.str_ascii_data))
		return 0;
	bytes = py_frame_str_bytes(copy);
	if (bytes == 0 || bytes > sizeof(copy) || !safe_read((const void *)object, copy, bytes) ||
	    py_frame_str_bytes(copy) != bytes) /* freed meanwhile */
		return 0;
	return py_frame_copy_str(copy, text, capacity);
}

static bool py_class_is_module_key(uintptr_t key)
{
	char text[sizeof("__module__") + 1];

	if (py_class_module_key != 0)
		return key == py_class_module_key;
	if (py_class_copy_str(key, text, sizeof(text)) != sizeof("__module__") - 1 ||
	    memcmp(text, "__module__", sizeof("__module__")) != 0)
		return false;
	py_class_module_key = key;
	return true;
}

/* Where the entries of a dict's keys begin, how many there are, and words of each; the key stands
 * `key` words into it, its value behind. */
struct py_class_entries {
	uintptr_t start;
	uint64_t count;
	size_t words, key;
};

static bool py_class_find_entries(uintptr_t keys, struct py_class_entries *entries)
{
	uint64_t head[5];

	if (!safe_read((const void *)keys, head, sizeof(head)))
		return false;
	if (py_layout.minor >= 11) {
		/* Logarithms of the size and of the indices' bytes; 1: all keys are str. */
		unsigned indices = head[1] >> 8 & 0xff;
		bool is_of_str = (head[1] >> 16 & 0xff) == 1;

		*entries = (struct py_class_entries){.start = keys + 32 + (UINT64_C(1) << indices),
						     .count = head[3],
						     .words = is_of_str ? 2 : 3,
						     .key = is_of_str ? 0 : 1};
		return indices < 32;
	}
	*entries = (struct py_class_entries){.start = keys + 40 +
						      head[1] * (head[1] <= 0xff     ? 1
								 : head[1] <= 0xffff ? 2
										     : 4),
					     .count = head[4],
					     .words = 3,
					     .key = 1};
	return head[1] <= UINT32_MAX;
}

/* The value of `__module__` in a class's dict; 0: not found. */
static uintptr_t py_class_module(uintptr_t dict)
{
	uint64_t words[3 * PY_CLASS_ENTRIES];
	struct py_class_entries entries;
	uintptr_t keys;
	size_t count;

	if (py_class_type_of(dict) != (uintptr_t)py_layout.types[PY_KNOWN_DICT] ||
	    !safe_read((const void *)(dict + py_class_header() + 16), &keys, sizeof(keys)) ||
	    !py_class_find_entries(keys, &entries))
		return 0;
	count = entries.count < PY_CLASS_ENTRIES ? (size_t)entries.count : PY_CLASS_ENTRIES;
	if (!safe_read((const void *)entries.start, words, count * entries.words * sizeof(*words)))
		return 0;
	for (size_t i = 0; i < count; i++) {
		const uint64_t *entry = &words[i * entries.words + entries.key];

		if (entry[0] != 0 && py_class_is_module_key(entry[0]))
			return entry[1];
	}
	return 0;
}

/* A static type's name, in C: it has its module in it. */
static bool py_class_copy_c_name(uintptr_t at, char *name, size_t capacity)
{
	char copy[PY_CLASS_LONGEST];
	size_t bytes = sizeof(copy), length;

	if (at == 0)
		return false;
	/* Up to the page's end, which may be that of what is mapped. */
	if (bytes > 4096 - at % 4096)
		bytes = 4096 - at % 4096;
	if (!safe_read((const void *)at, copy, bytes))
		return false;
	length = strnlen(copy, bytes);
	length = text_utf8_prefix(copy, length, capacity - 1);
	memcpy(name, copy, length);
	name[length] = '\0';
	return length > 0;
}

TL_INTERNAL bool py_class_name(uintptr_t type, char *name, size_t capacity)
{
	uint64_t words[PY_CLASS_WORDS];
	uintptr_t qualname;
	char module[PY_CLASS_LONGEST], qualified[PY_CLASS_LONGEST];
	struct text text = text_over(name, capacity);
	size_t minor = (size_t)py_layout.minor - 8;

	if (minor >= TL_COUNT_OF(py_class_qualname) || !py_class_read(type, words))
		return false;
	if ((words[PY_CLASS_FLAGS] & PY_CLASS_FLAG_HEAP) == 0 ||
	    !safe_read((const void *)(type + py_class_header() + (size_t)py_class_qualname[minor]),
		       &qualname, sizeof(qualname)) ||
	    py_class_copy_str(qualname, qualified, sizeof(qualified)) == 0)
		return py_class_copy_c_name(words[PY_CLASS_NAME], name, capacity);
	if (py_class_copy_str(py_class_module(words[PY_CLASS_DICT]), module, sizeof(module)) > 0 &&
	    strcmp(module, "builtins") != 0) {
		text_put(&text, module);
		text_put_char(&text, '.');
	}
	text_put(&text, qualified);
	text.length = text_utf8_prefix(name, text.length, capacity - 1);
	text_terminate(&text);
	return true;
}
