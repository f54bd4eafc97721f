/* exit_inside HOW MICROSECONDS: allocates, and as long does not, until a signal's handler ends the process with 5: by _exit
 * (HOW 0), by exit (1), by exec of a shell that does (2), without our environment. exit in a handler is wrong by POSIX, and common. */
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

static int how;

static void end(int signal)
{
	(void)signal;
	if (how == 2)
		execle("/bin/sh", "sh", "-c", "exit 5", (char *)NULL, (char *[]){NULL});
	if (how == 1)
		exit(5);
	_exit(5);
}

int main(int count, char **arguments)
{
	struct itimerval timer = {{0, 0}, {0, count > 2 ? atoi(arguments[2]) : 0}};
	void *blocks[100];

	how = count > 1 ? atoi(arguments[1]) : 0;
	signal(SIGALRM, end);
	setitimer(ITIMER_REAL, &timer, NULL);
	for (;;) {
		for (int i = 0; i < 100; i++)
			blocks[i] = malloc((size_t)(600 + i));
		for (int i = 0; i < 100; i++)
			free(blocks[i]);
		for (volatile int i = 0; i < 50000; i++)
			;
	}
}
