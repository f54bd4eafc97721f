/* links: process/py_frame.c process/py_layout.c process/py_lines.c base/hash.c */
#include "process/py_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Objects as 3.12 and the free-threaded 3.14 have them, made by hand where the layout says. */

enum { OBJECT_SIZE = 512, CODES = 8, FRAMES = 8 };

static char code_type[8], other_type[8];
static char codes[CODES][OBJECT_SIZE] __attribute__((aligned(16)));
static char frames[FRAMES][OBJECT_SIZE] __attribute__((aligned(16)));
static char thread_state[OBJECT_SIZE], cframe[OBJECT_SIZE];
static int initialised = 1;
static void *attached_state, *own_state;

static int fake_is_initialized(void)
{
	return initialised;
}

static void *fake_current_state(void)
{
	return attached_state;
}

static void *fake_own_state(void)
{
	return own_state;
}

static void put(char *object, int offset, const void *value, size_t size)
{
	memcpy(object + offset, value, size);
}

static void put_pointer(char *object, int offset, const void *pointer)
{
	put(object, offset, &pointer, sizeof(pointer));
}

static void put_int(char *object, int offset, int32_t value)
{
	put(object, offset, &value, sizeof(value));
}

static void use_layout_of_3_12(void)
{
	py_layout = (struct py_layout){
		.minor = 12,
		.line_table = PY_LINES_LOCATIONS,
		.is_initialized = fake_is_initialized,
		.current_thread_state = fake_current_state,
		.this_threads_state = fake_own_state,
		.code_type = code_type,
		.thread_frame = 56,
		.cframe_current = 0,
		.frame_code = 0,
		.frame_previous = 8,
		.frame_instruction = 56,
		.frame_owner = 70,
		.frame_tlbc_index = -1,
		.code_filename = 112,
		.code_name = 120,
		.code_qualname = 128,
		.code_first_line = 68,
		.code_version = -1,
		.code_lines = 136,
		.code_first_traceable = 176,
		.code_bytes = 192,
		.code_tlbc = -1,
		.object_type = 8,
		.bytes_length = 16,
		.bytes_data = 32,
		.str_length = 16,
		.str_state = 32,
		.str_ascii_data = 40,
		.str_other_data = 56,
		.str_kind_mask = 0x1c,
		.str_kind_shift = 2,
		.str_ascii_bit = 0x40,
	};
}

static void use_layout_of_3_8(void)
{
	use_layout_of_3_12();
	py_layout.minor = 8;
	py_layout.line_table = PY_LINES_LNOTAB;
	py_layout.thread_frame = 24;
	py_layout.cframe_current = -1;
	py_layout.frame_code = 32;
	py_layout.frame_previous = 24;
	py_layout.frame_instruction = 104;
	py_layout.frame_owner = -1;
	py_layout.code_qualname = -1;
	py_layout.code_bytes = py_layout.code_first_traceable = -1;
}

/* A thread whose stack is frames[0] -> frames[1] -> ... of codes[0], codes[1] ..., each 10 bytes
 * into its bytecode. */
static int set_up(void **state)
{
	(void)state;
	use_layout_of_3_12();
	initialised = 1;
	memset(codes, 0, sizeof(codes));
	memset(frames, 0, sizeof(frames));
	for (int i = 0; i < CODES; i++) {
		put_pointer(codes[i], 8, code_type);
		put_int(codes[i], 68, 100 * i);
		put_int(codes[i], 176, 2);
		put_pointer(frames[i], 0, codes[i]);
		put_pointer(frames[i], 8, i + 1 < FRAMES ? frames[i + 1] : NULL);
		put_pointer(frames[i], 56, codes[i] + 192 + 10);
	}
	put_pointer(thread_state, 56, cframe);
	put_pointer(cframe, 0, frames[0]);
	attached_state = own_state = thread_state;
	return 0;
}

static size_t walk(struct py_frame *found, size_t limit, bool *is_deeper)
{
	return py_frame_walk(thread_state, found, limit, is_deeper);
}

/* ---- Walk ---- */

