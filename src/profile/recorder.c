#include "recorder.h"

#include "../base/clock.h"
#include "../process/config.h"
#include "../process/native_modules.h"
#include "../process/py_frame.h"
#include "blame.h"
#include "governor.h"
#include "frame_memo.h"
#include "names.h"
#include "sampler.h"
#include "sites.h"
#include "stack_memo.h"
#include "stacks.h"
#include "tallies.h"

#include <errno.h>

#define RECORDER_TICK_NS (1000000000u / CLOCK_TICKS_PER_S)

enum recorder_state { RECORDER_WAITING, RECORDER_OPEN, RECORDER_PAUSED };

static struct {
	uint64_t start_ns;         /* of the profile; atomic */
	uint64_t open_ns;          /* when counting begins */
	enum recorder_state state; /* atomic */
	struct recorder_losses losses;
} recorder;

TL_INTERNAL enum tl_err recorder_start(uint64_t delay_s)
{
	recorder.start_ns = clock_coarse_ns();
	recorder.open_ns = recorder.start_ns + delay_s * 1000000000u;
	recorder.state = delay_s == 0 ? RECORDER_OPEN : RECORDER_WAITING;
	if (blame_start() != TL_OK || names_start() != TL_OK ||
	    stacks_start(config.native) != TL_OK || sites_start() != TL_OK ||
	    tallies_start() != TL_OK || classes_start() != TL_OK || maps_start() != TL_OK)
		return TL_ERR_SYSTEM;
	return live_blocks_start(config.table_size);
}

TL_INTERNAL void recorder_restart_in_child(void)
{
	recorder.start_ns = clock_coarse_ns();
	if (recorder.open_ns < recorder.start_ns)
		recorder.open_ns = recorder.start_ns;
	recorder.losses = (struct recorder_losses){0};
	live_blocks_reset_in_child();
	frame_memo_reset_in_child();
	stack_memo_reset_in_child();
	tallies_reset_in_child();
	maps_reset_in_child();
	sites_reset_in_child();
	stacks_reset_in_child();
	classes_reset_in_child();
	names_reset_in_child();
	sampler_restart_in_child();
	governor_restart_in_child();
}

TL_INTERNAL void recorder_fork_prepare(void)
{
	maps_fork_prepare();
	sampler_before_fork(); /* under a lock: two threads may fork at once */
}

TL_INTERNAL void recorder_fork_parent(void)
{
	maps_fork_parent();
}

TL_INTERNAL void recorder_renew_locks(void)
{
	names_renew_locks();
	stacks_renew_locks();
	sites_renew_locks();
	live_blocks_renew_locks();
	maps_renew_locks();
	frame_memo_renew_locks();
	tallies_renew_lock();
	native_modules_renew_lock();
}

TL_INTERNAL bool recorder_enter(struct thread *thread, int *saved_errno)
{
	if (thread->busy)
		return false;
	thread->busy = true;
	*saved_errno = errno;
	return true;
}

TL_INTERNAL void recorder_leave(struct thread *thread, int saved_errno)
{
	errno = saved_errno;
	thread->busy = false;
}

static uint32_t recorder_ticks(uint64_t ns)
{
	return (uint32_t)((ns - TL_LOAD(recorder.start_ns)) / RECORDER_TICK_NS);
}

TL_INTERNAL uint32_t recorder_now(void)
{
	return recorder_ticks(clock_coarse_ns());
}

static bool recorder_change(enum recorder_state from, enum recorder_state to)
{
	return __atomic_compare_exchange_n(&recorder.state, &from, to, false, __ATOMIC_RELAXED,
					   __ATOMIC_RELAXED);
}

TL_INTERNAL bool recorder_is_open(void)
{
	if (TL_MOSTLY(TL_LOAD(recorder.state) == RECORDER_OPEN))
		return true;
	if (!recorder_has_begun())
		return false;
	if (recorder_change(RECORDER_WAITING, RECORDER_OPEN))
		sampler_open();
	return TL_LOAD(recorder.state) == RECORDER_OPEN;
}

TL_INTERNAL bool recorder_has_begun(void)
{
	return clock_coarse_ns() >= recorder.open_ns;
}

TL_INTERNAL bool recorder_is_paused(void)
{
	return TL_LOAD(recorder.state) == RECORDER_PAUSED;
}

TL_INTERNAL void recorder_pause(void)
{
	TL_STORE(recorder.state, RECORDER_PAUSED);
	frame_memo_forget_all(); /* recorder_counts_again does not look at the state */
	sampler_pause(true);
}

TL_INTERNAL void recorder_resume(void)
{
	sampler_pause(false);
	recorder_change(RECORDER_PAUSED, RECORDER_WAITING);
	recorder_is_open();
}

