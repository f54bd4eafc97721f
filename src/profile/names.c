#include "names.h"

#include "../base/hash.h"
#include "../base/intern.h"
#include "../base/pages.h"
#include "../base/text.h"
#include "../process/modules.h"

#include <string.h>

/* Sized so that all tables together stay below 16 MiB (docs/PERFORMANCE.md). */
#define NAMES_FUNCTIONS 16384u
#define NAMES_TEXTS     32768u
#define NAMES_BYTES     ((size_t)1024 * 1024)

static struct intern names_functions;      /* by identity */
static struct function *names_function_of; /* by number, 0 is NAMES_OTHERS */
static struct intern names_texts;          /* by hash of the text */
static uint32_t *names_offsets;            /* by text number: where it starts in names_bytes */
static char *names_bytes;
static size_t names_bytes_used; /* guarded by names_texts.lock */
static uint64_t names_refused;

static uint64_t *names_function_keys, *names_text_keys;

static void names_begin(void)
{
	names_bytes_used = 1; /* text 0 is "" */
	names_function_of[NAMES_OTHERS].kind = FUNCTION_OTHERS;
}

TL_INTERNAL enum tl_err names_start(void)
{
	names_function_keys = pages_map(intern_bytes(NAMES_FUNCTIONS));
	names_text_keys = pages_map(intern_bytes(NAMES_TEXTS));
	names_function_of = pages_map((NAMES_FUNCTIONS + 1) * sizeof(struct function));
	names_offsets = pages_map((NAMES_TEXTS + 1) * sizeof(uint32_t));
	names_bytes = pages_map(NAMES_BYTES);
	if (names_function_keys == NULL || names_text_keys == NULL || names_function_of == NULL ||
	    names_offsets == NULL || names_bytes == NULL)
		return TL_ERR_SYSTEM;
	intern_start(&names_functions, names_function_keys, NAMES_FUNCTIONS);
	intern_start(&names_texts, names_text_keys, NAMES_TEXTS);
	names_begin();
	return TL_OK;
}

TL_INTERNAL void names_reset_in_child(void)
{
	pages_clear(names_function_keys, intern_bytes(NAMES_FUNCTIONS));
	pages_clear(names_text_keys, intern_bytes(NAMES_TEXTS));
	pages_clear(names_function_of, (NAMES_FUNCTIONS + 1) * sizeof(struct function));
	pages_clear(names_offsets, (NAMES_TEXTS + 1) * sizeof(uint32_t));
	pages_clear(names_bytes, NAMES_BYTES);
	intern_reset(&names_functions);
	intern_reset(&names_texts);
	names_refused = 0;
	names_begin();
}

TL_INTERNAL uint32_t names_of_text(const char *text, size_t length)
{
	uint64_t key = hash_bytes(text, length, length) | 1;
	uint32_t number = intern_find(&names_texts, key);

	if (number != INTERN_NONE || length == 0)
		return number;
	intern_lock(&names_texts);
	number = intern_find(&names_texts, key);
	if (number == INTERN_NONE && names_bytes_used + length + 1 <= NAMES_BYTES) {
		number = intern_reserve(&names_texts, key);
		if (number != INTERN_NONE) {
			names_offsets[number] = (uint32_t)names_bytes_used;
			memcpy(names_bytes + names_bytes_used, text, length);
			names_bytes_used += length + 1; /* the pages are zero: NUL is there */
			intern_publish(&names_texts, number, key);
		}
	}
	intern_unlock(&names_texts);
	return number;
}

/* The function's number; NAMES_OTHERS when there is no room for it or for its names. */
static uint32_t names_add_function(uint64_t key, const struct function *function)
{
	uint32_t number;

	intern_lock(&names_functions);
	number = intern_find(&names_functions, key);
	if (number == INTERN_NONE) {
		number = intern_reserve(&names_functions, key);
		if (number != INTERN_NONE) {
			names_function_of[number] = *function;
			intern_publish(&names_functions, number, key);
		} else {
			TL_ADD(names_refused, 1);
		}
	}
	intern_unlock(&names_functions);
	return number;
}

TL_INTERNAL uint32_t names_function_of_frame(const struct py_frame *frame)
{
	uint64_t identity = py_frame_identity(frame);
	uint32_t number = intern_find(&names_functions, identity);

	if (TL_MOSTLY(number != INTERN_NONE))
		return number;

	char name[NAMES_LONGEST + 1], file[NAMES_LONGEST + 1];
	size_t name_length = py_frame_function_name(frame, name, sizeof(name));
	size_t file_length = py_frame_file_name(frame, file, sizeof(file));
	struct function function = {
		.identity = identity,
		.name = names_of_text(name, name_length),
		.file = names_of_text(file, file_length),
		.first_line = (uint32_t)py_frame_first_line(frame),
		.kind = FUNCTION_PYTHON,
	};

	if ((function.name == 0 && name_length > 0) || (function.file == 0 && file_length > 0)) {
		TL_ADD(names_refused, 1);
		return NAMES_OTHERS;
	}
	return names_add_function(identity, &function);
}

TL_INTERNAL uint32_t names_function_of_address(uintptr_t address)
{
	uint64_t key = hash_bytes(&address, sizeof(address), FUNCTION_NATIVE) | 1;
	uint32_t number = intern_find(&names_functions, key);

	if (TL_MOSTLY(number != INTERN_NONE))
		return number;
	return names_add_function(key,
				  &(struct function){.identity = address, .kind = FUNCTION_NATIVE});
}

TL_INTERNAL const struct function *names_function(uint32_t number)
{
	return &names_function_of[number];
}

TL_INTERNAL uint32_t names_functions_end(void)
{
	return NAMES_FUNCTIONS + 1;
}

TL_INTERNAL const char *names_text(uint32_t name)
{
	return names_bytes + names_offsets[name];
}

TL_INTERNAL uint64_t names_others(void)
{
	return TL_LOAD(names_refused);
}

static void names_name_native(struct function *function, const struct module_place *place)
{
	char buffer[NAMES_LONGEST + 1];
	struct text text = text_over(buffer, sizeof(buffer));
	const char *slash = strrchr(place->path, '/');

	text_put(&text, "<native ");
	text_put(&text, slash != NULL ? slash + 1 : "?");
	text_put(&text, "+0x");
	text_put_hex(&text, place->offset);
	text_put(&text, ">");
	function->file = names_of_text(place->path, strlen(place->path));
	TL_STORE(function->name, names_of_text(text.data, text.length));
}

TL_INTERNAL void names_resolve_natives(void)
{
	enum { BATCH = 32 };
	uintptr_t addresses[BATCH];
	struct module_place places[BATCH];
	struct function *waiting[BATCH];
	size_t count = 0;

	for (uint32_t number = 1; number <= NAMES_FUNCTIONS; number++) {
		if (intern_is_used(&names_functions, number)) {
			struct function *function = &names_function_of[number];

			if (function->kind == FUNCTION_NATIVE && function->name == 0) {
				waiting[count] = function;
				/* A return address: the call stands before it, perhaps as the last
				 * of its function. */
				addresses[count++] = (uintptr_t)function->identity - 1;
			}
		}
		if (count == BATCH || (number == NAMES_FUNCTIONS && count > 0)) {
			modules_find(addresses, places, count);
			for (size_t i = 0; i < count; i++) {
				places[i].offset++;
				names_name_native(waiting[i], &places[i]);
			}
			count = 0;
		}
	}
}

TL_INTERNAL void names_renew_locks(void)
{
	intern_renew_lock(&names_functions);
	intern_renew_lock(&names_texts);
}
