/* fake_cgroup: preloaded beside the agent; the control group's files are those of the folder FAKE_CGROUP. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int openat(int folder, const char *path, int flags, ...)
{
	static int (*real_openat)(int, const char *, int, ...);
	char fake[4096];
	va_list list;
	int mode;

	va_start(list, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, int) : 0;
	va_end(list);
	if (real_openat == NULL)
		real_openat = dlsym(RTLD_NEXT, "openat");
	if (strncmp(path, "/sys/fs/cgroup/", 15) == 0 || strcmp(path, "/proc/self/cgroup") == 0) {
		snprintf(fake, sizeof(fake), "%s/%s", getenv("FAKE_CGROUP"),
			 strrchr(path, '/') + 1);
		path = fake;
	}
	return real_openat(folder, path, flags, mode);
}