static void a_walk_gives_the_frames_from_the_innermost(void **state)
{
	struct py_frame found[FRAMES];
	bool is_deeper = true;

	(void)state;
	assert_int_equal(walk(found, FRAMES, &is_deeper), FRAMES);

	assert_false(is_deeper);
	for (int i = 0; i < FRAMES; i++) {
		assert_ptr_equal(found[i].code, codes[i]);
		assert_int_equal(found[i].instruction, 10);
		assert_int_equal(py_frame_first_line(&found[i]), 100 * i);
	}
}

static void a_walk_stops_at_its_limit_and_says_so(void **state)
{
	struct py_frame found[FRAMES];
	bool is_deeper = false;

	(void)state;
	assert_int_equal(walk(found, 3, &is_deeper), 3);
	assert_true(is_deeper);
	assert_int_equal(walk(found, FRAMES - 1, &is_deeper), FRAMES - 1);
	assert_true(is_deeper);
}

static void entries_from_c_and_frames_that_have_not_begun_are_no_python_functions(void **state)
{
	struct py_frame found[FRAMES];
	bool is_deeper;

	(void)state;
	frames[1][70] = 3;
	put_pointer(frames[1], 0, NULL);
	put_pointer(frames[2], 56,
		    codes[2] + 192 + 2); /* before _co_firsttraceable, which is in code units */
	frames[FRAMES - 1][70] = 4;

	assert_int_equal(walk(found, FRAMES, &is_deeper), FRAMES - 3);
	assert_ptr_equal(found[0].code, codes[0]);
	assert_ptr_equal(found[1].code, codes[3]);
	assert_int_equal(walk(found, FRAMES - 3, &is_deeper), FRAMES - 3);
	assert_false(is_deeper);
}

static void a_generator_that_has_not_begun_is_there_and_on_its_first_line(void **state)
{
	struct py_frame found[FRAMES];
	bool is_deeper;

	(void)state;
	frames[0][70] = 1;
	put_pointer(frames[0], 56, codes[0] + 192 - 2);

	assert_int_equal(walk(found, FRAMES, &is_deeper), FRAMES);
	assert_int_equal(found[0].instruction, -1);
}

static void what_is_no_code_object_makes_the_stack_empty(void **state)
{
	struct py_frame found[FRAMES];
	bool is_deeper;

	(void)state;
	put_pointer(codes[5], 8, other_type);
	assert_int_equal(walk(found, FRAMES, &is_deeper), 0);
	put_pointer(frames[5], 0, NULL);
	assert_int_equal(walk(found, FRAMES, &is_deeper), 0);
}

/* ---- Loops ---- */

static uintptr_t loops[FRAMES];
static char loop_records[FRAMES][64];

static void find_loops(const void *low, const void *high, size_t depth)
{
	memset(loops, 0xee, sizeof(loops));
	py_frame_find_loops(thread_state, (uintptr_t)low, (uintptr_t)high, loops, depth);
}

/* loop_records[0] -> loop_records[1] -> ... */
static void chain_loops(int thread, int previous)
{
	py_layout.thread_loop = thread;
	py_layout.loop_previous = previous;
	for (int i = 0; i + 1 < FRAMES; i++)
		put_pointer(loop_records[i], previous, loop_records[i + 1]);
	put_pointer(thread_state, thread, loop_records[0]);
}

static void a_loop_of_3_12_leaves_its_record_behind_the_frames_that_it_runs(void **state)
{
	(void)state;
	py_layout.thread_loop = -1;
	frames[2][70] = frames[5][70] = 3;
	find_loops(frames, frames[FRAMES - 1], 4);

	assert_int_equal(loops[0], (uintptr_t)frames[2]);
	assert_int_equal(loops[1], (uintptr_t)frames[2]);
	assert_int_equal(loops[2], (uintptr_t)frames[5]);
	assert_int_equal(loops[3], (uintptr_t)frames[5]);

	find_loops(frames[3], frames[FRAMES - 1], 4); /* the first record is not on this stack */
	assert_int_equal(loops[1], 0);
	assert_int_equal(loops[2], (uintptr_t)frames[5]);
	find_loops(frames, frames[FRAMES - 1], 6); /* those behind the last record */
	assert_int_equal(loops[4], 0);
	find_loops(frames, frames, 4); /* a stack that is not known */
	assert_int_equal(loops[0], 0);
}

