/* links: base/descriptor.c process/modules.c */
#include "process/modules.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int own_data = 7;

static void own_name(char *buffer, size_t capacity)
{
	ssize_t length = readlink("/proc/self/exe", buffer, capacity - 1);

	assert_true(length > 0);
	buffer[length] = 0;
}

/* The loader itself is the judge. */
static void names_the_file_and_the_offset_of_an_address_as_the_loader_does(void **state)
{
	uintptr_t addresses[] = {(uintptr_t)&abort, (uintptr_t)&cmocka_set_message_output,
				 (uintptr_t)&qsort};
	struct module_place places[TL_COUNT_OF(addresses)];

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(addresses); i++)
		addresses[i] += i; /* inside the function does too */

	modules_find(addresses, places, TL_COUNT_OF(addresses));

	for (size_t i = 0; i < TL_COUNT_OF(addresses); i++) {
		char file[PATH_MAX];
		Dl_info known;

		assert_int_not_equal(dladdr((void *)addresses[i], &known), 0);
		assert_int_equal(places[i].offset, addresses[i] - (uintptr_t)known.dli_fbase);
		assert_non_null(realpath(known.dli_fname, file));
		assert_string_equal(places[i].path, file);
	}
}

static void finds_code_and_data_of_the_program(void **state)
{
	uintptr_t addresses[] = {(uintptr_t)&own_name, (uintptr_t)&own_data};
	struct module_place places[2];
	char name[512];

	(void)state;
	own_name(name, sizeof(name));

	modules_find(addresses, places, 2);

	assert_string_equal(places[0].path, name);
	assert_string_equal(places[1].path, name);
	assert_int_equal(addresses[1] - addresses[0], places[1].offset - places[0].offset);
}

static void an_address_in_no_file_stays_itself(void **state)
{
	char *anonymous = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t addresses[] = {0, 1, (uintptr_t)anonymous, (uintptr_t)&addresses, UINTPTR_MAX};
	struct module_place places[TL_COUNT_OF(addresses)];

	(void)state;

	modules_find(addresses, places, TL_COUNT_OF(addresses));

	for (size_t i = 0; i < TL_COUNT_OF(addresses); i++) {
		assert_string_equal(places[i].path, "");
		assert_int_equal(places[i].offset, addresses[i]);
	}
	munmap(anonymous, 4096);
}

static void nothing_asked_is_nothing_done(void **state)
{
	(void)state;

	modules_find(NULL, NULL, 0);
}

/* A map of a file may be no ELF file, and its header may not be readable. */
static void maps_of_a_file_may_be_unreadable(void **state)
{
	char path[] = "/tmp/modules_test_XXXXXX";
	int fd = mkstemp(path);
	struct module_place place;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 8192), 0);
	char *map = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	uintptr_t address = (uintptr_t)map + 5000;

	modules_find(&address, &place, 1);

	assert_string_equal(place.path, path);
	assert_int_equal(place.offset, 5000);
	munmap(map, 8192);
	close(fd);
	unlink(path);
}

static void in_a_program_of_fixed_addresses_an_offset_is_the_address_itself(void **state)
{
	char path[] = "/tmp/modules_test_XXXXXX";
	Elf64_Ehdr header = {.e_ident = ELFMAG, .e_type = ET_EXEC};
	int fd = mkstemp(path);
	struct module_place place;

	(void)state;
	assert_int_equal(write(fd, &header, sizeof(header)), sizeof(header));
	char *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	uintptr_t address = (uintptr_t)map + 100;

	modules_find(&address, &place, 1);

	assert_string_equal(place.path, path);
	assert_int_equal(place.offset, address);
	munmap(map, 4096);
	close(fd);
	unlink(path);
}

static void names_of_any_length_are_cut_and_do_not_confuse(void **state)
{
	char folder[3000] = "/tmp/modules_test_XXXXXX", path[3300], name[512];
	struct module_place places[2];

	(void)state;
	assert_non_null(mkdtemp(folder));
	for (int depth = 0; depth < 10; depth++) {
		size_t length = strlen(folder);

		folder[length] = '/';
		memset(folder + length + 1, 'a' + depth, 100);
		folder[length + 101] = 0;
		assert_int_equal(mkdir(folder, 0700), 0);
	}
	snprintf(path, sizeof(path), "%s/file", folder);
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	char *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	uintptr_t addresses[] = {(uintptr_t)map + 10, (uintptr_t)&own_name};

	own_name(name, sizeof(name));
	modules_find(addresses, places, 2);

	assert_int_equal(strlen(places[0].path), 255);
	assert_memory_equal(places[0].path, path, 255);
	assert_int_equal(places[0].offset, 10);
	assert_string_equal(places[1].path, name);
	munmap(map, 4096);
	close(fd);
	unlink(path);
	for (; strlen(folder) > strlen("/tmp"); *strrchr(folder, '/') = 0)
		rmdir(folder);
}

static void the_range_of_a_file_spans_all_its_mappings(void **state)
{
	uintptr_t start = 0, end = 0;

	(void)state;

	assert_true(modules_range((uintptr_t)&own_name, &start, &end));

	assert_in_range((uintptr_t)&own_name, start, end - 1);
	assert_in_range((uintptr_t)&own_data, start, end - 1);
	assert_false((uintptr_t)&abort >= start && (uintptr_t)&abort < end);
}

static void there_is_no_range_of_an_address_in_no_file(void **state)
{
	uintptr_t start, end;

	(void)state;

	assert_false(modules_range(8, &start, &end));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_the_file_and_the_offset_of_an_address_as_the_loader_does),
		cmocka_unit_test(finds_code_and_data_of_the_program),
		cmocka_unit_test(an_address_in_no_file_stays_itself),
		cmocka_unit_test(nothing_asked_is_nothing_done),
		cmocka_unit_test(maps_of_a_file_may_be_unreadable),
		cmocka_unit_test(in_a_program_of_fixed_addresses_an_offset_is_the_address_itself),
		cmocka_unit_test(names_of_any_length_are_cut_and_do_not_confuse),
		cmocka_unit_test(the_range_of_a_file_spans_all_its_mappings),
		cmocka_unit_test(there_is_no_range_of_an_address_in_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
