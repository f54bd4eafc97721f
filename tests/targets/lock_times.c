/* How long each lock of the agent is held, by the CPU clock of the thread that holds it (so that a wait for a condition,
 * or for a processor, is in no figure). Preloaded BEFORE the agent. At the end a line for each place that locks goes to
 * the file LOCK_TIMES: times held, microseconds below which 99 in 100 lie (the clock's own quarter included), most.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PLACES  256
#define LONGEST 1000 /* microseconds; what is longer counts as this */
#define DEEPEST 16

static struct place {
	const void *caller; /* atomic */
	uint32_t is_agents, held[LONGEST + 1];
} places[PLACES];

static _Thread_local struct {
	pthread_mutex_t *mutex;
	struct place *place;
	uint64_t since_ns;
} locks[DEEPEST];
static _Thread_local int depth;

static int (*real_lock)(pthread_mutex_t *), (*real_unlock)(pthread_mutex_t *);

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct place *place_of(const void *caller)
{
	for (int i = 0; i < PLACES; i++) {
		const void *there = NULL;
		Dl_info info;

		if (__atomic_compare_exchange_n(&places[i].caller, &there, caller, 0,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
			places[i].is_agents = dladdr(caller, &info) &&
					      strstr(info.dli_fname, "trackleak") != NULL;
			return &places[i];
		}
		if (there == caller)
			return &places[i];
	}
	return NULL;
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
	struct place *place;
	int result;

	if (!real_lock) {
		*(void **)&real_unlock = dlsym(RTLD_NEXT, "pthread_mutex_unlock");
		*(void **)&real_lock = dlsym(RTLD_NEXT, "pthread_mutex_lock");
	}
	result = real_lock(mutex);
	place = place_of(__builtin_return_address(0));
	if (place && place->is_agents && depth < DEEPEST) {
		locks[depth].mutex = mutex;
		locks[depth].place = place;
		locks[depth++].since_ns = now_ns();
	}
	return result;
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	for (int i = depth - 1; i >= 0; i--) {
		uint64_t us;

		if (locks[i].mutex != mutex)
			continue;
		us = (now_ns() - locks[i].since_ns) / 1000;
		__atomic_fetch_add(&locks[i].place->held[us < LONGEST ? us : LONGEST], 1,
				   __ATOMIC_RELAXED);
		memmove(&locks[i], &locks[i + 1], (size_t)(--depth - i) * sizeof(locks[0]));
		break;
	}
	return real_unlock(mutex);
}

__attribute__((destructor)) static void report(void)
{
	FILE *file = fopen(getenv("LOCK_TIMES"), "w");

	for (int i = 0; i < PLACES && places[i].caller; i++) {
		uint64_t times = 0, met = 0;
		int p99 = -1, most = 0;

		for (int us = 0; us <= LONGEST; us++)
			times += places[i].held[us];
		for (int us = 0; us <= LONGEST; us++) {
			met += places[i].held[us];
			if (p99 < 0 && met * 100 >= times * 99)
				p99 = us + 1;
			if (places[i].held[us])
				most = us + 1;
		}
		if (times)
			fprintf(file, "%llu %d %d\n", (unsigned long long)times, p99, most);
	}
	fclose(file);
}
