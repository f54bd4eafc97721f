/* links: base/descriptor.c base/text.c output/log_folder.c output/log_file.c */
#include "output/log_file.h"
#include "output/log_folder.h"

#include "output_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>

static struct log_file file;

static int setup(void **state)
{
	int result = make_folder(state);

	log_folder_temporary = temporary;
	log_folder_start(false);
	file = (struct log_file){.name = "profiler.json"};
	return result;
}

static enum tl_err append(const char *line)
{
	return log_file_append(&file, line, strlen(line));
}

/* Fills a log to just below its limit of 1 MiB. */
static void fill(const char *path)
{
	static char line[1024];
	FILE *log = fopen(path, "w");

	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	for (unsigned i = 0; i < 1023; i++)
		fwrite(line, 1, sizeof(line), log);
	fclose(log);
	config.log_max_mb = 1;
}

static const char *big_line(void)
{
	static char line[2049];

	memset(line, 'y', sizeof(line) - 2);
	line[sizeof(line) - 2] = '\n';
	return line;
}

static void appends_and_leaves_no_descriptor_open(void **state)
{
	int before = dup(0);

	(void)state;
	close(before);
	errno = E2BIG;
	assert_int_equal(append("one\n"), TL_OK);
	assert_int_equal(append("two\n"), TL_OK);

	assert_int_equal(errno, E2BIG);
	assert_file_is(in(log_dir, "profiler.json"), "one\ntwo\n");
	assert_int_equal(mode_of(in(log_dir, "profiler.json")), 0600);
	assert_int_equal(dup(0), before);
	close(before);
}

static void the_mode_is_the_one_asked_for_whatever_the_umask(void **state)
{
	(void)state;
	config.log_mode = 0644;
	umask(077);
	append("one\n");
	umask(022);

	assert_int_equal(mode_of(in(log_dir, "profiler.json")), 0644);
}

static void names_may_hold_the_pid_a_subfolder_or_a_whole_path(void **state)
{
	char expected[4096], name[128], path[4096];
	struct text text = text_over(path, sizeof(path));

	(void)state;
	file.name = "p-%p-%p.log";
	append("x\n");
	snprintf(name, sizeof(name), "p-%d-%d.log", getpid(), getpid());
	assert_file_is(in(log_dir, name), "x\n");
	log_file_path(&text, file.name);
	assert_string_equal(text_terminate(&text), in(log_dir, name));

	mkdir(in(log_dir, "sub"), 0700);
	file.name = "sub/deep.log";
	append("y\n");
	assert_file_is(in(log_dir, "sub/deep.log"), "y\n");

	snprintf(expected, sizeof(expected), "%s/absolute.log", folder);
	file.name = expected;
	append("z\n");
	assert_file_is(expected, "z\n");
	text_clear(&text);
	log_file_path(&text, file.name);
	assert_string_equal(text_terminate(&text), expected);
}

static void a_dash_is_stderr(void **state)
{
	char buffer[64];
	struct text path = text_over(buffer, sizeof(buffer));

	(void)state;
	file.name = "-";
	assert_int_equal(append("to the terminal\n"), TL_OK);
	log_file_path(&path, "-");

	assert_string_equal(written_to_stderr, "to the terminal\n");
	assert_string_equal(text_terminate(&path), "-");
	assert_false(exists(in(log_dir, "-")));

	stderr_is_broken = true;
	assert_int_equal(append("lost\n"), TL_ERR_SYSTEM);
	assert_int_equal(file.lost_bytes, 5);
}

static void survives_a_rename_by_logrotate(void **state)
{
	(void)state;
	append("one\n");
	assert_int_equal(rename(in(log_dir, "profiler.json"), in(log_dir, "profiler.json.1")), 0);
	append("two\n");

	assert_file_is(in(log_dir, "profiler.json"), "two\n");
	assert_file_is(in(log_dir, "profiler.json.1"), "one\n");
}

static void survives_copytruncate_without_a_hole(void **state)
{
	(void)state;
	append("one\n");
	assert_int_equal(truncate(in(log_dir, "profiler.json"), 0), 0);
	append("two\n");

	assert_file_is(in(log_dir, "profiler.json"), "two\n");
}

static void survives_a_deleted_folder(void **state)
{
	(void)state;
	append("one\n");
	assert_int_equal(unlink(in(log_dir, "profiler.json")), 0);
	assert_int_equal(rmdir(log_dir), 0);
	append("two\n");

	assert_file_is(in(log_dir, "profiler.json"), "two\n");
	assert_string_equal(said, "");
}

