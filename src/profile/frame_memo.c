/* DESIGN
 *     process: 16384 entries {key ^ place, place}, direct-mapped,
 *              key = hash(code, instruction, generation)
 *     process: the set of watched code objects; freeing one begins the next generation
 * The two words of an entry are written and read without a lock: halves of two different entries do
 * not make a key (the lock-less hashing of chess programs, Hyatt and Mann 2002), and two different
 * frames have the same key with a chance of 2^-64.
 *
 * Generations make forgetting O(1): code objects that allocate are seldom freed. The set is open
 * addressing with backward-shift deletion, asked only by frees in a watched place
 * (live_blocks_watch).
 */
#include "frame_memo.h"

#include "../base/lock.h"
#include "live_blocks.h"

#include <string.h>

#define MEMO_ENTRY_BITS 14u
#define MEMO_SLOT_BITS  13u
#define MEMO_SLOTS      (1u << MEMO_SLOT_BITS)
#define MEMO_MOST       (MEMO_SLOTS / 2)

/* A debug layer of CPython's, above our hook, has two words of its own before the object: what we
 * see freed starts there (PYTHONMALLOC=malloc_debug; PyMem_SetupDebugHooks at any time). */
#define MEMO_FENCE (2 * sizeof(size_t))

static struct {
	uint64_t check, place; /* atomic, each; key = check ^ place */
} memo_entries[1 << MEMO_ENTRY_BITS];

TL_INTERNAL uint32_t frame_memo_generation = 1;
TL_INTERNAL bool frame_memo_is_sound;
/* Written under memo_lock; read without it by frame_memo_may_watch. */
static const char *memo_watched[MEMO_SLOTS];
static uint32_t memo_watched_count;
static uint32_t memo_moves; /* atomic; odd while entries are being moved */
static struct lock memo_lock;

static uint64_t memo_hash(const char *code)
{
	return ((uintptr_t)code >> 4) * 0x9e3779b97f4a7c15u;
}

/* Odd, so that an unused entry is nobody's. The generation has a factor of its own: numbers that
 * differ by little must not make up for each other. */
static uint64_t memo_key(const struct py_frame *frame)
{
	uint64_t generation = __atomic_load_n(&frame_memo_generation, __ATOMIC_ACQUIRE);
	uint64_t mixed =
		memo_hash(frame->code) + generation * 0xa0761d6478bd642fu + (uintptr_t)frame->at;

	mixed = (mixed ^ (mixed >> 32)) * 0xd6e8feb86659fd93u;
	return (mixed ^ (mixed >> 32)) | 1;
}

TL_INTERNAL void frame_memo_forget_all(void)
{
	uint32_t next = TL_LOAD(frame_memo_generation) + 1;

	__atomic_store_n(&frame_memo_generation, next != 0 ? next : 1, __ATOMIC_RELEASE);
}

TL_INTERNAL void frame_memo_set_sound(bool is_sound)
{
	if (TL_LOAD(frame_memo_is_sound) == is_sound)
		return;
	frame_memo_forget_all();
	TL_STORE(frame_memo_is_sound, is_sound);
}

TL_INTERNAL void frame_memo_reset_in_child(void)
{
	memset(memo_watched, 0, sizeof(memo_watched));
	memo_watched_count = 0;
	memo_moves = 0; /* whoever was in the middle of one is gone */
	frame_memo_forget_all();
}

TL_INTERNAL bool frame_memo_find(const struct py_frame *frame, struct frame_place *place)
{
	uint64_t key = memo_key(frame), slot = key >> (64 - MEMO_ENTRY_BITS);
	/* Whoever finds a line sees what its number stands for. */
	uint64_t check = __atomic_load_n(&memo_entries[slot].check, __ATOMIC_ACQUIRE);
	uint64_t packed = TL_LOAD(memo_entries[slot].place);

	if ((check ^ packed) != key)
		return false;
	*place = (struct frame_place){.line = (uint32_t)packed,
				      .function = (uint16_t)(packed >> 32),
				      .site_line = (uint16_t)(packed >> 48),
				      .is_remembered = true};
	return true;
}