TL_INTERNAL uint32_t recorder_begin_tick(void)
{
	uint64_t now = clock_coarse_ns(), start = TL_LOAD(recorder.start_ns);

	TL_STORE(recorder.start_ns, start - (RECORDER_TICK_NS - (now - start) % RECORDER_TICK_NS));
	return recorder_ticks(now);
}

TL_INTERNAL uint64_t recorder_opens_at_ns(void)
{
	return recorder.open_ns;
}

TL_INTERNAL double recorder_elapsed_s(void)
{
	uint64_t now = clock_coarse_ns();

	return now > recorder.open_ns ? (double)(now - recorder.open_ns) / 1e9 : 0;
}

TL_INTERNAL struct recorder_losses recorder_losses(void)
{
	return (struct recorder_losses){
		.samples = TL_LOAD(recorder.losses.samples),
		.missed_frees = TL_LOAD(recorder.losses.missed_frees),
		.reentrant = TL_LOAD(recorder.losses.reentrant),
	};
}

TL_INTERNAL bool recorder_counts_again(struct thread *thread, size_t size, const void *caller)
{
	struct tally_entry *entry;

	if (TL_RARELY(!sampler_may_pass(thread)))
		return false;
	entry = tallies_find(thread, blame_peek(caller), size);
	if (TL_RARELY(entry == NULL))
		return false;
	sampler_passed(thread, 1);
	tallies_add(entry, 1, size);
	return true;
}

TL_INTERNAL void recorder_uncounts(struct thread *thread, size_t size, const void *caller)
{
	struct tally_entry *entry = tallies_find(thread, blame_peek(caller), size);

	sampler_passed(thread, -1u);
	if (entry != NULL)
		tallies_add(entry, -UINT64_C(1), -(uint64_t)size);
	else
		sites_count_many(blame_line(LIVE_LIBC, caller), -UINT64_C(1), -(uint64_t)size);
}

TL_INTERNAL bool recorder_only_counts(struct thread *thread, uint32_t generation, size_t size,
				      const void *caller)
{
	struct frame_place place;
	struct py_frame_spot spot;

	if (size < sampler_min_size || TL_LOAD(recorder.state) != RECORDER_OPEN ||
	    !sampler_may_pass(thread))
		return false;
	spot = blame_peek(caller);
	if (!frame_memo_find(&(struct py_frame){.code = spot.code, .at = spot.at}, &place) ||
	    place.site_line == SITES_OTHERS)
		return false;
	sampler_passed(thread, 1);
	sites_count(place.site_line, size);
	tallies_remember(thread, spot, generation, place.site_line, size);
	return true;
}

static struct site_sample recorder_sample(const struct live_block *block)
{
	return (struct site_sample){
		.size = block->size,
		.probability = (double)block->probability,
		.is_small = block->size < sampler_min_size,
		.is_growth = (block->flags & LIVE_IS_GROWTH) != 0,
	};
}

static void recorder_insert(struct thread *thread, const struct live_block *block)
{
	struct live_block replaced[LIVE_ENTRIES_PER_BLOCK];
	size_t replaced_count = 0;

	if (live_blocks_insert(thread, block, replaced, &replaced_count) != TL_OK) {
		TL_ADD(recorder.losses.samples, 1);
		recorder_died(block, 1); /* of unknown fate: neither alive nor a leak */
	}
	if (TL_RARELY(replaced_count > 0)) {
		TL_ADD(recorder.losses.missed_frees, replaced_count);
		recorder_died(replaced, replaced_count);
	}
}

/* Inserts the block in parts, as old as the samples of the block that it was made of. */
static TL_APART void recorder_insert_aged(struct thread *thread, struct live_block block,
					  const struct recorder_birth *birth)
{
	uint64_t left = block.size;
	uint32_t now = block.birth;

	for (size_t i = 0; i < birth->aged_count; i++) {
		const struct live_block *aged = &birth->aged[i];

		sites_shrank(aged->line, aged->size, (double)aged->probability, now);
		block.size = (aged->size < left ? aged->size : left) & LIVE_LARGEST;
		block.birth = aged->birth;
		if (block.size == 0)
			continue;
		recorder_insert(thread, &block);
		block.flags |= LIVE_IS_GROWTH;
		left -= block.size;
	}
	block.size = left & LIVE_LARGEST;
	block.birth = now;
	if (left > 0)
		recorder_insert(thread, &block);
}

