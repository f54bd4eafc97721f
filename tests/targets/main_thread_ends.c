/* The main thread ends, another one goes on for half a second: when it has ended, so has the process. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *kept[300];

static void *work(void *unused)
{
	for (int i = 0; i < 300; i++) {
		kept[i] = malloc(3000);
		memset(kept[i], 1, 3000);
	}
	usleep(500000);
	return unused;
}

int main(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, work, NULL) != 0)
		return 1;
	pthread_exit(NULL);
}
