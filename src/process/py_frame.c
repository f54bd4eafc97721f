/* DESIGN
 *
 *   thread state -> frame -> frame -> ... -> NULL      3.8 to 3.10: frames are objects
 *                -> [cframe ->] frame -> frame -> ...  3.11 and later: records on the interpreter's
 *                                                      own stack, some of them no Python function
 *   frame -> code -> names (str), line table (bytes)
 *
 * Only the thread itself changes its frames, frames own their code, code owns its names, and names
 * never change: so plain loads by the thread itself are safe without the GIL, where any call of
 * CPython's API would not be. Every code object is checked to be one before use, which also makes a
 * wrong layout show as an empty stack.
 *
 * A function's identity is made of contents. Code objects are freed and their addresses come back
 * for others within microseconds (templates, exec), and so do the addresses of their names: a cache
 * keyed by pointers lied for up to half of the frames.
 */
#include "py_frame.h"

#include <string.h>

#include "../base/hash.h"
#include "py_lines.h"

enum {
	PY_FRAME_OWNER_GENERATOR = 1,
	PY_FRAME_OWNER_NOT_PYTHON = 3, /* and above: an entry from C */
	PY_FRAME_TAG_BITS = 3,         /* of a reference, from 3.14 on; 0 before */
	PY_FRAME_UTF8_LONGEST = 4,
	PY_FRAME_REPLACEMENT = 0xfffd,
};

/* The data of a str object. */
struct py_frame_string {
	const uint8_t *data;
	size_t length; /* in characters */
	unsigned kind; /* bytes a character: 1, 2, 4; 0: not a string that we can read */
	bool is_ascii;
};

static const char *py_frame_pointer_at(const char *base, int offset)
{
	const char *value;

	memcpy(&value, base + offset, sizeof(value));
	return value;
}

static int32_t py_frame_int_at(const char *base, int offset)
{
	int32_t value;

	memcpy(&value, base + offset, sizeof(value));
	return value;
}

static bool py_frame_is_code(const char *object)
{
	return object && py_frame_pointer_at(object, py_layout.object_type) == py_layout.code_type;
}

/* ---- Thread state ---- */

/* Acquire: py_layout_find fills the rest before. */
static int py_frame_minor(void)
{
	return __atomic_load_n(&py_layout.minor, __ATOMIC_ACQUIRE);
}

TL_INTERNAL bool py_frame_interpreter_is_down(void)
{
	return py_layout.is_initialized != NULL && !py_layout.is_initialized();
}

TL_INTERNAL void *py_frame_thread_state(enum py_hook_layer layer)
{
	int minor = py_frame_minor();
	void *state;

	/* The gate also closes before finalisation frees other threads' states. */
	if (!minor || !py_layout.is_initialized())
		return NULL;
	if (layer == PY_HOOK_OBJECTS)
		return py_layout.current_thread_state();
	/* Up to 3.11 the "current" state is the GIL holder's, whichever thread that is. */
	if (minor <= 11)
		return py_layout.this_threads_state();
	state = py_layout.current_thread_state();
	return state ? state : py_layout.this_threads_state();
}

TL_INTERNAL bool py_frame_thread_is_attached(void)
{
	int minor = py_frame_minor();
	void *current = minor ? py_layout.current_thread_state() : NULL;

	return current && (minor >= 12 || current == py_layout.this_threads_state());
}

/* ---- Walk ---- */

static const char *py_frame_at_of_object(const char *frame)
{
	return (const char *)(intptr_t)py_frame_int_at(frame, py_layout.frame_instruction);
}

static size_t py_frame_walk_objects(const char *frame, struct py_frame *frames, size_t limit,
				    bool *is_deeper)
{
	/* Code units from 3.10 on, bytes before. */
	const int32_t unit = py_layout.line_table == PY_LINES_LINETABLE ? 2 : 1;
	size_t depth = 0;

	for (; frame; frame = py_frame_pointer_at(frame, py_layout.frame_previous)) {
		const char *code = py_frame_pointer_at(frame, py_layout.frame_code);
		int32_t instruction = py_frame_int_at(frame, py_layout.frame_instruction);

		if (!py_frame_is_code(code))
			return 0;
		if (depth == limit) {
			*is_deeper = true;
			break;
		}
		frames[depth++] = (struct py_frame){
			.code = code,
			.instruction = instruction < 0 ? -1 : instruction * unit,
			.at = py_frame_at_of_object(frame),
		};
	}
	return depth;
}

