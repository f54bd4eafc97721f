/* links: */
#include "base/types.h"

#include <dlfcn.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The loader is faked: a CPython of any version, in the global scope or in a library of a plugin.
 * */

static void *fake_dlsym(void *library, const char *name);
static void *fake_dlopen(const char *path, int flags);
static int fake_dl_iterate_phdr(int (*callback)(struct dl_phdr_info *, size_t, void *), void *data);

#define dlsym           fake_dlsym
#define dlopen          fake_dlopen
#define dl_iterate_phdr fake_dl_iterate_phdr
#include "process/py_layout.c"

enum { WORDS = 128 };

static const char *version;
static const char *missing;     /* a symbol that this CPython has not */
static const char *plugin_path; /* of a libpython that is not in the global scope */
static char plugin;
static uint64_t runtime[WORDS];

static const char *fake_version(void)
{
	return version;
}

static void *fake_dlsym(void *library, const char *name)
{
	static char anything[8];

	if (!version || (plugin_path && library != &plugin) ||
	    (missing && strcmp(name, missing) == 0))
		return NULL;
	if (strcmp(name, "Py_GetVersion") == 0)
		return (void *)fake_version;
	if (strcmp(name, "_PyRuntime") == 0)
		return runtime;
	return anything;
}

static void *fake_dlopen(const char *path, int flags)
{
	assert_true(flags & RTLD_NOLOAD);
	return plugin_path && strcmp(path, plugin_path) == 0 ? &plugin : NULL;
}

static int fake_dl_iterate_phdr(int (*callback)(struct dl_phdr_info *, size_t, void *), void *data)
{
	const char *const paths[] = {"", "/lib/libc.so.6", "/opt/libpython2/x.so", plugin_path};
	int result = 0;

	for (size_t i = 0; !result && i < TL_COUNT_OF(paths) && paths[i]; i++) {
		struct dl_phdr_info object = {.dlpi_name = paths[i]};

		result = callback(&object, sizeof(object), data);
	}
	return result;
}

static int set_up(void **state)
{
	(void)state;
	version = missing = plugin_path = NULL;
	memset(runtime, 0, sizeof(runtime));
	py_layout = (struct py_layout){0};
	return 0;
}

static enum tl_err find(const char *of_version)
{
	version = of_version;
	return py_layout_find();
}

/* What a version's own headers say, in _Py_DebugOffsets' form. */
struct known {
	int minor, free_threaded;
	size_t thread, frame, tlbc_index, code, tlbc, type, bytes, string;
	uint64_t owner, filename, first_line, lines, bytecode, object_type, ascii_size;
	uint64_t firsttraceable;
};

static const struct known knowns[] = {
	{13, 0, 19, 28, 0, 34, 0, 45, 64, 67, 70, 112, 68, 136, 200, 8, 40, 184},
	{13, 1, 19, 28, 0, 34, 0, 45, 64, 67, 70, 128, 84, 152, 216, 24, 56, 200},
	{14, 0, 22, 31, 38, 39, 49, 51, 74, 77, 74, 112, 68, 136, 208, 8, 40, 192},
	{14, 1, 22, 31, 38, 39, 49, 51, 74, 77, 78, 128, 84, 152, 232, 24, 56, 208},
	{15, 0, 22, 39, 46, 47, 57, 59, 86, 89, 74, 112, 68, 136, 208, 8, 40, 192},
	{15, 1, 22, 39, 46, 47, 57, 59, 86, 89, 78, 128, 84, 152, 232, 24, 56, 208},
};

static void fill_runtime(const struct known *known)
{
	uint64_t *words = runtime;

	memcpy(words, "xdebugpy", 8);
	words[1] = (uint64_t)0x03000000 | (uint64_t)known->minor << 16 | 0x02f0;
	words[2] = (uint64_t)known->free_threaded;
	words[known->thread] = 800;
	words[known->thread + 4] = 72;
	words[known->frame] = 88;
	words[known->frame + 1] = 8;
	words[known->frame + 2] = 0;
	words[known->frame + 3] = 56;
	words[known->frame + 5] = known->owner;
	if (known->tlbc_index)
		words[known->tlbc_index] = known->free_threaded ? 72 : 0;
	words[known->code] = known->bytecode + 8;
	words[known->code + 1] = known->filename;
	words[known->code + 2] = known->filename + 8;
	words[known->code + 3] = known->filename + 16;
	words[known->code + 4] = known->lines;
	words[known->code + 5] = known->first_line;
	words[known->code + 9] = known->bytecode;
	if (known->tlbc)
		words[known->tlbc] = known->free_threaded ? known->bytecode - 8 : 0;
	words[known->type - 1] = known->object_type + 8;
	words[known->type] = known->object_type;
	words[known->bytes] = known->object_type + 32;
	words[known->bytes + 1] = known->object_type + 8;
	words[known->bytes + 2] = known->object_type + 24;
	words[known->string] = known->ascii_size + 24;
	words[known->string + 1] = known->object_type + 24;
	words[known->string + 2] = known->object_type + 8;
	words[known->string + 3] = known->ascii_size;
}

