/* DESIGN
 * One pass over the live samples, a shard at a time, adds up what each line and each stack holds;
 * one over the lines puts their figures beside it and adds up the sites. All of it lives in one
 * mapping, used from its start, and given back whole.
 *
 * Generations are counted by dumps: a live sample belongs to the interval between two dumps it was
 * born in. 64 intervals span the whole life: when they are used up, neighbours are joined, and from
 * then on every second dump begins one.
 */
#include "snapshot_build.h"

#include "../base/clock.h"
#include "../base/math.h"
#include "../base/pages.h"
#include "../base/sort.h"
#include "../base/text.h"
#include "../process/config.h"
#include "../process/proc_memory.h"
#include "../process/py_type.h"
#include "../profile/contexts.h"
#include "../profile/live_blocks.h"
#include "../profile/maps.h"
#include "../profile/names.h"
#include "../profile/recorder.h"
#include "../profile/sampler.h"
#include "../profile/sites.h"
#include "../profile/stacks.h"
#include "evidence.h"

#include <string.h>

#define SNAPSHOT_INTERVALS 64

_Static_assert(sizeof(struct snapshot_site) <= SORT_LARGEST_ROW, "rows are sorted in place");
#define SNAPSHOT_DEEPEST 514
#define SNAPSHOT_OWNERS  64 /* of maps; the rest is one row */

static struct {
	uint32_t starts[SNAPSHOT_INTERVALS]; /* ticks at which an interval begins; the first is 0 */
	unsigned count;
	unsigned dumps_each, dumps_left;
} snapshot_intervals = {.count = 1, .dumps_each = 1, .dumps_left = 1};

/* What is alive of a line, summed over its samples. */
struct snapshot_live {
	double bytes, bytes_variance, count, count_variance;
	uint64_t intervals; /* a bit for each that a sample was born in */
};

/* Memory for one snapshot: a mapping large enough for the largest, of which pages are touched as
 * needed. */
struct snapshot_memory {
	char *start;
	size_t used, bytes;
};

/* While sums are made, the `se` of an estimate holds its variance. */
struct snapshot_work {
	struct snapshot snapshot; /* first: what the caller holds */
	struct snapshot_memory memory;
	uint32_t now;
	uint32_t site_count; /* sites that exist; more may come while we look */

	struct snapshot_live *live; /* by line number */
	struct snapshot_site *sites;
	uint32_t *row_of_site;     /* by site number: row + 1; 0: none */
	uint32_t *row_of_function; /* by function number: row + 1; 0: it has no site */
	uint64_t *intervals;       /* by row */
	struct snapshot_line *lines;

	struct snapshot_stack *stacks; /* `frame` is a stack number at first */
	uint32_t *row_of_stack;        /* by stack number: row + 1; 0: holds nothing */
	uint32_t *frame_of;            /* by stack number: place among the frames; 0: none yet */
	struct snapshot_frame *frames;

	struct evidence *evidence;
	struct snapshot_context *contexts;
	uint32_t *row_of_context; /* by context number: row + 1; 0: none */
	bool *site_has_alarm;     /* by row: one of its contexts */
	struct snapshot_alarm *alarms;
	struct snapshot_pool pools[PY_TYPE_COUNT];

	struct snapshot_map owners[SNAPSHOT_OWNERS];

	double *keys; /* to sort by; room for every kind of row */
	uint32_t *order;
};

/* Zeroed. There is room for all that is asked: snapshot_prepare has added it up. */
static void *snapshot_allocate(struct snapshot_memory *memory, size_t count, size_t size)
{
	void *part = (void *)((uintptr_t)memory->start + memory->used);

	memory->used += (count * size + 63) & ~(size_t)63;
	return part;
}

