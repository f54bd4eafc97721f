/* tallies: what the threads have counted, by line, and sites have not been told yet.
 *
 * A thread that counts takes a tally, and gives it back when it ends; what it has counted stays in
 * it until it is collected, whoever has the tally by then.
 *
 * Runs      in any thread, inside the hooks. Finding and adding take no lock, and no locked
 *           instruction.
 * Promises  exact: nothing is lost by a thread's end, nor told twice. An entry is never found for a
 *           code object that is gone (frame_memo's generation).
 * Gives up  when more threads count at once than there are tallies: the others tell sites
 *           themselves.
 */
#ifndef TL_PROFILE_TALLIES_H
#define TL_PROFILE_TALLIES_H

#include "../base/thread.h"
#include "../process/py_frame.h"
#include "frame_memo.h"

#define TALLY_ENTRY_BITS 6u

struct tally_entry {
	/* What it stands for; the thread's own. */
	const char *code, *at;
	uint64_t largest;    /* size that it was remembered for */
	uint32_t generation; /* of frame_memo */
	uint32_t line;       /* of sites.h; guarded by tallies_lock */
	/* The thread alone writes them; atomic. */
	uint64_t counted, counted_bytes;
	/* What of that sites know; guarded by tallies_lock. */
	uint64_t told, told_bytes;
};

struct tally {
	struct tally_entry entries[1 << TALLY_ENTRY_BITS];
	uint32_t misses;        /* the thread's own */
	bool is_taken;          /* atomic */
} __attribute__((aligned(64))); /* no two threads write to one line of the cache */

TL_INTERNAL enum tl_err tallies_start(void);
TL_INTERNAL void tallies_reset_in_child(void);
TL_INTERNAL void tallies_renew_lock(void); /* see recorder_renew_locks */

static inline struct tally_entry *tallies_entry_of(struct tally *tally, struct py_frame_spot spot)
{
	uint64_t mixed = ((uintptr_t)spot.code + (uintptr_t)spot.at) * 0x9e3779b97f4a7c15u;

	return &tally->entries[mixed >> (64 - TALLY_ENTRY_BITS)];
}

/* The thread's entry for that `code` and `at`, and sizes up to this one; or NULL. */
static inline struct tally_entry *tallies_find(const struct thread *thread,
					       struct py_frame_spot spot, uint64_t size)
{
	struct tally_entry *entry;

	if (TL_RARELY(thread->tally == NULL))
		return NULL;
	entry = tallies_entry_of(thread->tally, spot);
	if (TL_MOSTLY(entry->at == spot.at && entry->code == spot.code &&
		      entry->generation == TL_LOAD(frame_memo_generation) &&
		      size <= entry->largest))
		return entry;
	return NULL;
}

/* Adds; or takes back, with the negative of both. Whoever sees the count sees the bytes. */
static inline void tallies_add(struct tally_entry *entry, uint64_t count, uint64_t bytes)
{
	TL_STORE(entry->counted_bytes, TL_LOAD(entry->counted_bytes) + bytes);
	__atomic_store_n(&entry->counted, TL_LOAD(entry->counted) + count, __ATOMIC_RELEASE);
}

/* The frame was found by frame_memo, in that generation, to be at this line: it may get an entry,
 * for the next time, once sites know of this size. With the thread busy. */
TL_INTERNAL void tallies_remember(struct thread *thread, struct py_frame_spot spot,
				  uint32_t generation, uint32_t line, uint64_t size);

/* Tells sites all that has been counted. With the thread busy. */
TL_INTERNAL void tallies_collect(void);

#endif
