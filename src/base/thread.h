/* thread: what the agent keeps for each thread of the host: one countdown on the hot path, the rest
 * for samples.
 *
 * Runs      in any thread, from its first allocation on. Zero is the right start: a fresh thread's
 *           first allocation finds the countdown used up, takes the slow path, and is set up there.
 * Promises  no constructor, no destructor, no allocation: initial-exec TLS of an object that is
 *           loaded at start.
 */
#ifndef TL_BASE_THREAD_H
#define TL_BASE_THREAD_H

#include "types.h"

struct thread {
	/* Bytes left before the next byte sample. The hot paths subtract and test this, and nothing
	 * else. */
	int64_t countdown;

	/* What makes an allocation a special one; all of it in one look. */
	union {
		struct {
			/* Inside the agent: what is allocated or freed now is its doing, or a
			 * signal handler's. */
			bool busy;
			/* The countdown proper stands in `withheld`, so that the next allocation is
			 * slow. */
			bool is_withheld;
			/* Set while one of CPython's allocators that we wrap runs, to see whether
			 * libc serves the block. */
			bool is_watching_libc;
			/* Set to see whether the next allocation of this thread still comes to our
			 * wrapper. */
			bool is_probing_python;
			/* Set after a fork: this thread comes to slow paths until one of them has
			 * started the worker again. */
			bool is_summoned;
			/* Its destructors are running: it takes no tally any more. */
			bool is_ending;
		};
		uint64_t is_special;
	};

	int64_t withheld;
	uintptr_t libc_block; /* the last one, while is_watching_libc */
	size_t libc_block_size;

	struct tally *tally; /* see tallies.h; NULL: none yet */

	bool is_ready; /* gaps are drawn */
	uint8_t level; /* doublings of T and N in force when the gaps were drawn */

	/* Forks under way that a signal handler began while this thread was inside the agent. */
	uint8_t forks_inside;

	uint32_t counted_left;    /* counted allocations left before the next count sample */
	uint32_t generation;      /* of the profile that the gaps belong to */
	uint32_t governor_chance; /* the governor's: which piece of work it times next */
	uint8_t governor_turn;
	uint64_t random[2];

	/* Its stack, as far as it was found readable: from the page of the one to the other. */
	uintptr_t stack_low, stack_base;
};

TL_DATA _Thread_local struct thread thread_self __attribute__((tls_model("initial-exec")));

#endif
