/* links: base/descriptor.c */
#include "base/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int lowest_free(void)
{
	int fd = dup(STDIN_FILENO);

	close(fd);
	return fd;
}

static bool limit_descriptors(rlim_t most)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return false;
	limit.rlim_cur = most;
	return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

/* In a child, whose table of descriptors and limit are its own. */
static void check_in_child(bool (*is_right)(void))
{
	int result;

	if (fork() == 0)
		_exit(is_right() ? 0 : 1);
	assert_true(wait(&result) > 0);
	assert_int_equal(result, 0);
}

static bool stands_high(void)
{
	int lowest = lowest_free(), fd;

	fd = descriptor_open(AT_FDCWD, "/proc/self/status", O_RDONLY | O_CLOEXEC);
	return fd >= DESCRIPTOR_HIGH && fcntl(fd, F_GETFD) == FD_CLOEXEC && lowest_free() == lowest;
}

static bool stands_where_the_limit_allows(void)
{
	int lowest = lowest_free();

	return limit_descriptors(DESCRIPTOR_HIGH) &&
	       descriptor_open(AT_FDCWD, "/", O_RDONLY) == lowest && fcntl(lowest, F_GETFD) >= 0;
}

static bool never_stands_on_stdin(void)
{
	close(STDIN_FILENO);
	return limit_descriptors(DESCRIPTOR_HIGH) &&
	       descriptor_open(AT_FDCWD, "/", O_RDONLY) > STDERR_FILENO &&
	       fcntl(STDIN_FILENO, F_GETFD) < 0;
}

static bool is_refused_where_only_stdin_is_left(void)
{
	while (dup(STDERR_FILENO) < 20)
		continue;
	close(STDIN_FILENO);
	return limit_descriptors(20) && descriptor_open(AT_FDCWD, "/", O_RDONLY) == -1 &&
	       errno == EMFILE && fcntl(STDIN_FILENO, F_GETFD) < 0;
}

static bool makes_files_for_their_owner_alone(void)
{
	char folder[] = "/tmp/descriptor_test-XXXXXX";
	struct stat status;
	int base, fd;
	bool is_right;

	base = mkdtemp(folder) == NULL ? -1 : descriptor_open(AT_FDCWD, folder, O_RDONLY);
	umask(0);
	fd = descriptor_open(base, "made", O_WRONLY | O_CREAT | O_EXCL);
	is_right = fd > base && base >= DESCRIPTOR_HIGH && fstat(fd, &status) == 0 &&
		   (status.st_mode & 0777) == 0600;
	unlinkat(base, "made", 0);
	rmdir(folder);
	return is_right;
}

static void a_file_stands_high_and_leaves_the_low_numbers_to_the_program(void **state)
{
	(void)state;
	check_in_child(stands_high);
}

static void under_a_low_limit_a_file_stands_where_open_put_it(void **state)
{
	(void)state;
	check_in_child(stands_where_the_limit_allows);
}

static void no_file_stands_where_a_standard_stream_was_closed(void **state)
{
	(void)state;
	check_in_child(never_stands_on_stdin);
	check_in_child(is_refused_where_only_stdin_is_left);
}

static void a_file_that_is_made_is_for_its_owner_alone(void **state)
{
	(void)state;
	check_in_child(makes_files_for_their_owner_alone);
}

static void what_cannot_be_opened_keeps_its_reason(void **state)
{
	(void)state;
	assert_int_equal(descriptor_open(AT_FDCWD, "/no-such-folder/x", O_RDONLY), -1);
	assert_int_equal(errno, ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_stands_high_and_leaves_the_low_numbers_to_the_program),
		cmocka_unit_test(under_a_low_limit_a_file_stands_where_open_put_it),
		cmocka_unit_test(no_file_stands_where_a_standard_stream_was_closed),
		cmocka_unit_test(a_file_that_is_made_is_for_its_owner_alone),
		cmocka_unit_test(what_cannot_be_opened_keeps_its_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