static unsigned snapshot_interval_of(uint32_t birth)
{
	unsigned low = 0, high = snapshot_intervals.count;

	while (high - low > 1) {
		unsigned middle = (low + high) / 2;

		if (snapshot_intervals.starts[middle] <= birth)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* The dump at tick `now` ends an interval. */
static void snapshot_end_interval(uint32_t now)
{
	if (--snapshot_intervals.dumps_left > 0)
		return;
	if (snapshot_intervals.count == SNAPSHOT_INTERVALS) {
		for (unsigned i = 0; i < SNAPSHOT_INTERVALS / 2; i++)
			snapshot_intervals.starts[i] = snapshot_intervals.starts[2 * i];
		snapshot_intervals.count /= 2;
		snapshot_intervals.dumps_each *= 2;
	}
	snapshot_intervals.starts[snapshot_intervals.count++] = now;
	snapshot_intervals.dumps_left = snapshot_intervals.dumps_each;
}

TL_INTERNAL void snapshot_reset_in_child(void)
{
	snapshot_intervals.count = snapshot_intervals.dumps_each = snapshot_intervals.dumps_left =
		1;
}

/* Seconds from a tick to this dump; what happens while it is made happens now. */
static double snapshot_seconds_since(const struct snapshot_work *work, uint32_t tick)
{
	return tick < work->now ? (double)(work->now - tick) / CLOCK_TICKS_PER_S : 0;
}

/* A sample of a line and a stack. */
struct snapshot_sample {
	uint32_t line, stack, birth;
	unsigned type; /* enum py_type */
	uint64_t size;
	double probability;
	bool is_growth; /* it adds bytes, not a block */
};

static void snapshot_add_to_stack(struct snapshot_work *work, const struct snapshot_sample *sample,
				  uint32_t context, const struct snapshot_live *term)
{
	float age_s = (float)snapshot_seconds_since(work, sample->birth);
	uint32_t *row = &work->row_of_stack[sample->stack];
	struct snapshot_stack *stack;

	if (sample->stack == STACKS_ROOT)
		return;
	if (*row == 0) {
		*row = (uint32_t)++work->snapshot.stack_count;
		work->stacks[*row - 1] = (struct snapshot_stack){.frame = sample->stack,
								 .context = context,
								 .oldest_s = age_s,
								 .youngest_s = age_s};
	}
	stack = &work->stacks[*row - 1];
	stack->live_samples++;
	stack->live_bytes.value += term->bytes;
	stack->live_bytes.se += term->bytes_variance;
	stack->live_count.value += term->count;
	stack->live_count.se += term->count_variance;
	stack->oldest_s = age_s > stack->oldest_s ? age_s : stack->oldest_s;
	stack->youngest_s = age_s < stack->youngest_s ? age_s : stack->youngest_s;
}

/* Horvitz-Thompson terms: w k, with variance w^2 (1 - p) k^2. */
static void snapshot_add_sample(struct snapshot_work *work, const struct snapshot_sample *sample)
{
	double weight = 1 / sample->probability, size = (double)sample->size;
	double variance = weight * weight * (1 - sample->probability);
	struct snapshot_live term = {
		.bytes = weight * size,
		.bytes_variance = variance * size * size,
		.count = sample->is_growth ? 0 : weight,
		.count_variance = sample->is_growth ? 0 : variance,
	};
	struct snapshot_live *line = &work->live[sample->line];
	uint32_t context = contexts_of(sample->line, sample->stack, sample->type);

	line->bytes += term.bytes;
	line->bytes_variance += term.bytes_variance;
	line->count += term.count;
	line->count_variance += term.count_variance;
	line->intervals |= UINT64_C(1) << snapshot_interval_of(sample->birth);
	snapshot_add_to_stack(work, sample, context, &term);
	evidence_add(work->evidence, &(struct evidence_sample){
					     .context = context,
					     .site = sites_site_of_line(sample->line),
					     .birth = sample->birth,
					     .type = sample->type,
					     .bytes = term.bytes,
					     .variance = term.bytes_variance,
					     .weight = weight,
				     });
}

static void snapshot_add_blocks(struct snapshot_work *work, struct live_block *copy)
{
	for (size_t shard = 0; shard < live_blocks_shards(); shard++) {
		size_t count;

		if (work->now > contexts_older())
			live_blocks_find_types(shard, work->now - contexts_older());
		count = live_blocks_copy_shard(shard, copy);
		work->snapshot.live_samples += count;
		for (size_t i = 0; i < count; i++)
			snapshot_add_sample(work,
					    &(struct snapshot_sample){
						    .line = copy[i].line,
						    .stack = copy[i].stack,
						    .birth = copy[i].birth,
						    .type = copy[i].type,
						    .size = copy[i].size,
						    .probability = (double)copy[i].probability,
						    .is_growth = copy[i].flags & LIVE_IS_GROWTH,
					    });
	}
}

static void snapshot_add_maps(struct snapshot_work *work)
{
	struct map maps[64];
	size_t from = 0, count;

	while ((count = maps_copy(from, maps, TL_COUNT_OF(maps))) > 0) {
		for (size_t i = 0; i < count; i++) {
			if (maps[i].kind == MAP_CHARGED)
				snapshot_add_sample(work, &(struct snapshot_sample){
								  .line = maps[i].line,
								  .stack = maps[i].stack,
								  .birth = maps[i].birth,
								  .size = maps_bytes(&maps[i]),
								  .probability = 1,
								  .is_growth = maps[i].is_rest,
							  });
		}
		from += count;
	}
}

static struct site_figures snapshot_sum_line(const struct line_figures *line,
					     const struct snapshot_live *live)
{
	return (struct site_figures){
		.counted = line->counted,
		.counted_bytes = line->counted_bytes,
		.count = {(double)line->counted + line->small_count, line->small_count_variance},
		.total_bytes = {(double)line->counted_bytes + line->small_bytes,
				line->small_bytes_variance},
		.largest = line->largest,
		.sample_count = line->samples,
		.sample_bytes = line->sample_bytes,
		.freed_samples = line->freed_samples,
		.freed_sample_bytes = line->freed_sample_bytes,
		.freed_bytes = line->freed_bytes,
		.live_bytes = {live->bytes, live->bytes_variance},
		.live_count = {live->count, live->count_variance},
	};
}

static void snapshot_add_estimate(struct estimate *to, const struct estimate *from)
{
	to->value += from->value;
	to->se += from->se;
}

static void snapshot_add_figures(struct site_figures *to, const struct site_figures *from)
{
	to->counted += from->counted;
	to->counted_bytes += from->counted_bytes;
	snapshot_add_estimate(&to->count, &from->count);
	snapshot_add_estimate(&to->total_bytes, &from->total_bytes);
	to->largest = from->largest > to->largest ? from->largest : to->largest;
	to->sample_count += from->sample_count;
	to->sample_bytes += from->sample_bytes;
	to->freed_samples += from->freed_samples;
	to->freed_sample_bytes += from->freed_sample_bytes;
	to->freed_bytes += from->freed_bytes;
	snapshot_add_estimate(&to->live_bytes, &from->live_bytes);
	snapshot_add_estimate(&to->live_count, &from->live_count);
}

/* The sums are complete: variances become errors, shares can be said. */
static void snapshot_settle_figures(struct site_figures *figures)
{
	double seen = figures->live_bytes.value + figures->freed_bytes;

	/* A growth that stands for several (live_blocks.c) has a size that none of them had. */
	if (figures->freed_sample_bytes > figures->sample_bytes)
		figures->freed_sample_bytes = figures->sample_bytes;
	figures->count.se = math_sqrt(figures->count.se);
	figures->total_bytes.se = math_sqrt(figures->total_bytes.se);
	figures->live_bytes.se = math_sqrt(figures->live_bytes.se);
	figures->live_count.se = math_sqrt(figures->live_count.se);
	figures->retention =
		seen > 0 ? figures->live_bytes.value / seen : (double)__builtin_nanf("");
}

/* Function and file as they are shown. */
static enum site_kind snapshot_names(uint32_t function, const char **name, const char **file)
{
	const struct function *known = names_function(function);

	*name = known->kind == FUNCTION_OTHERS ? "<other functions>" : names_text(known->name);
	*file = names_text(known->file);
	return known->kind == FUNCTION_PYTHON   ? SITE_PYTHON
	       : known->kind == FUNCTION_NATIVE ? SITE_NATIVE
						: SITE_OTHERS;
}

/* The site's row: a new one when this is its first line. */
static struct snapshot_site *snapshot_row_of(struct snapshot_work *work, uint32_t site)
{
	struct site_life life;
	struct snapshot_site *row;

	if (work->row_of_site[site] != 0)
		return &work->sites[work->row_of_site[site] - 1];
	life = sites_copy_life(site);
	row = &work->sites[work->snapshot.site_count++];
	work->row_of_site[site] = (uint32_t)work->snapshot.site_count;
	row->kind = snapshot_names(life.function, &row->function, &row->file);
	row->first_line = names_function(life.function)->first_line;
	/* Samples that were thinned out never died for the sites: those that stayed die with more
	 * weight than they were born with, and a sum may end below zero. */
	row->peak_live_bytes = life.peak_live > 0 ? (double)life.peak_live : 0;
	row->last_free_s = life.last_free == 0 ? (double)__builtin_nanf("")
					       : snapshot_seconds_since(work, life.last_free - 1);
	memcpy(row->lifetimes, life.lifetimes, sizeof(row->lifetimes));
	row->verdict = evidence_judge_site(work->evidence, site, life.lifetimes);
	row->context = UINT32_MAX;
	evidence_put_types(work->evidence, site, row->types, &row->uncertain_bytes);
	return row;
}

/* Rows for the lines and their sites, not yet in order. keys[row] gets what a site's largest line
 * has allocated. */
static void snapshot_sum_sites(struct snapshot_work *work)
{
	for (uint32_t number = 0; number < sites_lines_end(); number++) {
		struct line_figures line = sites_copy_line(number);
		struct snapshot_line *row = &work->lines[work->snapshot.line_count];
		struct snapshot_site *site;
		size_t place;

		if ((line.counted == 0 && line.samples == 0) || line.site >= work->site_count)
			continue;
		site = snapshot_row_of(work, line.site);
		place = (size_t)(site - work->sites);
		row->site = (uint32_t)place;
		row->line = line.line;
		row->figures = snapshot_sum_line(&line, &work->live[number]);
		if (row->figures.total_bytes.value > work->keys[place]) {
			work->keys[place] = row->figures.total_bytes.value;
			site->line = line.line;
		}
		snapshot_add_figures(&site->figures, &row->figures);
		snapshot_settle_figures(&row->figures);
		work->intervals[place] |= work->live[number].intervals;
		work->snapshot.line_count++;
	}
	for (size_t row = 0; row < work->snapshot.site_count; row++) {
		snapshot_settle_figures(&work->sites[row].figures);
		work->sites[row].generations = (uint32_t)__builtin_popcountll(work->intervals[row]);
	}
}

static void snapshot_start_order(struct snapshot_work *work, size_t count)
{
	for (size_t i = 0; i < count; i++)
		work->order[i] = (uint32_t)i;
}

/* Where a leak is, is the line that holds most, which need not be the one that allocates most. */
static void snapshot_find_held_lines(struct snapshot_work *work)
{
	double most = 0;

	for (size_t i = 0; i < work->snapshot.line_count; i++) {
		const struct snapshot_line *line = &work->lines[i];
		struct snapshot_site *site = &work->sites[line->site];

		if (i == 0 || line[-1].site != line->site)
			most = -1;
		if (line->figures.live_bytes.value > most) {
			most = line->figures.live_bytes.value;
			site->held_line = line->line;
		}
	}
}

static void snapshot_sort_sites(struct snapshot_work *work)
{
	size_t sites = work->snapshot.site_count, lines = work->snapshot.line_count;
	uint32_t *new_row = (uint32_t *)work->intervals; /* used up */

	for (size_t i = 0; i < sites; i++)
		work->keys[i] = work->sites[i].figures.total_bytes.value;
	snapshot_start_order(work, sites);
	sort_descending(work->order, sites, work->keys);
	for (uint32_t i = 0; i < sites; i++)
		new_row[work->order[i]] = i;
	sort_apply(work->order, sites, work->sites, sizeof(*work->sites));
	for (uint32_t site = 0; site < work->site_count; site++) {
		if (work->row_of_site[site] == 0)
			continue;
		work->row_of_site[site] = new_row[work->row_of_site[site] - 1] + 1;
		work->row_of_function[sites_copy_life(site).function] = work->row_of_site[site];
	}
	work->row_of_function[NAMES_OTHERS] = work->row_of_site[SITES_OTHERS];

	/* Lines by their site's row, then by bytes: a key of two parts, the second below 1. */
	for (size_t i = 0; i < lines; i++) {
		struct snapshot_line *line = &work->lines[i];

		line->site = new_row[line->site];
		work->keys[i] = -(double)line->site - 1 / (1 + line->figures.total_bytes.value);
	}
	snapshot_start_order(work, lines);
	sort_descending(work->order, lines, work->keys);
	sort_apply(work->order, lines, work->lines, sizeof(*work->lines));
	snapshot_find_held_lines(work);
	work->snapshot.sites = work->sites;
	work->snapshot.lines = work->lines;
}

/* Gives every frame on the way to `stack` its place, callers first. */
static void snapshot_place_frames(struct snapshot_work *work, uint32_t stack)
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
		row->site = work->row_of_function[frame.function] - 1; /* UINT32_MAX: none */
		snapshot_names(frame.function, &row->function, &row->file);
		row->line = frame.line;
		work->frame_of[way[depth]] = (uint32_t)work->snapshot.frame_count++;
	}
}

