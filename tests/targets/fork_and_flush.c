/* fork_and_flush: threads that read lines (libc's getline allocates with the stream locked), one that flushes every stream
 * (with the list of streams locked it waits for each), and forks all the while, which wait for that list. A fork handler
 * that holds what malloc wants closes the circle. argv: how many forks. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int is_over;
static const char *path;

static void *read_lines(void *unused)
{
	FILE *stream = fopen(path, "r");

	while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED)) {
		char *line = NULL;
		size_t room = 0;

		rewind(stream);
		if (getline(&line, &room, stream) < 0)
			abort();
		free(line);
		usleep(100);
	}
	fclose(stream);
	return unused;
}

static void *flush_all(void *unused)
{
	while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED)) {
		fflush(NULL);
		usleep(20);
	}
	return unused;
}

int main(int argc, char **argv)
{
	char name[] = "/tmp/fork_and_flush.XXXXXX";
	FILE *stream = fdopen(mkstemp(name), "w");
	pthread_t threads[5];

	(void)argc;
	path = name;
	for (int i = 0; i < 50000; i++)
		fputc('x', stream);
	fputc('\n', stream);
	fclose(stream);
	for (int i = 0; i < 5; i++)
		pthread_create(&threads[i], NULL, i == 0 ? flush_all : read_lines, NULL);
	for (int i = atoi(argv[1]); i > 0; i--) {
		pid_t child = fork();

		if (child == 0)
			_exit(0);
		waitpid(child, NULL, 0);
	}
	__atomic_store_n(&is_over, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 5; i++)
		pthread_join(threads[i], NULL);
	unlink(name);
	return 0;
}
