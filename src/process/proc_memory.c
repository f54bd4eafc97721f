#include "proc_memory.h"

#include "../base/clock.h"
#include "../base/descriptor.h"
#include "../base/text.h"
#include "script_name.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PROC_GENERATIONS 8 /* of ancestors that are looked at */

/* Reads the start of a file as a string. Returns its length, 0 when it cannot be read. */
static size_t proc_read(const char *path, char *buffer, size_t capacity)
{
	int fd = descriptor_open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;

	if (fd < 0)
		return 0;
	while (length < capacity - 1) {
		ssize_t got = read(fd, buffer + length, capacity - 1 - length);

		if (got <= 0)
			break;
		length += (size_t)got;
	}
	close(fd);
	buffer[length] = 0;
	return length;
}

static uint64_t proc_parse_number(const char *string)
{
	uint64_t value = 0;

	while (*string == ' ' || *string == '\t')
		string++;
	for (; *string >= '0' && *string <= '9'; string++)
		value = value * 10 + (uint64_t)(*string - '0');
	return value;
}

static uint64_t proc_field_after(const char *content, const char *name)
{
	const char *found = strstr(content, name);

	return found != NULL ? proc_parse_number(found + strlen(name)) : 0;
}

TL_INTERNAL struct proc_memory proc_memory_read(void)
{
	char status[4096];

	/* Of a first thread that has ended, which /proc/self is, the kernel knows no memory. */
	if (!proc_read("/proc/thread-self/status", status, sizeof(status)))
		return (struct proc_memory){0};
	return (struct proc_memory){
		.rss_bytes = proc_field_after(status, "\nVmRSS:") * 1024,
		.peak_rss_bytes = proc_field_after(status, "\nVmHWM:") * 1024,
		.anonymous_bytes = proc_field_after(status, "\nRssAnon:") * 1024,
		.stack_bytes = proc_field_after(status, "\nVmStk:") * 1024,
	};
}

TL_INTERNAL unsigned proc_threads_beside_ended_first(void)
{
	char status[4096];

	if (!proc_read("/proc/self/status", status, sizeof(status)) ||
	    strstr(status, "\nState:\tZ") == NULL)
		return 0;
	return (unsigned)proc_field_after(status, "\nThreads:") - 1;
}

/* The files of a control group's memory, by version. */
struct proc_cgroup_files {
	const char *root, *used, *limit, *inactive;
};

static const struct proc_cgroup_files proc_cgroup_v1 = {
	"/sys/fs/cgroup/memory", "/memory.usage_in_bytes", "/memory.limit_in_bytes",
	"\ntotal_inactive_file "};
static const struct proc_cgroup_files proc_cgroup_v2 = {"/sys/fs/cgroup", "/memory.current",
							"/memory.max", "\ninactive_file "};

static bool proc_cgroup_read(const struct proc_cgroup_files *files, const char *group,
			     size_t length, const char *file, char *content, size_t capacity)
{
	char path[4096 + 128];
	struct text text = text_over(path, sizeof(path));

	text_put(&text, files->root);
	text_put_bytes(&text, group, length);
	text_put(&text, file);
	return !text.cut && proc_read(text_terminate(&text), content, capacity) > 0;
}

static struct proc_limit proc_cgroup_limit(const struct proc_cgroup_files *files, const char *group,
					   size_t length)
{
	struct proc_limit found = {0};
	char content[8192];
	uint64_t inactive;

	/* v2 says "max" for none: no digits, 0. */
	if (!proc_cgroup_read(files, group, length, files->limit, content, sizeof(content)))
		return found;
	found.limit_bytes = proc_parse_number(content);
	if (!proc_cgroup_read(files, group, length, files->used, content, sizeof(content)))
		return (struct proc_limit){0};
	found.used_bytes = proc_parse_number(content);
	if (proc_cgroup_read(files, group, length, "/memory.stat", content, sizeof(content))) {
		inactive = proc_field_after(content, files->inactive);
		found.used_bytes -= inactive < found.used_bytes ? inactive : found.used_bytes;
	}
	return found;
}

/* The group and all above it: each may have a limit. Inside a container the path may be the
 * host's, of which only the root is there to be seen. */
static struct proc_limit proc_cgroup_tightest(const struct proc_cgroup_files *files,
					      const char *group, size_t length)
{
	struct proc_limit tightest = {0};

	for (;;) {
		if (length == 1)
			length = 0; /* the root, "/" */

		struct proc_limit found = proc_cgroup_limit(files, group, length);

		if (found.limit_bytes != 0 &&
		    (tightest.limit_bytes == 0 ||
		     (double)found.used_bytes / (double)found.limit_bytes >
			     (double)tightest.used_bytes / (double)tightest.limit_bytes))
			tightest = found;
		if (length == 0)
			return tightest;
		while (length > 0 && group[--length] != '/')
			continue;
	}
}