static void the_first_frame_of_each_loop_of_3_11_is_marked(void **state)
{
	(void)state;
	chain_loops(80, 16);
	py_layout.frame_is_entry = 300;
	frames[0][300] = frames[3][300] = 1;
	frames[2][70] = 3; /* not complete */
	find_loops(loop_records, loop_records + FRAMES, 4);

	assert_int_equal(loops[0], (uintptr_t)loop_records[0]);
	assert_int_equal(loops[1], (uintptr_t)loop_records[1]);
	assert_int_equal(loops[2], (uintptr_t)loop_records[1]);
	assert_int_equal(loops[3], (uintptr_t)loop_records[2]);
}

static void each_frame_of_3_10_has_a_loop_and_a_chain_that_leaves_the_stack_ends(void **state)
{
	(void)state;
	use_layout_of_3_8();
	py_layout.line_table = PY_LINES_LINETABLE;
	put_pointer(thread_state, 24, frames[0]);
	for (int i = 0; i + 1 < FRAMES; i++)
		put_pointer(frames[i], 24, frames[i + 1]);
	chain_loops(80, 8);
	py_layout.frame_is_entry = -1;
	put_pointer(loop_records[1], 8, codes);
	find_loops(loop_records, loop_records + FRAMES, 3);

	assert_int_equal(loops[0], (uintptr_t)loop_records[0]);
	assert_int_equal(loops[1], (uintptr_t)loop_records[1]);
	assert_int_equal(loops[2], 0);
}

static void a_ring_of_entries_from_c_does_not_hang(void **state)
{
	struct py_frame found[FRAMES];
	bool is_deeper;

	(void)state;
	frames[1][70] = frames[2][70] = 3;
	put_pointer(frames[2], 8, frames[1]);
	assert_int_equal(walk(found, FRAMES, &is_deeper), 0);
}

static void the_leaf_is_where_a_walk_begins(void **state)
{
	struct py_frame leaf, found[1];
	struct py_frame_spot peeked;
	bool is_deeper;

	(void)state;
	for (int is_skipped = 0; is_skipped < 2; is_skipped++) {
		frames[0][70] = (char)(is_skipped * 3); /* an entry from C */
		assert_true(py_frame_leaf(thread_state, &leaf));
		assert_int_equal(walk(found, 1, &is_deeper), 1);
		assert_ptr_equal(leaf.code, codes[is_skipped]);
		assert_ptr_equal(leaf.code, found[0].code);
		assert_int_equal(leaf.instruction, found[0].instruction);
		peeked = py_frame_peek(thread_state, "no frame");
		assert_int_equal(peeked.code == leaf.code && peeked.at == leaf.at, !is_skipped);
	}
	put_pointer(frames[1], 0, NULL);
	assert_false(py_frame_leaf(thread_state, &leaf));
	put_pointer(cframe, 0, NULL);
	assert_false(py_frame_leaf(thread_state, &leaf));
	assert_false(py_frame_leaf(NULL, &leaf));
	assert_string_equal(py_frame_peek(thread_state, "no frame").code, "no frame");
	assert_string_equal(py_frame_peek(NULL, "no frame").code, "no frame");
}

static void no_thread_state_or_no_frame_is_an_empty_stack(void **state)
{
	struct py_frame found[1];
	bool is_deeper = true;

	(void)state;
	assert_int_equal(py_frame_walk(NULL, found, 1, &is_deeper), 0);
	assert_false(is_deeper);
	put_pointer(cframe, 0, NULL);
	assert_int_equal(walk(found, 1, &is_deeper), 0);
	put_pointer(thread_state, 56, NULL);
	assert_int_equal(walk(found, 1, &is_deeper), 0);
}

static void references_may_be_tagged_from_3_14_on(void **state)
{
	struct py_frame found[FRAMES];
	bool is_deeper;

	(void)state;
	put_pointer(frames[0], 0, codes[0] + 1);
	put_pointer(frames[1], 0, codes[1] + 3);
	assert_int_equal(walk(found, FRAMES, &is_deeper), FRAMES);
	assert_ptr_equal(found[0].code, codes[0]);
	assert_ptr_equal(found[1].code, codes[1]);
}