static TL_APART TL_FLAT void recorder_sampled(struct thread *thread,
					      const struct recorder_birth *birth, bool is_counted)
{
	struct blame_place place = blame_place(birth->layer, birth->caller);
	struct live_block block = {
		.address = (uintptr_t)birth->block,
		.size = live_size(birth->size) & LIVE_LARGEST,
		.flags = ((birth->is_growth ? LIVE_IS_GROWTH : 0u) |
			  (birth->layer == LIVE_PYTHON ? LIVE_IS_PYTHON : 0u)) &
			 3,
		.level = thread->level & 63u,
		.probability = (float)sampler_probability(thread->level, birth->size),
		.line = place.line,
		.stack = place.stack,
		.birth = recorder_now(),
	};
	struct site_sample sample = recorder_sample(&block);

	sample.is_counted = is_counted;
	sites_born(place.line, &sample);
	if (TL_MOSTLY(birth->aged_count == 0))
		recorder_insert(thread, &block);
	else
		recorder_insert_aged(thread, block, birth);
}

TL_INTERNAL void recorder_born(struct thread *thread, const struct recorder_birth *birth)
{
	bool is_counted = birth->size >= sampler_min_size;
	bool is_count_hit = is_counted && sampler_count_hit(thread);
	bool is_sample = is_count_hit || birth->is_byte_hit;

	/* A realloc charges its whole size: what it really grew by decides whether the hit is the
	 * growth's. */
	if (is_sample && !is_count_hit && birth->size < birth->charged)
		is_sample = sampler_accepts_growth(thread, birth->size, birth->charged);
	if ((is_counted || is_sample) && (birth->size == 0 || !recorder_is_open()))
		is_counted = is_sample = false;
	if (!is_sample)
		recorder_died(birth->aged, birth->aged_count);
	if (!is_counted && !is_sample)
		return;

	if (!is_sample) {
		sites_count(blame_line(birth->layer, birth->caller), birth->size);
		return;
	}

	uint64_t began_ns = governor_work_begins();

	recorder_sampled(thread, birth, is_counted);
	governor_work_ends(began_ns, false);
}

static size_t recorder_take_out(const void *block, enum live_layer layer, struct live_block *held)
{
	size_t count = live_blocks_take(block, layer, held);

	if (TL_RARELY(live_blocks_may_start(block))) /* somebody follows it still */
		frame_memo_freed(block);
	return count;
}

TL_INTERNAL size_t recorder_take(const void *block, enum live_layer layer, struct live_block *held)
{
	uint64_t began_ns = governor_work_begins();
	size_t count = recorder_take_out(block, layer, held);

	governor_work_ends(began_ns, count == 0);
	return count;
}

TL_INTERNAL void recorder_died(const struct live_block *held, size_t count)
{
	uint32_t now = count > 0 ? recorder_now() : 0;

	for (size_t i = 0; i < count; i++) {
		struct site_sample sample = recorder_sample(&held[i]);

		sites_died(held[i].line, &sample, now - held[i].birth, now);
	}
}

TL_INTERNAL void recorder_freed(const void *block, enum live_layer layer)
{
	struct live_block held[LIVE_ENTRIES_PER_BLOCK];
	uint64_t began_ns = governor_work_begins();
	size_t count = recorder_take_out(block, layer, held);

	recorder_died(held, count);
	governor_work_ends(began_ns, count == 0);
}

/* The first allocation comes first (live_blocks_insert). */
static void recorder_put_first(struct live_block *held, size_t count)
{
	struct live_block first = held[0];

	for (size_t i = 1; i < count; i++) {
		if (held[i].flags & LIVE_IS_GROWTH)
			continue;
		held[0] = held[i];
		held[i] = first;
		return;
	}
}

/* A level that has risen since lets go of samples here too: of one that a hot loop recycles, each
 * time costs a walk of the stack. */
static void recorder_bear_again(struct thread *thread, struct live_block *held, size_t count,
				unsigned type, const void *caller)
{
	struct blame_place place = {0};
	bool is_placed = false;

	recorder_put_first(held, count);
	for (size_t i = 0; i < count; i++) {
		if (!live_blocks_survives(thread, &held[i]))
			continue;
		if (!is_placed)
			place = blame_place(LIVE_PYTHON, caller);
		is_placed = true;
		held[i].line = place.line;
		held[i].stack = place.stack;
		held[i].birth = recorder_now();
		held[i].type = (PY_TYPE_MADE + type) & (CLASSES_END - 1);

		struct site_sample sample = recorder_sample(&held[i]);

		sample.is_small = true; /* it stands for those that no allocator tells of */
		sites_born(place.line, &sample);
		recorder_insert(thread, &held[i]);
	}
}

TL_INTERNAL void recorder_made_again(struct thread *thread, const void *block, unsigned type,
				     const void *caller)
{
	struct live_block held[LIVE_ENTRIES_PER_BLOCK];
	uint64_t began_ns = governor_work_begins();
	size_t count = live_blocks_made(block, type, held);

	recorder_died(held, count);
	if (count > 0 && recorder_is_open()) {
		if (TL_RARELY(!thread->is_ready))
			sampler_prepare(thread, 0); /* it takes chance */
		recorder_bear_again(thread, held, count, type, caller);
	}
	governor_work_ends(began_ns, count == 0);
}

