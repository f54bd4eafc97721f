/* links: base/lock.c base/descriptor.c base/hash.c base/intern.c base/pages.c base/text.c base/thread.c process/modules.c profile/names.c */
#include "profile/names.h"

#include "profile_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static int start(void **state)
{
	(void)state;
	return names_start() == TL_OK ? 0 : -1;
}

static int forget(void **state)
{
	(void)state;
	names_reset_in_child();
	return 0;
}

static uint32_t number_of(const char *name, const char *file, int32_t first_line)
{
	struct fake_function function = {name, file, first_line};

	return names_function_of_frame(&(struct py_frame){.code = (const char *)&function});
}

static void a_function_is_known_by_its_contents_not_its_address(void **state)
{
	char name[] = "handler", file[] = "app.py";
	struct fake_function first = {name, file, 10}, second = {"handler", "app.py", 10};
	uint32_t number = names_function_of_frame(&(struct py_frame){.code = (char *)&first});

	(void)state;

	assert_int_equal(names_function_of_frame(&(struct py_frame){.code = (char *)&second}),
			 number);

	/* Another function at the address of the first, whose names are gone. */
	memset(name, 'x', 7);
	memset(file, 'y', 6);
	assert_int_not_equal(names_function_of_frame(&(struct py_frame){.code = (char *)&first}),
			     number);
	assert_string_equal(names_text(names_function(number)->name), "handler");
	assert_string_equal(names_text(names_function(number)->file), "app.py");
}

static void functions_of_one_name_differ_by_file_and_by_first_line(void **state)
{
	uint32_t numbers[] = {number_of("run", "a.py", 1), number_of("run", "b.py", 1),
			      number_of("run", "a.py", 9), number_of("run2", "a.py", 1)};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(numbers); i++) {
		assert_int_not_equal(numbers[i], NAMES_OTHERS);
		assert_in_range(numbers[i], 1, names_functions_end() - 1);
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(numbers[i], numbers[j]);
	}
	assert_int_equal(names_function(numbers[2])->first_line, 9);
	assert_int_equal(names_function(numbers[2])->kind, FUNCTION_PYTHON);
	assert_int_equal(names_function(numbers[0])->name, names_function(numbers[1])->name);
}

static void an_empty_name_is_a_name(void **state)
{
	uint32_t number = number_of("", "", 0);

	(void)state;

	assert_int_not_equal(number, NAMES_OTHERS);
	assert_string_equal(names_text(names_function(number)->name), "");
	assert_string_equal(names_text(names_function(number)->file), "");
	assert_int_equal(names_others(), 0);
}

static void others_are_function_0_and_text_0_is_empty(void **state)
{
	(void)state;

	assert_int_equal(names_function(NAMES_OTHERS)->kind, FUNCTION_OTHERS);
	assert_string_equal(names_text(0), "");
}

static void a_calling_place_is_known_by_its_address_and_named_for_its_file(void **state)
{
	uintptr_t here = (uintptr_t)&start + 1, lib = (uintptr_t)&getppid + 4;
	uint32_t mine = names_function_of_address(here), libcs = names_function_of_address(lib);
	char own[512];
	ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);

	(void)state;
	own[length] = 0;
	assert_int_not_equal(mine, libcs);
	assert_int_equal(names_function_of_address(here), mine);
	assert_int_equal(names_function(mine)->kind, FUNCTION_NATIVE);
	assert_string_equal(names_text(names_function(mine)->name), "");

	names_resolve_natives();

	assert_string_equal(names_text(names_function(mine)->file), own);
	assert_non_null(strstr(names_text(names_function(libcs)->name), "<native libc"));
	assert_non_null(strstr(names_text(names_function(libcs)->name), "+0x"));
	assert_non_null(strstr(names_text(names_function(mine)->name), strrchr(own, '/') + 1));
}

static void a_calling_place_in_no_file_has_a_question_mark_and_its_address(void **state)
{
	uint32_t number = names_function_of_address(0x1234);

	(void)state;

	names_resolve_natives();

	assert_string_equal(names_text(names_function(number)->name), "<native ?+0x1234>");
}