static void free_threaded_3_14_runs_a_copy_of_the_bytecode_for_each_thread(void **state)
{
	static char copy[64];
	struct {
		intptr_t size;
		char *entries[2];
	} copies = {2, {codes[0], copy}};
	struct py_frame found[FRAMES];
	bool is_deeper;

	(void)state;
	py_layout.code_tlbc = 184;
	py_layout.frame_tlbc_index = 72;
	for (int i = 0; i < CODES; i++) {
		put_pointer(codes[i], 184, &copies);
		put_int(frames[i], 72, 1);
		put_pointer(frames[i], 56, copy + 2 * i + 4);
	}
	assert_int_equal(walk(found, FRAMES, &is_deeper), FRAMES);
	assert_int_equal(found[7].instruction, 18);

	put_int(frames[3], 72, 2); /* beyond the copies */
	assert_int_equal(walk(found, FRAMES, &is_deeper), 0);
	put_int(frames[3], 72, 1);
	put_pointer(codes[3], 184, NULL);
	assert_int_equal(walk(found, FRAMES, &is_deeper), 0);
}

static void frames_are_objects_before_3_11_and_count_in_units_in_3_10(void **state)
{
	struct py_frame found[FRAMES];
	bool is_deeper;

	(void)state;
	use_layout_of_3_8();
	for (int i = 0; i < FRAMES; i++) {
		put_pointer(frames[i], 32, codes[i]);
		put_pointer(frames[i], 24, i + 1 < FRAMES ? frames[i + 1] : NULL);
		put_int(frames[i], 104, i - 1);
	}
	put_pointer(thread_state, 24, frames[0]);

	assert_int_equal(walk(found, FRAMES, &is_deeper), FRAMES);
	assert_false(is_deeper);
	assert_int_equal(found[0].instruction, -1);
	assert_int_equal(found[7].instruction, 6);
	assert_int_equal(walk(found, 2, &is_deeper), 2);
	assert_true(is_deeper);

	py_layout.line_table = PY_LINES_LINETABLE;
	assert_int_equal(walk(found, FRAMES, &is_deeper), FRAMES);
	assert_int_equal(found[0].instruction, -1);
	assert_int_equal(found[7].instruction, 12);

	put_pointer(frames[6], 32, other_type - 8);
	assert_int_equal(walk(found, FRAMES, &is_deeper), 0);
}

/* ---- Thread state ---- */

static void the_state_is_the_threads_own_with_and_without_the_gil(void **state)
{
	static char mine[8], holder[8];

	(void)state;
	attached_state = own_state = mine;
	assert_ptr_equal(py_frame_thread_state(PY_HOOK_OBJECTS), mine);
	assert_ptr_equal(py_frame_thread_state(PY_HOOK_LIBC), mine);
	assert_true(py_frame_thread_is_attached());

	attached_state = NULL;
	assert_ptr_equal(py_frame_thread_state(PY_HOOK_LIBC), mine);
	assert_false(py_frame_thread_is_attached());

	py_layout.minor = 11; /* "current" is whoever holds the GIL */
	attached_state = holder;
	assert_ptr_equal(py_frame_thread_state(PY_HOOK_LIBC), mine);
	assert_false(py_frame_thread_is_attached());
	attached_state = mine;
	assert_true(py_frame_thread_is_attached());
}

static void there_is_no_state_before_and_after_the_interpreters_life(void **state)
{
	(void)state;
	initialised = 0;
	assert_null(py_frame_thread_state(PY_HOOK_OBJECTS));
	assert_null(py_frame_thread_state(PY_HOOK_LIBC));

	initialised = 1;
	py_layout = (struct py_layout){0};
	assert_null(py_frame_thread_state(PY_HOOK_OBJECTS));
	assert_null(py_frame_thread_state(PY_HOOK_LIBC));
	assert_false(py_frame_thread_is_attached());
}

/* ---- Names ---- */