TL_INTERNAL size_t recorder_held_bytes(const struct live_block *held, size_t count)
{
	bool has_first = false;
	double bytes = 0;

	for (size_t i = 0; i < count; i++) {
		bytes += (double)held[i].size / (double)held[i].probability;
		has_first = has_first || (held[i].flags & LIVE_IS_GROWTH) == 0;
	}
	return has_first ? (size_t)(bytes + 0.5) : 0;
}

TL_INTERNAL void recorder_saw_reentrant_free(void)
{
	TL_ADD(recorder.losses.reentrant, 1);
}

/* Cuts the entries so that together they stand for `to` of `from` bytes, each in proportion; the
 * last one takes what rounding leaves, so that entries which are the whole block are exact. */
static void recorder_shrink(struct live_block *held, size_t count, size_t from, size_t to)
{
	uint32_t now = recorder_now();
	size_t held_bytes = 0;

	for (size_t i = 0; i < count; i++)
		held_bytes += held[i].size;

	/* Entries that are the block but for the allocator's rounding have the new size, exactly.
	 * (More than the block is held where growths have been joined.) */
	bool is_whole = held_bytes <= from && held_bytes + 2 * sizeof(void *) + 8 > from;
	size_t wanted = is_whole ? to : (size_t)((double)held_bytes * ((double)to / (double)from));
	size_t left = wanted;

	for (size_t i = 0; i < count; i++) {
		size_t old = held[i].size;
		size_t new = i + 1 < count
				     ? (size_t)((double)old * ((double)wanted / (double)held_bytes))
				     : left;

		if (new > old)
			new = old;
		left -= new < left ? new : left;
		sites_shrank(held[i].line, old - new, (double)held[i].probability, now);
		held[i].size = new &LIVE_LARGEST;
	}
}

TL_INTERNAL void recorder_restore(struct thread *thread, struct live_block *held, size_t count,
				  const void *block, size_t from, size_t to)
{
	struct live_block replaced[LIVE_ENTRIES_PER_BLOCK];
	uint64_t began_ns = count > 0 ? governor_work_begins() : 0;
	size_t replaced_count;

	if (to < from)
		recorder_shrink(held, count, from, to);
	/* The first allocation goes in first: it clears what a missed free may have left at the new
	 * address. */
	for (int growths = 0; growths < 2; growths++) {
		for (size_t i = 0; i < count; i++) {
			if (((held[i].flags & LIVE_IS_GROWTH) != 0) != (growths != 0))
				continue;
			held[i].address = (uintptr_t)block;
			if (held[i].size == 0) /* all of it was cut off, and told */
				continue;
			if (live_blocks_insert(thread, &held[i], replaced, &replaced_count) !=
			    TL_OK) {
				TL_ADD(recorder.losses.samples, 1);
				recorder_died(&held[i], 1);
			}
			recorder_died(replaced, replaced_count);
		}
	}
	governor_work_ends(began_ns, false);
}

TL_INTERNAL void recorder_mapped(uintptr_t start, size_t bytes, bool is_arena, const void *caller)
{
	uintptr_t end = (start + bytes + 4095) & ~(uintptr_t)4095;
	struct map map = {
		.start = start,
		.end = end,
		.unused = (uint32_t)(end - start - bytes),
		.kind = is_arena ? MAP_ARENA : MAP_CHARGED,
		.birth = recorder_now(),
	};

	if (!is_arena) {
		if (!recorder_is_open())
			return;

		struct blame_place place = blame_place(LIVE_LIBC, caller);
		struct site_sample sample = {
			.size = bytes, .probability = 1, .is_small = bytes < sampler_min_size};

		map.line = place.line;
		map.stack = place.stack;
		if (bytes >= sampler_min_size)
			sites_count(place.line, bytes);
		sites_born(place.line, &sample);
	}
	maps_add(&map);
}

TL_INTERNAL void recorder_unmapped(const struct map *pieces, size_t count)
{
	uint32_t now = count > 0 ? recorder_now() : 0;

	for (size_t i = 0; i < count; i++) {
		struct site_sample sample = {.size = maps_bytes(&pieces[i]), .probability = 1};

		if (pieces[i].kind != MAP_CHARGED)
			continue;
		if (pieces[i].is_rest)
			sites_shrank(pieces[i].line, sample.size, 1, now);
		else
			sites_died(pieces[i].line, &sample, now - pieces[i].birth, now);
	}
}
