/* links: base/descriptor.c process/proc_memory.c process/script_name.c base/clock.c base/text.c */
#include "process/proc_memory.h"

#include "base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB ((size_t)1024 * 1024)

static void sees_memory_come_and_go_and_keeps_the_peak(void **state)
{
	struct proc_memory before = proc_memory_read(), with, after;
	char *memory = mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	(void)state;
	with = proc_memory_read();
	munmap(memory, 64 * MIB);
	after = proc_memory_read();

	assert_in_range(with.rss_bytes - before.rss_bytes, 62 * MIB, 70 * MIB);
	assert_true(after.rss_bytes + 50 * MIB < with.rss_bytes);
	/* The kernel gathers its counts thread by thread, some pages late. */
	assert_true(after.peak_rss_bytes + MIB > with.rss_bytes);
}

/* What a child says of its start, and whether the fork was then; the kernel counts in 10 ms. */
static bool child_knows_its_start(const char *name, unsigned sleep_ms)
{
	double start = 0, before = clock_epoch_s(), after;
	int ends[2];

	assert_int_equal(pipe(ends), 0);

	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_NAME, name);
		usleep(sleep_ms * 1000);
		start = proc_start_time((uint64_t)getpid());
		_exit(write(ends[1], &start, sizeof(start)) == sizeof(start) ? 0 : 1);
	}
	after = clock_epoch_s();
	assert_int_equal(read(ends[0], &start, sizeof(start)), sizeof(start));
	close(ends[0]);
	close(ends[1]);
	waitpid(child, NULL, 0);
	return start > before - 0.05 && start < after + 0.05;
}

static void knows_when_the_process_was_started_however_old_it_is(void **state)
{
	(void)state;

	assert_true(child_knows_its_start("child", 300));
}

static void a_name_may_hold_what_the_kernel_separates_fields_with(void **state)
{
	(void)state;

	assert_true(child_knows_its_start("a) R 1 (2 3", 0));
}

static void a_process_without_python_has_no_profiled_ancestor(void **state)
{
	(void)state;

	assert_false(proc_has_profiled_ancestor());
}

static bool child_has_profiled_ancestor(void)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(proc_has_profiled_ancestor() ? 42 : 0);
	waitpid(child, &status, 0);
	return WEXITSTATUS(status) == 42;
}

static char *map_file(const char *path)
{
	FILE *file = fopen(path, "w+");
	char *map;

	assert_non_null(file);
	fputs("not a library", file);
	fflush(file);
	map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fileno(file), 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	fclose(file);
	return map;
}

/* What a process carries is judged by the names in its maps. */
static void a_child_of_python_with_this_library_has_one_and_so_has_its_grandchild(void **state)
{
	char folder[] = "/tmp/proc_memory_test_XXXXXX", library[64], python[64];
	char *maps[2];
	int status;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(library, sizeof(library), "%s/trackleak.so", folder);
	snprintf(python, sizeof(python), "%s/libpython3.11.so.1.0", folder);

	maps[0] = map_file(library);
	assert_false(child_has_profiled_ancestor());
	maps[1] = map_file(python);
	assert_true(child_has_profiled_ancestor());

	pid_t child = fork();

	if (child == 0) {
		munmap(maps[0], 4096); /* a shell between carries neither */
		munmap(maps[1], 4096);
		_exit(child_has_profiled_ancestor() ? 42 : 0);
	}
	waitpid(child, &status, 0);
	assert_int_equal(WEXITSTATUS(status), 42);
	munmap(maps[0], 4096);
	assert_false(child_has_profiled_ancestor());
	munmap(maps[1], 4096);
	unlink(library);
	unlink(python);
	rmdir(folder);
}

static void the_programs_name_is_the_last_part_of_its_path_cut_to_fit(void **state)
{
	char name[64], part[5];

	(void)state;

	proc_program_name(name, sizeof(name));
	proc_program_name(part, sizeof(part));

	assert_string_equal(name, program_invocation_short_name);
	assert_int_equal(strncmp(part, name, 4), 0);
	assert_int_equal(strlen(part), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sees_memory_come_and_go_and_keeps_the_peak),
		cmocka_unit_test(knows_when_the_process_was_started_however_old_it_is),
		cmocka_unit_test(a_name_may_hold_what_the_kernel_separates_fields_with),
		cmocka_unit_test(a_process_without_python_has_no_profiled_ancestor),
		cmocka_unit_test(
			a_child_of_python_with_this_library_has_one_and_so_has_its_grandchild),
		cmocka_unit_test(the_programs_name_is_the_last_part_of_its_path_cut_to_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
