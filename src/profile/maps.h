/* maps: the anonymous memory that was mapped past the allocators, every map of it, exactly.
 *
 * Runs      in the mmap hooks, whose syscall costs more than this does; and where a realloc in
 *           CPython's layer asks whose a block is.
 * Promises  unmapping a part of a map, or parts of several, leaves the right rest.
 * Gives up  when full: the map is not known, and counted as lost. So is a change that would have
 *           to wait for a fork longer than MAPS_PATIENCE_MS.
 */
#ifndef TL_PROFILE_MAPS_H
#define TL_PROFILE_MAPS_H

#include "../base/types.h"

enum map_kind {
	MAP_CHARGED, /* belongs to a line */
	MAP_ARENA, /* the interpreter's own: pymalloc's arenas, frame stacks; never anybody's leak */
};

struct map {
	uintptr_t start, end; /* whole pages */
	uint32_t unused;      /* bytes of the last page that were not asked for */
	uint32_t kind;
	uint32_t line, stack; /* of a charged map */
	uint32_t birth;       /* ticks */
	bool is_rest;         /* what a partial unmapping left: its death has been told in part */
};

TL_INTERNAL enum tl_err maps_start(void);
/* Keeps the arenas, which the child has too; forgets the rest, which belongs to the parent's
 * profile. */
TL_INTERNAL void maps_reset_in_child(void);

TL_INTERNAL void maps_add(const struct map *map);

/* Cuts [start, end) out of the known maps. At most `limit` of the pieces cut out are copied to
 * `removed`; returns how many. A piece that has lost a part, or was one, is marked is_rest. */
TL_INTERNAL size_t maps_remove(uintptr_t start, uintptr_t end, struct map *removed, size_t limit);

/* Bytes as they were asked for. */
TL_INTERNAL uint64_t maps_bytes(const struct map *map);

TL_INTERNAL bool maps_is_arena(uintptr_t address);

/* Copies up to `limit` maps from the `from`-th on. For reports. */
TL_INTERNAL size_t maps_copy(size_t from, struct map *copy, size_t limit);
TL_INTERNAL uint64_t maps_lost(void);

/* Around fork: the child keeps the arenas, so nobody may be writing. */
TL_INTERNAL void maps_fork_prepare(void);
TL_INTERNAL void maps_fork_parent(void);
TL_INTERNAL void maps_renew_locks(void); /* see recorder_renew_locks */

#endif
