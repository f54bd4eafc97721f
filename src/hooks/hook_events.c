/* DESIGN
 * The addresses of the logged blocks stand in a table of their own (open addressing, backward-shift
 * deletion, one mutex), and each is watched by the live filter, so that its free takes the slow
 * path. An entry leaves the table before the real free, so an address is never logged twice as
 * freed.
 */
#include "hook_events.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/pages.h"
#include "../output/event_log.h"
#include "../process/config.h"
#include "../profile/blame.h"
#include "../profile/names.h"
#include "../profile/recorder.h"
#include "../profile/sites.h"

#include <pthread.h>

#define HOOK_EVENT_SLOTS ((size_t)1 << 20)

static uintptr_t *hook_events_blocks; /* 0: unused; these guarded by hook_events_lock */
static size_t hook_events_used;
static bool hook_events_was_full;
static pthread_mutex_t hook_events_lock = PTHREAD_MUTEX_INITIALIZER;

static void hook_events_reset_in_child(void)
{
	pages_clear(hook_events_blocks, HOOK_EVENT_SLOTS * sizeof(uintptr_t));
	hook_events_used = 0;
	pthread_mutex_init(&hook_events_lock, NULL);
}

TL_INTERNAL void hook_events_start(void)
{
	if (!config.events)
		return;
	hook_events_blocks = pages_map(HOOK_EVENT_SLOTS * sizeof(uintptr_t));
	if (hook_events_blocks != NULL &&
	    pthread_atfork(NULL, NULL, hook_events_reset_in_child) != 0) {
		pages_unmap(hook_events_blocks, HOOK_EVENT_SLOTS * sizeof(uintptr_t));
		hook_events_blocks = NULL;
	}
	if (hook_events_blocks == NULL)
		diag_say("no event log: no memory for its table", NULL);
}

static size_t hook_events_home(uintptr_t block)
{
	return (size_t)((block >> 4) * 0x9e3779b97f4a7c15u >> 44);
}

static size_t hook_events_next(size_t slot)
{
	return (slot + 1) & (HOOK_EVENT_SLOTS - 1);
}

static size_t hook_events_find(uintptr_t block)
{
	size_t slot = hook_events_home(block);

	while (hook_events_blocks[slot] != 0 && hook_events_blocks[slot] != block)
		slot = hook_events_next(slot);
	return slot;
}

static bool hook_events_insert(uintptr_t block)
{
	bool has_room, must_say;

	pthread_mutex_lock(&hook_events_lock);
	has_room = hook_events_used < HOOK_EVENT_SLOTS / 8 * 7;
	must_say = !has_room && !hook_events_was_full;
	hook_events_was_full |= !has_room;
	if (has_room) {
		size_t slot = hook_events_find(block);

		if (hook_events_blocks[slot] == 0) {
			hook_events_blocks[slot] = block;
			hook_events_used++;
			live_blocks_watch((const void *)block);
		}
	}
	pthread_mutex_unlock(&hook_events_lock);
	if (must_say)
		diag_say("event log: more blocks are alive than can be followed; the rest is not "
			 "logged",
			 NULL);
	return has_room;
}

static bool hook_events_remove(uintptr_t block)
{
	pthread_mutex_lock(&hook_events_lock);

	size_t hole = hook_events_find(block);
	bool is_there = hook_events_blocks[hole] != 0;

	for (size_t next = hook_events_next(hole); is_there && hook_events_blocks[next] != 0;
	     next = hook_events_next(next)) {
		/* Whoever is not yet at home may move up, if the hole lies between its home and
		 * itself. */
		size_t from_home = (next - hook_events_home(hook_events_blocks[next])) &
				   (HOOK_EVENT_SLOTS - 1);

		if (from_home >= ((next - hole) & (HOOK_EVENT_SLOTS - 1))) {
			hook_events_blocks[hole] = hook_events_blocks[next];
			hole = next;
		}
	}
	if (is_there) {
		hook_events_blocks[hole] = 0;
		hook_events_used--;
		live_blocks_unwatch((const void *)block);
	}
	pthread_mutex_unlock(&hook_events_lock);
	return is_there;
}

TL_INTERNAL bool hook_events_are_on(void)
{
	return hook_events_blocks != NULL;
}

TL_INTERNAL void hook_events_born(const void *block, size_t size, enum live_layer layer,
				  const void *caller)
{
	if (hook_events_blocks == NULL || size < config.min_size || size > config.max_size ||
	    !recorder_is_open() || !hook_events_insert((uintptr_t)block))
		return;

	struct line_figures line = sites_copy_line(blame_line(layer, caller));
	const struct function *function = names_function(sites_copy_life(line.site).function);

	if (function->kind == FUNCTION_NATIVE && function->name == 0)
		names_resolve_natives();
	event_log_alloc(block, size,
			function->kind == FUNCTION_OTHERS ? "<other functions>"
							  : names_text(function->name),
			names_text(function->file), line.line, (int64_t)clock_epoch_s());
}

TL_INTERNAL void hook_events_died(const void *block)
{
	if (hook_events_blocks != NULL && hook_events_remove((uintptr_t)block))
		event_log_free(block, (int64_t)clock_epoch_s());
}