/* The row of a stack's context, made by the first of its stacks, which holds most. `number` is the
 * stack's. */
static uint32_t snapshot_context_row(struct snapshot_work *work, uint32_t number, uint32_t stack)
{
	uint32_t context = work->stacks[stack].context, own = contexts_own_frame(number);
	struct stack_frame leaf = stacks_frame(number), via = stacks_frame(own);
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
	snapshot_names(via.function, &row->via_function, &row->via_file);
	row->via_line = via.line;
	row->verdict = evidence_judge_context(work->evidence, context);
	work->row_of_context[context] = (uint32_t)work->snapshot.context_count;
	return work->row_of_context[context] - 1;
}

static void snapshot_add_to_context(struct snapshot_work *work, struct snapshot_stack *stack)
{
	struct snapshot_context *context;
	struct snapshot_site *site;

	if (stack->context == UINT32_MAX)
		return;
	context = &work->contexts[stack->context];
	site = &work->sites[context->site];
	snapshot_add_estimate(&context->live_bytes, &stack->live_bytes);
	snapshot_add_estimate(&context->live_count, &stack->live_count);
	if (site->context == UINT32_MAX ||
	    context->live_bytes.value > work->contexts[site->context].live_bytes.value)
		site->context = stack->context;
}

static void snapshot_build_stacks(struct snapshot_work *work)
{
	size_t count = work->snapshot.stack_count;

	for (size_t i = 0; i < count; i++)
		work->keys[i] = work->stacks[i].live_bytes.value;
	snapshot_start_order(work, count);
	sort_descending(work->order, count, work->keys);
	sort_apply(work->order, count, work->stacks, sizeof(*work->stacks));

	work->frames[0] = (struct snapshot_frame){.site = UINT32_MAX, .function = "", .file = ""};
	work->snapshot.frame_count = 1;
	for (size_t i = 0; i < count; i++) {
		struct snapshot_stack *stack = &work->stacks[i];

		snapshot_place_frames(work, stack->frame);
		stack->context = snapshot_context_row(work, stack->frame, (uint32_t)i);
		stack->frame = work->frame_of[stack->frame];
		snapshot_add_to_context(work, stack);
		stack->live_bytes.se = math_sqrt(stack->live_bytes.se);
		stack->live_count.se = math_sqrt(stack->live_count.se);
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

static void snapshot_add_alarm(struct snapshot_work *work, uint32_t site, uint32_t context)
{
	const struct verdict *verdict = context == UINT32_MAX ? &work->sites[site].verdict
							      : &work->contexts[context].verdict;

	if (!verdict_is_alarm(verdict->kind))
		return;
	work->keys[work->snapshot.alarm_count] = verdict->growth.low;
	work->alarms[work->snapshot.alarm_count++] =
		(struct snapshot_alarm){.site = site, .context = context};
}

/* What comes from free lists, by type. */
static void snapshot_build_pools(struct snapshot_work *work)
{
	for (uint32_t number = 1; number < contexts_end(); number++) {
		struct snapshot_pool *pool = &work->pools[work->snapshot.pool_count];

		if (contexts_at(number)->site != CONTEXTS_OF_TYPE)
			continue;
		pool->type = py_type_name((enum py_type)contexts_at(number)->via);
		pool->verdict = evidence_judge_context(work->evidence, number);
		pool->held_count = evidence_held_count(work->evidence, number);
		work->snapshot.pool_count++;
	}
	work->snapshot.pools = work->pools;
}

/* The contexts, and the sites of which no context says it better. */
static void snapshot_build_alarms(struct snapshot_work *work)
{
	for (uint32_t i = 0; i < work->snapshot.context_count; i++) {
		snapshot_add_alarm(work, work->contexts[i].site, i);
		if (verdict_is_alarm(work->contexts[i].verdict.kind))
			work->site_has_alarm[work->contexts[i].site] = true;
	}
	for (uint32_t i = 0; i < work->snapshot.site_count; i++) {
		if (!work->site_has_alarm[i])
			snapshot_add_alarm(work, i, UINT32_MAX);
	}
	snapshot_start_order(work, work->snapshot.alarm_count);
	sort_descending(work->order, work->snapshot.alarm_count, work->keys);
	sort_apply(work->order, work->snapshot.alarm_count, work->alarms, sizeof(*work->alarms));
	work->snapshot.alarms = work->alarms;
}

static void snapshot_add_owner(struct snapshot_map *owners, size_t *count, const char *owner,
			       uint64_t bytes)
{
	size_t i = 0;

	while (i < *count && strcmp(owners[i].owner, owner) != 0)
		i++;
	if (i == *count && *count == SNAPSHOT_OWNERS) {
		i = SNAPSHOT_OWNERS - 1;
		owners[i].owner = "<others>";
	} else if (i == *count) {
		owners[(*count)++] = (struct snapshot_map){.owner = owner};
	}
	owners[i].bytes += bytes;
	owners[i].count++;
}

static void snapshot_build_maps(struct snapshot_work *work)
{
	struct snapshot_map *owners = work->owners;
	struct map maps[64];
	size_t from = 0, copied, count = 0;

	while ((copied = maps_copy(from, maps, TL_COUNT_OF(maps))) > 0) {
		for (size_t i = 0; i < copied; i++) {
			const char *owner = "pymalloc arenas", *file;
			uint32_t site = sites_copy_line(maps[i].line).site;

			if (maps[i].kind == MAP_CHARGED)
				snapshot_names(sites_copy_life(site).function, &owner, &file);
			snapshot_add_owner(owners, &count, owner, maps_bytes(&maps[i]));
		}
		from += copied;
	}
	work->snapshot.maps = owners;
	work->snapshot.map_count = count;
}

static void snapshot_fill_process(struct snapshot_work *work,
				  const struct snapshot_identity *identity)
{
	struct snapshot *snapshot = &work->snapshot;
	struct proc_memory memory = proc_memory_read();
	struct recorder_losses losses = recorder_losses();
	struct sites_peak peak = sites_peak_now(work->now);
	double time = clock_epoch_s(), bytes = 0, bytes_variance = 0, count = 0, count_variance = 0;

	for (uint32_t line = 0; line < sites_lines_end(); line++) {
		bytes += work->live[line].bytes;
		bytes_variance += work->live[line].bytes_variance;
		count += work->live[line].count;
		count_variance += work->live[line].count_variance;
	}
	snapshot->pid = identity->pid;
	snapshot->is_forked_child = identity->is_forked_child;
	snapshot->process_start = identity->process_start;
	snapshot->time = time;
	snapshot->elapsed_s = recorder_elapsed_s();
	snapshot->dump = identity->dump;
	snapshot->is_final = identity->is_final;
	snapshot->hostname = identity->hostname;
	snapshot->job_name = config.job_name;
	snapshot->labels = config.labels;
	snapshot->python_version = identity->python_version;
	snapshot->program = identity->program;
	snapshot->sample_rate = sampler_rate_now();
	snapshot->sample_bytes = sampler_bytes_now();
	snapshot->min_size = sampler_min_size;
	snapshot->live_capacity = live_blocks_capacity();
	snapshot->lost_samples =
		losses.samples + losses.missed_frees + losses.reentrant + maps_lost();
	snapshot->thinned = live_blocks_thinned();
	snapshot->cut_stacks = stacks_refused();
	snapshot->other_sites = names_others() + sites_refused();
	snapshot->rss_bytes = memory.rss_bytes;
	snapshot->peak_rss_bytes = memory.peak_rss_bytes;
	snapshot->live_bytes = (struct estimate){bytes, math_sqrt(bytes_variance)};
	snapshot->live_count = (struct estimate){count, math_sqrt(count_variance)};
	snapshot->peak_live_bytes = (double)peak.peak;
	snapshot->peak_live_time = time - snapshot_seconds_since(work, peak.peak_tick);
	snapshot->agent_cpu_s = identity->agent_cpu_s;
	snapshot->agent_bytes = pages_resident_bytes();
}

/* All the memory that is wanted; what is never touched costs nothing. */
static struct snapshot_work *snapshot_prepare(void)
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
		work = snapshot_allocate(&memory, 1, sizeof(*work));
		struct snapshot_work parts = {
			.site_count = (uint32_t)sites,
			.live = snapshot_allocate(&memory, lines, sizeof(*work->live)),
			.sites = snapshot_allocate(&memory, sites, sizeof(*work->sites)),
			.row_of_site = snapshot_allocate(&memory, sites, sizeof(uint32_t)),
			.row_of_function = snapshot_allocate(&memory, functions, sizeof(uint32_t)),
			.intervals = snapshot_allocate(&memory, sites, sizeof(uint64_t)),
			.lines = snapshot_allocate(&memory, lines, sizeof(*work->lines)),
			.stacks = snapshot_allocate(&memory, stacks, sizeof(*work->stacks)),
			.row_of_stack = snapshot_allocate(&memory, stacks, sizeof(uint32_t)),
			.frame_of = snapshot_allocate(&memory, stacks, sizeof(uint32_t)),
			.frames = snapshot_allocate(&memory, stacks, sizeof(*work->frames)),
			.contexts =
				snapshot_allocate(&memory, CONTEXTS_MOST, sizeof(*work->contexts)),
			.row_of_context =
				snapshot_allocate(&memory, CONTEXTS_MOST, sizeof(uint32_t)),
			.site_has_alarm = snapshot_allocate(&memory, sites, sizeof(bool)),
			.alarms = snapshot_allocate(&memory, sites + CONTEXTS_MOST,
						    sizeof(*work->alarms)),
			.keys = snapshot_allocate(&memory, most_rows, sizeof(double)),
			.order = snapshot_allocate(&memory, most_rows, sizeof(uint32_t)),
		};
		if (round == 1)
			*work = parts;
	}
	work->memory = memory;
	return work;
}

