/* contexts: what each function holds, over time, told apart by the program's own code that called
 * it.
 *
 * A context is a function together with the nearest frame of the program's own code above it (none
 * when it is that code itself). What it held is kept for up to 32 epochs, which always span the
 * whole life: when all are used, every other one is dropped and they come half as often.
 *
 * After a baseline the life that is spanned is that since the baseline, and what was born before it
 * is left out.
 *
 * What comes from CPython's free lists was not made by who allocated its block. It belongs to no
 * function's context but to that of its type.
 *
 * Runs      in the worker, and in a thread that ends the process; never in a hook. One at a time:
 *           the caller sees to it (agent/reports).
 * Gives up  when full: a new context is CONTEXTS_NONE, and has no history.
 */
#ifndef TL_PROFILE_CONTEXTS_H
#define TL_PROFILE_CONTEXTS_H

#include "live_blocks.h"

#define CONTEXTS_NONE   0u
#define CONTEXTS_MOST   4096u
#define CONTEXTS_EPOCHS 32

#define CONTEXTS_OF_TYPE UINT32_MAX /* a context's site, when it is that of a type */

struct context {
	uint32_t site;
	uint32_t
		via; /* function of the program's own code; NAMES_OTHERS: none. Or a type (py_type.h) */
	uint32_t begin; /* tick of the last epoch at which it held nothing, before its first */
	bool has_begun;
	float held[CONTEXTS_EPOCHS]; /* weighted bytes, of an age of OLDER at least */
};

TL_INTERNAL enum tl_err contexts_start(void);
TL_INTERNAL void contexts_reset_in_child(void);

/* The context of a sample, a new one if need be. */
TL_INTERNAL uint32_t contexts_of(uint32_t line, uint32_t stack, unsigned type);
/* The innermost frame of the program's own code; STACKS_ROOT: none. */
TL_INTERNAL uint32_t contexts_own_frame(uint32_t stack);

TL_INTERNAL const struct context *contexts_at(uint32_t number); /* 1 to contexts_end() - 1 */
TL_INTERNAL uint32_t contexts_end(void);

/* Ends an epoch, if it is time: looks at every live sample. */
TL_INTERNAL void contexts_tick(uint32_t now);
/* The ticks at which epochs ended, ascending; returns how many. */
TL_INTERNAL unsigned contexts_epochs(const uint32_t **ticks);

/* Begins the history anew: what was born before this tick is in none of it from now on. The last
 * tick it was begun at; 0: the profile's start. */
TL_INTERNAL void contexts_rebase(uint32_t tick);
TL_INTERNAL uint32_t contexts_baseline(void);

/* OLDER in ticks, at least 1. */
TL_INTERNAL uint32_t contexts_older(void);

#endif
