/* early: preloaded before or after the agent. Its constructor and destructor do what other libraries' do: allocate in
 * every way, in a thread too, fork, and start a program (which has this library too, and must not start others: EARLY);
 * what the constructor took is freed by the destructor. */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *kept[200];

static void *work(void *unused)
{
	for (int i = 0; i < 1000; i++)
		free(realloc(calloc(3, 300), 5000));
	return unused;
}

static void run_all(void)
{
	pthread_t thread;
	pid_t child;
	void *block;

	if (posix_memalign(&block, 64, 3000) == 0)
		free(block);
	free(memalign(4096, 3000));
	work(NULL);
	if (pthread_create(&thread, NULL, work, NULL) == 0)
		pthread_join(thread, NULL);
	child = fork();
	if (child == 0) {
		work(NULL);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	setenv("EARLY", "1", 1);
	if (system("true") != 0)
		_exit(99);
	unsetenv("EARLY");
}

static __attribute__((constructor)) void early_start(void)
{
	if (getenv("EARLY") != NULL)
		return;
	for (int i = 0; i < 200; i++)
		kept[i] = strdup("a text that is kept");
	run_all();
}

static __attribute__((destructor)) void early_end(void)
{
	if (getenv("EARLY") != NULL)
		return;
	for (int i = 0; i < 200; i++)
		free(kept[i]);
	run_all();
	fputs("late\n", stdout);
	fflush(stdout);
}
