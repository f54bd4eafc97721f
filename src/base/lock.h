/* lock: a mutual exclusion for the few instructions that the tables need it for.
 *
 * A free one is taken by one locked instruction, in line, and given back by a store. Nobody is
 * woken: who finds it taken looks again for a moment, as it is mostly held for less, and then looks
 * every now and then.
 *
 * Runs      in any thread, inside the hooks. Leaves errno alone.
 * Promises  nothing about who comes first, nor how soon. Zero is a free one: a forked child, where
 *           whoever held it is gone, makes it zero.
 */
#ifndef TL_BASE_LOCK_H
#define TL_BASE_LOCK_H

#include "types.h"

struct lock {
	uint32_t is_held; /* atomic */
};

TL_INTERNAL void lock_await(struct lock *lock);

static inline void lock_take(struct lock *lock)
{
	if (TL_RARELY(__atomic_exchange_n(&lock->is_held, 1, __ATOMIC_ACQUIRE) != 0))
		lock_await(lock);
}

static inline void lock_give(struct lock *lock)
{
	__atomic_store_n(&lock->is_held, 0, __ATOMIC_RELEASE);
}

#endif
