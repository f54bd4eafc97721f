/* DESIGN
 *     address --hash--> shard (256 of them, a lock each) --hash--> slot, linear probing inside the
 *     shard
 * Backward-shift deletion: no tombstones, so a look-up costs the same after a billion samples as
 * after ten. An address may stand several times (a block's growths); they lie in one probe run and
 * leave together.
 *
 * The filter counts the samples of each 256 bytes in a byte: one load tells a free that it has
 * nothing to do. (Of each page was tried: in a busy heap five of six slow paths of free were for
 * nothing. Finer than this saves little more, and is more memory for the processor to keep at
 * hand.) Bits would be denser, but a bit cannot be cleared while others share it; rebuilding the
 * bits once a second was tried, and a small busy heap had all of them set again within a tenth of
 * that. A byte that has reached 255 stays there.
 *
 * A filter of 256 bytes a cell covers 128 MB at the default size; in a larger heap with samples for
 * half of the slots a fifth of all frees meets somebody else's cell. The second filter, of 16 bytes
 * a cell, sends five of six of those off after one more look.
 *
 * A shard begins small and doubles: samples spread at random over the whole table would touch every
 * page of it.
 *
 * Thinning is done by whoever finds its shard 3/4 full at its full size, for that shard alone: no
 * pause longer than one shard. The level rises for everybody; a shard that is not full keeps its
 * finer samples, whose own probabilities keep them right.
 */
#include "live_blocks.h"

#include "../base/clock.h"
#include "../base/lock.h"
#include "../base/pages.h"
#include "../base/random.h"
#include "sampler.h"

#include <string.h>

#define LIVE_MOST_SHARDS 256
#define LIVE_FIRST_SIZE  64u /* slots of a shard at its start */
#define LIVE_LOOKS       4   /* blocks that are looked at in one go: some microseconds each */

/* All guarded by its lock. */
struct live_shard {
	struct lock lock;
	struct live_block *slots; /* room for live_shard_slots */
	uint32_t size; /* slots in use: grows with the samples, so that few touch few pages */
	uint32_t used;
	uint32_t thinned_to;    /* level that the entries have been thinned to */
} __attribute__((aligned(64))); /* no two threads write to one line of the cache */

static uint8_t live_filter_none;
TL_INTERNAL uint8_t *live_filter = &live_filter_none;
TL_INTERNAL uint8_t *live_starts = &live_filter_none;
TL_INTERNAL size_t live_filter_mask;

static struct live_shard live_shards[LIVE_MOST_SHARDS];
static struct live_block *live_slots; /* shard s owns [s * shard_slots, (s + 1) * shard_slots) */
static struct live_block
	*live_spare; /* a shard's entries while it grows; guarded by live_spare_lock */
static struct lock live_spare_lock;
static size_t live_shard_count, live_shard_slots, live_capacity;
static uint64_t live_thinned;
static uint32_t live_certain_from = LIVE_NEVER; /* atomic */

static uint64_t live_hash(uint64_t address)
{
	uint64_t mixed = (address >> 4) * 0x9e3779b97f4a7c15u;

	return mixed ^ (mixed >> 29);
}

/* Who shares a cell of one of the filters shares a shard, whose lock guards the cells. */
static struct live_shard *live_shard_of(uint64_t address)
{
	uint64_t stretch = address >> LIVE_FILTER_SHIFT & live_filter_mask >> 4;

	return &live_shards[(stretch * 0x9e3779b97f4a7c15u >> 32) & (live_shard_count - 1)];
}

/* Where the entry would like to stand. */
static size_t live_home(const struct live_shard *shard, uint64_t address)
{
	return (size_t)(((live_hash(address) >> 32) * shard->size) >> 32);
}

static size_t live_next(const struct live_shard *shard, size_t slot)
{
	return slot + 1 < shard->size ? slot + 1 : 0;
}