/* The bytecode's copy for the frame's thread, of which 3.14's free-threaded build makes one each:
 * struct { intptr_t size; char *entries[]; }. NULL if there is none. */
static const char *py_frame_copied_bytecode(const char *frame, const char *code)
{
	const char *copies = py_frame_pointer_at(code, py_layout.code_tlbc);
	int32_t index = py_frame_int_at(frame, py_layout.frame_tlbc_index);

	if (!copies || index < 0 || index >= (intptr_t)py_frame_pointer_at(copies, 0))
		return NULL;
	return py_frame_pointer_at(copies, 8 + 8 * index);
}

static const char *py_frame_code_of_record(const char *frame)
{
	uintptr_t reference = (uintptr_t)py_frame_pointer_at(frame, py_layout.frame_code);

	return (const char *)(reference & ~(uintptr_t)PY_FRAME_TAG_BITS);
}

/* Reads one record. */
enum py_frame_record { PY_FRAME_COMPLETE, PY_FRAME_SKIPPED, PY_FRAME_BROKEN };

static inline enum py_frame_record py_frame_read_record(const char *frame, struct py_frame *found)
{
	uint8_t owner = (uint8_t)frame[py_layout.frame_owner];
	const char *code, *bytecode, *instruction;
	int64_t offset;

	if (owner >= PY_FRAME_OWNER_NOT_PYTHON)
		return PY_FRAME_SKIPPED;
	code = py_frame_code_of_record(frame);
	if (!py_frame_is_code(code))
		return PY_FRAME_BROKEN;
	bytecode = TL_MOSTLY(py_layout.code_tlbc < 0) ? code + py_layout.code_bytes
						      : py_frame_copied_bytecode(frame, code);
	if (!bytecode)
		return PY_FRAME_BROKEN;
	instruction = py_frame_pointer_at(frame, py_layout.frame_instruction);
	offset = (int64_t)((uintptr_t)instruction - (uintptr_t)bytecode);

	/* As CPython has it, a function whose arguments and cells are still being set up is not
	 * there yet. */
	if (owner != PY_FRAME_OWNER_GENERATOR &&
	    offset < 2 * (int64_t)py_frame_int_at(code, py_layout.code_first_traceable))
		return PY_FRAME_SKIPPED;
	found->code = code;
	found->instruction = offset < 0 || offset > INT32_MAX ? -1 : (int32_t)offset;
	found->at = instruction;
	return PY_FRAME_COMPLETE;
}

static size_t py_frame_walk_records(const char *frame, struct py_frame *frames, size_t limit,
				    bool *is_deeper)
{
	/* Between two Python functions there are at most an entry from C and a function that has
	 * not begun. More than that is no stack, and may be a ring. */
	size_t skips_left = 4 * limit + 8;
	size_t depth = 0;

	for (; frame; frame = py_frame_pointer_at(frame, py_layout.frame_previous)) {
		struct py_frame found;
		enum py_frame_record kind = py_frame_read_record(frame, &found);

		if (kind == PY_FRAME_BROKEN || (kind == PY_FRAME_SKIPPED && !skips_left--))
			return 0;
		if (kind == PY_FRAME_SKIPPED)
			continue;
		if (depth == limit) {
			*is_deeper = true;
			break;
		}
		frames[depth++] = found;
	}
	return depth;
}

/* Where the walk begins; NULL: nowhere. */
static inline const char *py_frame_first(const void *thread_state)
{
	const char *frame;

	if (!thread_state)
		return NULL;
	frame = py_frame_pointer_at(thread_state, py_layout.thread_frame);
	if (frame && py_layout.line_table == PY_LINES_LOCATIONS && py_layout.cframe_current >= 0)
		frame = py_frame_pointer_at(frame, py_layout.cframe_current);
	return frame;
}

TL_INTERNAL size_t py_frame_walk(const void *thread_state, struct py_frame *frames, size_t limit,
				 bool *is_deeper)
{
	const char *frame = py_frame_first(thread_state);

	*is_deeper = false;
	if (py_layout.line_table != PY_LINES_LOCATIONS)
		return py_frame_walk_objects(frame, frames, limit, is_deeper);
	return py_frame_walk_records(frame, frames, limit, is_deeper);
}

