/* links: base/folder.c */
#include "base/folder.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/folder_test-XXXXXX";

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(path) == NULL;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(path);
}

static void every_name_comes_once_however_many_there_are(void **state)
{
	static bool seen[500];
	struct folder folder;
	const char *name;
	char own[32];
	int fd = open(path, O_RDONLY | O_DIRECTORY), dots = 0;

	(void)state;
	for (int i = 0; i < 500; i++) {
		snprintf(own, sizeof(own), "a rather long name %d", i);
		close(openat(fd, own, O_CREAT | O_WRONLY, 0600));
	}

	folder_begin(&folder, fd);
	while ((name = folder_next(&folder)) != NULL) {
		int number = -1;

		if (sscanf(name, "a rather long name %d", &number) != 1) {
			dots++;
			continue;
		}
		assert_in_range(number, 0, 499);
		assert_false(seen[number]);
		seen[number] = true;
	}

	assert_int_equal(dots, 2);
	for (int i = 0; i < 500; i++) {
		assert_true(seen[i]);
		snprintf(own, sizeof(own), "a rather long name %d", i);
		unlinkat(fd, own, 0);
	}
	close(fd);
}

static void what_is_no_folder_has_no_names(void **state)
{
	struct folder folder;

	(void)state;
	folder_begin(&folder, -1);

	assert_null(folder_next(&folder));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_name_comes_once_however_many_there_are),
		cmocka_unit_test(what_is_no_folder_has_no_names),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