enum { NOT_COMPACT = 0, COMPACT = 0x20 };

static char *string_object(unsigned kind, bool is_ascii, unsigned compact, const void *data,
			   size_t length)
{
	static char objects[4][16384];
	static size_t next;
	char *object = objects[next++ % 4];
	int data_at = !compact   ? OBJECT_SIZE
		      : is_ascii ? py_layout.str_ascii_data
				 : py_layout.str_other_data;
	uint64_t length64 = length, not_hashed = UINT64_MAX;

	memset(object, 0xee, sizeof(objects[0]));
	put(object, py_layout.str_length, &length64, sizeof(length64));
	put(object, py_layout.str_length + 8, &not_hashed, sizeof(not_hashed));
	put_int(object, py_layout.str_state,
		(int32_t)((kind << 2 | compact | (is_ascii ? 0x40u : 0) | 3)
			  << (py_layout.str_kind_shift - 2)));
	if (!compact)
		put_pointer(object, py_layout.str_other_data, object + OBJECT_SIZE);
	put(object, data_at, data, length * kind);
	return object;
}

static const struct py_frame frame_0 = {.code = codes[0], .instruction = 10};

static void check_name(const char *object, const char *utf8)
{
	char buffer[64];

	put_pointer(codes[0],
		    py_layout.code_qualname >= 0 ? py_layout.code_qualname : py_layout.code_name,
		    object);
	memset(buffer, 'x', sizeof(buffer));
	assert_int_equal(py_frame_function_name(&frame_0, buffer, sizeof(buffer)), strlen(utf8));
	assert_string_equal(buffer, utf8);

	put_pointer(codes[0], py_layout.code_filename, object);
	assert_int_equal(py_frame_file_name(&frame_0, buffer, sizeof(buffer)), strlen(utf8));
	assert_string_equal(buffer, utf8);
}

static void names_of_every_width_become_utf8(void **state)
{
	(void)state;
	check_name(string_object(1, true, COMPACT, "plain", 5), "plain");
	check_name(string_object(1, true, COMPACT, "", 0), "");
	check_name(string_object(1, false, COMPACT, "caf\xe9\x80\xff", 6),
		   "caf\u00e9\xc2\x80\u00ff");
	check_name(string_object(2, false, COMPACT, u"\u0434a\u07ff\u0800\uffff", 5),
		   "\u0434a\u07ff\u0800\uffff");
	check_name(string_object(4, false, COMPACT, U"\U00010300a\u00e9\uffff\U0010ffff", 5),
		   "\U00010300a\u00e9\uffff\U0010ffff");
}

static void what_utf8_cannot_hold_becomes_a_replacement_character(void **state)
{
	static const uint16_t surrogates[] = {'a', 0xd800, 0xdc80, 0xdfff, 0xe000};
	static const uint32_t too_large[] = {0x110000, 0xffffffff, 'z'};

	(void)state;
	check_name(string_object(2, false, COMPACT, surrogates, 5), "a\ufffd\ufffd\ufffd\ue000");
	check_name(string_object(4, false, COMPACT, too_large, 3), "\ufffd\ufffdz");
	check_name(string_object(1, true, COMPACT, "a\0b", 3), "a\ufffd"
							       "b");
}

static void a_subclass_of_str_has_its_characters_elsewhere(void **state)
{
	(void)state;
	check_name(string_object(1, true, NOT_COMPACT, "plain", 5), "plain");
	check_name(string_object(1, false, NOT_COMPACT, "caf\xe9", 4), "caf\u00e9");
	check_name(string_object(2, false, NOT_COMPACT, u"\u0434a", 2), "\u0434a");
}

static void what_is_no_readable_string_has_an_empty_name_and_an_identity(void **state)
{
	char *no_kind = string_object(1, true, COMPACT, "name", 4), *no_data;

	(void)state;
	put_int(no_kind, py_layout.str_state, COMPACT);
	check_name(no_kind, "");
	no_data = string_object(1, true, NOT_COMPACT, "name", 4);
	put_pointer(no_data, py_layout.str_other_data, NULL);
	check_name(no_data, "");
	assert_int_not_equal(py_frame_identity(&frame_0), 0);
}

