#include "profile_merge.h"

#include "../base/region.h"
#include "../base/lookup.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct merge {
	struct profile *into;
	size_t function_room, frame_room, stack_room, map_room, pool_room;
	struct lookup functions, frames, stacks, maps, pools;
};

static void merge_lines(struct profile_function *into, const struct profile_function *from)
{
	size_t room = into->line_count + from->line_count, known = into->line_count;
	struct profile_line *lines = region_alloc(room, sizeof(*lines));

	memcpy(lines, into->lines, known * sizeof(*lines));
	for (size_t i = 0; i < from->line_count; i++) {
		size_t at = 0;

		while (at < known && lines[at].line != from->lines[i].line)
			at++;
		if (at < known)
			profile_add_figures(&lines[at].figures, &from->lines[i].figures);
		else
			lines[into->line_count++] = from->lines[i];
	}
	into->lines = lines;
}

static void merge_types(struct profile_function *into, const struct profile_function *from)
{
	size_t room = into->type_count + from->type_count;
	struct profile_type *types = region_alloc(room, sizeof(*types));

	memcpy(types, into->types, into->type_count * sizeof(*types));
	for (size_t i = 0; i < from->type_count; i++) {
		size_t at = 0;

		while (at < into->type_count && strcmp(types[at].name, from->types[i].name) != 0)
			at++;
		if (at == into->type_count)
			types[into->type_count++] = from->types[i];
		else
			types[at].bytes += from->types[i].bytes;
	}
	into->types = types;
}

static void merge_function(struct profile_function *into, const struct profile_function *from)
{
	profile_add_figures(&into->figures, &from->figures);
	into->peak_live_bytes += from->peak_live_bytes;
	into->uncertain_bytes += from->uncertain_bytes;
	into->growth = profile_sum(into->growth, from->growth);
	into->growth_low = profile_sum(into->growth_low, from->growth_low);
	into->growth_high = profile_sum(into->growth_high, from->growth_high);
	if (profile_verdict_rank(from->verdict) > profile_verdict_rank(into->verdict)) {
		into->verdict = from->verdict;
		into->sentence = from->sentence;
	}
	merge_lines(into, from);
	merge_types(into, from);
}

/* Returns where each function of the part is now. */
static size_t *merge_functions(struct merge *merge, const struct profile *part)
{
	struct profile *into = merge->into;
	size_t *place = region_alloc(part->function_count, sizeof(*place));

	for (size_t i = 0; i < part->function_count; i++) {
		const struct profile_function *function = &part->functions[i];
		char *key = region_text("%u\n%s\n%s", function->first_line, function->file,
					function->name);

		place[i] = lookup_put(&merge->functions, key, into->function_count);
		if (place[i] < into->function_count) {
			merge_function(&into->functions[place[i]], function);
			continue;
		}
		into->functions = region_grow(into->functions, into->function_count,
					      &merge->function_room, sizeof(*function));
		into->functions[into->function_count++] = *function;
	}
	return place;
}

static size_t *merge_frames(struct merge *merge, const struct profile *part,
			    const size_t *function_place)
{
	struct profile *into = merge->into;
	size_t *place = region_alloc(part->frame_count, sizeof(*place));

	for (size_t i = 1; i < part->frame_count; i++) {
		struct profile_frame frame = part->frames[i];
		char *key;

		frame.parent = place[frame.parent];
		if (frame.function != PROFILE_NO_FUNCTION)
			frame.function = function_place[frame.function];
		key = region_text("%zu\n%zd\n%u\n%s\n%s", frame.parent, (ssize_t)frame.function,
				  frame.line, frame.name, frame.file);
		place[i] = lookup_put(&merge->frames, key, into->frame_count);
		if (place[i] < into->frame_count)
			continue;
		into->frames = region_grow(into->frames, into->frame_count, &merge->frame_room,
					   sizeof(frame));
		into->frames[into->frame_count++] = frame;
	}
	return place;
}

