/* links: process/py_type.c */
#include "process/py_type.h"

#include "process/py_layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct py_layout py_layout;

static char types[PY_LAYOUT_TYPES]; /* stand for PyTuple_Type and the others, in their order */

enum { TUPLE, LIST, DICT, FLOAT, INT, STR };

static int start(void **state)
{
	(void)state;
	py_layout = (struct py_layout){.minor = 11, .object_type = 8};
	for (size_t i = 0; i < PY_LAYOUT_TYPES; i++)
		py_layout.types[i] = &types[i];
	return 0;
}

static void an_object_is_known_behind_any_header(void **state)
{
	uint64_t block[8] = {0};

	(void)state;
	assert_int_equal(py_type_of(block, sizeof(block)), PY_TYPE_OTHER);
	block[1] = (uintptr_t)&types[STR];
	assert_int_equal(py_type_of(block, sizeof(block)), PY_TYPE_STR);

	block[1] = 0;
	block[3] = (uintptr_t)&types[TUPLE];
	assert_int_equal(py_type_of(block, sizeof(block)), PY_TYPE_TUPLE);
	assert_true(py_type_is_uncertain(PY_TYPE_TUPLE));

	block[3] = 0;
	block[5] = (uintptr_t)&types[DICT];
	assert_int_equal(py_type_of(block, sizeof(block)), PY_TYPE_DICT);
}

static void nothing_is_read_behind_the_end(void **state)
{
	uint64_t *block = calloc(4, sizeof(*block)); /* of 32 bytes: ASan sees further reads */

	(void)state;
	block[3] = (uintptr_t)&types[LIST];
	assert_int_equal(py_type_of(block, 16), PY_TYPE_OTHER);
	assert_int_equal(py_type_of(block, 31), PY_TYPE_OTHER);
	assert_int_equal(py_type_of(block, 32), PY_TYPE_LIST);
	assert_int_equal(py_type_of(block, 0), PY_TYPE_OTHER);
	free(block);
}

static void a_tuple_too_long_for_the_free_list_is_certain(void **state)
{
	uint64_t block[40] = {[3] = (uintptr_t)&types[TUPLE]};

	(void)state;
	assert_int_equal(py_type_of(block, 16 + 24 + 20 * 8), PY_TYPE_TUPLE);
	assert_int_equal(py_type_of(block, 16 + 24 + 21 * 8), PY_TYPE_OTHER);
}

static void small_dict_keys_are_known_by_their_fields(void **state)
{
	uint64_t late[15] = {1, 0x7fff00000303, 2, 3}, early[21] = {1, 8, 0x400000, 2, 3};

	(void)state;
	assert_int_equal(py_type_of(late, 120), PY_TYPE_DICT_KEYS);
	late[2] = 4;
	assert_int_equal(py_type_of(late, 120), PY_TYPE_OTHER);

	py_layout.minor = 9;
	assert_int_equal(py_type_of(early, 168), PY_TYPE_DICT_KEYS);
	early[1] = 16;
	assert_int_equal(py_type_of(early, 168), PY_TYPE_OTHER);
}

static void an_int_has_a_free_list_from_3_14_on(void **state)
{
	uint64_t block[4] = {1, (uintptr_t)&types[INT]};

	(void)state;
	assert_false(py_type_is_uncertain(py_type_of(block, sizeof(block))));
	py_layout.minor = 14;
	assert_true(py_type_is_uncertain(py_type_of(block, sizeof(block))));
	py_layout.minor = 0;
	assert_int_equal(py_type_of(block, sizeof(block)), PY_TYPE_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_object_is_known_behind_any_header, start),
		cmocka_unit_test_setup(nothing_is_read_behind_the_end, start),
		cmocka_unit_test_setup(a_tuple_too_long_for_the_free_list_is_certain, start),
		cmocka_unit_test_setup(small_dict_keys_are_known_by_their_fields, start),
		cmocka_unit_test_setup(an_int_has_a_free_list_from_3_14_on, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