/* A loop's record, if it is one that can be read; else 0. */
static uintptr_t py_frame_loop(const char *at, int offset, uintptr_t low, uintptr_t high)
{
	uintptr_t loop = (uintptr_t)py_frame_pointer_at(at, offset);

	return loop >= low && loop < high - 64 ? loop : 0;
}

/* 3.10, where each frame has a loop, and 3.11, where the first of each loop is marked. */
static void py_frame_find_listed_loops(const void *thread_state, uintptr_t low, uintptr_t high,
				       uintptr_t *loops, size_t depth)
{
	const char *frame = py_frame_first(thread_state);
	uintptr_t loop = py_frame_loop(thread_state, py_layout.thread_loop, low, high);
	size_t i = 0;

	while (i < depth && loop != 0) {
		bool is_entry = true;
		struct py_frame found;

		if (py_layout.frame_is_entry >= 0) {
			is_entry = frame[py_layout.frame_is_entry] != 0;
			if (py_frame_read_record(frame, &found) == PY_FRAME_COMPLETE)
				loops[i++] = loop;
		} else {
			loops[i++] = loop;
		}
		frame = py_frame_pointer_at(frame, py_layout.frame_previous);
		if (frame == NULL)
			break;
		if (is_entry)
			loop = py_frame_loop((const char *)loop, py_layout.loop_previous, low,
					     high);
	}
}

/* 3.12 and later: the loop's own record stands behind the frames that it runs. */
static void py_frame_find_entry_loops(const void *thread_state, uintptr_t low, uintptr_t high,
				      uintptr_t *loops, size_t depth)
{
	/* Of a function that calls itself without end, the loop is not looked for. */
	size_t steps_left = 4 * depth + 512;
	size_t found = 0, named = 0;

	for (const char *frame = py_frame_first(thread_state);
	     frame != NULL && named < depth && steps_left-- > 0;
	     frame = py_frame_pointer_at(frame, py_layout.frame_previous)) {
		uintptr_t at = (uintptr_t)frame;
		struct py_frame read;
		enum py_frame_record kind = py_frame_read_record(frame, &read);

		if (kind == PY_FRAME_BROKEN)
			break;
		found += kind == PY_FRAME_COMPLETE && found < depth;
		if ((uint8_t)frame[py_layout.frame_owner] < PY_FRAME_OWNER_NOT_PYTHON)
			continue;
		for (; named < found; named++)
			loops[named] = at >= low && at < high ? at : 0;
	}
}

TL_INTERNAL void py_frame_find_loops(const void *thread_state, uintptr_t low, uintptr_t high,
				     uintptr_t *loops, size_t depth)
{
	memset(loops, 0, depth * sizeof(*loops));
	if (thread_state == NULL || high < low + 64)
		return;
	if (py_layout.thread_loop >= 0)
		py_frame_find_listed_loops(thread_state, low, high, loops, depth);
	else if (py_layout.line_table == PY_LINES_LOCATIONS)
		py_frame_find_entry_loops(thread_state, low, high, loops, depth);
}

TL_INTERNAL bool py_frame_leaf(const void *thread_state, struct py_frame *leaf)
{
	const char *frame = py_frame_first(thread_state);
	bool is_deeper;

	/* Nearly always the first record is the one. */
	if (frame && py_layout.line_table == PY_LINES_LOCATIONS &&
	    TL_MOSTLY(py_frame_read_record(frame, leaf) == PY_FRAME_COMPLETE))
		return true;
	return py_frame_walk(thread_state, leaf, 1, &is_deeper) == 1;
}

TL_INTERNAL struct py_frame_spot py_frame_peek(const void *thread_state, const char *otherwise)
{
	const char *frame = py_frame_first(thread_state);

	if (!frame)
		return (struct py_frame_spot){.code = otherwise};
	if (TL_MOSTLY(py_layout.line_table == PY_LINES_LOCATIONS))
		return (struct py_frame_spot){
			.code = py_frame_code_of_record(frame),
			.at = py_frame_pointer_at(frame, py_layout.frame_instruction)};
	return (struct py_frame_spot){.code = py_frame_pointer_at(frame, py_layout.frame_code),
				      .at = py_frame_at_of_object(frame)};
}