TL_INTERNAL struct proc_limit proc_memory_limit(void)
{
	const struct proc_cgroup_files *files = &proc_cgroup_v1;
	char groups[8192];
	const char *group;

	if (!proc_read("/proc/self/cgroup", groups, sizeof(groups)))
		return (struct proc_limit){0};
	group = strstr(groups, ":memory:");
	if (group != NULL) {
		group += strlen(":memory:");
	} else if (strncmp(groups, "0::", 3) == 0) {
		files = &proc_cgroup_v2;
		group = groups + 3;
	} else {
		return (struct proc_limit){0};
	}
	return proc_cgroup_tightest(files, group, strcspn(group, "\n"));
}

/* The n-th field of /proc/PID/stat, counted from 1 as in proc(5), n >= 3; the name before it may
 * hold anything. */
static uint64_t proc_stat_field(const char *stat, int n)
{
	const char *cursor = strrchr(stat, ')');

	if (cursor == NULL)
		return 0;
	for (int field = 2; field < n; field++) {
		cursor = strchr(cursor + 1, ' ');
		if (cursor == NULL)
			return 0;
	}
	return proc_parse_number(cursor + 1);
}

static void proc_path(char *path, size_t capacity, uint64_t pid, const char *file)
{
	struct text text = text_over(path, capacity);

	text_put(&text, "/proc/");
	text_put_u64(&text, pid);
	text_put(&text, file);
	text_terminate(&text);
}

TL_INTERNAL double proc_start_time(uint64_t pid)
{
	char path[64], stat[1024];
	struct timespec uptime;

	proc_path(path, sizeof(path), pid, "/stat");
	if (!proc_read(path, stat, sizeof(stat)))
		return 0;
	clock_gettime(CLOCK_BOOTTIME, &uptime);

	double since_boot = (double)proc_stat_field(stat, 22) / (double)sysconf(_SC_CLK_TCK);
	double boot = clock_epoch_s() - ((double)uptime.tv_sec + (double)uptime.tv_nsec / 1e9);

	return boot + since_boot;
}

static const char *proc_link_name(const char *link, char *buffer, size_t capacity)
{
	ssize_t length = readlink(link, buffer, capacity - 1);

	buffer[length > 0 ? length : 0] = 0;

	char *slash = strrchr(buffer, '/');

	return slash != NULL ? slash + 1 : buffer;
}

static bool proc_is_interpreter(uint64_t pid)
{
	char path[64], name[512];

	proc_path(path, sizeof(path), pid, "/exe");
	return strncmp(proc_link_name(path, name, sizeof(name)), "python", 6) == 0;
}

/* 0 when it cannot be read. */
static uint64_t proc_parent(uint64_t pid)
{
	char path[64], stat[1024];

	proc_path(path, sizeof(path), pid, "/stat");
	return proc_read(path, stat, sizeof(stat)) > 0 ? proc_stat_field(stat, 4) : 0;
}

/* Python, and carrying this library, by the look of its maps. They are read in pieces that overlap,
 * so that no name is cut in two. */
static bool proc_is_profiled(uint64_t pid)
{
	char path[64], window[8192];
	bool is_python = proc_is_interpreter(pid), has_library = false;
	size_t kept = 0;

	proc_path(path, sizeof(path), pid, "/maps");

	int fd = descriptor_open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	for (;;) {
		ssize_t got = read(fd, window + kept, sizeof(window) - 1 - kept);

		if (got <= 0)
			break;
		kept += (size_t)got;
		window[kept] = 0;
		is_python = is_python || strstr(window, "/libpython") != NULL;
		has_library = has_library || strstr(window, "/trackleak.so") != NULL;
		if (kept > 64) {
			memmove(window, window + kept - 64, 64);
			kept = 64;
		}
	}
	close(fd);
	return is_python && has_library;
}

TL_INTERNAL bool proc_has_profiled_ancestor(void)
{
	uint64_t pid = (uint64_t)getppid();

	/* Shells stand between, seldom more than a few. */
	for (int generation = 0; generation < PROC_GENERATIONS && pid > 1; generation++) {
		if (proc_is_profiled(pid))
			return true;
		pid = proc_parent(pid);
	}
	return false;
}

TL_INTERNAL void proc_program_name(char *buffer, size_t capacity)
{
	char link[512];
	struct text text = text_over(buffer, capacity);

	text_put(&text, proc_link_name("/proc/self/exe", link, sizeof(link)));
	text_terminate(&text);
}

TL_INTERNAL void proc_script_name(char *buffer, size_t capacity)
{
	struct text name = text_over(buffer, capacity);
	uint64_t pid = (uint64_t)getpid();

	for (int generation = 0; generation < PROC_GENERATIONS && proc_is_interpreter(pid);
	     generation++) {
		char path[64], words[4096];
		size_t length;

		proc_path(path, sizeof(path), pid, "/cmdline");
		length = proc_read(path, words, sizeof(words));
		if (length == 0 || script_name_put(&name, words, length))
			break;
		pid = proc_parent(pid);
	}
	text_terminate(&name);
}