static void a_long_name_is_cut_between_characters(void **state)
{
	/* At each capacity: the characters that fit before the NUL. */
	static const char *const expected[] = {"",
					       "a",
					       "a",
					       "a\u0434",
					       "a\u0434",
					       "a\u0434",
					       "a\u0434\u20ac",
					       "a\u0434\u20ac"
					       "b"};
	char buffer[16];

	(void)state;
	put_pointer(codes[0], py_layout.code_qualname,
		    string_object(2, false, COMPACT, u"a\u0434\u20acbc", 5));
	assert_int_equal(py_frame_function_name(&frame_0, buffer, 0), 0);
	for (size_t capacity = 1; capacity <= sizeof(expected) / sizeof(expected[0]); capacity++) {
		memset(buffer, 'x', sizeof(buffer));
		assert_int_equal(py_frame_function_name(&frame_0, buffer, capacity),
				 strlen(expected[capacity - 1]));
		assert_string_equal(buffer, expected[capacity - 1]);
		for (size_t i = capacity; i < sizeof(buffer); i++)
			assert_int_equal(buffer[i], 'x');
	}
}

static void the_plain_name_serves_where_there_is_no_qualified_one(void **state)
{
	char buffer[16];

	(void)state;
	put_pointer(codes[0], 120, string_object(1, true, COMPACT, "plain", 5));
	put_pointer(codes[0], 128, string_object(1, true, COMPACT, "C.plain", 7));
	py_frame_function_name(&frame_0, buffer, sizeof(buffer));
	assert_string_equal(buffer, "C.plain");
	py_layout.code_qualname = -1;
	py_frame_function_name(&frame_0, buffer, sizeof(buffer));
	assert_string_equal(buffer, "plain");
}

static void free_threaded_3_14_has_its_bits_of_a_string_elsewhere(void **state)
{
	(void)state;
	py_layout.str_kind_shift = 8;
	py_layout.str_kind_mask = 0x700;
	py_layout.str_ascii_bit = 0x1000;
	check_name(string_object(1, true, COMPACT, "plain", 5), "plain");
	check_name(string_object(1, false, COMPACT, "caf\xe9", 4), "caf\u00e9");
	check_name(string_object(2, false, NOT_COMPACT, u"\u0434", 1), "\u0434");
}

/* ---- Identities ---- */

static uint64_t identity_of(const char *name, const char *file, int32_t first_line)
{
	put_pointer(codes[0], 128, string_object(1, true, COMPACT, name, strlen(name)));
	put_pointer(codes[0], 112, string_object(1, true, COMPACT, file, strlen(file)));
	put_int(codes[0], 68, first_line);
	return py_frame_identity(&frame_0);
}

static void the_identity_of_a_function_is_its_contents(void **state)
{
	uint64_t identity = identity_of("C.name", "file.py", 7);

	(void)state;
	assert_int_not_equal(identity, 0);
	assert_int_equal(identity_of("C.name", "file.py", 7), identity); /* at other addresses */
	assert_int_not_equal(identity_of("C.nama", "file.py", 7), identity);
	assert_int_not_equal(identity_of("C.name", "file.pz", 7), identity);
	assert_int_not_equal(identity_of("C.name", "file.py", 8), identity);
	assert_int_not_equal(identity_of("C.namef", "ile.py", 7), identity);
	assert_int_not_equal(identity_of("file.py", "C.name", 7), identity);
	assert_int_not_equal(identity_of("", "C.namefile.py", 7), identity);
}

static void the_same_bytes_in_another_width_are_another_name(void **state)
{
	uint64_t narrow, wide;

	(void)state;
	put_pointer(codes[0], 112, string_object(1, true, COMPACT, "f", 1));
	put_pointer(codes[0], 128, string_object(1, true, COMPACT, "abcd", 4));
	narrow = py_frame_identity(&frame_0);
	put_pointer(codes[0], 128, string_object(2, false, COMPACT, "abcd", 2));
	wide = py_frame_identity(&frame_0);
	assert_int_not_equal(narrow, wide);
}

