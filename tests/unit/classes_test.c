/* links: base/lock.c base/descriptor.c base/clock.c base/hash.c base/intern.c base/pages.c base/text.c process/modules.c process/safe_read.c process/py_type.c profile/names.c profile/classes.c */
#include "profile/classes.h"

#include "process/py_class.h"
#include "process/py_layout.h"
#include "profile/names.h"
#include "profile_fixture.h"

#include <stdio.h>

struct py_layout py_layout;

/* A type object: its name, and what py_class_is says of it. */
struct fake_class {
	const char *name;
	uint64_t identity;
};

static unsigned names_read;

static bool class_is(uintptr_t type, uint64_t *identity)
{
	*identity = ((const struct fake_class *)type)->identity;
	return *identity != 0;
}

static bool class_name(uintptr_t type, char *name, size_t capacity)
{
	names_read++;
	fake_copy(((const struct fake_class *)type)->name, name, capacity);
	return true;
}

static int start(void **state)
{
	(void)state;
	py_layout = (struct py_layout){.minor = 11, .object_type = 8};
	fake_class_is = class_is;
	fake_class_name = class_name;
	if (names_start() != TL_OK || classes_start() != TL_OK)
		return -1;
	classes_begin_round();
	return 0;
}

static unsigned number_of(const struct fake_class *class)
{
	uint64_t block[4] = {0, 0, 1, (uintptr_t) class};

	return classes_of_block(block, sizeof(block), true);
}

static void a_class_has_one_number_by_its_name_and_the_name_is_read_once(void **state)
{
	struct fake_class session = {"app.Session", 1}, again = {"app.Session", 2};
	struct fake_class other = {"app.Other", 3};
	unsigned number = number_of(&session);

	(void)state;
	assert_in_range(number, PY_TYPE_COUNT, CLASSES_END - 1);
	assert_string_equal(classes_name(number), "app.Session");
	assert_int_equal(number_of(&again), number);
	assert_int_not_equal(number_of(&other), number);
	names_read = 0;
	assert_int_equal(number_of(&session), number);
	assert_int_equal(names_read, 0);
}

static void an_address_that_came_back_for_another_class_is_read_anew(void **state)
{
	struct fake_class class = {"first", 10};
	unsigned first = number_of(&class);

	(void)state;
	class = (struct fake_class){"second", 11};
	assert_int_not_equal(number_of(&class), first);
	assert_string_equal(classes_name(number_of(&class)), "second");
}

static void what_is_no_class_is_of_no_known_type(void **state)
{
	struct fake_class none = {"", 0};

	(void)state;
	assert_int_equal(number_of(&none), PY_TYPE_OTHER);
	assert_string_equal(classes_name(PY_TYPE_OTHER), "");
	assert_string_equal(classes_name(PY_TYPE_STR), "str");
}

static void after_the_last_number_a_class_is_not_told_apart_and_a_child_begins_anew(void **state)
{
	static struct fake_class classes[CLASSES_END];
	static char names[CLASSES_END][8];
	unsigned refused = 0;

	(void)state;
	for (unsigned i = 0; i < CLASSES_END; i++) {
		snprintf(names[i], sizeof(names[i]), "C%u", i);
		classes[i] = (struct fake_class){names[i], i + 100};
		classes_begin_round();
		refused += number_of(&classes[i]) == PY_TYPE_OTHER;
	}
	assert_in_range(refused, PY_TYPE_COUNT, CLASSES_END / 4);
	assert_int_equal(number_of(&classes[CLASSES_END - 1]), PY_TYPE_OTHER);

	names_reset_in_child();
	classes_reset_in_child();
	assert_string_equal(classes_name(number_of(&classes[CLASSES_END - 1])), "C4095");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_class_has_one_number_by_its_name_and_the_name_is_read_once),
		cmocka_unit_test(an_address_that_came_back_for_another_class_is_read_anew),
		cmocka_unit_test(what_is_no_class_is_of_no_known_type),
		cmocka_unit_test(
			after_the_last_number_a_class_is_not_told_apart_and_a_child_begins_anew),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