static const char *version_of(int minor)
{
	static char text[] = "3.1x.2 (main, Nov 21 2026) [GCC]";

	text[3] = (char)('0' + minor - 10);
	return text;
}

static void versions_up_to_3_12_have_their_offsets_from_the_table(void **state)
{
	(void)state;
	assert_int_equal(find("3.8.18 (default)"), TL_OK);
	assert_int_equal(py_layout.minor, 8);
	assert_int_equal(py_layout.line_table, PY_LINES_LNOTAB);
	assert_int_equal(py_layout.code_qualname, -1);
	assert_int_equal(py_layout.code_version, -1);
	assert_int_equal(py_layout.code_name, 112);
	assert_int_equal(py_layout.str_other_data, 72);
	assert_string_equal(py_layout.version, "3.8.18 (default)");

	assert_int_equal(find("3.10.13+ (heads/3.10)"), TL_OK);
	assert_int_equal(py_layout.line_table, PY_LINES_LINETABLE);
	assert_int_equal(py_layout.frame_instruction, 96);

	assert_int_equal(find("3.12.1"), TL_OK);
	assert_int_equal(py_layout.line_table, PY_LINES_LOCATIONS);
	assert_int_equal(py_layout.code_qualname, 128);
	assert_int_equal(py_layout.code_version, 92);
	assert_int_equal(py_layout.cframe_current, 0);
	assert_int_equal(py_layout.str_ascii_data, 40);
	assert_int_equal(py_layout.str_other_data, 56);
	assert_int_equal(py_layout.str_kind_mask, 0x1c);
	assert_int_equal(py_layout.str_ascii_bit, 0x40);
	assert_false(py_layout.free_threaded);
}

static void versions_from_3_13_on_tell_their_offsets_themselves(void **state)
{
	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(knowns); i++) {
		const struct known *known = &knowns[i];
		bool has_copies = known->free_threaded && known->minor >= 14;

		set_up(NULL);
		fill_runtime(known);
		assert_int_equal(find(version_of(known->minor)), TL_OK);

		assert_int_equal(py_layout.minor, known->minor);
		assert_int_equal(py_layout.free_threaded, known->free_threaded);
		assert_int_equal(py_layout.thread_frame, 72);
		assert_int_equal(py_layout.frame_code, 0);
		assert_int_equal(py_layout.frame_previous, 8);
		assert_int_equal(py_layout.frame_instruction, 56);
		assert_int_equal(py_layout.frame_owner, known->owner);
		assert_int_equal(py_layout.frame_tlbc_index, has_copies ? 72 : -1);
		assert_int_equal(py_layout.code_filename, known->filename);
		assert_int_equal(py_layout.code_name, known->filename + 8);
		assert_int_equal(py_layout.code_qualname, known->filename + 16);
		assert_int_equal(py_layout.code_first_line, known->first_line);
		assert_int_equal(py_layout.code_version, known->filename - 20);
		assert_int_equal(py_layout.code_lines, known->lines);
		assert_int_equal(py_layout.code_bytes, known->bytecode);
		assert_int_equal(py_layout.code_first_traceable, known->firsttraceable);
		assert_int_equal(py_layout.code_tlbc,
				 has_copies ? known->bytecode - 8 : (uint64_t)-1);
		assert_int_equal(py_layout.object_type, known->object_type);
		assert_int_equal(py_layout.bytes_data, known->object_type + 24);
		assert_int_equal(py_layout.str_length, known->object_type + 8);
		assert_int_equal(py_layout.str_ascii_data, known->ascii_size);
		assert_int_equal(py_layout.str_other_data, known->ascii_size + 16);
		assert_int_equal(py_layout.str_kind_mask, has_copies ? 0x700 : 0x1c);
		assert_int_equal(py_layout.str_ascii_bit, has_copies ? 0x1000 : 0x40);
	}
}

