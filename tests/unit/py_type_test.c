/* links: process/py_type.c process/safe_read.c */
#include "process/py_type.h"

#include "process/py_class.h"
#include "process/py_layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

struct py_layout py_layout;

static char types[PY_LAYOUT_TYPES]; /* stand for PyTuple_Type and the others, in their order */
static uint64_t session[4];         /* stands for a class */

TL_INTERNAL bool py_class_is(uintptr_t type, uint64_t *identity)
{
	*identity = 7;
	return type == (uintptr_t)session;
}

static int start(void **state)
{
	(void)state;
	py_layout = (struct py_layout){.minor = 11, .object_type = 8};
	for (size_t i = 0; i < PY_LAYOUT_TYPES; i++)
		py_layout.types[i] = &types[i];
	return 0;
}

static enum py_type of(const void *block, size_t size)
{
	struct py_type_found found = py_type_of(block, size, true, true);

	assert_true(found.class == 0);
	return found.type;
}

static void an_object_is_known_behind_any_header(void **state)
{
	uint64_t block[8] = {0, 0, 9};

	(void)state;
	assert_int_equal(of(block, sizeof(block)), PY_TYPE_OTHER);
	block[1] = (uintptr_t)&types[PY_KNOWN_STR];
	assert_int_equal(of(block, sizeof(block)), PY_TYPE_STR);

	block[1] = 0;
	block[3] = (uintptr_t)&types[PY_KNOWN_TUPLE];
	assert_int_equal(of(block, sizeof(block)), PY_TYPE_TUPLE);
	assert_true(py_type_is_uncertain(PY_TYPE_TUPLE));

	block[3] = 0;
	block[5] = (uintptr_t)&types[PY_KNOWN_DICT];
	assert_int_equal(of(block, sizeof(block)), PY_TYPE_DICT);
}

static void nothing_is_read_behind_the_end(void **state)
{
	uint64_t *block = calloc(4, sizeof(*block)); /* of 32 bytes: ASan sees further reads */

	(void)state;
	block[3] = (uintptr_t)&types[PY_KNOWN_LIST];
	assert_int_equal(of(block, 16), PY_TYPE_OTHER);
	assert_int_equal(of(block, 31), PY_TYPE_OTHER);
	assert_int_equal(of(block, 32), PY_TYPE_LIST);
	assert_int_equal(of(block, 0), PY_TYPE_OTHER);
	free(block);
}

static void an_instance_is_known_by_its_class(void **state)
{
	uint64_t block[4] = {0, 0, 1, (uintptr_t)session};
	struct py_type_found found = py_type_of(block, sizeof(block), true, true);

	(void)state;
	assert_int_equal(found.type, PY_TYPE_OTHER);
	assert_true(found.class == (uintptr_t)session && found.identity == 7);

	block[2] = (uintptr_t)block; /* no reference count: an array that holds the class */
	assert_true(py_type_of(block, sizeof(block), true, true).class == 0);
}

static void without_asking_the_kernel_only_known_types_are_found(void **state)
{
	uint64_t block[4] = {0, 0, 1, (uintptr_t)session};

	(void)state;
	assert_int_equal(py_type_of(block, sizeof(block), true, false).type, PY_TYPE_NOT_LOOKED);
	block[3] = (uintptr_t)&types[PY_KNOWN_LIST];
	assert_int_equal(py_type_of(block, sizeof(block), true, false).type, PY_TYPE_LIST);
	assert_int_equal(py_type_of(block, sizeof(block), false, false).type, PY_TYPE_NOT_LOOKED);
}

static void a_tuple_too_long_for_the_free_list_is_certain(void **state)
{
	uint64_t block[40] = {[3] = (uintptr_t)&types[PY_KNOWN_TUPLE]};

	(void)state;
	assert_int_equal(of(block, 16 + 24 + 20 * 8), PY_TYPE_TUPLE);
	assert_int_equal(of(block, 16 + 24 + 21 * 8), PY_TYPE_LONG_TUPLE);
	assert_false(py_type_is_uncertain(PY_TYPE_LONG_TUPLE));
	assert_int_equal(py_type_shown(PY_TYPE_LONG_TUPLE), PY_TYPE_TUPLE);
}

static void dict_keys_are_known_by_their_fields(void **state)
{
	uint64_t late[15] = {1, 0x7fff00010303, 2, 3}, early[21] = {1, 8, 0x400000, 2, 3};

	(void)state;
	assert_int_equal(of(late, 120), PY_TYPE_SMALL_KEYS);
	late[1] = 0x7fff00010404; /* 16 slots, of str */
	assert_int_equal(of(late, 120), PY_TYPE_OTHER);
	assert_int_equal(py_type_of(late, 32 + 16 + 10 * 16, true, true).type, PY_TYPE_KEYS);
	late[1] = 0x7fff00000303; /* 8 slots, of anything: no free list */
	assert_int_equal(py_type_of(late, 32 + 8 + 5 * 24, true, true).type, PY_TYPE_KEYS);
	late[2] = 4;
	assert_int_equal(py_type_of(late, 32 + 8 + 5 * 24, true, true).type, PY_TYPE_OTHER);

	py_layout.minor = 9;
	assert_int_equal(of(early, 168), PY_TYPE_SMALL_KEYS);
	early[1] = 16;
	assert_int_equal(of(early, 168), PY_TYPE_OTHER);
}

