/* hook_malloc: libc's allocation functions, as the program calls them.
 *
 * Runs      everywhere, from the process's first instruction. The fast path of malloc is one
 *           subtraction, two tests and a jump into the real function; of free, one bit.
 * Promises  results, errno and alignment are the real allocator's; a sampled block is forgotten
 *           before its address can be handed out again.
 *
 * DESIGN
 * The hot functions at the bottom do three things: charge the size to the thread's countdown, see
 * whether that or the size calls for the slow path, and jump. Everything else is cold and out of
 * line.
 *
 * Nearly all allocations of MIN_SIZE or more are of a place that their thread has counted for
 * before, and are due for nothing else (hook_malloc_slow): they are counted, then made, and that is
 * all.
 * Otherwise a slow path first settles what was charged (sampler_prepare, sampler_byte_hit), then
 * calls the real function, then tells the recorder (a failed call: sampler_pass). Frees and
 * reallocs take a block's samples out first: once the real function returns another thread may own
 * the address.
 *
 * While CPython's allocator runs under our wrapper (thread->is_watching_libc), every libc
 * allocation comes here, so that hook_python learns whether libc served the block, and leaves it to
 * this layer.
 */
#include "../agent/lifecycle.h"
#include "../base/thread.h"
#include "../process/real_malloc.h"
#include "../profile/frame_memo.h"
#include "../profile/live_blocks.h"
#include "../profile/recorder.h"
#include "../profile/sampler.h"
#include "hook_events.h"
#include "hook_python.h"

#include <errno.h>
#include <limits.h>

/* A dormant process's threads come to the slow path once; this sends them off for good. */
#define HOOK_NEVER (INT64_MAX / 2)

/* True when the allocation in hand may be recorded; the charge is settled, *is_byte_hit filled in.
 * */
static bool hook_malloc_settle(struct thread *thread, size_t charged, bool *is_byte_hit)
{
	*is_byte_hit = false;
	if (TL_RARELY(!lifecycle_is_active())) {
		thread->countdown = HOOK_NEVER;
		return false;
	}
	if (thread->busy) {
		sampler_pass(thread);
		return false;
	}
	sampler_prepare(thread, charged);
	*is_byte_hit = sampler_byte_hit(thread);
	return true;
}

static void hook_malloc_finish(struct thread *thread)
{
	sampler_adapt(thread);
	/* CPython's layer wants to see the very next allocation. */
	if (thread->is_watching_libc || thread->is_probing_python || thread->is_summoned)
		sampler_withhold(thread, 0);
}

static TL_APART void hook_malloc_record(struct thread *thread, const void *block, size_t size,
					size_t charged, bool is_growth, bool is_byte_hit,
					const void *caller)
{
	int saved_errno;

	if (thread->is_watching_libc && !is_growth) {
		thread->libc_block = (uintptr_t)block;
		thread->libc_block_size = size;
	}
	if (!recorder_enter(thread, &saved_errno))
		return;
	lifecycle_look();
	hook_python_heal();
	if (!is_growth)
		hook_events_born(block, size, LIVE_LIBC, caller);
	recorder_born(thread, &(struct recorder_birth){
				      .layer = LIVE_LIBC,
				      .block = block,
				      .size = size,
				      .charged = charged,
				      .caller = caller,
				      .is_growth = is_growth,
				      .is_byte_hit = is_byte_hit,
			      });
	recorder_leave(thread, saved_errno);
}

/* Nothing is due but what the allocation in hand asks for itself. */
static bool hook_malloc_is_steady(const struct thread *thread)
{
	return !thread->is_watching_libc && !thread->is_probing_python && !thread->is_summoned &&
	       !hook_events_are_on() && !lifecycle_misses_worker() && lifecycle_is_steady() &&
	       hook_python_is_well();
}

/* The shortest way, for a place that the thread counts for again and again: whether all is steady
 * was asked when it was remembered. */
