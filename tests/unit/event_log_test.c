/* links: base/descriptor.c base/text.c base/pages.c output/log_folder.c output/log_file.c output/event_log.c */
#include "output/event_log.h"
#include "output/log_folder.h"

#include "output_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>

#define BLOCK ((void *)0x55abc123)

static int setup(void **state)
{
	int result = make_folder(state);

	log_folder_temporary = temporary;
	log_folder_start(false);
	return result;
}

static int teardown(void **state)
{
	event_log_flush();
	return remove_folder(state);
}

static void lines_are_those_of_the_manual(void **state)
{
	(void)state;
	event_log_alloc(BLOCK, 1024, "leaky_cache", "app.py", 38, 1771567369);
	event_log_free(BLOCK, 1771567370);
	assert_false(exists(in(log_dir, "events.log")));
	event_log_flush();

	assert_file_is(in(log_dir, "events.log"),
		       "{\"event_type\":1,\"ptr\":\"0x55abc123\",\"size\":1024,\"function\":"
		       "\"leaky_cache\","
		       "\"file\":\"app.py\",\"line\":38,\"timestamp\":\"1771567369\"}\n"
		       "{\"event_type\":2,\"ptr\":\"0x55abc123\",\"timestamp\":\"1771567370\"}\n");
}

static void a_flush_of_nothing_makes_no_file(void **state)
{
	(void)state;
	event_log_flush();

	assert_false(exists(in(log_dir, "events.log")));
}

static void any_name_gives_one_valid_line(void **state)
{
	char *lines;

	(void)state;
	event_log_alloc(BLOCK, 1, "a\"b\n\x1b\xff", "c\\d\xe2\x80\xae", 0, 1);
	event_log_flush();
	lines = read_file(in(log_dir, "events.log"));

	assert_int_equal(assert_json_lines(lines), 1);
	free(lines);
}

static void a_full_buffer_is_written_in_whole_lines(void **state)
{
	enum { EVENTS = 3000 };
	char *lines;

	(void)state;
	errno = E2BIG;
	for (unsigned i = 0; i < EVENTS; i++)
		event_log_alloc(BLOCK, i, "some_function_of_a_program", "/srv/app/file.py", i,
				1771567369);
	assert_int_equal(errno, E2BIG);
	lines = read_file(in(log_dir, "events.log"));
	assert_in_range(assert_json_lines(lines), EVENTS / 2, EVENTS - 1);
	free(lines);

	event_log_flush();
	lines = read_file(in(log_dir, "events.log"));
	assert_int_equal(assert_json_lines(lines), EVENTS);
	free(lines);
}

static void *log_some(void *argument)
{
	for (unsigned i = 0; i < 2000; i++) {
		event_log_alloc(BLOCK, i, "f", argument, i, 1);
		event_log_free(BLOCK, 2);
	}
	return NULL;
}

static void threads_lose_nothing(void **state)
{
	pthread_t threads[4];
	char *lines;

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(threads); i++)
		pthread_create(&threads[i], NULL, log_some, (void *)(uintptr_t) "x.py");
	for (size_t i = 0; i < TL_COUNT_OF(threads); i++)
		pthread_join(threads[i], NULL);
	event_log_flush();
	lines = read_file(in(log_dir, "events.log"));

	assert_int_equal(assert_json_lines(lines), 4 * 4000);
	free(lines);
}

static void what_was_before_a_fork_is_written_once(void **state)
{
	char *lines;
	pid_t child;

	(void)state;
	event_log_free((void *)1, 1);
	child = fork();
	if (child == 0) {
		event_log_fork_child();
		event_log_free((void *)2, 2);
		event_log_flush();
		_exit(0);
	}
	waitpid(child, NULL, 0);
	event_log_free((void *)3, 3);
	event_log_flush();
	lines = read_file(in(log_dir, "events.log"));

	assert_string_equal(lines, "{\"event_type\":2,\"ptr\":\"0x2\",\"timestamp\":\"2\"}\n"
				   "{\"event_type\":2,\"ptr\":\"0x1\",\"timestamp\":\"1\"}\n"
				   "{\"event_type\":2,\"ptr\":\"0x3\",\"timestamp\":\"3\"}\n");
	free(lines);
}

static void the_log_is_bounded_by_rotation(void **state)
{
	struct stat status;
	char *lines;

	(void)state;
	config.log_max_mb = 1;
	config.log_keep = 1;
	for (unsigned i = 0; i < 40000; i++)
		event_log_alloc(BLOCK, i, "function", "file.py", i, 1771567369);
	event_log_flush();

	assert_int_equal(stat(in(log_dir, "events.log"), &status), 0);
	assert_in_range(status.st_size, 1, 1024 * 1024);
	assert_int_equal(stat(in(log_dir, "events.log.1"), &status), 0);
	assert_in_range(status.st_size, 1024 * 1024 - 65536, 1024 * 1024);
	assert_false(exists(in(log_dir, "events.log.2")));
	lines = read_file(in(log_dir, "events.log.1"));
	assert_json_lines(lines);
	free(lines);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_FOLDER(lines_are_those_of_the_manual),
		IN_A_FOLDER(a_flush_of_nothing_makes_no_file),
		IN_A_FOLDER(any_name_gives_one_valid_line),
		IN_A_FOLDER(a_full_buffer_is_written_in_whole_lines),
		IN_A_FOLDER(threads_lose_nothing),
		IN_A_FOLDER(what_was_before_a_fork_is_written_once),
		IN_A_FOLDER(the_log_is_bounded_by_rotation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