static void memo_store(const struct py_frame *frame, const struct frame_place *place)
{
	uint64_t key = memo_key(frame), slot = key >> (64 - MEMO_ENTRY_BITS);
	uint64_t packed =
		(uint64_t)place->site_line << 48 | (uint64_t)place->function << 32 | place->line;

	TL_STORE(memo_entries[slot].place, packed);
	__atomic_store_n(&memo_entries[slot].check, key ^ packed, __ATOMIC_RELEASE);
}

static uint32_t memo_home_of(const char *code)
{
	return (uint32_t)(memo_hash(code) >> (64 - MEMO_SLOT_BITS));
}

static uint32_t memo_next(uint32_t slot)
{
	return (slot + 1) % MEMO_SLOTS;
}

/* Where the code object stands, or the unused slot where it would. */
static uint32_t memo_slot_of(const char *code)
{
	uint32_t slot = memo_home_of(code);

	for (const char *found; (found = TL_LOAD(memo_watched[slot])) != NULL && found != code;)
		slot = memo_next(slot);
	return slot;
}

/* Frees of samples come here often, and of code objects seldom: no lock unless there is one. */
static bool frame_memo_may_watch(const char *code)
{
	uint32_t moves = __atomic_load_n(&memo_moves, __ATOMIC_ACQUIRE);
	bool is_watched = TL_LOAD(memo_watched[memo_slot_of(code)]) != NULL;

	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return is_watched || (moves & 1) != 0 || TL_LOAD(memo_moves) != moves;
}

/* True: the code object is watched. */
static bool memo_watch(const char *code)
{
	bool is_watched;
	uint32_t slot;

	lock_take(&memo_lock);
	slot = memo_slot_of(code);
	is_watched = memo_watched[slot] != NULL;
	if (!is_watched && memo_watched_count < MEMO_MOST) {
		TL_STORE(memo_watched[slot], code);
		memo_watched_count++;
		live_blocks_watch(code);
		live_blocks_watch(code - MEMO_FENCE);
		is_watched = true;
	}
	lock_give(&memo_lock);
	return is_watched;
}

TL_INTERNAL bool frame_memo_remember(const struct py_frame *frame, const struct frame_place *place)
{
	if (frame->instruction != FRAME_MEMO_NATIVE && TL_LOAD(frame_memo_is_sound) &&
	    !memo_watch(frame->code))
		return false;
	memo_store(frame, place);
	return true;
}

/* Closes the gap that the code object leaves behind. */
static void frame_memo_remove(uint32_t hole)
{
	__atomic_fetch_add(&memo_moves, 1, __ATOMIC_ACQ_REL);
	for (uint32_t next = memo_next(hole); memo_watched[next] != NULL; next = memo_next(next)) {
		uint32_t home = memo_home_of(memo_watched[next]);

		/* Whoever is not yet at home may move up, if the hole lies on its way. */
		if ((next - home) % MEMO_SLOTS >= (next - hole) % MEMO_SLOTS) {
			TL_STORE(memo_watched[hole], memo_watched[next]);
			hole = next;
		}
	}
	TL_STORE(memo_watched[hole], NULL);
	memo_watched_count--;
	__atomic_fetch_add(&memo_moves, 1, __ATOMIC_ACQ_REL);
}

static void frame_memo_forget(const char *code)
{
	uint32_t slot;

	if (TL_MOSTLY(!frame_memo_may_watch(code)))
		return;
	lock_take(&memo_lock);
	slot = memo_slot_of(code);
	if (memo_watched[slot] != NULL) {
		frame_memo_remove(slot);
		live_blocks_unwatch(code);
		live_blocks_unwatch(code - MEMO_FENCE);
		frame_memo_forget_all();
	}
	lock_give(&memo_lock);
}

TL_INTERNAL void frame_memo_freed(const void *block)
{
	frame_memo_forget(block);
	frame_memo_forget((const char *)block + MEMO_FENCE);
}

TL_INTERNAL void frame_memo_renew_locks(void)
{
	memo_lock = (struct lock){0};
}