static void merge_stacks(struct merge *merge, const struct profile *part, const size_t *frame_place)
{
	struct profile *into = merge->into;

	for (size_t i = 0; i < part->stack_count; i++) {
		struct profile_stack stack = part->stacks[i];
		char key[32];
		size_t at;

		stack.frame = frame_place[stack.frame];
		snprintf(key, sizeof(key), "%zu", stack.frame);
		at = lookup_put(&merge->stacks, key, into->stack_count);
		if (at < into->stack_count) {
			struct profile_stack *known = &into->stacks[at];

			known->live_bytes = profile_add(known->live_bytes, stack.live_bytes);
			known->live_count = profile_add(known->live_count, stack.live_count);
			known->live_samples += stack.live_samples;
			known->oldest_s = fmax(known->oldest_s, stack.oldest_s);
			known->youngest_s = fmin(known->youngest_s, stack.youngest_s);
			continue;
		}
		into->stacks = region_grow(into->stacks, into->stack_count, &merge->stack_room,
					   sizeof(stack));
		into->stacks[into->stack_count++] = stack;
	}
}

static void merge_maps(struct merge *merge, const struct profile *part)
{
	struct profile *into = merge->into;

	for (size_t i = 0; i < part->map_count; i++) {
		size_t at = lookup_put(&merge->maps, part->maps[i].owner, into->map_count);

		if (at < into->map_count) {
			into->maps[at].bytes += part->maps[i].bytes;
			into->maps[at].count += part->maps[i].count;
			continue;
		}
		into->maps = region_grow(into->maps, into->map_count, &merge->map_room,
					 sizeof(*into->maps));
		into->maps[into->map_count++] = part->maps[i];
	}
}

static void merge_pools(struct merge *merge, const struct profile *part)
{
	struct profile *into = merge->into;

	for (size_t i = 0; i < part->pool_count; i++) {
		const struct profile_pool *pool = &part->pools[i];
		size_t at = lookup_put(&merge->pools, pool->type, into->pool_count);

		if (at == into->pool_count) {
			into->pools = region_grow(into->pools, into->pool_count, &merge->pool_room,
						  sizeof(*into->pools));
			into->pools[into->pool_count++] = *pool;
			continue;
		}
		into->pools[at].bytes += pool->bytes;
		into->pools[at].count += pool->count;
		if (profile_verdict_rank(pool->verdict) >
		    profile_verdict_rank(into->pools[at].verdict)) {
			into->pools[at].verdict = pool->verdict;
			into->pools[at].sentence = pool->sentence;
		}
	}
}

static void merge_head(struct profile *into, const struct profile *part)
{
	into->processes += part->processes;
	into->start = fmin(into->start, part->start);
	into->elapsed_s = fmax(into->elapsed_s, part->elapsed_s);
	into->is_final &= part->is_final;
	into->live_samples += part->live_samples;
	into->live_capacity += part->live_capacity;
	into->lost_samples += part->lost_samples;
	into->thinned += part->thinned;
	into->other_functions += part->other_functions;
	into->rss_bytes += part->rss_bytes;
	into->peak_rss_bytes += part->peak_rss_bytes;
	into->peak_live_bytes += part->peak_live_bytes;
	into->live_bytes = profile_add(into->live_bytes, part->live_bytes);
	into->live_count = profile_add(into->live_count, part->live_count);
	into->agent_bytes += part->agent_bytes;
	into->agent_cpu_s += part->agent_cpu_s;
}

struct profile *profile_merge(struct profile *const *parts, size_t count)
{
	struct merge merge = {.into = region_alloc(1, sizeof(struct profile))};
	struct profile *into = merge.into;

	if (count == 1)
		return parts[0];
	*into = *parts[0];
	into->functions = NULL;
	into->stacks = NULL;
	into->maps = NULL;
	into->pools = NULL;
	into->function_count = into->stack_count = into->map_count = into->pool_count = 0;
	into->parts = parts;
	into->frames = region_grow(NULL, 0, &merge.frame_room, sizeof(*into->frames));
	into->frames[0] = parts[0]->frames[0];
	into->frame_count = 1;
	for (size_t i = 0; i < count; i++) {
		size_t *functions = merge_functions(&merge, parts[i]);
		size_t *frames = merge_frames(&merge, parts[i], functions);

		if (i > 0)
			merge_head(into, parts[i]);
		merge_stacks(&merge, parts[i], frames);
		merge_maps(&merge, parts[i]);
		merge_pools(&merge, parts[i]);
	}
	return into;
}
