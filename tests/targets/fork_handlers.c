/* fork_handlers: preloaded before or after the agent, so that its fork handlers are registered before or after the
 * agent's. Each of them allocates, frees what another has taken, and asks for a thread's own memory. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>

static void *kept[3];
static __thread char *own;

static void handle(int which)
{
	free(kept[which]);
	kept[which] = malloc(3000);
	for (int i = 0; i < 200; i++)
		free(malloc(700));
	free(own);
	own = malloc(5000);
}

static void prepare(void)
{
	handle(0);
}

static void parent(void)
{
	handle(1);
}

static void child(void)
{
	handle(2);
}

static __attribute__((constructor)) void register_handlers(void)
{
	pthread_atfork(prepare, parent, child);
}
