/* DESIGN
 *     thread: 32 entries {code, instruction} -> line, direct-mapped, valid in one generation
 *     process: the set of watched code objects; freeing one begins the next generation
 * Generations make forgetting O(1): code objects that allocate are seldom freed. The set is open
 * addressing with backward-shift deletion, asked only by frees in a watched page
 * (live_blocks_watch).
 */
#include "leaf_memo.h"

#include "live_blocks.h"

#include <pthread.h>
#include <string.h>

#define LEAF_ENTRIES 32u
#define LEAF_SLOTS   2048u
#define LEAF_MOST    1024u

/* A debug layer of CPython's, above our hook, has two words of its own before the object: what we
 * see freed starts there (PYTHONMALLOC=malloc_debug; PyMem_SetupDebugHooks at any time). */
#define LEAF_FENCE (2 * sizeof(size_t))

struct leaf_entry {
	const char *code;
	int32_t instruction;
	uint32_t generation;
	uint32_t line;
};

static _Thread_local struct leaf_entry leaf_entries[LEAF_ENTRIES]
	__attribute__((tls_model("initial-exec")));

static uint32_t leaf_generation = 1; /* atomic; 0 is no generation */
static bool leaf_is_sound;           /* atomic */
/* Written under leaf_lock; read without it by leaf_memo_may_watch. */
static const char *leaf_watched[LEAF_SLOTS];
static uint32_t leaf_watched_count;
static uint32_t leaf_moves; /* atomic; odd while entries are being moved */
static pthread_mutex_t leaf_lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t leaf_hash(const char *code)
{
	return ((uintptr_t)code >> 4) * 0x9e3779b97f4a7c15u;
}

static struct leaf_entry *leaf_entry_of(const struct py_frame *frame)
{
	uint64_t hash = leaf_hash(frame->code) + (uint64_t)frame->instruction * 0x9e3779b97f4a7c15u;

	return &leaf_entries[hash >> 59];
}

/* All threads forget all. */
static void leaf_memo_begin_generation(void)
{
	uint32_t next = TL_LOAD(leaf_generation) + 1;

	__atomic_store_n(&leaf_generation, next != 0 ? next : 1, __ATOMIC_RELEASE);
}

TL_INTERNAL void leaf_memo_set_sound(bool is_sound)
{
	if (TL_LOAD(leaf_is_sound) == is_sound)
		return;
	leaf_memo_begin_generation();
	TL_STORE(leaf_is_sound, is_sound);
}

TL_INTERNAL void leaf_memo_reset_in_child(void)
{
	memset(leaf_watched, 0, sizeof(leaf_watched));
	leaf_watched_count = 0;
	leaf_moves = 0; /* whoever was in the middle of one is gone */
	leaf_memo_begin_generation();
}

TL_INTERNAL bool leaf_memo_find(const struct py_frame *frame, uint32_t *line)
{
	const struct leaf_entry *entry = leaf_entry_of(frame);

	if (entry->code != frame->code || entry->instruction != frame->instruction ||
	    entry->generation != __atomic_load_n(&leaf_generation, __ATOMIC_ACQUIRE))
		return false;
	*line = entry->line;
	return true;
}

static uint32_t leaf_next(uint32_t slot)
{
	return (slot + 1) % LEAF_SLOTS;
}

/* Where the code object stands, or the unused slot where it would. */
static uint32_t leaf_slot_of(const char *code)
{
	uint32_t slot = (uint32_t)(leaf_hash(code) >> 53);

	for (const char *found; (found = TL_LOAD(leaf_watched[slot])) != NULL && found != code;)
		slot = leaf_next(slot);
	return slot;
}

/* Frees of samples come here often, and of code objects seldom: no lock unless there is one. */
static bool leaf_memo_may_watch(const char *code)
{
	uint32_t moves = __atomic_load_n(&leaf_moves, __ATOMIC_ACQUIRE);
	bool is_watched = TL_LOAD(leaf_watched[leaf_slot_of(code)]) != NULL;

	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return is_watched || (moves & 1) != 0 || TL_LOAD(leaf_moves) != moves;
}

TL_INTERNAL void leaf_memo_remember(const struct py_frame *frame, uint32_t line)
{
	uint32_t generation = TL_LOAD(leaf_generation), slot;
	bool is_watched;

	if (!TL_LOAD(leaf_is_sound))
		return;
	pthread_mutex_lock(&leaf_lock);
	slot = leaf_slot_of(frame->code);
	is_watched = leaf_watched[slot] != NULL;
	if (!is_watched && leaf_watched_count < LEAF_MOST) {
		TL_STORE(leaf_watched[slot], frame->code);
		leaf_watched_count++;
		live_blocks_watch(frame->code);
		live_blocks_watch(frame->code - LEAF_FENCE);
		is_watched = true;
	}
	pthread_mutex_unlock(&leaf_lock);
	if (is_watched)
		*leaf_entry_of(frame) = (struct leaf_entry){.code = frame->code,
							    .instruction = frame->instruction,
							    .generation = generation,
							    .line = line};
}

/* Closes the gap that the code object leaves behind. */
static void leaf_memo_remove(uint32_t hole)
{
	__atomic_fetch_add(&leaf_moves, 1, __ATOMIC_ACQ_REL);
	for (uint32_t next = leaf_next(hole); leaf_watched[next] != NULL; next = leaf_next(next)) {
		uint32_t home = (uint32_t)(leaf_hash(leaf_watched[next]) >> 53);

		/* Whoever is not yet at home may move up, if the hole lies on its way. */
		if ((next - home) % LEAF_SLOTS >= (next - hole) % LEAF_SLOTS) {
			TL_STORE(leaf_watched[hole], leaf_watched[next]);
			hole = next;
		}
	}
	TL_STORE(leaf_watched[hole], NULL);
	leaf_watched_count--;
	__atomic_fetch_add(&leaf_moves, 1, __ATOMIC_ACQ_REL);
}

static void leaf_memo_forget(const char *code)
{
	uint32_t slot;

	if (TL_MOSTLY(!leaf_memo_may_watch(code)))
		return;
	pthread_mutex_lock(&leaf_lock);
	slot = leaf_slot_of(code);
	if (leaf_watched[slot] != NULL) {
		leaf_memo_remove(slot);
		live_blocks_unwatch(code);
		live_blocks_unwatch(code - LEAF_FENCE);
		leaf_memo_begin_generation();
	}
	pthread_mutex_unlock(&leaf_lock);
}

TL_INTERNAL void leaf_memo_freed(const void *block)
{
	leaf_memo_forget(block);
	leaf_memo_forget((const char *)block + LEAF_FENCE);
}

TL_INTERNAL void leaf_memo_renew_locks(void)
{
	pthread_mutex_init(&leaf_lock, NULL);
}