static void refuses_a_link_with_one_line(void **state)
{
	(void)state;
	write_file(in(folder, "victim"), "precious\n");
	assert_int_equal(symlink(in(folder, "victim"), in(log_dir, "profiler.json")), 0);

	assert_int_equal(append("one\n"), TL_ERR_SYSTEM);
	assert_int_equal(append("two\n"), TL_ERR_SYSTEM);

	assert_file_is(in(folder, "victim"), "precious\n");
	assert_int_equal(lines_said, 1);
	assert_non_null(strstr(said, "symbolic"));
	assert_int_equal(file.lost_bytes, 8);
}

static void refuses_a_link_to_nothing(void **state)
{
	(void)state;
	assert_int_equal(symlink(in(folder, "victim"), in(log_dir, "profiler.json")), 0);

	assert_int_equal(append("one\n"), TL_ERR_SYSTEM);
	assert_false(exists(in(folder, "victim")));
}

static void refuses_a_fifo_without_waiting_for_its_reader(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(in(log_dir, "profiler.json"), 0600), 0);
	alarm(20); /* hanging is failing */
	assert_int_equal(append("one\n"), TL_ERR_SYSTEM);
	alarm(0);

	assert_int_equal(lines_said, 1);
}

static void refuses_a_second_name_of_a_file_where_others_can_plant_one(void **state)
{
	(void)state;
	config.log_dir = temporary;
	write_file(in(folder, "victim"), "precious\n");
	assert_int_equal(link(in(folder, "victim"), in(temporary, "profiler.json")), 0);

	assert_int_equal(append("one\n"), TL_ERR_SYSTEM);
	assert_file_is(in(folder, "victim"), "precious\n");

	assert_int_equal(unlink(in(temporary, "profiler.json")), 0);
	assert_int_equal(append("two\n"), TL_OK);
}

static void refuses_the_file_of_another_user_where_others_can_plant_one(void **state)
{
	(void)state;
	if (getuid() != 0)
		skip(); /* only root can make files of two users */
	config.log_dir = temporary;
	write_file(in(temporary, "profiler.json"), "theirs\n");
	assert_int_equal(chown(in(temporary, "profiler.json"), 65534, 65534), 0);

	assert_int_equal(append("one\n"), TL_ERR_SYSTEM);
	assert_file_is(in(temporary, "profiler.json"), "theirs\n");
}

static void rotates_before_the_limit_is_passed(void **state)
{
	(void)state;
	fill(in(log_dir, "profiler.json"));
	assert_int_equal(append("fits\n"), TL_OK);
	assert_false(exists(in(log_dir, "profiler.json.1")));

	assert_int_equal(append(big_line()), TL_OK);

	assert_file_is(in(log_dir, "profiler.json"), big_line());
	assert_true(exists(in(log_dir, "profiler.json.1")));
	assert_int_equal(mode_of(in(log_dir, "profiler.json")), 0600);
}

static void keeps_so_many_old_logs_and_the_newest_is_1(void **state)
{
	char mark[] = "a\n";
	FILE *log;

	(void)state;
	config.log_keep = 3;
	for (; mark[0] <= 'f'; mark[0]++) { /* six full logs, each with its mark at the end */
		fill(in(log_dir, "profiler.json"));
		log = fopen(in(log_dir, "profiler.json"), "a");
		fputs(mark, log);
		fclose(log);
		append(big_line());
	}

	for (char number = '1'; number <= '3'; number++) { /* f, e, d */
		char name[] = "profiler.json.?", *contents;

		name[sizeof(name) - 2] = number;
		contents = read_file(in(log_dir, name));
		assert_non_null(contents);
		assert_int_equal(contents[strlen(contents) - 2], 'f' - (number - '1'));
		free(contents);
	}
	assert_false(exists(in(log_dir, "profiler.json.4")));
	assert_file_is(in(log_dir, "profiler.json"), big_line());
}

static void keep_0_begins_anew(void **state)
{
	(void)state;
	config.log_keep = 0;
	fill(in(log_dir, "profiler.json"));
	append(big_line());

	assert_file_is(in(log_dir, "profiler.json"), big_line());
	assert_false(exists(in(log_dir, "profiler.json.1")));
}

static void appends_past_the_limit_while_another_process_rotates(void **state)
{
	struct stat status;
	int theirs;

	(void)state;
	fill(in(log_dir, "profiler.json"));
	theirs = open(in(log_dir, "profiler.json"), O_RDONLY);
	assert_int_equal(flock(theirs, LOCK_EX), 0);

	assert_int_equal(append(big_line()), TL_OK);

	assert_int_equal(fstat(theirs, &status), 0);
	assert_int_equal(status.st_size, 1023 * 1024 + 2048);
	assert_false(exists(in(log_dir, "profiler.json.1")));
	close(theirs);
}