TL_INTERNAL struct snapshot *snapshot_build(const struct snapshot_identity *identity)
{
	struct snapshot_work *work = snapshot_prepare();
	size_t copy_bytes = live_blocks_shard_slots() * sizeof(struct live_block);
	struct live_block *copy = pages_map(copy_bytes);

	if (work == NULL || copy == NULL) {
		snapshot_release((struct snapshot *)work);
		pages_unmap(copy, copy_bytes);
		return NULL;
	}
	names_resolve_natives();
	work->now = recorder_now();
	contexts_tick(work->now);
	work->evidence = evidence_open(work->now);
	snapshot_add_blocks(work, copy);
	pages_unmap(copy, copy_bytes);
	snapshot_add_maps(work);
	snapshot_sum_sites(work);
	snapshot_sort_sites(work);
	snapshot_build_stacks(work);
	snapshot_build_pools(work);
	evidence_close(work->evidence);
	snapshot_build_alarms(work);
	snapshot_build_maps(work);
	snapshot_fill_process(work, identity);
	snapshot_end_interval(work->now);
	return &work->snapshot;
}

TL_INTERNAL void snapshot_release(struct snapshot *snapshot)
{
	struct snapshot_work *work = (struct snapshot_work *)snapshot;

	if (work != NULL)
		pages_unmap(work->memory.start, work->memory.bytes);
}
