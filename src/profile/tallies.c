/* DESIGN
 *     thread --> tally: 64 entries {code and instruction, line, counted, told}
 * Two locked adds cost more than all the rest of counting does, so a thread adds in entries that
 * nobody else writes. Whoever collects takes what has come since the last time, and writes down how
 * much that was beside it: the thread's own words are only read.
 *
 * An entry changes its line only in its own thread, under the lock, when what it held has been
 * told. Lines that fight for an entry are not let in each time: that would cost more than it saves.
 *
 * A thread's end is told by the destructor of a key of pthread's. The next owner finds the entries
 * as they are: what they say is true in every thread.
 */
#include "tallies.h"

#include "../base/lock.h"
#include "../base/pages.h"
#include "sites.h"

#include <pthread.h>

#define TALLIES          128u
#define TALLIES_PATIENCE 8u /* so many misses, and one is let in */
#define TALLIES_BYTES    (TALLIES * sizeof(struct tally))

static struct tally *tallies;
static uint32_t tallies_taken; /* now; atomic */
static uint32_t tallies_end;   /* those that ever were; guarded by tallies_lock */
static pthread_key_t tallies_key;
static struct lock tallies_lock;

/* The value may be one of before a fork: only what the thread itself says counts. */
static void tallies_end_thread(void *unused)
{
	struct tally *tally = thread_self.tally;

	(void)unused;
	thread_self.tally = NULL;
	thread_self.is_ending = true;
	if (tally == NULL)
		return;
	__atomic_store_n(&tally->is_taken, false, __ATOMIC_RELEASE);
	TL_ADD(tallies_taken, -1u);
}

TL_INTERNAL enum tl_err tallies_start(void)
{
	tallies = pages_map(TALLIES_BYTES);
	if (tallies == NULL || pthread_key_create(&tallies_key, tallies_end_thread) != 0)
		return TL_ERR_SYSTEM;
	return TL_OK;
}

TL_INTERNAL void tallies_reset_in_child(void)
{
	pages_clear(tallies, TALLIES_BYTES);
	tallies_taken = tallies_end = 0;
	thread_self.tally = NULL;
}

TL_INTERNAL void tallies_renew_lock(void)
{
	tallies_lock = (struct lock){0};
}

static TL_COLD void tallies_take(struct thread *thread)
{
	uint32_t number = 0;

	if (TL_LOAD(tallies_taken) >= TALLIES || thread->is_ending)
		return;
	lock_take(&tallies_lock);
	while (number < TALLIES && __atomic_load_n(&tallies[number].is_taken, __ATOMIC_ACQUIRE))
		number++;
	if (number < TALLIES) {
		thread->tally = &tallies[number];
		TL_STORE(thread->tally->is_taken, true);
		TL_ADD(tallies_taken, 1);
		if (number >= tallies_end)
			tallies_end = number + 1;
	}
	lock_give(&tallies_lock);
	/* Where there is no memory for it, the thread goes without. */
	if (thread->tally != NULL && pthread_setspecific(tallies_key, thread->tally) != 0)
		tallies_end_thread(NULL);
}

/* Under the lock. */
static void tallies_tell(struct tally_entry *entry)
{
	uint64_t counted = __atomic_load_n(&entry->counted, __ATOMIC_ACQUIRE);
	uint64_t bytes = TL_LOAD(entry->counted_bytes);

	if (counted == entry->told && bytes == entry->told_bytes)
		return;
	sites_count_many(entry->line, counted - entry->told, bytes - entry->told_bytes);
	entry->told = counted;
	entry->told_bytes = bytes;
}

TL_INTERNAL void tallies_remember(struct thread *thread, struct py_frame_spot spot,
				  uint32_t generation, uint32_t line, uint64_t size)
{
	struct tally_entry *entry;

	if (thread->tally == NULL)
		tallies_take(thread);
	if (thread->tally == NULL)
		return;
	entry = tallies_entry_of(thread->tally, spot);
	if (entry->generation == generation && entry->code == spot.code && entry->at == spot.at) {
		if (size > entry->largest)
			entry->largest = size;
		return;
	}
	if (entry->generation == generation && ++thread->tally->misses % TALLIES_PATIENCE != 0)
		return;
	lock_take(&tallies_lock);
	tallies_tell(entry);
	entry->line = line;
	lock_give(&tallies_lock);
	entry->code = spot.code;
	entry->at = spot.at;
	entry->largest = size;
	entry->generation = generation;
}

TL_INTERNAL void tallies_collect(void)
{
	bool is_end = false;

	for (uint32_t number = 0; !is_end; number++) {
		lock_take(&tallies_lock);
		is_end = number >= tallies_end;
		for (size_t i = 0; !is_end && i < TL_COUNT_OF(tallies[number].entries); i++)
			tallies_tell(&tallies[number].entries[i]);
		lock_give(&tallies_lock);
	}
}
