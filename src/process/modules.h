/* modules: which loaded file an address belongs to, read from /proc/self/maps.
 *
 * Runs      outside the hooks: it reads a file. Never asks the loader, whose lock a thread inside
 *           dlopen may hold for long.
 */
#ifndef TL_PROCESS_MODULES_H
#define TL_PROCESS_MODULES_H

#include "../base/types.h"

struct module_place {
	char path[256]; /* of the file; "" when the address is in none */
	uint64_t
		offset; /* as addr2line wants it: from the file's load bias, absolute in a non-PIE program */
};

/* Where `addresses[i]` lies, for `count` of them, in one pass over the maps. */
TL_INTERNAL void modules_find(const uintptr_t *addresses, struct module_place *places,
			      size_t count);

/* The first and last address of the file that `address` belongs to. False when it is in none. */
TL_INTERNAL bool modules_range(uintptr_t address, uintptr_t *start, uintptr_t *end);

#endif
