/* embed LIBPYTHON HOW: a program that is not Python brings it in late by dlopen, from its plugin as it were.
 * HOW: once; cycles (three times initialise, run, finalise); thread (from a second thread); local (RTLD_LOCAL). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void (*initialize)(int), (*finalize)(void);
static int (*run)(const char *);
static const char *how;

static const char program[] = "kept = [None] * 400\n"
			      "def leak():\n"
			      "    for i in range(200): kept[i] = bytes(3000 + i)\n"
			      "def small():\n"
			      "    for i in range(200, 400): kept[i] = 'text %d' % i\n"
			      "leak()\n"
			      "small()\n";

static void *work(void *unused)
{
	int cycles = !strcmp(how, "cycles") ? 3 : 1;

	(void)unused;
	for (int i = 0; i < cycles; i++) {
		initialize(0);
		sleep(1); /* whoever looks for a late libpython has found it by now */
		if (run(program))
			exit(3);
		if (i + 1 < cycles)
			finalize();
	}
	return NULL;
}

int main(int argc, char **argv)
{
	void *python, *(*kept)(size_t) = malloc;
	pthread_t thread;

	if (argc < 3)
		return 2;
	how = argv[2];
	for (int i = 0; i < 100; i++)
		memset(kept(1000), 1, 1000);
	python = dlopen(argv[1], RTLD_NOW | (strcmp(how, "local") ? RTLD_GLOBAL : RTLD_LOCAL));
	if (!python) {
		fprintf(stderr, "%s\n", dlerror());
		return 2;
	}
	initialize = (void (*)(int))dlsym(python, "Py_InitializeEx");
	finalize = (void (*)(void))dlsym(python, "Py_Finalize");
	run = (int (*)(const char *))dlsym(python, "PyRun_SimpleString");
	if (!strcmp(how, "thread")) {
		pthread_create(&thread, NULL, work, NULL);
		pthread_join(thread, NULL);
	} else {
		work(NULL);
	}
	puts("done");
	return 0;
}
