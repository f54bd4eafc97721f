/* DESIGN: stacks in the order of what they hold; each gives its frames their places, callers first,
 * so that a parent stands before its child, and its context a row.
 */
#include "snapshot_stacks.h"

#include "../base/math.h"
#include "../base/sort.h"
#include "../process/native_modules.h"
#include "../profile/contexts.h"
#include "../profile/names.h"
#include "../profile/stacks.h"
#include "evidence.h"
#include "snapshot_work.h"

#define SNAPSHOT_DEEPEST 770 /* frames of both sorts, and two */

/* Of a calling place that is blamed itself. */
static void snapshot_stacks_find_module(uint32_t function, struct snapshot_frame *row)
{
	uintptr_t address = (uintptr_t)names_function(function)->identity;
	uint16_t module = native_modules_known(address - 1);

	if (module == NATIVE_MODULES_NONE)
		return;
	row->module = module;
	row->offset = (uint32_t)(address - native_modules_at(module)->bias);
}

/* A place in native code is named when it is written. */
static void snapshot_stacks_name_frame(struct snapshot_work *work, const struct stack_frame *frame,
				       struct snapshot_frame *row)
{
	row->module = UINT32_MAX;
	if (stacks_is_native(frame)) {
		row->site = UINT32_MAX;
		row->module = frame->function & ~STACKS_NATIVE;
		row->offset = frame->line;
		row->function = "";
		row->file = work->snapshot.modules[row->module].path;
		return;
	}
	row->site = work->row_of_function[frame->function] - 1; /* UINT32_MAX: none */
	row->line = frame->line;
	if (snapshot_work_names(frame->function, &row->function, &row->file) == SITE_NATIVE)
		snapshot_stacks_find_module(frame->function, row);
}

/* Gives every frame on the way to `stack` its place, callers first. */
static void snapshot_stacks_place_frames(struct snapshot_work *work, uint32_t stack)
{
	uint32_t way[SNAPSHOT_DEEPEST];
	size_t depth = 0;

	for (uint32_t s = stack;
	     s != STACKS_ROOT && work->frame_of[s] == 0 && depth < SNAPSHOT_DEEPEST;
	     s = stacks_frame(s).caller)
		way[depth++] = s;
	while (depth-- > 0) {
		struct stack_frame frame = stacks_frame(way[depth]);
		struct snapshot_frame *row = &work->frames[work->snapshot.frame_count];

		row->parent = work->frame_of[frame.caller];
		snapshot_stacks_name_frame(work, &frame, row);
		work->frame_of[way[depth]] = (uint32_t)work->snapshot.frame_count++;
	}
}

/* The row of a stack's context, made by the first of its stacks, which holds most. `number` is the
 * stack's. */
static uint32_t snapshot_stacks_context_row(struct snapshot_work *work, uint32_t number,
					    uint32_t stack)
{
	uint32_t context = work->stacks[stack].context, own = contexts_own_frame(number);
	struct stack_frame leaf = stacks_frame(stacks_blamed(number)), via = stacks_frame(own);
	struct snapshot_context *row;

	if (context == CONTEXTS_NONE || contexts_at(context)->via == NAMES_OTHERS ||
	    contexts_at(context)->site == CONTEXTS_OF_TYPE ||
	    work->row_of_function[leaf.function] == 0)
		return UINT32_MAX;
	if (work->row_of_context[context] != 0)
		return work->row_of_context[context] - 1;
	row = &work->contexts[work->snapshot.context_count++];
	row->site = work->row_of_function[leaf.function] - 1;
	row->line = leaf.line;
	row->stack = stack;
	snapshot_work_names(via.function, &row->via_function, &row->via_file);
	row->via_line = via.line;
	row->verdict = evidence_judge_context(work->evidence, context);
	work->row_of_context[context] = (uint32_t)work->snapshot.context_count;
	return work->row_of_context[context] - 1;
}

static void snapshot_stacks_add_to_context(struct snapshot_work *work, struct snapshot_stack *stack)
{
	struct snapshot_context *context;
	struct snapshot_site *site;

	if (stack->context == UINT32_MAX)
		return;
	context = &work->contexts[stack->context];
	site = &work->sites[context->site];
	snapshot_work_add_estimate(&context->live_bytes, &stack->live_bytes);
	snapshot_work_add_estimate(&context->live_count, &stack->live_count);
	if (site->context == UINT32_MAX ||
	    context->live_bytes.value > work->contexts[site->context].live_bytes.value)
		site->context = stack->context;
}

TL_INTERNAL void snapshot_stacks_build(struct snapshot_work *work)
{
	size_t count = work->snapshot.stack_count;

	for (size_t i = 0; i < count; i++)
		work->keys[i] = work->stacks[i].live_bytes.value;
	snapshot_work_start_order(work, count);
	sort_descending(work->order, count, work->keys);
	sort_apply(work->order, count, work->stacks, sizeof(*work->stacks));

	work->frames[0] = (struct snapshot_frame){
		.site = UINT32_MAX, .module = UINT32_MAX, .function = "", .file = ""};
	work->snapshot.frame_count = 1;
	for (size_t i = 0; i < count; i++) {
		struct snapshot_stack *stack = &work->stacks[i];

		snapshot_stacks_place_frames(work, stack->frame);
		stack->context = snapshot_stacks_context_row(work, stack->frame, (uint32_t)i);
		stack->frame = work->frame_of[stack->frame];
		snapshot_stacks_add_to_context(work, stack);
		stack->live_bytes.se = math_sqrt(stack->live_bytes.se);
		stack->live_count.se = math_sqrt(stack->live_count.se);
		stack->since_bytes.se = math_sqrt(stack->since_bytes.se);
		stack->since_count.se = math_sqrt(stack->since_count.se);
	}
	for (size_t i = 0; i < work->snapshot.context_count; i++) {
		struct snapshot_context *context = &work->contexts[i];

		context->live_bytes.se = math_sqrt(context->live_bytes.se);
		context->live_count.se = math_sqrt(context->live_count.se);
	}
	work->snapshot.frames = work->frames;
	work->snapshot.stacks = work->stacks;
	work->snapshot.contexts = work->contexts;
}
