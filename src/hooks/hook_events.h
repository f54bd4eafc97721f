/* hook_events: which blocks the event log tells of (MEMORY_PROFILER_EVENTS=1): every allocation of
 * min_size to max_size, and the free of each such block, nothing twice. A realloc is a free and an
 * allocation.
 *
 * Runs      in the hooks, with the thread busy. Takes a lock for every such block: this is for
 *           debugging.
 * Gives up  when more blocks are alive than its table holds: those are not logged, nor their frees,
 * and one line says so.
 */
#ifndef TL_HOOKS_HOOK_EVENTS_H
#define TL_HOOKS_HOOK_EVENTS_H

#include "../base/types.h"
#include "../profile/live_blocks.h"

/* Does nothing where events are off. */
TL_INTERNAL void hook_events_start(void);

TL_INTERNAL bool hook_events_are_on(void);
TL_INTERNAL void hook_events_born(const void *block, size_t size, enum live_layer layer,
				  const void *caller);
TL_INTERNAL void hook_events_died(const void *block);

#endif
