/* intern: a fixed set of 64-bit keys that only grows; a key's number is where its owner keeps what
 * belongs to it.
 *
 * Runs      finding needs no lock and may run in any thread; adding is done under the set's own
 *           lock.
 * Promises  a number is found only after its owner has filled in what belongs to it
 *           (intern_publish).
 * Gives up  when the set is 7/8 full: the rest stays short to search.
 */
#ifndef TL_BASE_INTERN_H
#define TL_BASE_INTERN_H

#include "lock.h"

#define INTERN_NONE 0u /* no number; numbers run from 1 to slots */

struct intern {
	uint64_t *keys; /* slots + 1 of them; 0: unused */
	uint32_t slots; /* capacity, before the 7/8 rule */
	uint32_t used;  /* guarded by lock; a stale read is fine for reports */
	struct lock lock;
};

/* Bytes to reserve for `slots` keys, and the start. `keys` is zeroed memory of that size. */
TL_INTERNAL size_t intern_bytes(uint32_t slots);
TL_INTERNAL void intern_start(struct intern *set, uint64_t *keys, uint32_t slots);
/* As after intern_start; the caller has zeroed the keys and nobody else is running. */
TL_INTERNAL void intern_reset(struct intern *set);

/* The key's number, or INTERN_NONE. `key` is not 0. */
TL_INTERNAL uint32_t intern_find(const struct intern *set, uint64_t key);

/* Is this the number of a key? */
TL_INTERNAL bool intern_is_used(const struct intern *set, uint32_t number);

/* To add: intern_lock, intern_find again, intern_reserve, fill in, intern_publish, intern_unlock.
 * intern_reserve: a number for a key that is not in the set, INTERN_NONE when full. */
TL_INTERNAL void intern_lock(struct intern *set);
TL_INTERNAL void intern_unlock(struct intern *set);
/* In a forked child, where nobody else is running: whoever held it is gone. */
TL_INTERNAL void intern_renew_lock(struct intern *set);
TL_INTERNAL uint32_t intern_reserve(const struct intern *set, uint64_t key);
TL_INTERNAL void intern_publish(struct intern *set, uint32_t number, uint64_t key);

#endif
