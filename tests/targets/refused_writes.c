/* refused_writes: preloaded beside the agent. While the file REFUSED is there, writes to regular files fail with the error
 * whose number stands in REFUSED_ERROR: a quota that is used up, a medium that breaks, a file system that turns
 * read-only. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static bool is_refused(int fd)
{
	struct stat status;

	if (access(getenv("REFUSED"), F_OK) != 0 || fstat(fd, &status) != 0 ||
	    !S_ISREG(status.st_mode))
		return false;
	errno = atoi(getenv("REFUSED_ERROR"));
	return true;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
	ssize_t (*real)(int, const struct iovec *, int) = dlsym(RTLD_NEXT, "writev");

	return is_refused(fd) ? -1 : real(fd, parts, count);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
	ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");

	return is_refused(fd) ? -1 : real(fd, bytes, length);
}
