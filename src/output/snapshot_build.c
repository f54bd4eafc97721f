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
#include "../profile/live_blocks.h"
#include "../profile/maps.h"
#include "../profile/names.h"
#include "../profile/recorder.h"
#include "../profile/sampler.h"
#include "../profile/sites.h"
#include "../profile/stacks.h"

#include <string.h>

#define SNAPSHOT_INTERVALS 64
#define SNAPSHOT_DEEPEST   514
#define SNAPSHOT_OWNERS    64 /* of maps; the rest is one row */

static struct {
	uint32_t starts[SNAPSHOT_INTERVALS]; /* ticks at which an interval begins; the first is 0 */
	unsigned count;
	unsigned dumps_each, dumps_left;
} snapshot_intervals = {.count = 1, .dumps_each = 1, .dumps_left = 1};

/* What is alive of a line or stack, summed over its samples. */
struct snapshot_live {
	double bytes, bytes_variance, count, count_variance;
	uint64_t samples;
	uint32_t oldest, youngest; /* births, ticks */
	uint64_t intervals;        /* a bit for each that it was born in */
};

/* Sums of which the figures are made, for a line, or for all lines of a site. */
struct snapshot_sums {
	struct line_figures figures;
	struct snapshot_live live;
};

/* Memory for one snapshot: a mapping large enough for the largest, of which pages are touched as
 * needed. */
struct snapshot_memory {
	char *start;
	size_t used, bytes;
};

struct snapshot_work {
	struct snapshot snapshot; /* first: what the caller holds */
	struct snapshot_memory memory;
	uint32_t now;
	uint32_t site_count; /* sites that exist; more may come while we look */

	struct snapshot_live *lines; /* by line number */
	uint32_t *stack_of;          /* by stack number: 1 + place in stacks; 0: holds nothing */
	struct snapshot_live *stacks;
	uint32_t *stack_numbers;
	uint32_t stack_count;
	uint32_t *row_of_site; /* by site number: row + 1 */
	uint32_t *site_of_row;
	uint32_t *site_of_function; /* by function number: site number + 1 */
	uint32_t *frame_of;         /* by stack number: place among the frames */
	struct snapshot_frame *frames;
};

/* Zeroed; NULL when there is no room, which the size of the mapping rules out. */
static void *snapshot_allocate(struct snapshot_memory *memory, size_t count, size_t size)
{
	size_t bytes = (count * size + 63) & ~(size_t)63;
	void *part = memory->start + memory->used;

	if (memory->used + bytes > memory->bytes)
		return NULL;
	memory->used += bytes;
	return part;
}