/* All shards empty and small. */
static void live_begin(void)
{
	live_thinned = 0;
	for (size_t i = 0; i < live_shard_count; i++) {
		struct live_shard *shard = &live_shards[i];

		shard->slots = live_slots + i * live_shard_slots;
		shard->size = live_shard_slots < LIVE_FIRST_SIZE ? (uint32_t)live_shard_slots
								 : LIVE_FIRST_SIZE;
		shard->used = shard->thinned_to = 0;
	}
}

TL_INTERNAL enum tl_err live_blocks_start(size_t slots)
{
	size_t shards = 1, cells = 4096;

	while (shards < LIVE_MOST_SHARDS && shards * 2 * 256 <= slots)
		shards *= 2;
	while (cells < slots * 2)
		cells *= 2;
	live_shard_count = shards;
	live_shard_slots = (slots + shards - 1) / shards;
	live_capacity = slots;

	uint8_t *filter = pages_map(cells), *starts = pages_map(cells);

	live_slots = pages_map(live_shard_count * live_shard_slots * sizeof(struct live_block));
	live_spare = pages_map(live_shard_slots * sizeof(struct live_block));
	if (filter == NULL || starts == NULL || live_slots == NULL || live_spare == NULL)
		return TL_ERR_SYSTEM;
	for (size_t i = 0; i < LIVE_MOST_SHARDS; i++)
		live_shards[i].lock = (struct lock){0};
	live_begin();
	live_filter = filter;
	live_starts = starts;
	live_filter_mask = cells - 1;
	return TL_OK;
}

TL_INTERNAL void live_blocks_reset_in_child(void)
{
	pages_clear(live_slots, live_shard_count * live_shard_slots * sizeof(struct live_block));
	pages_clear(live_filter, live_filter_mask + 1);
	pages_clear(live_starts, live_filter_mask + 1);
	if (live_certain_from != LIVE_NEVER)
		live_certain_from = 0; /* the child inherits who tells, and counts ticks anew */
	live_begin();
}

/* Adds +1 or -1, but to a byte that is full. Under the lock of the address's shard; others only
 * read. */
static void live_cell_add(uint8_t *cell, int change)
{
	if (*cell != UINT8_MAX)
		TL_STORE(*cell, (uint8_t)(*cell + change));
}

static void live_filter_add(uintptr_t address, int change)
{
	live_cell_add(&live_filter[(address >> LIVE_FILTER_SHIFT) & live_filter_mask], change);
	live_cell_add(&live_starts[live_starts_number(address)], change);
}

static void live_filter_add_alone(const void *block, int change)
{
	struct live_shard *shard = live_shard_of((uintptr_t)block);

	lock_take(&shard->lock);
	live_filter_add((uintptr_t)block, change);
	lock_give(&shard->lock);
}

TL_INTERNAL void live_blocks_watch(const void *block)
{
	live_filter_add_alone(block, +1);
}

TL_INTERNAL void live_blocks_unwatch(const void *block)
{
	live_filter_add_alone(block, -1);
}

/* Closes the gap at `slot`: whoever stands behind it in the run, and may stand there, moves up
 * (Knuth 6.4, algorithm R). */
static void live_remove_slot(struct live_shard *shard, size_t slot)
{
	struct live_block *slots = shard->slots;
	size_t hole = slot, next = slot;

	live_filter_add(slots[slot].address, -1);
	for (;;) {
		next = live_next(shard, next);
		if (slots[next].address == 0)
			break;

		size_t home = live_home(shard, slots[next].address);
		bool stays =
			hole < next ? home > hole && home <= next : home > hole || home <= next;

		if (!stays) {
			slots[hole] = slots[next];
			hole = next;
		}
	}
	slots[hole].address = 0;
	shard->used--;
}

/* An entry stays with probability p(new)/p(old), and then weighs 1/p(new): nothing is expected to
 * change. */