static void rotates_while_others_are_busy_appending(void **state)
{
	struct flock reading = {.l_type = F_RDLCK, .l_len = 1};
	int theirs;

	(void)state;
	fill(in(log_dir, "profiler.json"));
	theirs = open(in(log_dir, "profiler.json"), O_RDWR);
	assert_int_equal(fcntl(theirs, F_OFD_SETLK, &reading), 0);

	assert_int_equal(append(big_line()), TL_OK);

	assert_file_is(in(log_dir, "profiler.json"), big_line());
	close(theirs);
}

static void no_line_is_taken_for_torn_while_another_process_appends(void **state)
{
	struct flock reading = {.l_type = F_RDLCK, .l_len = 1};
	int theirs;

	(void)state;
	write_file(in(log_dir, "profiler.json"), "half of a li");
	theirs = open(in(log_dir, "profiler.json"), O_RDWR);
	assert_int_equal(fcntl(theirs, F_OFD_SETLK, &reading), 0);
	append("whole\n");
	close(theirs);

	assert_file_is(in(log_dir, "profiler.json"), "half of a liwhole\n");
}

/* A file size limit is a full disk that every test may have. Returns what was written and the
 * exit status. */
static int in_a_child_whose_disk_is_full_at(rlim_t bytes, void (*work)(void))
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, RLIM_INFINITY});
		work();
		_exit(99);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void fill_the_disk_and_empty_it(void)
{
	if (append("12345\n") != TL_OK)
		_exit(1);
	if (append("67890\n") != TL_ERR_SYSTEM || file.lost_bytes != 2 || lines_said != 1)
		_exit(2);
	if (append("abcde\n") != TL_ERR_SYSTEM || file.lost_bytes != 8 || lines_said != 1)
		_exit(3);
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){1000, RLIM_INFINITY});
	if (append("fghij\n") != TL_OK || lines_said != 2 ||
	    strstr(said, "lost bytes: 8\n") == NULL)
		_exit(4);
	if (append("klmno\n") != TL_OK || lines_said != 2)
		_exit(5);
	_exit(0);
}

static void a_full_disk_is_said_once_counted_and_tears_one_line(void **state)
{
	(void)state;
	assert_int_equal(in_a_child_whose_disk_is_full_at(10, fill_the_disk_and_empty_it), 0);
	assert_file_is(in(log_dir, "profiler.json"), "12345\n6789\nfghij\nklmno\n");
}

static void have_a_child_while_it_is_full(void)
{
	append("123456789012345\n");
	log_file_reset_in_child(&file);
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){1000, RLIM_INFINITY});
	append("a child's\n");
	_exit(lines_said == 1 && file.lost_bytes == 0 ? 0 : 1);
}

static void a_forked_child_does_not_say_again_what_its_parent_said(void **state)
{
	(void)state;
	assert_int_equal(in_a_child_whose_disk_is_full_at(10, have_a_child_while_it_is_full), 0);
}

static void what_is_shut_is_not_written_and_nothing_is_said(void **state)
{
	(void)state;
	append("one\n");
	log_folder_is_shut = true;
	append("two\n");
	file.name = "-";
	append("three\n");
	log_folder_is_shut = false;

	assert_file_is(in(log_dir, "profiler.json"), "one\n");
	assert_string_equal(written_to_stderr, "");
	assert_int_equal(lines_said, 0);
}

static void a_torn_line_of_another_process_is_ended_first(void **state)
{
	(void)state;
	write_file(in(log_dir, "profiler.json"), "torn");
	append("whole\n");

	assert_file_is(in(log_dir, "profiler.json"), "torn\nwhole\n");
}

/* Each line is `<writer> <number> <filling>` with a length that its number tells. */
static void write_lines(char writer, unsigned lines)
{
	char line[400];

	for (unsigned i = 0; i < lines; i++) {
		int length = snprintf(line, sizeof(line), "%c %u ", writer, i);

		memset(line + length, writer, 300);
		length += (int)(i % 300);
		line[length] = '\n';
		line[length + 1] = '\0';
		if (append(line) != TL_OK)
			_exit(1);
	}
	_exit(0);
}