static inline bool hook_malloc_counts_again(struct thread *thread, size_t size, const void *caller)
{
	bool is_done;

	thread->busy = true;
	is_done = recorder_counts_again(thread, size, caller);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	thread->busy = false;
	return is_done;
}

/* Most allocations of MIN_SIZE or more are to be counted and nothing else: a straight way for
 * them. False: it did nothing, and the long way is to be gone. */
static bool hook_malloc_only_counts(struct thread *thread, size_t size, const void *caller)
{
	/* What is no longer steady after the look begins the next one. */
	uint32_t generation = __atomic_load_n(&frame_memo_generation, __ATOMIC_ACQUIRE);
	bool is_done;

	if (!hook_malloc_is_steady(thread))
		return false;
	thread->busy = true;
	is_done = recorder_only_counts(thread, generation, size, caller);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	thread->busy = false;
	return is_done;
}

/* The end of every slow allocation. */
static TL_APART void *hook_malloc_done(struct thread *thread, void *block, size_t size,
				       bool is_byte_hit, const void *caller)
{
	if (block != NULL && !is_byte_hit && hook_malloc_only_counts(thread, size, caller))
		return block;
	if (block == NULL)
		sampler_pass(thread);
	else
		hook_malloc_record(thread, block, size, size, false, is_byte_hit, caller);
	hook_malloc_finish(thread);
	return block;
}

/* What comes for more than its size. */
static TL_APART void *hook_malloc_special(size_t size, const void *caller)
{
	struct thread *thread = &thread_self;
	bool is_byte_hit;

	if (!hook_malloc_settle(thread, size, &is_byte_hit))
		return real_malloc(size);
	return hook_malloc_done(thread, real_malloc(size), size, is_byte_hit, caller);
}

static TL_APART void *hook_calloc_special(size_t count, size_t size, size_t bytes,
					  const void *caller)
{
	struct thread *thread = &thread_self;
	bool is_byte_hit;

	if (!hook_malloc_settle(thread, bytes, &is_byte_hit))
		return real_calloc(count, size);
	return hook_malloc_done(thread, real_calloc(count, size), bytes, is_byte_hit, caller);
}

/* The same before the allocation is made, which came here for its size alone: there is nothing to
 * keep over the call then but what is needed if it fails. */
static inline bool hook_malloc_counts_ahead(struct thread *thread, size_t size, const void *caller)
{
	return TL_MOSTLY(thread->is_special == 0 && thread->countdown >= 0) &&
	       hook_malloc_counts_again(thread, size, caller);
}

/* It failed. */
static TL_COLD void hook_malloc_uncount(size_t size, const void *caller)
{
	struct thread *thread = &thread_self;
	int saved_errno;

	if (!recorder_enter(thread, &saved_errno))
		return;
	recorder_uncounts(thread, size, caller);
	recorder_leave(thread, saved_errno);
	sampler_pass(thread);
}

static TL_APART TL_FLAT void *hook_malloc_slow(size_t size, const void *caller)
{
	void *block;

	if (TL_RARELY(!hook_malloc_counts_ahead(&thread_self, size, caller)))
		return hook_malloc_special(size, caller);
	block = real_malloc(size);
	if (TL_RARELY(block == NULL))
		hook_malloc_uncount(size, caller);
	return block;
}

static TL_APART TL_FLAT void *hook_calloc_slow(size_t count, size_t size, size_t bytes,
					       const void *caller)
{
	void *block;

	if (TL_RARELY(!hook_malloc_counts_ahead(&thread_self, bytes, caller)))
		return hook_calloc_special(count, size, bytes, caller);
	block = real_calloc(count, size);
	if (TL_RARELY(block == NULL))
		hook_malloc_uncount(bytes, caller);
	return block;
}

enum hook_aligned { HOOK_ALIGNED_ALLOC, HOOK_MEMALIGN, HOOK_VALLOC, HOOK_PVALLOC };