static char *bytes_object(char *object, const void *data, size_t length)
{
	put(object, 16, &length, sizeof(length));
	put(object, 32, data, length);
	return object;
}

static void the_line_table_has_an_identity_of_address_length_and_end(void **state)
{
	static char first[OBJECT_SIZE], second[OBJECT_SIZE];
	char data[300] = {0};
	uint64_t identity;

	(void)state;
	put_pointer(codes[0], 136, bytes_object(first, data, 300));
	identity = py_frame_line_table_identity(&frame_0);
	assert_int_equal(py_frame_line_table_identity(&frame_0), identity);

	put_pointer(codes[0], 136, bytes_object(second, data, 300));
	assert_int_not_equal(py_frame_line_table_identity(&frame_0), identity);

	put_pointer(codes[0], 136, bytes_object(first, data, 299));
	assert_int_not_equal(py_frame_line_table_identity(&frame_0), identity);

	data[299] = 1;
	put_pointer(codes[0], 136, bytes_object(first, data, 300));
	assert_int_not_equal(py_frame_line_table_identity(&frame_0), identity);

	put_pointer(codes[0], 136, bytes_object(first, data, 0));
	py_frame_line_table_identity(&frame_0);
}

static void a_stamp_changes_with_names_lines_and_instruction(void **state)
{
	static char first[OBJECT_SIZE], second[OBJECT_SIZE];
	char data[20] = {0};
	struct py_frame frame = frame_0;
	const char *stamp;

	(void)state;
	put_pointer(codes[0], 136, bytes_object(first, data, sizeof(data)));
	identity_of("name", "file.py", 7);
	stamp = py_frame_stamp(&frame);
	identity_of("name", "file.py", 7);
	assert_ptr_equal(py_frame_stamp(&frame), stamp);
	identity_of("nome", "file.py", 7);
	assert_ptr_not_equal(py_frame_stamp(&frame), stamp);
	identity_of("name", "file.py", 7);
	frame.at++;
	assert_ptr_not_equal(py_frame_stamp(&frame), stamp);
	frame.at--;
	put_pointer(codes[0], 136, bytes_object(second, data, sizeof(data)));
	assert_ptr_not_equal(py_frame_stamp(&frame), stamp);
}

/* Where CPython has a name's hash at hand the contents are not looked at. */
static void a_stamp_knows_a_name_by_cpythons_hash(void **state)
{
	static char table[OBJECT_SIZE], strings[2][OBJECT_SIZE];
	char data[20] = {0};
	struct py_frame frame = frame_0;
	const char *stamps[4];

	(void)state;
	put_pointer(codes[0], 136, bytes_object(table, data, sizeof(data)));
	for (int i = 0; i < 4; i++) {
		uint64_t hashes[2] = {i == 1 ? 6 : 5, i == 2 ? 8 : 7};

		identity_of(i == 3 ? "other" : "name", "file.py", 7);
		for (int name = 0; name < 2; name++) {
			const int at = name == 0 ? 128 : 112;
			char *object;

			memcpy(&object, codes[0] + at, sizeof(object));
			memcpy(strings[name], object, OBJECT_SIZE);
			put(strings[name], 24, &hashes[name], sizeof(hashes[name]));
			put_pointer(codes[0], at, strings[name]);
		}
		stamps[i] = py_frame_stamp(&frame);
	}
	assert_ptr_not_equal(stamps[1], stamps[0]);
	assert_ptr_not_equal(stamps[2], stamps[0]);
	assert_ptr_equal(stamps[3], stamps[0]);
}

/* Two code objects of one name at one place, one after the other. */
static void a_stamp_knows_a_code_object_by_cpythons_number(void **state)
{
	static char table[OBJECT_SIZE];
	char data[20] = {0};
	struct py_frame frame = frame_0;
	const char *stamps[3];

	(void)state;
	py_layout.code_version = 92;
	put_pointer(codes[0], 136, bytes_object(table, data, sizeof(data)));
	for (uint32_t number = 0; number < 3; number++) {
		identity_of("name", "file.py", 7);
		put(codes[0], 92, &number, sizeof(number));
		stamps[number] = py_frame_stamp(&frame);
	}
	assert_ptr_not_equal(stamps[2], stamps[1]);

	data[19] = 1; /* which tells where there is no number */
	put_pointer(codes[0], 136, bytes_object(table, data, sizeof(data)));
	assert_ptr_equal(py_frame_stamp(&frame), stamps[2]);
	put(codes[0], 92, &(uint32_t){0}, sizeof(uint32_t));
	assert_ptr_not_equal(py_frame_stamp(&frame), stamps[0]);
	frame.at++;
	put(codes[0], 92, &(uint32_t){2}, sizeof(uint32_t));
	assert_ptr_not_equal(py_frame_stamp(&frame), stamps[2]);
}

