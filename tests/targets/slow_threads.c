/* slow_threads: preloaded beside the agent. Threads other than the main one come half a second late
 * to every lock that is waited for with a limit. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *until)
{
	int (*real)(pthread_mutex_t *, const struct timespec *) =
		dlsym(RTLD_NEXT, "pthread_mutex_timedlock");

	if (syscall(SYS_gettid) != getpid())
		nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
	return real(mutex, until);
}