/* More than one batch, and again: those that have a name keep it. */
static void any_number_of_calling_places_get_their_names_once(void **state)
{
	uint32_t numbers[100], name;

	(void)state;
	for (uintptr_t i = 0; i < 100; i++)
		numbers[i] = names_function_of_address(0x1000 + i);
	names_resolve_natives();
	name = names_function(numbers[0])->name;
	names_resolve_natives();

	for (size_t i = 0; i < 100; i++) {
		char wanted[64];

		snprintf(wanted, sizeof(wanted), "<native ?+0x%zx>", 0x1000 + i);
		assert_string_equal(names_text(names_function(numbers[i])->name), wanted);
	}
	assert_int_equal(names_function(numbers[0])->name, name);
}

static void when_the_functions_are_full_the_known_stay_and_new_ones_are_others(void **state)
{
	uint32_t known = number_of("known", "a.py", 1), added = 0;

	(void)state;
	for (uintptr_t address = 1; names_others() == 0; address++)
		added += names_function_of_address(address) != NAMES_OTHERS;
	assert_true(added > names_functions_end() * 3 / 4);

	assert_int_equal(number_of("new", "a.py", 1), NAMES_OTHERS);
	assert_int_equal(names_others(), 2);
	assert_int_equal(number_of("known", "a.py", 1), known);
	assert_int_not_equal(names_function_of_address(1), NAMES_OTHERS);
}

static void when_there_is_no_room_for_a_name_its_function_is_others(void **state)
{
	char name[NAMES_LONGEST + 1], file[NAMES_LONGEST + 1];
	uint32_t known = number_of("known", "a.py", 1), added = 0;

	(void)state;
	for (; names_others() == 0; added++) {
		snprintf(name, sizeof(name), "%0255u", added);
		number_of(name, "a.py", 1);
	}

	assert_in_range(added, 1000, names_functions_end() / 2); /* it was not for the functions */
	snprintf(file, sizeof(file), "%0255u", added + 1);
	assert_int_equal(number_of("known", file, 1), NAMES_OTHERS);
	assert_int_equal(names_others(), 2);
	assert_int_equal(number_of("known", "a.py", 1), known);
	assert_int_equal(number_of("known", "a.py", 2) != NAMES_OTHERS, true);
	assert_string_equal(names_text(names_function(known)->name), "known");
}

static void a_forked_child_starts_empty(void **state)
{
	(void)state;
	for (uintptr_t address = 1; names_others() == 0; address++)
		names_function_of_address(address);

	names_reset_in_child();

	assert_int_equal(names_others(), 0);
	assert_int_equal(names_function(NAMES_OTHERS)->kind, FUNCTION_OTHERS);

	uint32_t number = number_of("new", "a.py", 1);

	assert_int_not_equal(number, NAMES_OTHERS);
	assert_string_equal(names_text(names_function(number)->name), "new");
	for (uint32_t other = 1; other < names_functions_end(); other++)
		assert_true(other == number || names_function(other)->identity == 0);
}

static void *add_names(void *unused)
{
	char name[32];

	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "function_%d", i);

		uint32_t number = number_of(name, "threads.py", i);

		if (strcmp(names_text(names_function(number)->name), name) != 0)
			return (void *)1;
		names_function_of_address((uintptr_t)i + 1);
	}
	return unused;
}

static void threads_agree_while_natives_are_named(void **state)
{
	pthread_t threads[3];
	void *failed;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_names, NULL), 0);
	for (int i = 0; i < 5; i++)
		names_resolve_natives();
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(names_others(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_function_is_known_by_its_contents_not_its_address, forget),
		cmocka_unit_test_setup(functions_of_one_name_differ_by_file_and_by_first_line,
				       forget),
		cmocka_unit_test_setup(an_empty_name_is_a_name, forget),
		cmocka_unit_test_setup(others_are_function_0_and_text_0_is_empty, forget),
		cmocka_unit_test_setup(
			a_calling_place_is_known_by_its_address_and_named_for_its_file, forget),
		cmocka_unit_test_setup(
			a_calling_place_in_no_file_has_a_question_mark_and_its_address, forget),
		cmocka_unit_test_setup(any_number_of_calling_places_get_their_names_once, forget),
		cmocka_unit_test_setup(
			when_the_functions_are_full_the_known_stay_and_new_ones_are_others, forget),
		cmocka_unit_test_setup(when_there_is_no_room_for_a_name_its_function_is_others,
				       forget),
		cmocka_unit_test_setup(a_forked_child_starts_empty, forget),
		cmocka_unit_test_setup(threads_agree_while_natives_are_named, forget),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