static bool live_survives(struct thread *thread, struct live_block *block, unsigned level)
{
	/* Of another row of levels (sampler.h) the numbers say nothing, the ratio does. */
	if (block->level >= level && block->level / SAMPLER_LEVELS == level / SAMPLER_LEVELS)
		return true;

	/* Its size may have been cut since it was drawn; the ratio at the present size keeps the
	 * expectation too. */
	double ratio = sampler_probability(level, block->size) /
		       sampler_probability((unsigned)block->level, block->size);

	if (ratio > 1)
		ratio = 1;
	if (sampler_unit(thread) > ratio)
		return false;
	block->probability = (float)((double)block->probability * ratio);
	block->level = level & 63;
	return true;
}

static void live_thin(struct thread *thread, struct live_shard *shard, unsigned level)
{
	for (size_t slot = 0; slot < shard->size;) {
		struct live_block *block = &shard->slots[slot];

		if (block->address == 0 || live_survives(thread, block, level))
			slot++;
		else
			live_remove_slot(shard, slot); /* another may have moved here: look again */
	}
	shard->thinned_to = level;
	TL_ADD(live_thinned, 1);
}

/* At 3/4 a search looks at eight slots, at 1/2 at two or three (Knuth 6.4, theorem K). */
static bool live_is_crowded(const struct live_shard *shard)
{
	uint32_t spare = shard->size < live_shard_slots ? shard->size / 2 : shard->size / 4;

	return shard->used >= shard->size - spare;
}

/* Twice the slots, up to what there is room for. */
static void live_grow(struct live_shard *shard)
{
	size_t count = 0;

	lock_take(&live_spare_lock);
	for (size_t slot = 0; slot < shard->size; slot++) {
		if (shard->slots[slot].address != 0)
			live_spare[count++] = shard->slots[slot];
		shard->slots[slot].address = 0;
	}
	shard->size =
		shard->size * 2 <= live_shard_slots ? shard->size * 2 : (uint32_t)live_shard_slots;
	for (size_t i = 0; i < count; i++) {
		size_t slot = live_home(shard, live_spare[i].address);

		while (shard->slots[slot].address != 0)
			slot = live_next(shard, slot);
		shard->slots[slot] = live_spare[i];
	}
	lock_give(&live_spare_lock);
}

static void live_make_room(struct thread *thread, struct live_shard *shard)
{
	unsigned level = sampler_level();

	if (shard->size < live_shard_slots) {
		live_grow(shard);
		return;
	}
	if (shard->thinned_to > level) /* it has fallen since */
		shard->thinned_to = level;
	if (shard->thinned_to < level)
		live_thin(thread, shard, level);
	if (live_is_crowded(shard)) {
		sampler_raise(level);
		live_thin(thread, shard, sampler_level());
	}
}

/* Growth upon growth from the same place and moment, each certain: one entry tells it all. */
static bool live_is_more_of(const struct live_block *known, const struct live_block *added)
{
	return (known->flags & added->flags & LIVE_IS_GROWTH) && known->probability >= 1 &&
	       added->probability >= 1 && known->line == added->line &&
	       known->stack == added->stack && added->birth - known->birth < CLOCK_TICKS_PER_S;
}

/* What a sample stands for. */
static double live_weighted_bytes(const struct live_block *block)
{
	return (double)block->size / (double)block->probability;
}

/* The growths of one address that a further one of this line may have to do with. */
struct live_growths {
	uint32_t line;
	struct live_block *oldest, *second; /* of that line */
	struct live_block *lightest;        /* of any */
};

static void live_growths_add(struct live_growths *growths, struct live_block *growth)
{
	if (growths->lightest == NULL ||
	    live_weighted_bytes(growth) < live_weighted_bytes(growths->lightest))
		growths->lightest = growth;
	if (growth->line != growths->line)
		return;
	if (growths->oldest == NULL || growth->birth < growths->oldest->birth) {
		growths->second = growths->oldest;
		growths->oldest = growth;
	} else if (growths->second == NULL || growth->birth < growths->second->birth) {
		growths->second = growth;
	}
}

/* Two samples of one address become one that stands for both. Of two lines one is chosen, in
 * proportion to what each stands for. Of one line nothing is left to chance but the stack and the
 * age: size and probability are those that give the sum of both estimates, and of both variances.
 */
