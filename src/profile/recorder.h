/* recorder: the only writer of the profile: births, moves, deaths.
 *
 * Runs      on the slow paths of the hooks, in any thread, with the thread's `busy` set by the
 *           caller (recorder_enter). Keeps errno. No allocation, no syscall but the vDSO's clock,
 *           no call into CPython but what py_frame allows.
 */
#ifndef TL_PROFILE_RECORDER_H
#define TL_PROFILE_RECORDER_H

#include "../base/thread.h"
#include "../base/types.h"
#include "live_blocks.h"
#include "maps.h"

struct recorder_losses {
	uint64_t samples;      /* dropped: no room */
	uint64_t missed_frees; /* found out when the address was handed out again */
	uint64_t
		reentrant; /* deaths seen inside the agent itself (a signal handler's) and not told */
};

/* Allocates every table. Counting begins `delay_s` from now. */
TL_INTERNAL enum tl_err recorder_start(uint64_t delay_s);
/* A new profile, empty, for a forked child; its start-up delay is what was left of the parent's. */
TL_INTERNAL void recorder_restart_in_child(void);
/* Around fork. The locks of the tables are not held over it (lifecycle.c says why): the child may
 * find any of them half written, and recorder_restart_in_child reads none. */
TL_INTERNAL void recorder_fork_prepare(void);
TL_INTERNAL void recorder_fork_parent(void);
/* In a forked child, where nobody else is running: makes every lock anew, whoever held it. */
TL_INTERNAL void recorder_renew_locks(void);

/* Sets busy and saves errno; false when this thread is busy already. */
TL_INTERNAL bool recorder_enter(struct thread *thread, int *saved_errno);
TL_INTERNAL void recorder_leave(struct thread *thread, int saved_errno);

/* A block was handed out. `charged`: bytes that the hook took from the countdown for it (size, or
 * more for a realloc). `caller`: return address of the allocation function, blamed where there is
 * no Python frame. `is_growth`: `size` bytes were added to a block that is known otherwise. `aged`:
 * the samples, taken out already, of a block of unknown size that a realloc made this one of: the
 * old block is freed and this one made, but the bytes that were there keep their age. */
struct recorder_birth {
	enum live_layer layer;
	const void *block;
	size_t size, charged;
	const void *caller;
	bool is_growth;
	bool is_byte_hit; /* the charge ended a byte gap: the hook has asked sampler_byte_hit */
	const struct live_block *aged;
	size_t aged_count;
};
/* The short way of recorder_born for a block of libc's that is no sample and whose line is
 * remembered: counts it. `generation`: frame_memo's, before the caller asked whether anything else
 * is due. False: it did nothing. Needs no saved errno. */
TL_INTERNAL bool recorder_only_counts(struct thread *thread, uint32_t generation, size_t size,
				      const void *caller);
/* The shortest way, for a place that this thread has lately counted for (tallies.h) by the short
 * one, and a size of min_size or more. Whatever makes the short way wrong from now on must call
 * frame_memo_forget_all. */
TL_INTERNAL bool recorder_counts_again(struct thread *thread, size_t size, const void *caller);
/* Takes back what the shortest way has counted: the allocation failed. */
TL_INTERNAL void recorder_uncounts(struct thread *thread, size_t size, const void *caller);
TL_INTERNAL void recorder_born(struct thread *thread, const struct recorder_birth *birth);

/* A block is about to be freed: forgets its samples, before its address can be handed out again. */
TL_INTERNAL void recorder_freed(const void *block, enum live_layer layer);
/* The same for a realloc, whose end is not known yet: takes the samples out. Returns how many. */
TL_INTERNAL size_t recorder_take(const void *block, enum live_layer layer, struct live_block *held);
/* What was taken has been freed; or, after a failed realloc, goes back; or lives on at another
 * address, `from` bytes having become `to` (to >= from: kept as it is; the growth is told by
 * recorder_born). */
TL_INTERNAL void recorder_died(const struct live_block *held, size_t count);
TL_INTERNAL void recorder_restore(struct thread *thread, struct live_block *held, size_t count,
				  const void *block, size_t from, size_t to);
/* An object of a type (py_type.h) that has a free list was made in this block. Where the block was
 * recycled for it, its samples end their lives, and begin one, of the same size and weight, at the
 * line that runs now. */
TL_INTERNAL void recorder_made_again(struct thread *thread, const void *block, unsigned type,
				     const void *caller);
/* The bytes that they stand for: the block's own size when every allocation is a sample. 0 when its
 * first allocation is not among them (it was made before counting began). */
TL_INTERNAL size_t recorder_held_bytes(const struct live_block *held, size_t count);
/* A free was seen inside the agent, by a signal handler: its block may be a sample that nobody
 * forgets. Counted. */
TL_INTERNAL void recorder_saw_reentrant_free(void);

/* Anonymous maps: exact, and their owner is the innermost Python line, or the calling module. */
TL_INTERNAL void recorder_mapped(uintptr_t start, size_t bytes, bool is_arena, const void *caller);
TL_INTERNAL void recorder_unmapped(const struct map *pieces, size_t count);

/* Ticks since the profile's start. */
TL_INTERNAL uint32_t recorder_now(void);
/* A tick that nothing was born in before this call, and in which whatever is born after it is: to
 * tell the one from the other. What is older gets older by this, 10 ms at most. */
TL_INTERNAL uint32_t recorder_begin_tick(void);

/* Is what is allocated now counted and sampled? Not before counting begins, nor in a pause. */
TL_INTERNAL bool recorder_is_open(void);
TL_INTERNAL bool recorder_has_begun(void);
/* In a pause nothing is counted or sampled, and frees are followed as ever. A forked child of a
 * paused process is paused. */
TL_INTERNAL void recorder_pause(void);
TL_INTERNAL void recorder_resume(void);
TL_INTERNAL bool recorder_is_paused(void);
/* When it begins, as clock_coarse_ns counts. */
TL_INTERNAL uint64_t recorder_opens_at_ns(void);
/* Seconds since counting began; 0 before. */
TL_INTERNAL double recorder_elapsed_s(void);
TL_INTERNAL struct recorder_losses recorder_losses(void);

#endif
