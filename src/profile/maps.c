/* DESIGN
 * One array of disjoint intervals, sorted by address, under one mutex: maps are thousands at most,
 * and each costs its owner a syscall. Neighbouring arenas join, so a heap of many gigabytes stays a
 * few entries. A hole punched into a map splits it.
 *
 * A fork holds the mutex while libc waits for locks of its own, and of other libraries' handlers.
 * Who has one of those may be in an mmap here (an allocator's, under its lock): nobody waits for
 * ever.
 */
#include "maps.h"

#include "../base/pages.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#define MAPS_MOST        4096u
#define MAPS_PATIENCE_MS 100

static struct map *maps_list;
static size_t maps_count;       /* these two guarded by maps_lock */
static uint64_t maps_not_known; /* for want of room, or of the lock */
static pthread_mutex_t maps_lock = PTHREAD_MUTEX_INITIALIZER;

/* False: a fork is taking long. */
static bool maps_lock_in_time(void)
{
	struct timespec until;

	if (TL_MOSTLY(pthread_mutex_trylock(&maps_lock) == 0))
		return true;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += MAPS_PATIENCE_MS * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	return pthread_mutex_timedlock(&maps_lock, &until) == 0;
}

TL_INTERNAL enum tl_err maps_start(void)
{
	maps_list = pages_map(MAPS_MOST * sizeof(struct map));
	return maps_list != NULL ? TL_OK : TL_ERR_SYSTEM;
}

TL_INTERNAL void maps_reset_in_child(void)
{
	size_t kept = 0;

	for (size_t i = 0; i < maps_count; i++) {
		if (maps_list[i].kind == MAP_ARENA)
			maps_list[kept++] = maps_list[i];
	}
	maps_count = kept;
	maps_not_known = 0;
}

/* The first map that ends above the address. */
static size_t maps_search(uintptr_t address)
{
	size_t low = 0, high = maps_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (maps_list[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void maps_insert_at(size_t index, const struct map *map)
{
	if (maps_count == MAPS_MOST) {
		TL_ADD(maps_not_known, 1);
		return;
	}
	memmove(&maps_list[index + 1], &maps_list[index],
		(maps_count - index) * sizeof(struct map));
	maps_list[index] = *map;
	maps_count++;
}

static void maps_delete_at(size_t index)
{
	maps_count--;
	memmove(&maps_list[index], &maps_list[index + 1],
		(maps_count - index) * sizeof(struct map));
}

TL_INTERNAL void maps_add(const struct map *map)
{
	if (!maps_lock_in_time()) {
		TL_ADD(maps_not_known, 1);
		return;
	}

	size_t index = maps_search(map->start);
	bool is_arena = map->kind == MAP_ARENA;
	struct map *before = index > 0 ? &maps_list[index - 1] : NULL;
	struct map *after = index < maps_count ? &maps_list[index] : NULL;

	if (is_arena && before != NULL && before->kind == MAP_ARENA && before->end == map->start)
		before->end = map->end;
	else if (is_arena && after != NULL && after->kind == MAP_ARENA && after->start == map->end)
		after->start = map->start;
	else
		maps_insert_at(index, map);
	pthread_mutex_unlock(&maps_lock);
}

TL_INTERNAL size_t maps_remove(uintptr_t start, uintptr_t end, struct map *removed, size_t limit)
{
	size_t count = 0;

	if (!maps_lock_in_time()) {
		TL_ADD(maps_not_known, 1);
		return 0;
	}
	for (size_t index = maps_search(start);
	     index < maps_count && maps_list[index].start < end;) {
		struct map *map = &maps_list[index];
		struct map piece = *map, rest = *map;

		if (map->start < start) {
			piece.start = start;
			map->end = start;
			map->unused = 0;
			map->is_rest = piece.is_rest = rest.is_rest = true;
			index++;
		}
		if (rest.end > end) {
			piece.end = end;
			piece.unused = 0;
			piece.is_rest = rest.is_rest = true;
			rest.start = end;
			if (map->end == start)
				maps_insert_at(index, &rest);
			else
				*map = rest;
		} else if (rest.start >= start) {
			maps_delete_at(index);
		}
		if (count < limit)
			removed[count++] = piece;
	}
	pthread_mutex_unlock(&maps_lock);
	return count;
}

TL_INTERNAL uint64_t maps_bytes(const struct map *map)
{
	return map->end - map->start - map->unused;
}

TL_INTERNAL bool maps_is_arena(uintptr_t address)
{
	if (!maps_lock_in_time())
		return false;

	size_t index = maps_search(address);
	bool is_arena = index < maps_count && maps_list[index].start <= address &&
			maps_list[index].kind == MAP_ARENA;

	pthread_mutex_unlock(&maps_lock);
	return is_arena;
}

TL_INTERNAL size_t maps_copy(size_t from, struct map *copy, size_t limit)
{
	size_t count = 0;

	pthread_mutex_lock(&maps_lock);
	while (count < limit && from + count < maps_count) {
		copy[count] = maps_list[from + count];
		count++;
	}
	pthread_mutex_unlock(&maps_lock);
	return count;
}

TL_INTERNAL uint64_t maps_lost(void)
{
	return TL_LOAD(maps_not_known);
}

TL_INTERNAL void maps_fork_prepare(void)
{
	pthread_mutex_lock(&maps_lock);
}

TL_INTERNAL void maps_fork_parent(void)
{
	pthread_mutex_unlock(&maps_lock);
}

TL_INTERNAL void maps_renew_locks(void)
{
	pthread_mutex_init(&maps_lock, NULL);
}