static void live_join(struct thread *thread, struct live_block *kept,
		      const struct live_block *added)
{
	double kept_bytes = live_weighted_bytes(kept), added_bytes = live_weighted_bytes(added);
	double both = kept_bytes + added_bytes, size = 0;

	if (kept->line == added->line) {
		double variance = (1 - (double)kept->probability) * kept_bytes * kept_bytes +
				  (1 - (double)added->probability) * added_bytes * added_bytes;

		size = both - variance / both;
	}
	if (sampler_unit(thread) * both > kept_bytes)
		*kept = *added;
	if (size > 0)
		kept->size = live_size((uint64_t)(size + 0.5)) & LIVE_LARGEST;
	kept->probability = (float)((double)kept->size / both);
}

/* Of a line that has two the oldest become one: what a buffer grew by lately, and when, is what
 * tells whether it still grows. */
static void live_make_join(struct thread *thread, const struct live_growths *growths,
			   const struct live_block *added)
{
	if (growths->second != NULL) {
		live_join(thread, growths->oldest, growths->second);
		*growths->second = *added;
	} else {
		live_join(thread, growths->oldest != NULL ? growths->oldest : growths->lightest,
			  added);
	}
}

TL_INTERNAL enum tl_err live_blocks_insert(struct thread *thread, const struct live_block *block,
					   struct live_block *replaced, size_t *replaced_count)
{
	struct live_shard *shard = live_shard_of(block->address);
	struct live_block *slots = shard->slots, *same = NULL;
	struct live_growths growths = {.line = block->line};
	enum tl_err error = TL_OK;
	size_t slot, entries = 0;

	*replaced_count = 0;
	lock_take(&shard->lock);
	if (TL_RARELY(live_is_crowded(shard)))
		live_make_room(thread, shard);
	for (slot = live_home(shard, block->address); slots[slot].address != 0;
	     slot = live_next(shard, slot)) {
		while (slots[slot].address == block->address && !(block->flags & LIVE_IS_GROWTH)) {
			if (*replaced_count < LIVE_ENTRIES_PER_BLOCK)
				replaced[(*replaced_count)++] = slots[slot];
			live_remove_slot(shard, slot);
		}
		if (slots[slot].address == 0)
			break;
		if (slots[slot].address != block->address)
			continue;
		entries++;
		if (slots[slot].flags & LIVE_IS_GROWTH)
			live_growths_add(&growths, &slots[slot]);
		if (live_is_more_of(&slots[slot], block))
			same = &slots[slot];
	}
	if (same != NULL) {
		same->size += block->size;
	} else if (entries >= LIVE_ENTRIES_PER_BLOCK && growths.lightest != NULL) {
		live_make_join(thread, &growths, block);
	} else if (shard->used + 1 >= shard->size) {
		error = TL_ERR_FULL; /* one slot stays empty: it ends every search */
	} else {
		slots[slot] = *block;
		shard->used++;
		live_filter_add(block->address, +1);
	}
	lock_give(&shard->lock);
	return error;
}

TL_INTERNAL size_t live_blocks_take(const void *block, enum live_layer layer,
				    struct live_block *held)
{
	uint64_t address = (uintptr_t)block, python = layer == LIVE_PYTHON ? LIVE_IS_PYTHON : 0;
	struct live_shard *shard = live_shard_of(address);
	struct live_block *slots = shard->slots;
	size_t count = 0;

	lock_take(&shard->lock);
	for (size_t slot = live_home(shard, address); slots[slot].address != 0;) {
		if (slots[slot].address == address &&
		    (slots[slot].flags & LIVE_IS_PYTHON) == python &&
		    count < LIVE_ENTRIES_PER_BLOCK) {
			held[count++] = slots[slot];
			live_remove_slot(shard, slot);
		} else {
			slot = live_next(shard, slot);
		}
	}
	lock_give(&shard->lock);
	return count;
}

