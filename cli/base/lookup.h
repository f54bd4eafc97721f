/* lookup: strings to numbers, both for good. */
#ifndef TL_CLI_BASE_LOOKUP_H
#define TL_CLI_BASE_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>

struct lookup {
	struct lookup_slot *slots;
	size_t used, room; /* room: a power of two, or 0 */
};

/* The number of `key`: `fresh` if it was not there, and then it is remembered (the key is copied). */
size_t lookup_put(struct lookup *lookup, const char *key, size_t fresh);
bool lookup_get(const struct lookup *lookup, const char *key, size_t *number);

#endif
