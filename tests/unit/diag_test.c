/* links: base/diag.c base/text.c */
#include "base/diag.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int saved_stderr;
static int pipe_ends[2];
static char got[8192];

static int stderr_into_a_pipe(void **state)
{
	(void)state;
	saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	if (pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK) != 0)
		return -1;
	return dup2(pipe_ends[1], STDERR_FILENO) < 0;
}

static int stderr_back(void **state)
{
	(void)state;
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	return 0;
}

static const char *what_was_said(void)
{
	ssize_t length = read(pipe_ends[0], got, sizeof(got) - 1);

	got[length > 0 ? length : 0] = '\0';
	return got;
}

static void a_line_is_its_parts_behind_our_name(void **state)
{
	(void)state;
	diag_say("cannot open ", "/tmp/x", ": ", "no", NULL);

	assert_string_equal(what_was_said(), "[trackleak] cannot open /tmp/x: no\n");
}

static void a_name_cannot_forge_a_line(void **state)
{
	(void)state;
	diag_say("bad value ", "1\n[trackleak] all is well\x1b[0m", NULL);

	assert_string_equal(what_was_said(),
			    "[trackleak] bad value 1\\x0a[trackleak] all is well\\x1b[0m\n");
}

static void a_long_line_still_ends(void **state)
{
	char name[3000];

	(void)state;
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	diag_say(name, NULL);
	what_was_said();

	assert_int_equal(strlen(got), 1024);
	assert_int_equal(got[1023], '\n');
}

static void errno_is_kept(void **state)
{
	(void)state;
	errno = E2BIG;
	diag_say("x", NULL);
	assert_int_equal(errno, E2BIG);

	close(STDERR_FILENO);
	diag_say("x", NULL);
	assert_int_equal(errno, E2BIG);
}

static void a_file_that_got_the_number_of_a_closed_stderr_stays_clean(void **state)
{
	char path[] = "/tmp/trackleak-diag-XXXXXX";
	int file;

	(void)state;
	close(mkstemp(path));
	close(STDERR_FILENO);
	file = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(file, STDERR_FILENO);

	diag_say("into your data", NULL);

	assert_int_equal(lseek(file, 0, SEEK_END), 0);
	unlink(path);
}

static void a_reader_that_went_away_does_not_end_the_program(void **state)
{
	int status;
	pid_t child;

	(void)state;
	close(pipe_ends[0]);
	pipe_ends[0] = -1;
	child = fork();
	if (child == 0) {
		signal(SIGPIPE, SIG_DFL);
		diag_say("to nobody", NULL);
		_exit(7);
	}
	waitpid(child, &status, 0);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
}

static void a_reader_that_does_not_read_stops_nobody(void **state)
{
	char block[4096];
	size_t written;

	(void)state;
	memset(block, 'x', sizeof(block));
	fcntl(pipe_ends[1], F_SETFL, 0); /* writes wait, as on a real stderr */
	alarm(20);                       /* hanging is failing */
	for (unsigned i = 0; i < 64; i++) {
		written = diag_write(block, sizeof(block));
		if (written == 0)
			break;
	}
	alarm(0);

	assert_int_equal(written, 0);
}

static void long_texts_leave_whole(void **state)
{
	static char text[20000], received[20000];
	size_t length = 0;
	ssize_t now;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 26);

	assert_int_equal(diag_write(text, sizeof(text)), sizeof(text));
	while (length < sizeof(received) &&
	       (now = read(pipe_ends[0], received + length, sizeof(received) - length)) > 0)
		length += (size_t)now;
	assert_int_equal(length, sizeof(text));
	assert_memory_equal(text, received, sizeof(text));
}

#define ON_A_PIPE(test) cmocka_unit_test_setup_teardown(test, stderr_into_a_pipe, stderr_back)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_A_PIPE(a_line_is_its_parts_behind_our_name),
		ON_A_PIPE(a_name_cannot_forge_a_line),
		ON_A_PIPE(a_long_line_still_ends),
		ON_A_PIPE(errno_is_kept),
		ON_A_PIPE(a_file_that_got_the_number_of_a_closed_stderr_stays_clean),
		ON_A_PIPE(a_reader_that_went_away_does_not_end_the_program),
		ON_A_PIPE(a_reader_that_does_not_read_stops_nobody),
		ON_A_PIPE(long_texts_leave_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