static void *hook_call_aligned(enum hook_aligned which, size_t alignment, size_t size)
{
	switch (which) {
	case HOOK_ALIGNED_ALLOC:
		return real_aligned_alloc(alignment, size);
	case HOOK_MEMALIGN:
		return real_memalign(alignment, size);
	case HOOK_VALLOC:
		return real_valloc(size);
	default:
		return real_pvalloc(size);
	}
}

static TL_APART void *hook_aligned_slow(enum hook_aligned which, size_t alignment, size_t size,
					const void *caller)
{
	struct thread *thread = &thread_self;
	bool is_byte_hit;

	if (!hook_malloc_settle(thread, size, &is_byte_hit))
		return hook_call_aligned(which, alignment, size);
	return hook_malloc_done(thread, hook_call_aligned(which, alignment, size), size,
				is_byte_hit, caller);
}

static TL_APART int hook_posix_memalign_slow(void **block, size_t alignment, size_t size,
					     const void *caller)
{
	struct thread *thread = &thread_self;
	bool is_byte_hit;

	if (!hook_malloc_settle(thread, size, &is_byte_hit))
		return real_posix_memalign(block, alignment, size);

	int error = real_posix_memalign(block, alignment, size);

	hook_malloc_done(thread, error == 0 ? *block : NULL, size, is_byte_hit, caller);
	return error;
}

static TL_APART void hook_free_slow(void *block)
{
	struct thread *thread = &thread_self;
	int saved_errno;

	if (TL_MOSTLY(!live_blocks_may_start(block))) {
		real_free(block);
		return;
	}
	if (recorder_enter(thread, &saved_errno)) {
		lifecycle_look();
		recorder_freed(block, LIVE_LIBC);
		hook_events_died(block);
		recorder_leave(thread, saved_errno);
	} else {
		recorder_saw_reentrant_free();
	}
	real_free(block);
}

static size_t hook_usable_size(void *block)
{
	return real_malloc_usable_size != NULL ? real_malloc_usable_size(block) : 0;
}

/* Most reallocs are of blocks that are no samples, by less than what is counted: a straight way for
 * them. Not where every block is a sample: there the long way knows the exact sizes. */
static void *hook_realloc_straight(struct thread *thread, void *old, size_t size,
				   const void *caller)
{
	size_t from = hook_usable_size(old);
	void *block = real_realloc(old, size);
	size_t to = block != NULL ? hook_usable_size(block) : 0;

	if (block == NULL)
		sampler_pass(thread);
	else if (to > from && to - from >= sampler_min_size &&
		 !hook_malloc_counts_again(thread, to - from, caller) &&
		 !hook_malloc_only_counts(thread, to - from, caller))
		hook_malloc_record(thread, block, to - from, to - from, true, false, caller);
	sampler_adapt(thread);
	return block;
}

/* How much the block grew, as the allocator holds it: requests are rounded up, and only the rounded
 * sizes are known of a block that is no sample. Where every block is one, its own size is known. */
static TL_APART void *hook_realloc_slow(void *old, size_t size, const void *caller)
{
	struct thread *thread = &thread_self;
	struct live_block held[LIVE_ENTRIES_PER_BLOCK];
	size_t count = 0, from;
	bool is_byte_hit;
	int saved_errno;

	if (!hook_malloc_settle(thread, size, &is_byte_hit))
		return real_realloc(old, size);
	if (!is_byte_hit && !sampler_is_exhaustive && !live_blocks_may_start(old) &&
	    hook_malloc_is_steady(thread))
		return hook_realloc_straight(thread, old, size, caller);
	if (recorder_enter(thread, &saved_errno)) {
		lifecycle_look();
		if (live_blocks_may_start(old))
			count = recorder_take(old, LIVE_LIBC, held);
		recorder_leave(thread, saved_errno);
	}

	from = sampler_is_exhaustive ? recorder_held_bytes(held, count) : 0;

	bool is_known = from > 0;

	if (!is_known)
		from = hook_usable_size(old);

	void *block = real_realloc(old, size);
	bool is_freed = block == NULL && size == 0;

	if (recorder_enter(thread, &saved_errno)) {
		size_t to = block == NULL ? from : is_known ? size : hook_usable_size(block);

		if (block != NULL || is_freed)
			hook_events_died(old);
		if (block != NULL)
			hook_events_born(block, size, LIVE_LIBC, caller);
		if (is_freed)
			recorder_died(held, count);
		else if (count > 0)
			recorder_restore(thread, held, count, block != NULL ? block : old, from,
					 to < from ? size : to);
		recorder_leave(thread, saved_errno);
		if (block != NULL && to > from)
			hook_malloc_record(thread, block, to - from,
					   size > to - from ? size : to - from, true, is_byte_hit,
					   caller);
	}
	if (block == NULL)
		sampler_pass(thread);
	if (thread->is_watching_libc && block != NULL) {
		thread->libc_block = (uintptr_t)block;
		thread->libc_block_size = size;
	}
	hook_malloc_finish(thread);
	return block;
}

