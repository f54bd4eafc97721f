/* pairs SIZE BYTES THREADS: malloc and free of BYTES, SIZE times 20 million pairs in each thread. Prints what
 * workloads.py describes. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long pairs;
static size_t bytes;

static void *work(void *unused)
{
	for (long n = 0; n < pairs; n++) {
		void *volatile block = malloc(bytes);
		free(block);
	}
	return unused;
}

static double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static long peak_kib(void)
{
	char line[256];
	long peak = 0;
	FILE *status = fopen("/proc/self/status", "r");

	while (status && fgets(line, sizeof(line), status))
		if (strncmp(line, "VmHWM:", 6) == 0)
			peak = atol(line + 6);
	if (status)
		fclose(status);
	return peak;
}

int main(int argc, char **argv)
{
	pthread_t threads[8];
	int count = argc == 4 ? atoi(argv[3]) : 0;
	double began, cpu;

	if (count < 1 || count > 8)
		return 2;
	pairs = (long)(2e7 * atof(argv[1]));
	bytes = (size_t)atol(argv[2]);
	began = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	for (int n = 0; n < count; n++)
		if (pthread_create(&threads[n], NULL, work, NULL))
			return 1;
	for (int n = 0; n < count; n++)
		pthread_join(threads[n], NULL);
	printf("%f %f %ld\n", seconds(CLOCK_MONOTONIC) - began,
	       seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu, peak_kib());
	return 0;
}
