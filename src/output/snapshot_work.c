/* DESIGN: one mapping for everything, used from its start and given back whole. It is as large as
 * the tables of the profile could ask for; what is never touched costs nothing.
 */
#include "snapshot_work.h"

#include "../base/clock.h"
#include "../base/pages.h"
#include "../process/native_modules.h"
#include "../profile/contexts.h"
#include "../profile/names.h"
#include "../profile/sites.h"
#include "../profile/stacks.h"

/* Zeroed. There is room for all that is asked: snapshot_work_open has added it up. */
static void *snapshot_work_allocate(struct snapshot_memory *memory, size_t count, size_t size)
{
	void *part = (void *)((uintptr_t)memory->start + memory->used);

	memory->used += (count * size + 63) & ~(size_t)63;
	return part;
}

TL_INTERNAL struct snapshot_work *snapshot_work_open(void)
{
	size_t lines = sites_lines_end(), sites = sites_end(), stacks = stacks_end();
	size_t functions = names_functions_end();
	size_t most_rows = stacks > lines ? stacks : lines;
	struct snapshot_memory memory = {0};
	struct snapshot_work *work;

	most_rows = sites + CONTEXTS_MOST > most_rows ? sites + CONTEXTS_MOST : most_rows;
	/* Two rounds: the first adds up, the second hands out. */
	for (int round = 0; round < 2; round++) {
		if (round == 1) {
			memory.bytes = memory.used;
			memory.used = 0;
			memory.start = pages_map(memory.bytes);
			if (memory.start == NULL)
				return NULL;
		}
		work = snapshot_work_allocate(&memory, 1, sizeof(*work));
		struct snapshot_work parts = {
			.site_count = (uint32_t)sites,
			.live = snapshot_work_allocate(&memory, lines, sizeof(*work->live)),
			.sites = snapshot_work_allocate(&memory, sites, sizeof(*work->sites)),
			.row_of_site = snapshot_work_allocate(&memory, sites, sizeof(uint32_t)),
			.row_of_function =
				snapshot_work_allocate(&memory, functions, sizeof(uint32_t)),
			.intervals = snapshot_work_allocate(&memory, sites, sizeof(uint64_t)),
			.lines = snapshot_work_allocate(&memory, lines, sizeof(*work->lines)),
			.stacks = snapshot_work_allocate(&memory, stacks, sizeof(*work->stacks)),
			.row_of_stack = snapshot_work_allocate(&memory, stacks, sizeof(uint32_t)),
			.frame_of = snapshot_work_allocate(&memory, stacks, sizeof(uint32_t)),
			.frames = snapshot_work_allocate(&memory, stacks, sizeof(*work->frames)),
			.modules = snapshot_work_allocate(&memory, NATIVE_MODULES_MOST,
							  sizeof(*work->modules)),
			.contexts = snapshot_work_allocate(&memory, CONTEXTS_MOST,
							   sizeof(*work->contexts)),
			.row_of_context =
				snapshot_work_allocate(&memory, CONTEXTS_MOST, sizeof(uint32_t)),
			.site_has_alarm = snapshot_work_allocate(&memory, sites, sizeof(bool)),
			.alarms = snapshot_work_allocate(&memory, sites + CONTEXTS_MOST,
							 sizeof(*work->alarms)),
			.keys = snapshot_work_allocate(&memory, most_rows, sizeof(double)),
			.order = snapshot_work_allocate(&memory, most_rows, sizeof(uint32_t)),
		};
		if (round == 1)
			*work = parts;
	}
	work->memory = memory;
	return work;
}

TL_INTERNAL void snapshot_work_close(struct snapshot_work *work)
{
	if (work != NULL)
		pages_unmap(work->memory.start, work->memory.bytes);
}

TL_INTERNAL double snapshot_work_seconds_since(const struct snapshot_work *work, uint32_t tick)
{
	return tick < work->now ? (double)(work->now - tick) / CLOCK_TICKS_PER_S : 0;
}

TL_INTERNAL enum site_kind snapshot_work_names(uint32_t function, const char **name,
					       const char **file)
{
	const struct function *known = names_function(function);

	*name = known->kind == FUNCTION_OTHERS ? "<other functions>" : names_text(known->name);
	*file = names_text(known->file);
	return known->kind == FUNCTION_PYTHON   ? SITE_PYTHON
	       : known->kind == FUNCTION_NATIVE ? SITE_NATIVE
						: SITE_OTHERS;
}

TL_INTERNAL void snapshot_work_add_estimate(struct estimate *to, const struct estimate *from)
{
	to->value += from->value;
	to->se += from->se;
}

TL_INTERNAL void snapshot_work_start_order(struct snapshot_work *work, size_t count)
{
	for (size_t i = 0; i < count; i++)
		work->order[i] = (uint32_t)i;
}
