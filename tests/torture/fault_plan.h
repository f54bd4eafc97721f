/* fault_plan: put before trackleak.c by `make torture` (-include): one call of the agent's own to the system fails, the
 * TORTURE_NTH of the kind TORTURE_KIND; then the file TORTURE_HIT is made. The program's own calls are not touched. */
#ifndef TORTURE_FAULT_PLAN_H
#define TORTURE_FAULT_PLAN_H

#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static bool fault_is_due(const char *kind)
{
	static const char *wanted;
	static int left;
	long hit;
	static bool is_read; /* the first call comes while the program is started: one thread */

	if (!is_read && environ != NULL) {
		is_read = true;
		wanted = getenv("TORTURE_KIND");
		left = wanted != NULL ? atoi(getenv("TORTURE_NTH")) : 0;
	}
	if (wanted == NULL || strcmp(kind, wanted) != 0 ||
	    __atomic_sub_fetch(&left, 1, __ATOMIC_RELAXED) != 0)
		return false;
	/* A forked child has the same count: whoever makes the file is the one that fails. */
	hit = syscall(SYS_openat, AT_FDCWD, getenv("TORTURE_HIT"), O_CREAT | O_EXCL | O_WRONLY,
		      0600);
	if (hit < 0)
		return false;
	syscall(SYS_close, hit);
	return true;
}

/* The error as a result; 0 when the call may go on. */
static int fault(const char *kind, int error)
{
	if (!fault_is_due(kind))
		return 0;
	errno = error;
	return -1;
}

/* hook_mmap has the program's own mmap: only base/pages asks for pages of ours. */
#define syscall(number, ...)                                                                       \
	((number) == SYS_mmap && strstr(__FILE__, "base/pages") != NULL && fault("mmap", ENOMEM)   \
		 ? -1                                                                              \
		 : (syscall)(number, ##__VA_ARGS__))
#define open(...)           (fault("open", EMFILE) ? -1 : (open)(__VA_ARGS__))
#define openat(...)         (fault("open", EMFILE) ? -1 : (openat)(__VA_ARGS__))
#define fcntl(...)          (fault("fcntl", EMFILE) ? -1 : (fcntl)(__VA_ARGS__))
#define write(...)          (fault("write", ENOSPC) ? -1 : (write)(__VA_ARGS__))
#define writev(...)         (fault("write", ENOSPC) ? -1 : (writev)(__VA_ARGS__))
#define renameat(...)       (fault("rename", EACCES) ? -1 : (renameat)(__VA_ARGS__))
#define pthread_create(...) (fault("thread", EAGAIN) ? EAGAIN : (pthread_create)(__VA_ARGS__))
#define pthread_atfork(...) (fault("atfork", ENOMEM) ? ENOMEM : (pthread_atfork)(__VA_ARGS__))
#define dlsym(...)          (fault("dlsym", ENOENT) ? NULL : (dlsym)(__VA_ARGS__))
#define clock_gettime(...)  (fault("clock", EINVAL) ? -1 : (clock_gettime)(__VA_ARGS__))

#endif
