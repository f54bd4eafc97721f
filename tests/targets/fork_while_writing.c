/* fork_while_writing: preloaded beside the agent. Each file that the agent makes in the program's own thread, and has not
 * written to yet, brings a fork, as by a signal's handler; the child goes on where it was, the parent waits for its end. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int fchmod(int fd, mode_t mode)
{
	int (*real)(int, mode_t) = (int (*)(int, mode_t))dlsym(RTLD_NEXT, "fchmod");
	pid_t child;

	if (gettid() == getpid()) {
		child = fork();
		if (child > 0)
			waitpid(child, NULL, 0);
	}
	return real(fd, mode);
}
