/* A program that is not Python: what it leaks, it leaks some functions deep. */
#include <pthread.h>
#include <stdlib.h>

static void *kept[64];

static void inner(int i)
{
	kept[i] = malloc(10000);
}

static void outer(int i)
{
	inner(i);
	kept[i + 32] = malloc(100);
}

static void *in_thread(void *unused)
{
	outer(31);
	return unused;
}

int main(void)
{
	pthread_t thread;

	for (int i = 0; i < 31; i++)
		outer(i);
	pthread_create(&thread, NULL, in_thread, NULL);
	pthread_join(thread, NULL);
	return kept[31] == NULL;
}