static void the_line_is_decoded_by_the_format_of_the_version(void **state)
{
	static char table[OBJECT_SIZE];
	static const uint8_t pairs[] = {8, 5, 8, 0x80}, locations[] = {0xe9, 10, 0xff};
	struct py_frame frame = {.code = codes[2], .instruction = 9};

	(void)state;
	put_pointer(codes[2], 136, bytes_object(table, pairs, sizeof(pairs)));
	py_layout.line_table = PY_LINES_LNOTAB;
	assert_int_equal(py_frame_line(&frame), 205);
	py_layout.line_table = PY_LINES_LINETABLE;
	assert_int_equal(py_frame_line(&frame), 0);
	frame.instruction = 7;
	assert_int_equal(py_frame_line(&frame), 205);
	put_pointer(codes[2], 136, bytes_object(table, locations, sizeof(locations)));
	py_layout.line_table = PY_LINES_LOCATIONS;
	frame.instruction = 3;
	assert_int_equal(py_frame_line(&frame), 205);
	frame.instruction = 4;
	assert_int_equal(py_frame_line(&frame), 0);
	frame.instruction = -1;
	assert_int_equal(py_frame_line(&frame), 200);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
	const struct CMUnitTest tests[] = {
		TEST(a_walk_gives_the_frames_from_the_innermost),
		TEST(a_walk_stops_at_its_limit_and_says_so),
		TEST(the_leaf_is_where_a_walk_begins),
		TEST(entries_from_c_and_frames_that_have_not_begun_are_no_python_functions),
		TEST(a_generator_that_has_not_begun_is_there_and_on_its_first_line),
		TEST(what_is_no_code_object_makes_the_stack_empty),
		TEST(a_ring_of_entries_from_c_does_not_hang),
		TEST(a_loop_of_3_12_leaves_its_record_behind_the_frames_that_it_runs),
		TEST(the_first_frame_of_each_loop_of_3_11_is_marked),
		TEST(each_frame_of_3_10_has_a_loop_and_a_chain_that_leaves_the_stack_ends),
		TEST(no_thread_state_or_no_frame_is_an_empty_stack),
		TEST(references_may_be_tagged_from_3_14_on),
		TEST(free_threaded_3_14_runs_a_copy_of_the_bytecode_for_each_thread),
		TEST(frames_are_objects_before_3_11_and_count_in_units_in_3_10),
		TEST(the_state_is_the_threads_own_with_and_without_the_gil),
		TEST(there_is_no_state_before_and_after_the_interpreters_life),
		TEST(names_of_every_width_become_utf8),
		TEST(what_utf8_cannot_hold_becomes_a_replacement_character),
		TEST(a_subclass_of_str_has_its_characters_elsewhere),
		TEST(what_is_no_readable_string_has_an_empty_name_and_an_identity),
		TEST(a_long_name_is_cut_between_characters),
		TEST(the_plain_name_serves_where_there_is_no_qualified_one),
		TEST(free_threaded_3_14_has_its_bits_of_a_string_elsewhere),
		TEST(the_identity_of_a_function_is_its_contents),
		TEST(the_same_bytes_in_another_width_are_another_name),
		TEST(the_line_table_has_an_identity_of_address_length_and_end),
		TEST(a_stamp_changes_with_names_lines_and_instruction),
		TEST(a_stamp_knows_a_name_by_cpythons_hash),
		TEST(a_stamp_knows_a_code_object_by_cpythons_number),
		TEST(the_line_is_decoded_by_the_format_of_the_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
