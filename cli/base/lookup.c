#include "lookup.h"

#include "region.h"

#include <stdint.h>
#include <string.h>

struct lookup_slot {
	char *key; /* NULL: free */
	size_t number;
	uint64_t hash;
};

/* FNV-1a, stirred; the end of the string counts too, so that "ab", "c" is not "a", "bc". */
uint64_t lookup_hash(uint64_t hash, const char *string)
{
	hash ^= UINT64_C(14695981039346656037);
	do
		hash = (hash ^ (unsigned char)*string) * UINT64_C(1099511628211);
	while (*string++ != '\0');
	return hash ^ hash >> 29;
}

static struct lookup_slot *lookup_find(const struct lookup *lookup, const char *key, uint64_t hash)
{
	size_t at = hash & (lookup->room - 1);

	while (lookup->slots[at].key != NULL &&
	       (lookup->slots[at].hash != hash || strcmp(lookup->slots[at].key, key) != 0))
		at = (at + 1) & (lookup->room - 1);
	return &lookup->slots[at];
}

static void lookup_double(struct lookup *lookup)
{
	struct lookup old = *lookup;

	lookup->room = old.room > 0 ? old.room * 2 : 256;
	lookup->slots = region_alloc(lookup->room, sizeof(*lookup->slots));
	for (size_t i = 0; i < old.room; i++) {
		if (old.slots[i].key != NULL)
			*lookup_find(lookup, old.slots[i].key, old.slots[i].hash) = old.slots[i];
	}
}

size_t lookup_put(struct lookup *lookup, const char *key, size_t fresh)
{
	uint64_t hash = lookup_hash(0, key);
	struct lookup_slot *slot;

	if (lookup->used * 2 >= lookup->room)
		lookup_double(lookup);
	slot = lookup_find(lookup, key, hash);
	if (slot->key == NULL) {
		*slot = (struct lookup_slot){region_copy(key), fresh, hash};
		lookup->used++;
	}
	return slot->number;
}

bool lookup_get(const struct lookup *lookup, const char *key, size_t *number)
{
	const struct lookup_slot *slot;

	if (lookup->room == 0)
		return false;
	slot = lookup_find(lookup, key, lookup_hash(0, key));
	if (slot->key == NULL)
		return false;
	*number = slot->number;
	return true;
}
