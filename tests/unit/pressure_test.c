/* links: base/descriptor.c agent/pressure.c process/proc_memory.c process/script_name.c base/clock.c base/text.c */
#include "agent/pressure.h"

#include "process/proc_memory.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* The files that the kernel seems to have. */
static struct {
	const char *path, *content;
} files[8];

static void put(const char *path, const char *content)
{
	size_t i = 0;

	while (files[i].path != NULL && strcmp(files[i].path, path) != 0)
		i++;
	files[i].path = path;
	files[i].content = content;
}

/* What proc_memory opens. */
int openat(int folder, const char *path, int flags, ...)
{
	(void)folder;
	(void)flags;
	for (size_t i = 0; i < TL_COUNT_OF(files) && files[i].path != NULL; i++) {
		if (strcmp(files[i].path, path) == 0) {
			int fd = memfd_create("file", 0);

			assert_true(write(fd, files[i].content, strlen(files[i].content)) >= 0);
			lseek(fd, 0, SEEK_SET);
			return fd;
		}
	}
	return -1;
}

static int forget_files(void **state)
{
	(void)state;
	memset(files, 0, sizeof(files));
	return 0;
}

static void no_limit_is_no_pressure(void **state)
{
	(void)state;
	assert_int_equal(proc_memory_limit().limit_bytes, 0);
	put("/proc/self/cgroup", "0::/\n");
	assert_int_equal(proc_memory_limit().limit_bytes, 0);
	put("/sys/fs/cgroup/memory.max", "max\n");
	put("/sys/fs/cgroup/memory.current", "1000\n");
	assert_int_equal(proc_memory_limit().limit_bytes, 0);
	assert_false(pressure_has_risen());
}

static void the_group_above_may_be_the_one_that_is_full(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "0::/pod/app\n");
	put("/sys/fs/cgroup/pod/app/memory.max", "1000\n");
	put("/sys/fs/cgroup/pod/app/memory.current", "100\n");
	put("/sys/fs/cgroup/pod/memory.max", "4000\n");
	put("/sys/fs/cgroup/pod/memory.current", "3000\n");

	struct proc_limit limit = proc_memory_limit();

	assert_int_equal(limit.limit_bytes, 4000);
	assert_int_equal(limit.used_bytes, 3000);
}

static void version_1_has_other_names_and_a_hosts_path_may_not_be_there(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "12:cpu:/x\n3:memory:/docker/abc\n0::/\n");
	put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "5000\n");
	put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "4500\n");
	put("/sys/fs/cgroup/memory/memory.stat",
	    "cache 9\ninactive_file 1\ntotal_inactive_file 500\n");

	struct proc_limit limit = proc_memory_limit();

	assert_int_equal(limit.limit_bytes, 5000);
	assert_int_equal(limit.used_bytes, 4000);
}

static void each_step_is_told_once_and_again_after_five_points_below(void **state)
{
	static const struct {
		const char *used;
		bool has_risen;
	} tale[] = {{"799", false}, {"800", true},  {"850", false}, {"899", false}, {"900", true},
		    {"880", false}, {"910", false}, {"849", false}, {"900", true},  {"700", false},
		    {"960", true},  {"999", false}, {"899", false}, {"950", true}};

	(void)state;
	put("/proc/self/cgroup", "0::/\n");
	put("/sys/fs/cgroup/memory.max", "1000\n");
	for (size_t i = 0; i < TL_COUNT_OF(tale); i++) {
		put("/sys/fs/cgroup/memory.current", tale[i].used);
		if (pressure_has_risen() != tale[i].has_risen)
			fail_msg("step %zu, %s of 1000", i, tale[i].used);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(no_limit_is_no_pressure, forget_files),
		cmocka_unit_test_setup(the_group_above_may_be_the_one_that_is_full, forget_files),
		cmocka_unit_test_setup(version_1_has_other_names_and_a_hosts_path_may_not_be_there,
				       forget_files),
		cmocka_unit_test_setup(each_step_is_told_once_and_again_after_five_points_below,
				       forget_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
