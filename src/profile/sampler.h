/* sampler: which allocations become samples, and what each one weighs.
 *
 * Two tiers, one weight (docs/SAMPLING.md). Bytes: an allocation of k bytes is hit when an Exp(T)
 * gap ends inside it. Counts: of the allocations of min_size or more, one in N, by a random gap of
 * that mean. A sample's inclusion probability is
 *     p(k) = 1 - exp(-k/T) q,    q = 1 - 1/N for k >= min_size, else 1
 * and it weighs 1/p. T and N double together: `level` is how often they have, plus SAMPLER_LEVELS
 * for each change of the settings before.
 *
 * Runs      in any thread; a thread's gaps are its own. No lock, no syscall.
 */
#ifndef TL_PROFILE_SAMPLER_H
#define TL_PROFILE_SAMPLER_H

#include "../base/thread.h"
#include "../base/types.h"

/* T and N double up to 2^31 times, far beyond any heap. A change of the settings starts another
 * such row of levels, so that a sample's level tells for ever which T and N it was drawn by. */
#define SAMPLER_LEVELS 32
#define SAMPLER_ROWS   8

/* Allocations of this size or more are counted. SIZE_MAX while the agent is dormant. */
TL_DATA size_t sampler_min_size;
/* Those of this size or more take the slow path for it: min_size, or SIZE_MAX while nothing is
 * counted yet. */
TL_DATA size_t sampler_slow_size;
/* Every allocation is a sample with p = 1 (N = 1, min_size = 1, level 0 so far). */
TL_DATA bool sampler_is_exhaustive;

/* N >= 1, T >= 1, from the settings. `seed`: equal seeds repeat a run's chance. */
TL_INTERNAL void sampler_start(uint64_t sample_rate, uint64_t sample_bytes, uint64_t min_size,
			       uint64_t seed);
/* Other T and N from now on. Samples that are held keep their weights. False: SAMPLER_ROWS
 * different pairs were in force already. One caller at a time. */
TL_INTERNAL bool sampler_change(uint64_t sample_rate, uint64_t sample_bytes);
/* Nothing is counted until somebody opens; that must not depend on a slow path being taken. */
TL_INTERNAL void sampler_close(void);
TL_INTERNAL void sampler_open(void);
/* Closes, and nobody opens until the pause is over. sampler_is_exhaustive is then over for good. */
TL_INTERNAL void sampler_pause(bool is_paused);
/* In the parent, before each fork, and in the child: new gaps, from a stream of its own. */
TL_INTERNAL void sampler_before_fork(void);
TL_INTERNAL void sampler_restart_in_child(void);

/* Draws the thread's gaps where it has none; `charged` is what the hook has taken from the
 * countdown for the allocation in hand. To be called first on every slow path. */
TL_INTERNAL void sampler_prepare(struct thread *thread, size_t charged);
/* Draws them anew where T and N have changed. Exact, because the gaps are memoryless, but only once
 * the allocation in hand has been judged: to be called last. */
TL_INTERNAL void sampler_adapt(struct thread *thread);
/* Puts what is left of the countdown aside but for `allowance` bytes, so that the thread comes to a
 * slow path once they are used up; and puts it back. sampler_prepare does the latter by itself. */
TL_INTERNAL void sampler_withhold(struct thread *thread, int64_t allowance);
TL_INTERNAL void sampler_release(struct thread *thread);
/* Did the allocation in hand, already charged to the countdown, end a byte gap? Draws the next gap
 * if so. */
TL_INTERNAL bool sampler_byte_hit(struct thread *thread);
/* What was charged is no allocation that could be sampled: it failed, or it was made inside the
 * agent. Draws the gap anew: gaps are memoryless, so that favours nobody. */
TL_INTERNAL void sampler_pass(struct thread *thread);
/* Does the count tier pass the allocation in hand, of min_size or more and without a byte hit, as
 * well, with the thread's gaps as they are? If so it can be taken from the gap, as one of `count`
 * (-1u: put back). */
TL_INTERNAL bool sampler_may_pass(const struct thread *thread);
TL_INTERNAL void sampler_passed(struct thread *thread, uint32_t count);
/* Is this allocation of min_size or more, one of the 1 in N? Draws the next gap if so. */
TL_INTERNAL bool sampler_count_hit(struct thread *thread);
/* A byte hit by a realloc's whole size is kept for the part that it grew with this chance, so that
 * growth of g bytes is hit with 1 - exp(-g/T) exactly. 0 < growth <= charged. */
TL_INTERNAL bool sampler_accepts_growth(struct thread *thread, size_t growth, size_t charged);

/* p(size) at a level; in (0, 1]. size > 0. */
TL_INTERNAL double sampler_probability(unsigned level, size_t size);

/* The level in force, and a try to raise it from `level` by one (another thread may have; all the
 * same). */
TL_INTERNAL unsigned sampler_level(void);
TL_INTERNAL void sampler_raise(unsigned level);
/* The same downward. sampler_is_exhaustive does not come back: what was missed stays missed. */
TL_INTERNAL void sampler_lower(unsigned level);
/* T and N in force. */
TL_INTERNAL double sampler_bytes_now(void);
TL_INTERNAL double sampler_rate_now(void);
/* Random bits of the thread, for other decisions of chance. */
TL_INTERNAL double sampler_unit(struct thread *thread);

#endif