static unsigned check_lines(const char *path, unsigned *seen_a, unsigned *seen_b)
{
	char *contents = read_file(path), *at = contents;
	unsigned lines = 0;

	if (contents == NULL)
		return 0;
	for (char *end; (end = strchr(at, '\n')) != NULL; at = end + 1, lines++) {
		char writer, expected[400];
		unsigned number;
		int length;

		assert_int_equal(sscanf(at, "%c %u ", &writer, &number), 2);
		length = snprintf(expected, sizeof(expected), "%c %u ", writer, number);
		memset(expected + length, writer, 300);
		assert_int_equal(end - at, length + (int)(number % 300));
		assert_memory_equal(at, expected, (size_t)(end - at));
		++*(writer == 'a' ? seen_a : seen_b);
	}
	assert_int_equal(*at, '\0');
	free(contents);
	return lines;
}

static void two_processes_lose_and_tear_no_line_while_both_rotate(void **state)
{
	enum { LINES = 12000 }; /* 4 MB: each rotates now and then */
	unsigned from_a = 0, from_b = 0, files = 0;
	int status;

	(void)state;
	config.log_max_mb = 1;
	config.log_keep = 20;
	for (char writer = 'a'; writer <= 'b'; writer++) {
		if (fork() == 0)
			write_lines(writer, LINES);
	}
	for (unsigned i = 0; i < 2; i++) {
		wait(&status);
		assert_int_equal(status, 0);
	}
	files += check_lines(in(log_dir, "profiler.json"), &from_a, &from_b) > 0;
	for (unsigned i = 1; i <= 20; i++) {
		char name[64];

		snprintf(name, sizeof(name), "profiler.json.%u", i);
		files += check_lines(in(log_dir, name), &from_a, &from_b) > 0;
	}

	assert_int_equal(from_a, LINES);
	assert_int_equal(from_b, LINES);
	assert_in_range(files, 4, 6);
}

static void append_blocks(unsigned count)
{
	static char block[60000];

	memset(block, 'x', sizeof(block));
	block[sizeof(block) - 1] = '\n';
	for (unsigned i = 0; i < count; i++) {
		if (log_file_append(&file, block, sizeof(block)) != TL_OK)
			_exit(1);
	}
	_exit(0);
}

static void of_two_processes_that_find_it_full_only_one_rotates(void **state)
{
	struct stat size;
	int status;

	(void)state;
	config.log_max_mb = 1;
	config.log_keep = 100;
	for (unsigned i = 0; i < 2; i++) {
		if (fork() == 0)
			append_blocks(800);
	}
	for (unsigned i = 0; i < 2; i++) {
		wait(&status);
		assert_int_equal(status, 0);
	}

	for (unsigned i = 1; i <= 100; i++) { /* a log that was rotated twice is not full */
		char name[64];

		snprintf(name, sizeof(name), "profiler.json.%u", i);
		if (stat(in(log_dir, name), &size) == 0)
			assert_true(size.st_size >= 1024 * 1024 - 60000);
	}
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_FOLDER(appends_and_leaves_no_descriptor_open),
		IN_A_FOLDER(the_mode_is_the_one_asked_for_whatever_the_umask),
		IN_A_FOLDER(names_may_hold_the_pid_a_subfolder_or_a_whole_path),
		IN_A_FOLDER(a_dash_is_stderr),
		IN_A_FOLDER(survives_a_rename_by_logrotate),
		IN_A_FOLDER(survives_copytruncate_without_a_hole),
		IN_A_FOLDER(survives_a_deleted_folder),
		IN_A_FOLDER(refuses_a_link_with_one_line),
		IN_A_FOLDER(refuses_a_link_to_nothing),
		IN_A_FOLDER(refuses_a_fifo_without_waiting_for_its_reader),
		IN_A_FOLDER(refuses_a_second_name_of_a_file_where_others_can_plant_one),
		IN_A_FOLDER(refuses_the_file_of_another_user_where_others_can_plant_one),
		IN_A_FOLDER(rotates_before_the_limit_is_passed),
		IN_A_FOLDER(keeps_so_many_old_logs_and_the_newest_is_1),
		IN_A_FOLDER(keep_0_begins_anew),
		IN_A_FOLDER(appends_past_the_limit_while_another_process_rotates),
		IN_A_FOLDER(rotates_while_others_are_busy_appending),
		IN_A_FOLDER(no_line_is_taken_for_torn_while_another_process_appends),
		IN_A_FOLDER(a_full_disk_is_said_once_counted_and_tears_one_line),
		IN_A_FOLDER(a_forked_child_does_not_say_again_what_its_parent_said),
		IN_A_FOLDER(what_is_shut_is_not_written_and_nothing_is_said),
		IN_A_FOLDER(a_torn_line_of_another_process_is_ended_first),
		IN_A_FOLDER(two_processes_lose_and_tear_no_line_while_both_rotate),
		IN_A_FOLDER(of_two_processes_that_find_it_full_only_one_rotates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