/* ---- Lines ---- */

TL_INTERNAL int32_t py_frame_line(const struct py_frame *frame)
{
	const char *bytes = py_frame_pointer_at(frame->code, py_layout.code_lines);
	const uint8_t *table = (const uint8_t *)bytes + py_layout.bytes_data;
	size_t length = (size_t)py_frame_pointer_at(bytes, py_layout.bytes_length);
	int32_t first_line = py_frame_first_line(frame);

	switch (py_layout.line_table) {
	case PY_LINES_LNOTAB:
		return py_line_from_lnotab(table, length, first_line, frame->instruction);
	case PY_LINES_LINETABLE:
		return py_line_from_linetable(table, length, first_line, frame->instruction);
	case PY_LINES_LOCATIONS:
		return py_line_from_locations(table, length, first_line, frame->instruction);
	}
	return 0;
}

TL_INTERNAL int32_t py_frame_first_line(const struct py_frame *frame)
{
	return py_frame_int_at(frame->code, py_layout.code_first_line);
}

/* ---- Strings ---- */

static struct py_frame_string py_frame_string_of(const char *object)
{
	uint32_t state = (uint32_t)py_frame_int_at(object, py_layout.str_state);
	const uint32_t compact_bit = py_layout.str_ascii_bit >> 1;
	struct py_frame_string string;

	string.length = (size_t)py_frame_pointer_at(object, py_layout.str_length);
	string.kind = (state & py_layout.str_kind_mask) >> py_layout.str_kind_shift;
	string.is_ascii = state & py_layout.str_ascii_bit;
	/* A subclass of str keeps its characters elsewhere. The utf8 pointer next to them is not
	 * for us: other threads fill it in when they like. */
	if (!(state & compact_bit))
		string.data =
			(const uint8_t *)py_frame_pointer_at(object, py_layout.str_other_data);
	else
		string.data =
			(const uint8_t *)object +
			(string.is_ascii ? py_layout.str_ascii_data : py_layout.str_other_data);
	if (!string.data || (string.kind != 1 && string.kind != 2 && string.kind != 4))
		string.kind = 0;
	return string;
}

static const char *py_frame_function_object(const struct py_frame *frame)
{
	return py_frame_pointer_at(frame->code, py_layout.code_qualname >= 0
							? py_layout.code_qualname
							: py_layout.code_name);
}

static struct py_frame_string py_frame_function_string(const struct py_frame *frame)
{
	return py_frame_string_of(py_frame_function_object(frame));
}

/* The importer may replace a code's file name once, so its pointer is read once. */
static const char *py_frame_file_object(const struct py_frame *frame)
{
	return py_frame_pointer_at(frame->code, py_layout.code_filename);
}

static struct py_frame_string py_frame_file_string(const struct py_frame *frame)
{
	return py_frame_string_of(py_frame_file_object(frame));
}

static uint32_t py_frame_character(const struct py_frame_string *string, size_t index)
{
	uint16_t two;
	uint32_t four;

	switch (string->kind) {
	case 1:
		return string->data[index];
	case 2:
		memcpy(&two, string->data + 2 * index, sizeof(two));
		return two;
	default:
		memcpy(&four, string->data + 4 * index, sizeof(four));
		return four;
	}
}