static void offsets_that_cannot_be_are_refused(void **state)
{
	static const struct known *const known = &knowns[3];
	/* Each word that is read, with something that it cannot be: beyond its struct, odd, or as
	 * large as can be. */
	const size_t words[] = {
		known->thread + 4, known->frame + 1,  known->frame + 2, known->frame + 3,
		known->frame + 5,  known->code + 1,   known->code + 2,  known->code + 3,
		known->code + 4,   known->code + 5,   known->code + 9,  known->tlbc_index,
		known->tlbc,       known->type,       known->bytes + 1, known->bytes + 2,
		known->string + 1, known->string + 2, known->string + 3};
	const uint64_t wrong[] = {4096, UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(words); i++) {
		for (size_t j = 0; j < TL_COUNT_OF(wrong); j++) {
			fill_runtime(known);
			runtime[words[i]] = wrong[j];
			assert_int_equal(find(version_of(14)), TL_ERR_UNKNOWN);
			assert_int_equal(py_layout.minor, 0);
		}
	}
	fill_runtime(known);
	assert_int_equal(find(version_of(14)), TL_OK);
}

static void offsets_of_another_version_or_without_cookie_are_refused(void **state)
{
	(void)state;
	fill_runtime(&knowns[0]);
	assert_int_equal(find(version_of(14)), TL_ERR_UNKNOWN);
	assert_int_equal(find(version_of(13)), TL_OK);

	runtime[2] = 2;
	assert_int_equal(find(version_of(13)), TL_ERR_UNKNOWN);
	fill_runtime(&knowns[0]);
	memcpy(runtime, "xdebugpx", 8);
	assert_int_equal(find(version_of(13)), TL_ERR_UNKNOWN);

	fill_runtime(&knowns[0]);
	missing = "_PyRuntime";
	assert_int_equal(find(version_of(13)), TL_ERR_UNKNOWN);
}

static void an_unknown_version_has_no_frames_but_its_version_and_allocators(void **state)
{
	static const char *const versions[] = {"3.7.16", "3.16.0", "3.160", "2.7.18",
					       "4.0.0",  "3.",     "",      "3.99999999999"};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(versions); i++) {
		assert_int_equal(find(versions[i]), TL_ERR_UNKNOWN);
		assert_int_equal(py_layout.minor, 0);
		assert_string_equal(py_layout.version, versions[i]);
		assert_non_null(py_layout.get_allocator);
		assert_non_null(py_layout.set_allocator);
	}
}

static void a_missing_function_makes_a_version_unknown(void **state)
{
	static const char *const needed[] = {"Py_IsInitialized", "PyGILState_GetThisThreadState",
					     "PyMem_GetAllocator", "PyMem_SetAllocator",
					     "PyCode_Type"};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(needed); i++) {
		missing = needed[i];
		assert_int_equal(find("3.12.1"), TL_ERR_UNKNOWN);
	}
	/* Came with 3.13; before it was _PyThreadState_UncheckedGet. */
	missing = "PyThreadState_GetUnchecked";
	assert_int_equal(find("3.12.1"), TL_OK);
}

static void a_process_without_python_is_told_from_an_unknown_one(void **state)
{
	(void)state;
	assert_int_equal(find(NULL), TL_ERR_SYSTEM);
	assert_int_equal(py_layout.minor, 0);
}

static void a_libpython_that_a_plugin_loaded_for_itself_is_found(void **state)
{
	static char too_long[PATH_MAX + 32];

	(void)state;
	plugin_path = "/usr/lib/libpython3.11.so.1.0";
	assert_int_equal(find("3.11.7"), TL_OK);
	assert_int_equal(py_layout.minor, 11);

	plugin_path = "libpython3.11.so.1.0";
	assert_int_equal(find("3.11.7"), TL_OK);

	memset(too_long, 'd', sizeof(too_long) - 1);
	memcpy(too_long + PATH_MAX, "/libpython3.11.so", 18);
	plugin_path = too_long;
	assert_int_equal(find("3.11.7"), TL_ERR_SYSTEM);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
	const struct CMUnitTest tests[] = {
		TEST(versions_up_to_3_12_have_their_offsets_from_the_table),
		TEST(versions_from_3_13_on_tell_their_offsets_themselves),
		TEST(offsets_that_cannot_be_are_refused),
		TEST(offsets_of_another_version_or_without_cookie_are_refused),
		TEST(an_unknown_version_has_no_frames_but_its_version_and_allocators),
		TEST(a_missing_function_makes_a_version_unknown),
		TEST(a_process_without_python_is_told_from_an_unknown_one),
		TEST(a_libpython_that_a_plugin_loaded_for_itself_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