static size_t snapshot_largest(size_t sites)
{
	size_t lines = sites_lines_end(), stacks = stacks_end(), functions = names_functions_end();

	return (1u << 20) +
	       lines * (sizeof(struct snapshot_live) + 2 * sizeof(struct snapshot_line) +
			sizeof(double) + sizeof(uint32_t)) +
	       sites * (sizeof(struct snapshot_site) + sizeof(struct snapshot_sums) +
			2 * sizeof(double) + 3 * sizeof(uint32_t)) +
	       stacks * (sizeof(struct snapshot_live) + sizeof(struct snapshot_stack) +
			 sizeof(struct snapshot_frame) + sizeof(double) + 4 * sizeof(uint32_t)) +
	       functions * sizeof(uint32_t) + live_blocks_shard_slots() * sizeof(struct live_block);
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

/* A Horvitz-Thompson term: w k, with variance w^2 (1 - p) k^2. The growth of a block adds bytes,
 * not a block. */
static void snapshot_add_live(struct snapshot_live *live, uint64_t size, double probability,
			      bool is_growth, uint32_t birth)
{
	double weight = 1 / probability, variance = weight * weight * (1 - probability);

	live->bytes += weight * (double)size;
	live->bytes_variance += variance * (double)size * (double)size;
	if (!is_growth) {
		live->count += weight;
		live->count_variance += variance;
	}
	if (live->samples == 0 || birth < live->oldest)
		live->oldest = birth;
	if (birth > live->youngest)
		live->youngest = birth;
	live->samples++;
}

static void snapshot_add_sample(struct snapshot_work *work, uint32_t line, uint32_t stack,
				uint64_t size, double probability, bool is_growth, uint32_t birth)
{
	uint32_t place = work->stack_of[stack];

	snapshot_add_live(&work->lines[line], size, probability, is_growth, birth);
	work->lines[line].intervals |= UINT64_C(1) << snapshot_interval_of(birth);
	if (stack == STACKS_ROOT)
		return;
	if (place == 0) {
		place = ++work->stack_count;
		work->stack_of[stack] = place;
		work->stack_numbers[place - 1] = stack;
	}
	snapshot_add_live(&work->stacks[place - 1], size, probability, is_growth, birth);
}

static void snapshot_add_blocks(struct snapshot_work *work, struct live_block *copy)
{
	for (size_t shard = 0; shard < live_blocks_shards(); shard++) {
		size_t count = live_blocks_copy_shard(shard, copy);

		work->snapshot.live_samples += count;
		for (size_t i = 0; i < count; i++)
			snapshot_add_sample(work, copy[i].line, copy[i].stack, copy[i].size,
					    (double)copy[i].probability,
					    (copy[i].flags & LIVE_IS_GROWTH) != 0, copy[i].birth);
	}
}

static void snapshot_add_maps(struct snapshot_work *work)
{
	struct map maps[64];
	size_t from = 0, count;

	while ((count = maps_copy(from, maps, TL_COUNT_OF(maps))) > 0) {
		for (size_t i = 0; i < count; i++) {
			if (maps[i].kind == MAP_CHARGED)
				snapshot_add_sample(work, maps[i].line, maps[i].stack,
						    maps_bytes(&maps[i]), 1, maps[i].is_rest,
						    maps[i].birth);
		}
		from += count;
	}
}

static struct estimate snapshot_estimate(double value, double variance)
{
	return (struct estimate){.value = value, .se = math_sqrt(variance)};
}

static double snapshot_retention(double live, double freed, uint64_t samples)
{
	if (samples == 0 || !(live + freed > 0))
		return (double)__builtin_nanf("");
	return live / (live + freed);
}

static struct site_figures snapshot_figures(const struct snapshot_sums *sums)
{
	const struct line_figures *f = &sums->figures;
	const struct snapshot_live *live = &sums->live;

	return (struct site_figures){
		.counted = f->counted,
		.counted_bytes = f->counted_bytes,
		.count = snapshot_estimate((double)f->counted + f->small_count,
					   f->small_count_variance),
		.total_bytes = snapshot_estimate((double)f->counted_bytes + f->small_bytes,
						 f->small_bytes_variance),
		.largest = f->largest,
		.sample_count = f->samples,
		.sample_bytes = f->sample_bytes,
		.freed_samples = f->freed_samples,
		.freed_sample_bytes = f->freed_sample_bytes,
		.retention = snapshot_retention(live->bytes, f->freed_bytes, f->samples),
		.live_bytes = snapshot_estimate(live->bytes, live->bytes_variance),
		.live_count = snapshot_estimate(live->count, live->count_variance),
	};
}

static void snapshot_add_sums(struct snapshot_sums *to, const struct snapshot_sums *from)
{
	to->figures.counted += from->figures.counted;
	to->figures.counted_bytes += from->figures.counted_bytes;
	if (from->figures.largest > to->figures.largest)
		to->figures.largest = from->figures.largest;
	to->figures.samples += from->figures.samples;
	to->figures.sample_bytes += from->figures.sample_bytes;
	to->figures.freed_samples += from->figures.freed_samples;
	to->figures.freed_sample_bytes += from->figures.freed_sample_bytes;
	to->figures.small_count += from->figures.small_count;
	to->figures.small_bytes += from->figures.small_bytes;
	to->figures.small_count_variance += from->figures.small_count_variance;
	to->figures.small_bytes_variance += from->figures.small_bytes_variance;
	to->figures.freed_bytes += from->figures.freed_bytes;
	to->live.bytes += from->live.bytes;
	to->live.bytes_variance += from->live.bytes_variance;
	to->live.count += from->live.count;
	to->live.count_variance += from->live.count_variance;
	to->live.samples += from->live.samples;
	to->live.intervals |= from->live.intervals;
}

/* Function and file as they are shown. */
static void snapshot_names(uint32_t function, const char **name, const char **file,
			   enum site_kind *kind)
{
	const struct function *known = names_function(function);

	*kind = known->kind == FUNCTION_PYTHON   ? SITE_PYTHON
		: known->kind == FUNCTION_NATIVE ? SITE_NATIVE
						 : SITE_OTHERS;
	*name = *kind == SITE_OTHERS ? "<other functions>" : names_text(known->name);
	*file = names_text(known->file);
}

static void snapshot_fill_site(struct snapshot_work *work, struct snapshot_site *row, uint32_t site,
			       const struct snapshot_sums *sums, uint32_t line)
{
	struct site_life life = sites_copy_life(site);

	snapshot_names(life.function, &row->function, &row->file, &row->kind);
	row->first_line = names_function(life.function)->first_line;
	row->line = line;
	row->figures = snapshot_figures(sums);
	row->peak_live_bytes = (double)life.peak_live;
	row->generations = (uint32_t)__builtin_popcountll(sums->live.intervals);
	row->last_free_s = life.last_free == 0
				   ? (double)__builtin_nanf("")
				   : (double)(work->now - (life.last_free - 1)) / CLOCK_TICKS_PER_S;
	memcpy(row->lifetimes, life.lifetimes, sizeof(row->lifetimes));
}

/* Lines and sites, sorted. `sums` and `keys` have room for every line and site number. */
static void snapshot_build_sites(struct snapshot_work *work, struct snapshot_sums *sites,
				 uint32_t *best_line, double *best_bytes, double *keys,
				 uint32_t *order)
{
	uint32_t lines_end = sites_lines_end(), rows = 0, line_rows = 0;
	struct snapshot_line *lines = snapshot_allocate(&work->memory, lines_end, sizeof(*lines));

	for (uint32_t number = 0; number < lines_end; number++) {
		struct snapshot_sums line = {.figures = sites_copy_line(number),
					     .live = work->lines[number]};
		uint32_t site = line.figures.site;

		if ((line.figures.counted == 0 && line.figures.samples == 0) ||
		    site >= work->site_count)
			continue;
		lines[line_rows] = (struct snapshot_line){.site = site,
							  .line = line.figures.line,
							  .figures = snapshot_figures(&line)};
		if (lines[line_rows].figures.total_bytes.value > best_bytes[site] ||
		    best_bytes[site] == 0) {
			best_bytes[site] = lines[line_rows].figures.total_bytes.value;
			best_line[site] = line.figures.line;
		}
		line_rows++;
		snapshot_add_sums(&sites[site], &line);
	}

	for (uint32_t site = 0; site < work->site_count; site++) {
		if (sites[site].figures.counted > 0 || sites[site].figures.samples > 0) {
			keys[site] = (double)sites[site].figures.counted_bytes +
				     sites[site].figures.small_bytes;
			order[rows++] = site;
		}
	}
	sort_descending(order, rows, keys);

	struct snapshot_site *table = snapshot_allocate(&work->memory, rows, sizeof(*table));

	for (uint32_t row = 0; row < rows; row++) {
		uint32_t site = order[row];

		snapshot_fill_site(work, &table[row], site, &sites[site], best_line[site]);
		work->row_of_site[site] = row + 1;
		work->site_of_function[sites_copy_life(site).function] = site + 1;
	}

	/* Lines by their site's row, then by bytes: one key of two parts, the second below 1. */
	double *line_keys = snapshot_allocate(&work->memory, line_rows, sizeof(double));
	uint32_t *line_order = snapshot_allocate(&work->memory, line_rows, sizeof(uint32_t));
	struct snapshot_line *sorted = snapshot_allocate(&work->memory, line_rows, sizeof(*sorted));

	for (uint32_t i = 0; i < line_rows; i++) {
		lines[i].site = work->row_of_site[lines[i].site] - 1;
		line_keys[i] =
			-(double)lines[i].site - 1 / (1 + lines[i].figures.total_bytes.value);
		line_order[i] = i;
	}
	sort_descending(line_order, line_rows, line_keys);
	for (uint32_t i = 0; i < line_rows; i++)
		sorted[i] = lines[line_order[i]];

	work->snapshot.sites = table;
	work->snapshot.site_count = rows;
	work->snapshot.lines = sorted;
	work->snapshot.line_count = line_rows;
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
		uint32_t site = work->site_of_function[frame.function];
		struct snapshot_frame *row = &work->frames[work->snapshot.frame_count];
		enum site_kind kind;

		row->parent = work->frame_of[frame.caller];
		row->site = site != 0 && work->row_of_site[site - 1] != 0
				    ? work->row_of_site[site - 1] - 1
				    : UINT32_MAX;
		snapshot_names(frame.function, &row->function, &row->file, &kind);
		row->line = frame.line;
		work->frame_of[way[depth]] = (uint32_t)work->snapshot.frame_count++;
	}
}

