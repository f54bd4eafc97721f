/* lookup: strings to numbers, in the region in use. */
#ifndef TL_CLI_BASE_LOOKUP_H
#define TL_CLI_BASE_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lookup {
	struct lookup_slot *slots;
	size_t used, room; /* room: a power of two, or 0 */
};

/* The number of `key`: `fresh` if it was not there, and then it is remembered (the key is copied).
 * */
size_t lookup_put(struct lookup *lookup, const char *key, size_t fresh);
/* A hash of `string`, and of what `hash` was made of. */
uint64_t lookup_hash(uint64_t hash, const char *string);
bool lookup_get(const struct lookup *lookup, const char *key, size_t *number);

#endif