static void some_types_have_a_free_list_in_some_versions_only(void **state)
{
	uint64_t number[4] = {1, (uintptr_t)&types[PY_KNOWN_INT]};
	uint64_t method[8] = {0, 0, 1, (uintptr_t)&types[PY_KNOWN_METHOD]};

	(void)state;
	assert_int_equal(of(number, sizeof(number)), PY_TYPE_INT);
	assert_int_equal(of(method, sizeof(method)), PY_TYPE_OTHER);
	py_layout.minor = 14;
	assert_int_equal(of(number, sizeof(number)), PY_TYPE_LATE_INT);
	assert_int_equal(of(method, sizeof(method)), PY_TYPE_METHOD);
	py_layout.minor = 8;
	assert_int_equal(of(method, sizeof(method)), PY_TYPE_METHOD);
	py_layout.minor = 0;
	assert_int_equal(of(number, sizeof(number)), PY_TYPE_OTHER);
}

/* The link of CPython's list stands where its type will be again. */
static void a_float_in_its_free_list_is_looked_at_again(void **state)
{
	uint64_t block[3] = {0, (uintptr_t)block};

	(void)state;
	assert_int_equal(of(block, sizeof(block)), PY_TYPE_NOT_LOOKED);
	block[0] = 1;
	block[1] = (uintptr_t)&types[PY_KNOWN_FLOAT];
	assert_int_equal(of(block, sizeof(block)), PY_TYPE_FLOAT);
}

static void an_array_of_objects_is_a_lists_items(void **state)
{
	uint64_t text[6] = {1, (uintptr_t)&types[PY_KNOWN_STR]};
	uint64_t block[8] = {(uintptr_t)text, (uintptr_t)text};

	(void)state;
	assert_int_equal(of(block, sizeof(block)), PY_TYPE_ITEMS);
	block[1] = (uintptr_t)block;
	assert_int_equal(of(block, sizeof(block)), PY_TYPE_OTHER);
	block[1] = 8; /* nothing is there */
	assert_int_equal(of(block, sizeof(block)), PY_TYPE_OTHER);
	assert_int_equal(of(block, 8), PY_TYPE_ITEMS);
}

static void blocks_of_a_deque_are_known_by_their_links(void **state)
{
	uint64_t left[66] = {0}, right[66] = {(uintptr_t)left};

	(void)state;
	assert_int_equal(of(left, sizeof(left)), PY_TYPE_OTHER);
	left[65] = (uintptr_t)right;
	assert_int_equal(of(left, sizeof(left)), PY_TYPE_DEQUE);
	assert_int_equal(of(right, sizeof(right)), PY_TYPE_DEQUE);
	assert_false(py_type_is_uncertain(PY_TYPE_DEQUE));
	py_layout.minor = 10;
	assert_true(py_type_is_uncertain(of(left, sizeof(left))));
}

static void what_libc_allocated_may_be_unreadable(void **state)
{
	uint64_t *page =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	page[1] = (uintptr_t)&types[PY_KNOWN_BYTES];
	assert_int_equal(py_type_of(page, 4096, false, true).type, PY_TYPE_BYTES);
	mprotect(page, 4096, PROT_NONE);
	assert_int_equal(py_type_of(page, 4096, false, true).type, PY_TYPE_OTHER);
	munmap(page, 4096);
}

static void an_object_that_is_made_is_told_where_its_type_has_a_free_list(void **state)
{
	uint64_t object[2] = {1, (uintptr_t)&types[PY_KNOWN_LIST]};

	(void)state;
	assert_int_equal(py_type_pooled_object(object).type, PY_TYPE_LIST);
	assert_true(py_type_pooled_object(object).is_collected);
	object[1] = (uintptr_t)&types[PY_KNOWN_FLOAT];
	assert_int_equal(py_type_pooled_object(object).type, PY_TYPE_FLOAT);
	assert_false(py_type_pooled_object(object).is_collected);
	object[1] = (uintptr_t)&types[PY_KNOWN_INT];
	assert_int_equal(py_type_pooled_object(object).type, PY_TYPE_NOT_LOOKED);
	py_layout.minor = 14;
	assert_int_equal(py_type_pooled_object(object).type, PY_TYPE_LATE_INT);
	object[1] = (uintptr_t)session;
	assert_int_equal(py_type_pooled_object(object).type, PY_TYPE_NOT_LOOKED);
}

static void one_whose_making_was_seen_is_certain_and_shown_alike(void **state)
{
	enum py_type seen = PY_TYPE_MADE + PY_TYPE_TUPLE;

	(void)state;
	assert_true(py_type_is_made(seen) && !py_type_is_uncertain(seen));
	assert_false(py_type_is_made(PY_TYPE_TUPLE) || py_type_is_made(PY_TYPE_ITEMS));
	assert_int_equal(py_type_shown(seen), PY_TYPE_TUPLE);
	assert_string_equal(py_type_name(seen), "tuple");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_object_is_known_behind_any_header, start),
		cmocka_unit_test_setup(nothing_is_read_behind_the_end, start),
		cmocka_unit_test_setup(an_instance_is_known_by_its_class, start),
		cmocka_unit_test_setup(without_asking_the_kernel_only_known_types_are_found, start),
		cmocka_unit_test_setup(a_tuple_too_long_for_the_free_list_is_certain, start),
		cmocka_unit_test_setup(dict_keys_are_known_by_their_fields, start),
		cmocka_unit_test_setup(some_types_have_a_free_list_in_some_versions_only, start),
		cmocka_unit_test_setup(a_float_in_its_free_list_is_looked_at_again, start),
		cmocka_unit_test_setup(an_array_of_objects_is_a_lists_items, start),
		cmocka_unit_test_setup(blocks_of_a_deque_are_known_by_their_links, start),
		cmocka_unit_test_setup(what_libc_allocated_may_be_unreadable, start),
		cmocka_unit_test_setup(
			an_object_that_is_made_is_told_where_its_type_has_a_free_list, start),
		cmocka_unit_test_setup(one_whose_making_was_seen_is_certain_and_shown_alike, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
