/* pthread_lock: put before trackleak.c (-include; build/locks/trackleak.so): base/lock with pthread's mutexes in it, which
 * a preloaded library sees (fork_inside, lock_times). Where and for how long they are held is the same. */
#ifndef TL_BASE_LOCK_H
#define TL_BASE_LOCK_H

#define _GNU_SOURCE 1
#include <pthread.h>
#include <stdint.h>

struct lock {
	union {
		pthread_mutex_t mutex;
		uint32_t is_held; /* for lock.c, which nobody calls here */
	};
};

static void lock_await(struct lock *lock) __attribute__((unused));

static inline void lock_take(struct lock *lock)
{
	pthread_mutex_lock(&lock->mutex);
}

static inline void lock_give(struct lock *lock)
{
	pthread_mutex_unlock(&lock->mutex);
}

#endif
