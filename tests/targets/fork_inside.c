/* fork_inside: preloaded beside the agent. Each FORK_EVERY-th lock that a Python thread takes inside the agent is
 * followed by a signal whose handler forks, with that lock held; the child allocates and ends with 7, or goes on where it
 * was (every second one). Says at the end how many forks there were, and how many children ended badly. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int (*real_lock)(pthread_mutex_t *);
static int is_on;
static pid_t parent;
static int every, locks, forks, bad;
static __thread int is_inside;

static void fork_now(int signal)
{
	(void)signal;

	pid_t pid = fork();
	int status;

	forks++;
	if (pid == 0) {
		alarm(10);
		for (int i = 0; i < 100; i++)
			free(malloc(600));
		if (forks % 2 == 0)
			return;
		_exit(7);
	}
	waitpid(pid, &status, 0);
	bad += !WIFEXITED(status) || WEXITSTATUS(status) != 7;
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
	static __thread int is_looking;
	Dl_info place;
	int result;

	if (real_lock == NULL)
		real_lock = dlsym(RTLD_NEXT, "pthread_mutex_lock");
	result = real_lock(mutex);
	if (!is_on || is_inside || is_looking || getpid() != parent || gettid() != parent)
		return result;
	is_looking = 1;
	if (dladdr(__builtin_return_address(0), &place) &&
	    strstr(place.dli_fname, "/trackleak") != NULL && ++locks % every == 0) {
		is_inside = 1;
		raise(SIGUSR2);
		is_inside = 0;
	}
	is_looking = 0;
	return result;
}

/* Called by the program, by ctypes. */
void fork_inside_begin(void)
{
	every = atoi(getenv("FORK_EVERY"));
	parent = getpid();
	signal(SIGUSR2, fork_now);
	is_on = 1;
}

void fork_inside_end(void)
{
	is_on = 0;
	if (getpid() != parent)
		_exit(7);
	printf("%d forks, %d children ended badly\n", forks, bad);
	fflush(stdout);
}