/* One character as UTF-8, NUL and what is no character as U+FFFD. Returns its length. */
static size_t py_frame_utf8(uint32_t character, char *out)
{
	if (character == 0 || (character >= 0xd800 && character < 0xe000) || character > 0x10ffff)
		character = PY_FRAME_REPLACEMENT;
	if (character < 0x80) {
		out[0] = (char)character;
		return 1;
	}
	if (character < 0x800) {
		out[0] = (char)(0xc0 | character >> 6);
		out[1] = (char)(0x80 | (character & 0x3f));
		return 2;
	}
	if (character < 0x10000) {
		out[0] = (char)(0xe0 | character >> 12);
		out[1] = (char)(0x80 | (character >> 6 & 0x3f));
		out[2] = (char)(0x80 | (character & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | character >> 18);
	out[1] = (char)(0x80 | (character >> 12 & 0x3f));
	out[2] = (char)(0x80 | (character >> 6 & 0x3f));
	out[3] = (char)(0x80 | (character & 0x3f));
	return 4;
}

static size_t py_frame_copy_string(struct py_frame_string string, char *buffer, size_t capacity)
{
	size_t room = capacity ? capacity - 1 : 0;
	size_t length = 0;

	if (!capacity)
		return 0;
	for (size_t i = 0; string.kind && i < string.length; i++) {
		char utf8[PY_FRAME_UTF8_LONGEST];
		size_t size = py_frame_utf8(py_frame_character(&string, i), utf8);

		if (size > room - length)
			break;
		memcpy(buffer + length, utf8, size);
		length += size;
	}
	buffer[length] = '\0';
	return length;
}

TL_INTERNAL size_t py_frame_function_name(const struct py_frame *frame, char *buffer,
					  size_t capacity)
{
	return py_frame_copy_string(py_frame_function_string(frame), buffer, capacity);
}

TL_INTERNAL size_t py_frame_file_name(const struct py_frame *frame, char *buffer, size_t capacity)
{
	return py_frame_copy_string(py_frame_file_string(frame), buffer, capacity);
}

TL_INTERNAL size_t py_frame_copy_str(const char *object, char *buffer, size_t capacity)
{
	return py_frame_copy_string(py_frame_string_of(object), buffer, capacity);
}

TL_INTERNAL size_t py_frame_str_bytes(const char *object)
{
	struct py_frame_string string = py_frame_string_of(object);
	size_t head =
		(size_t)(string.is_ascii ? py_layout.str_ascii_data : py_layout.str_other_data);

	if (string.kind == 0 || string.data != (const uint8_t *)object + head ||
	    string.length > UINT32_MAX)
		return 0;
	return head + string.length * string.kind;
}

/* ---- Identities ---- */

static uint64_t py_frame_hash_string(struct py_frame_string string, uint64_t seed)
{
	return hash_bytes(string.data, string.length * string.kind,
			  seed ^ (uint64_t)string.kind << 32);
}

TL_INTERNAL uint64_t py_frame_identity(const struct py_frame *frame)
{
	uint64_t hash = (uint32_t)py_frame_first_line(frame);

	hash = py_frame_hash_string(py_frame_function_string(frame), hash);
	hash = py_frame_hash_string(py_frame_file_string(frame), hash);
	return hash ? hash : 1;
}

TL_INTERNAL uint64_t py_frame_line_table_identity(const struct py_frame *frame)
{
	enum { PIECE = 64 };
	const char *bytes = py_frame_pointer_at(frame->code, py_layout.code_lines);
	const char *table = bytes + py_layout.bytes_data;
	size_t length = (size_t)py_frame_pointer_at(bytes, py_layout.bytes_length);
	size_t piece = length < PIECE ? length : PIECE;

	/* The end of the table: it begins alike in functions of the same shape. */
	return hash_bytes(table + length - piece, piece, (uintptr_t)bytes ^ length << 48);
}

/* CPython's own hash of a str object's contents, which stands behind the length once it was asked
 * for (interned names have it); else ours. */
static uint64_t py_frame_str_hash(const char *object)
{
	uint64_t hash = (uintptr_t)py_frame_pointer_at(object, py_layout.str_length + 8);

	return hash != UINT64_MAX ? hash : py_frame_hash_string(py_frame_string_of(object), 0);
}

/* From 3.12 on CPython numbers the code objects that it makes until it has run out of numbers; from
 * 3.13 on each interpreter for itself, so the number alone would not do. 0: it has none. */
static uint32_t py_frame_code_number(const struct py_frame *frame)
{
	return py_layout.code_version < 0
		       ? 0
		       : (uint32_t)py_frame_int_at(frame->code, py_layout.code_version);
}

TL_INTERNAL const char *py_frame_stamp(const struct py_frame *frame)
{
	uint64_t function = py_frame_str_hash(py_frame_function_object(frame));
	uint32_t number = py_frame_code_number(frame);
	uint64_t names;

	if (number != 0)
		return (const char *)(uintptr_t)hash_fold(function ^ number, (uintptr_t)frame->at);
	names = hash_fold(function, py_frame_str_hash(py_frame_file_object(frame)) ^
					    (uint32_t)py_frame_first_line(frame));
	return (const char *)(uintptr_t)hash_fold(names ^ (uintptr_t)frame->at,
						  py_frame_line_table_identity(frame));
}