/* Charges a request; true when the slow path is wanted. Sizes beyond INT64_MAX are beyond min_size
 * too. */
static inline bool hook_charge(size_t size)
{
	int64_t left = (int64_t)((uint64_t)thread_self.countdown - size);

	thread_self.countdown = left;
	return TL_RARELY(left < 0 || size >= TL_LOAD_FAST(sampler_slow_size));
}

TL_EXPORT void *malloc(size_t size)
{
	if (hook_charge(size))
		return hook_malloc_slow(size, __builtin_return_address(0));
	return real_malloc(size);
}

TL_EXPORT void *calloc(size_t count, size_t size)
{
	size_t bytes;

	if (TL_RARELY(__builtin_mul_overflow(count, size, &bytes)))
		return real_calloc(count, size);
	if (hook_charge(bytes))
		return hook_calloc_slow(count, size, bytes, __builtin_return_address(0));
	return real_calloc(count, size);
}

TL_EXPORT void *realloc(void *block, size_t size)
{
	if (block == NULL) {
		if (hook_charge(size))
			return hook_malloc_slow(size, __builtin_return_address(0));
		return real_realloc(block, size);
	}
	if (hook_charge(size) || TL_RARELY(live_blocks_may_hold(block)))
		return hook_realloc_slow(block, size, __builtin_return_address(0));
	return real_realloc(block, size);
}

TL_EXPORT void free(void *block)
{
	if (TL_RARELY(live_blocks_may_hold(block)))
		hook_free_slow(block);
	else
		real_free(block);
}

/* C23. glibc has them from 2.43 on; freeing is what they mean everywhere. */
TL_EXPORT void free_sized(void *block, size_t size)
{
	(void)size;
	free(block);
}

TL_EXPORT void free_aligned_sized(void *block, size_t alignment, size_t size)
{
	(void)alignment;
	(void)size;
	free(block);
}

TL_EXPORT int posix_memalign(void **block, size_t alignment, size_t size)
{
	if (hook_charge(size))
		return hook_posix_memalign_slow(block, alignment, size,
						__builtin_return_address(0));
	return real_posix_memalign(block, alignment, size);
}

TL_EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	if (hook_charge(size))
		return hook_aligned_slow(HOOK_ALIGNED_ALLOC, alignment, size,
					 __builtin_return_address(0));
	return real_aligned_alloc(alignment, size);
}

TL_EXPORT void *memalign(size_t alignment, size_t size)
{
	if (hook_charge(size))
		return hook_aligned_slow(HOOK_MEMALIGN, alignment, size,
					 __builtin_return_address(0));
	return real_memalign(alignment, size);
}

TL_EXPORT void *valloc(size_t size)
{
	if (hook_charge(size))
		return hook_aligned_slow(HOOK_VALLOC, 0, size, __builtin_return_address(0));
	return real_valloc(size);
}

TL_EXPORT void *pvalloc(size_t size)
{
	if (hook_charge(size))
		return hook_aligned_slow(HOOK_PVALLOC, 0, size, __builtin_return_address(0));
	return real_pvalloc(size);
}
