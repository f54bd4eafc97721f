/* scale: fixed work beside something that grows. Prints nanoseconds of CPU for each piece of work, by the clock of
 * the whole process, so what the profiler does in a thread of its own counts too; `live` by that of its thread.
 *
 * scale idle BUSY IDLE PAIRS     malloc and free in BUSY threads, beside IDLE ones that have allocated and wait
 * scale live BLOCKS PAIRS        malloc and free of small blocks between larger ones that stay, BLOCKS of them sampled
 * scale rate PER_SECOND SECONDS  malloc and free at that rate, in batches of a millisecond; prints CPU by second */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SMALL        100
#define LARGE        1000
#define LARGE_BLOCKS 200000
#define GAP          4 /* blocks that are not sampled */
#define RING         4000

static pthread_barrier_t all_there;
static pthread_mutex_t until_the_end = PTHREAD_MUTEX_INITIALIZER;
static void *ring[RING];
static long pairs;

static double cpu_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void pair(size_t bytes)
{
	void *volatile block = malloc(bytes);

	free(block);
}

static void *idle(void *unused)
{
	pair(SMALL);
	pair(LARGE);
	pthread_barrier_wait(&all_there);
	pthread_mutex_lock(&until_the_end);
	pthread_mutex_unlock(&until_the_end);
	return unused;
}

static void *busy(void *unused)
{
	for (long n = 0; n < pairs; n++)
		pair(SMALL);
	return unused;
}

static double beside_idle(int busy_threads, int idle_threads)
{
	pthread_t *threads = calloc((size_t)(busy_threads + idle_threads), sizeof(*threads));
	double began;

	pthread_barrier_init(&all_there, NULL, (unsigned)idle_threads + 1);
	pthread_mutex_lock(&until_the_end);
	for (int n = 0; n < idle_threads; n++)
		pthread_create(&threads[busy_threads + n], NULL, idle, NULL);
	pthread_barrier_wait(&all_there);
	began = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
	for (int n = 0; n < busy_threads; n++)
		pthread_create(&threads[n], NULL, busy, NULL);
	for (int n = 0; n < busy_threads; n++)
		pthread_join(threads[n], NULL);
	began = cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - began;
	pthread_mutex_unlock(&until_the_end);
	for (int n = 0; n < idle_threads; n++)
		pthread_join(threads[busy_threads + n], NULL);
	return began / (double)pairs / busy_threads;
}

/* The heap is the same at any number of samples: BLOCKS of the large ones are of the size that is sampled, the others
 * one byte less, evenly mixed. It is of 1 GB, since what tells a free of other blocks may be addressed by a part of the
 * address; a small block never lies next to a large one. Each free is of a block in another place, few enough for the
 * processor's cache. */
static double beside_live(long blocks)
{
	unsigned place = 1;
	double began;

	for (long n = 0; n < LARGE_BLOCKS; n++) {
		bool is_sampled = n * blocks / LARGE_BLOCKS != (n + 1) * blocks / LARGE_BLOCKS;

		*(volatile char *)malloc(is_sampled ? LARGE : LARGE - 1) = 1;
		if (n % (LARGE_BLOCKS / RING) == 0)
			ring[n / (LARGE_BLOCKS / RING)] = malloc(SMALL);
		for (int k = 0; k < GAP; k++)
			*(volatile char *)malloc(LARGE - 1) = 1;
	}
	began = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
	for (long n = 0; n < pairs; n++) {
		place = place * 1103515245 + 12345;
		free(ring[(place >> 8) % RING]);
		ring[(place >> 8) % RING] = malloc(SMALL);
	}
	return (cpu_ns(CLOCK_THREAD_CPUTIME_ID) - began) / (double)pairs;
}

static double at_rate(double per_second, double duration)
{
	struct timespec tick;
	double began = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);

	clock_gettime(CLOCK_MONOTONIC, &tick);
	for (double done = 0, due = 0; done < per_second * duration;) {
		for (due += per_second / 1000; done < due; done++)
			pair(SMALL);
		tick.tv_nsec += 1000000;
		if (tick.tv_nsec >= 1000000000) {
			tick.tv_nsec -= 1000000000;
			tick.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &tick, NULL);
	}
	return (cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - began) / duration;
}

int main(int argc, char **argv)
{
	double figure;

	if (argc == 5 && strcmp(argv[1], "idle") == 0) {
		pairs = atol(argv[4]);
		figure = beside_idle(atoi(argv[2]), atoi(argv[3]));
	} else if (argc == 4 && strcmp(argv[1], "live") == 0) {
		pairs = atol(argv[3]);
		figure = beside_live(atol(argv[2]));
	} else if (argc == 4 && strcmp(argv[1], "rate") == 0) {
		figure = at_rate(atof(argv[2]), atof(argv[3]));
	} else {
		return 2;
	}
	printf("%f\n", figure);
	return 0;
}