static void snapshot_build_stacks(struct snapshot_work *work)
{
	double *keys = snapshot_allocate(&work->memory, work->stack_count, sizeof(double));
	uint32_t *order = snapshot_allocate(&work->memory, work->stack_count, sizeof(uint32_t));
	struct snapshot_stack *rows =
		snapshot_allocate(&work->memory, work->stack_count, sizeof(*rows));

	for (uint32_t i = 0; i < work->stack_count; i++) {
		keys[i] = work->stacks[i].bytes;
		order[i] = i;
	}
	sort_descending(order, work->stack_count, keys);

	work->frames[0] = (struct snapshot_frame){.site = UINT32_MAX, .function = "", .file = ""};
	work->snapshot.frames = work->frames;
	work->snapshot.frame_count = 1;
	for (uint32_t i = 0; i < work->stack_count; i++) {
		const struct snapshot_live *live = &work->stacks[order[i]];
		uint32_t stack = work->stack_numbers[order[i]];

		snapshot_place_frames(work, stack);
		rows[i] = (struct snapshot_stack){
			.frame = work->frame_of[stack],
			.live_bytes = snapshot_estimate(live->bytes, live->bytes_variance),
			.live_count = snapshot_estimate(live->count, live->count_variance),
			.live_samples = live->samples,
			.oldest_s = (double)(work->now - live->oldest) / CLOCK_TICKS_PER_S,
			.youngest_s = (double)(work->now - live->youngest) / CLOCK_TICKS_PER_S,
		};
	}
	work->snapshot.stacks = rows;
	work->snapshot.stack_count = work->stack_count;
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
	struct snapshot_map *owners =
		snapshot_allocate(&work->memory, SNAPSHOT_OWNERS, sizeof(*owners));
	struct map maps[64];
	size_t from = 0, copied, count = 0;

	while ((copied = maps_copy(from, maps, TL_COUNT_OF(maps))) > 0) {
		for (size_t i = 0; i < copied; i++) {
			const char *owner = "pymalloc arenas", *file;
			enum site_kind kind;

			if (maps[i].kind == MAP_CHARGED)
				snapshot_names(sites_copy_life(sites_copy_line(maps[i].line).site)
						       .function,
					       &owner, &file, &kind);
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
		bytes += work->lines[line].bytes;
		bytes_variance += work->lines[line].bytes_variance;
		count += work->lines[line].count;
		count_variance += work->lines[line].count_variance;
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
	snapshot->live_bytes = snapshot_estimate(bytes, bytes_variance);
	snapshot->live_count = snapshot_estimate(count, count_variance);
	snapshot->peak_live_bytes = (double)peak.peak;
	snapshot->peak_live_time = time - (double)(work->now - peak.peak_tick) / CLOCK_TICKS_PER_S;
	snapshot->agent_cpu_s = identity->agent_cpu_s;
	snapshot->agent_bytes = pages_resident_bytes();
}

/* All the memory that is wanted, in the order of its use; what is never touched costs nothing. */
static struct snapshot_work *snapshot_prepare(void)
{
	uint32_t stacks = stacks_end(), sites = sites_end();
	struct snapshot_memory memory = {.bytes = snapshot_largest(sites)};
	struct snapshot_work *work;

	memory.start = pages_map(memory.bytes);
	if (memory.start == NULL)
		return NULL;
	work = snapshot_allocate(&memory, 1, sizeof(*work));
	work->lines = snapshot_allocate(&memory, sites_lines_end(), sizeof(struct snapshot_live));
	work->stack_of = snapshot_allocate(&memory, stacks, sizeof(uint32_t));
	work->stacks = snapshot_allocate(&memory, stacks, sizeof(struct snapshot_live));
	work->stack_numbers = snapshot_allocate(&memory, stacks, sizeof(uint32_t));
	work->frame_of = snapshot_allocate(&memory, stacks, sizeof(uint32_t));
	work->frames = snapshot_allocate(&memory, stacks, sizeof(struct snapshot_frame));
	work->row_of_site = snapshot_allocate(&memory, sites, sizeof(uint32_t));
	work->site_of_function =
		snapshot_allocate(&memory, names_functions_end(), sizeof(uint32_t));
	work->memory = memory;
	work->site_count = sites;
	return work;
}

TL_INTERNAL struct snapshot *snapshot_build(const struct snapshot_identity *identity)
{
	struct snapshot_work *work = snapshot_prepare();

	if (work == NULL)
		return NULL;

	struct live_block *copy = snapshot_allocate(&work->memory, live_blocks_shard_slots(),
						    sizeof(struct live_block));
	uint32_t sites = work->site_count;
	struct snapshot_sums *sums = snapshot_allocate(&work->memory, sites, sizeof(*sums));
	uint32_t *best_line = snapshot_allocate(&work->memory, sites, sizeof(uint32_t));
	double *best_bytes = snapshot_allocate(&work->memory, sites, sizeof(double));
	double *keys = snapshot_allocate(&work->memory, sites, sizeof(double));
	uint32_t *order = snapshot_allocate(&work->memory, sites, sizeof(uint32_t));

	names_resolve_natives();
	work->now = recorder_now();
	snapshot_add_blocks(work, copy);
	snapshot_add_maps(work);
	snapshot_build_sites(work, sums, best_line, best_bytes, keys, order);
	snapshot_build_stacks(work);
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