TL_INTERNAL size_t live_blocks_made(const void *block, unsigned type, struct live_block *held)
{
	uint64_t address = (uintptr_t)block;
	struct live_shard *shard = live_shard_of(address);
	struct live_block *slots = shard->slots;
	size_t count = 0;

	lock_take(&shard->lock);
	for (size_t slot = live_home(shard, address); slots[slot].address != 0;) {
		struct live_block *entry = &slots[slot];
		bool is_first = entry->type == PY_TYPE_NOT_LOOKED &&
				entry->birth >= TL_LOAD(live_certain_from);

		if (entry->address == address && !is_first && count < LIVE_ENTRIES_PER_BLOCK) {
			held[count++] = *entry;
			live_remove_slot(shard, slot);
			continue;
		}
		if (entry->address == address)
			entry->type = (PY_TYPE_MADE + type) & (CLASSES_END - 1);
		slot = live_next(shard, slot);
	}
	lock_give(&shard->lock);
	return count;
}

TL_INTERNAL bool live_blocks_survives(struct thread *thread, struct live_block *block)
{
	return live_survives(thread, block, sampler_level());
}

TL_INTERNAL void live_blocks_be_certain_from(uint32_t tick)
{
	TL_STORE(live_certain_from, tick);
}

TL_INTERNAL uint32_t live_blocks_certain_from(void)
{
	return TL_LOAD(live_certain_from);
}

TL_INTERNAL unsigned live_blocks_type(const struct live_block *block)
{
	bool is_certain =
		!py_type_is_made(block->type) || block->birth >= TL_LOAD(live_certain_from);

	return is_certain ? block->type : block->type - PY_TYPE_MADE;
}

TL_INTERNAL size_t live_blocks_shards(void)
{
	return live_shard_count;
}

TL_INTERNAL size_t live_blocks_shard_slots(void)
{
	return live_shard_slots;
}

TL_INTERNAL size_t live_blocks_copy_shard(size_t number, struct live_block *copy)
{
	struct live_shard *shard = &live_shards[number];
	size_t count = 0;

	lock_take(&shard->lock);
	for (size_t slot = 0; shard->used > 0 && slot < shard->size; slot++) {
		if (shard->slots[slot].address != 0)
			copy[count++] = shard->slots[slot];
	}
	lock_give(&shard->lock);
	return count;
}

/* Bytes that grew in place are their own line's, whatever the free lists do. */
static unsigned live_type_of(const struct live_block *block)
{
	unsigned type = classes_of_block((const void *)(uintptr_t)block->address, block->size,
					 block->flags & LIVE_IS_PYTHON);

	return block->flags & LIVE_IS_GROWTH && py_type_is_uncertain(type) ? PY_TYPE_OTHER : type;
}

TL_INTERNAL void live_blocks_find_types(size_t number, uint32_t born_before)
{
	struct live_shard *shard = &live_shards[number];
	unsigned left = LIVE_LOOKS;

	lock_take(&shard->lock);
	for (size_t slot = 0; shard->used > 0 && slot < shard->size; slot++) {
		struct live_block *block = &shard->slots[slot];

		if (block->address == 0 || block->type != PY_TYPE_NOT_LOOKED ||
		    block->birth > born_before)
			continue;
		block->type = live_type_of(block) & (CLASSES_END - 1);
		if (--left > 0)
			continue;
		/* Entries may move meanwhile: one that is passed over is looked at next time. */
		lock_give(&shard->lock);
		left = LIVE_LOOKS;
		lock_take(&shard->lock);
	}
	lock_give(&shard->lock);
}

TL_INTERNAL size_t live_blocks_capacity(void)
{
	return live_capacity;
}

TL_INTERNAL uint64_t live_blocks_thinned(void)
{
	return TL_LOAD(live_thinned);
}

TL_INTERNAL void live_blocks_renew_locks(void)
{
	for (size_t i = 0; i < live_shard_count; i++)
		live_shards[i].lock = (struct lock){0};
	live_spare_lock = (struct lock){0};
}
