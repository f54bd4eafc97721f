/* live_blocks: the sampled blocks that are still alive.
 *
 * Runs      in any thread, inside malloc and free. Never allocates, never waits on I/O; a shard's
 *           lock is held for under 50 us.
 * Promises  a block that is taken before its address is handed back is never seen again.
 * Gives up  when a shard is 3/4 full: the level rises and the shard's samples are thinned at
 * random, the rest weigh more.
 */
#ifndef TL_PROFILE_LIVE_BLOCKS_H
#define TL_PROFILE_LIVE_BLOCKS_H

#include "../base/thread.h"
#include "../base/types.h"
#include "classes.h"

enum live_layer { LIVE_LIBC, LIVE_PYTHON };
enum {
	LIVE_IS_GROWTH = 1, /* a realloc's growth: its bytes count, the block does not */
	LIVE_IS_PYTHON = 2, /* counted in CPython's layer */
};

#define LIVE_LARGEST ((UINT64_C(1) << 44) - 1)

struct live_block {
	uint64_t address;   /* 0: unused */
	uint64_t size : 44; /* LIVE_LARGEST: that or more */
	uint64_t flags : 2;
	uint64_t type : CLASSES_BITS; /* a number of classes.h, once it was looked at; in reports,
					 live_blocks_type tells it */
	uint64_t level : 6;           /* of T and N that `probability` belongs to */
	float probability;            /* of inclusion; the sample weighs its inverse */
	uint32_t line;                /* where it was allocated: a number of sites.h */
	uint32_t stack;               /* a number of stacks.h; 0: none */
	uint32_t birth;               /* ticks since the profile's start */
};

static inline uint64_t live_size(uint64_t bytes)
{
	return bytes < LIVE_LARGEST ? bytes : LIVE_LARGEST;
}

/* One address holds at most so many: its first allocation and growths. When they are used up,
 * the oldest growths join. */
#define LIVE_ENTRIES_PER_BLOCK 16

/* How many sampled blocks start in each stretch of memory, by its number modulo the filter's size:
 * where it says 0 there is none, for certain. Read by every free without a lock: the program's own
 * hand-over of a block orders the two. */
#define LIVE_FILTER_SHIFT 8 /* stretches of 256 bytes */
TL_DATA uint8_t *live_filter;
TL_DATA size_t live_filter_mask;

static inline bool live_blocks_may_hold(const void *block)
{
	return TL_LOAD_FAST(
		       live_filter[((uintptr_t)block >> LIVE_FILTER_SHIFT) & live_filter_mask]) !=
	       0;
}

/* The same for each 16 bytes: asked on the slow path, where it tells most of those that came for
 * their neighbour's sake, or for one of another stretch, that they need not have come. Blocks that
 * share a cell here agree in the lower bits of their stretch; the upper part of the address is mixed
 * into the rest, so that who shares a cell of the one filter mostly does not share one of the
 * other. */
TL_DATA uint8_t *live_starts;

static inline size_t live_starts_number(uintptr_t block)
{
	return (block >> 4 ^ (block >> 27 & 15)) & live_filter_mask;
}

static inline bool live_blocks_may_start(const void *block)
{
	return TL_LOAD(live_starts[live_starts_number((uintptr_t)block)]) != 0;
}

/* Makes the frees of a block take the slow path, and takes that back: for others who follow
 * blocks. */
TL_INTERNAL void live_blocks_watch(const void *block);
TL_INTERNAL void live_blocks_unwatch(const void *block);

TL_INTERNAL enum tl_err live_blocks_start(size_t slots);
TL_INTERNAL void live_blocks_reset_in_child(void);

/* TL_ERR_FULL: no room even after thinning; the sample is lost. A first allocation (no growth) at
 * an address that is still held tells that a free went past us: the old entries are moved into
 * `replaced` (room for LIVE_ENTRIES_PER_BLOCK). */
TL_INTERNAL enum tl_err live_blocks_insert(struct thread *thread, const struct live_block *block,
					   struct live_block *replaced, size_t *replaced_count);
/* Removes the layer's entries of an address into `held` (room for LIVE_ENTRIES_PER_BLOCK), in no
 * order. Returns how many. */
TL_INTERNAL size_t live_blocks_take(const void *block, enum live_layer layer,
				    struct live_block *held);

/* An object of a type that has a free list was made in this block. Entries that wait for that, being
 * new, are marked as made there; of the others the block was recycled: they are removed into `held`,
 * as live_blocks_take does. */
TL_INTERNAL size_t live_blocks_made(const void *block, unsigned type, struct live_block *held);
/* The sample is to be kept by the level in force now: thinned at random, what stays weighs more.
 * False: it is to be forgotten. */
TL_INTERNAL bool live_blocks_survives(struct thread *thread, struct live_block *block);

/* Every creation is told to live_blocks_made from this tick on; LIVE_NEVER: not any more. What was
 * born before it is not certain to be where its sample says. */
#define LIVE_NEVER UINT32_MAX
TL_INTERNAL void live_blocks_be_certain_from(uint32_t tick);
TL_INTERNAL uint32_t live_blocks_certain_from(void);
/* The entry's type, an uncertain one where nobody knows the maker. */
TL_INTERNAL unsigned live_blocks_type(const struct live_block *block);

/* Copies the entries of a shard, at most live_blocks_shard_slots() of them. For reports: a shard at
 * a time. */
TL_INTERNAL size_t live_blocks_shards(void);
TL_INTERNAL size_t live_blocks_shard_slots(void);
TL_INTERNAL size_t live_blocks_copy_shard(size_t number, struct live_block *copy);

/* Looks what the shard's entries hold, where it has not, of those born before a tick: by then they
 * are whole. While the shard is locked they cannot be freed; it is let go of every few blocks. */
TL_INTERNAL void live_blocks_find_types(size_t number, uint32_t born_before);

TL_INTERNAL size_t live_blocks_capacity(void);
TL_INTERNAL uint64_t live_blocks_thinned(void); /* how often a shard was thinned */

TL_INTERNAL void live_blocks_renew_locks(void); /* see recorder_renew_locks */

#endif
