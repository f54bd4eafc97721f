#include "intern.h"

TL_INTERNAL size_t intern_bytes(uint32_t slots)
{
	return ((size_t)slots + 1) * sizeof(uint64_t);
}

TL_INTERNAL void intern_start(struct intern *set, uint64_t *keys, uint32_t slots)
{
	set->keys = keys;
	set->slots = slots;
	set->used = 0;
	set->lock = (struct lock){0};
}

TL_INTERNAL void intern_reset(struct intern *set)
{
	set->used = 0;
}

/* Where the key is, or the unused place where it would go. The 7/8 rule guarantees one. */
static uint32_t intern_probe(const struct intern *set, uint64_t key)
{
	/* The upper half of the product spreads a key evenly over any number of slots (Lemire
	 * 2019). */
	uint32_t number = 1 + (uint32_t)(((key * 0x9e3779b97f4a7c15u >> 32) * set->slots) >> 32);

	for (;;) {
		uint64_t found = __atomic_load_n(&set->keys[number], __ATOMIC_ACQUIRE);

		if (found == key || found == 0)
			return number;
		number = number < set->slots ? number + 1 : 1;
	}
}

TL_INTERNAL uint32_t intern_find(const struct intern *set, uint64_t key)
{
	uint32_t number = intern_probe(set, key);

	return __atomic_load_n(&set->keys[number], __ATOMIC_ACQUIRE) == key ? number : INTERN_NONE;
}

TL_INTERNAL bool intern_is_used(const struct intern *set, uint32_t number)
{
	return __atomic_load_n(&set->keys[number], __ATOMIC_ACQUIRE) != 0;
}

TL_INTERNAL void intern_lock(struct intern *set)
{
	lock_take(&set->lock);
}

TL_INTERNAL void intern_unlock(struct intern *set)
{
	lock_give(&set->lock);
}

TL_INTERNAL void intern_renew_lock(struct intern *set)
{
	set->lock = (struct lock){0};
}

TL_INTERNAL uint32_t intern_reserve(const struct intern *set, uint64_t key)
{
	if (set->used >= set->slots - set->slots / 8)
		return INTERN_NONE;
	return intern_probe(set, key);
}

TL_INTERNAL void intern_publish(struct intern *set, uint32_t number, uint64_t key)
{
	TL_STORE(set->used, set->used + 1);
	__atomic_store_n(&set->keys[number], key, __ATOMIC_RELEASE);
}
