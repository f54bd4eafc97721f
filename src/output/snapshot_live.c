/* DESIGN: Horvitz-Thompson sums over the live samples, a shard at a time, and over the charged
 * maps, which are samples of probability 1.
 *
 * Generations are counted by dumps: a live sample belongs to the interval between two dumps it was
 * born in. 64 intervals span the whole life: when they are used up, neighbours are joined, and from
 * then on every second dump begins one.
 */
#include "snapshot_live.h"

#include "../base/clock.h"
#include "../base/pages.h"
#include "../profile/contexts.h"
#include "../profile/live_blocks.h"
#include "../profile/maps.h"
#include "../profile/sites.h"
#include "../profile/stacks.h"
#include "evidence.h"
#include "snapshot_work.h"

#define SNAPSHOT_INTERVALS 64

static struct {
	uint32_t starts[SNAPSHOT_INTERVALS]; /* ticks at which an interval begins; the first is 0 */
	unsigned count;
	unsigned dumps_each, dumps_left;
} snapshot_live_intervals = {.count = 1, .dumps_each = 1, .dumps_left = 1};

static unsigned snapshot_live_interval_of(uint32_t birth)
{
	unsigned low = 0, high = snapshot_live_intervals.count;

	while (high - low > 1) {
		unsigned middle = (low + high) / 2;

		if (snapshot_live_intervals.starts[middle] <= birth)
			low = middle;
		else
			high = middle;
	}
	return low;
}

TL_INTERNAL void snapshot_live_end_interval(uint32_t now)
{
	if (--snapshot_live_intervals.dumps_left > 0)
		return;
	if (snapshot_live_intervals.count == SNAPSHOT_INTERVALS) {
		for (unsigned i = 0; i < SNAPSHOT_INTERVALS / 2; i++)
			snapshot_live_intervals.starts[i] = snapshot_live_intervals.starts[2 * i];
		snapshot_live_intervals.count /= 2;
		snapshot_live_intervals.dumps_each *= 2;
	}
	snapshot_live_intervals.starts[snapshot_live_intervals.count++] = now;
	snapshot_live_intervals.dumps_left = snapshot_live_intervals.dumps_each;
}

TL_INTERNAL void snapshot_live_reset_in_child(void)
{
	snapshot_live_intervals.count = snapshot_live_intervals.dumps_each =
		snapshot_live_intervals.dumps_left = 1;
}

/* A sample of a line and a stack. */
struct snapshot_live_sample {
	uint32_t line, stack, birth;
	unsigned type; /* a number of classes.h */
	uint64_t size;
	double probability;
	bool is_growth; /* it adds bytes, not a block */
	bool is_python; /* of CPython's layer */
	bool is_map;
};

/* Adds a term, all of it or none, to what was born since the baseline. */
static void snapshot_live_add_since(struct estimate *bytes, struct estimate *count,
				    const struct snapshot_live *term, uint32_t birth)
{
	if (contexts_baseline() == 0 || birth < contexts_baseline())
		return;
	bytes->value += term->bytes;
	bytes->se += term->bytes_variance;
	count->value += term->count;
	count->se += term->count_variance;
}

static void snapshot_live_add_to_stack(struct snapshot_work *work,
				       const struct snapshot_live_sample *sample, uint32_t context,
				       const struct snapshot_live *term)
{
	float age_s = (float)snapshot_work_seconds_since(work, sample->birth);
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
	snapshot_live_add_since(&stack->since_bytes, &stack->since_count, term, sample->birth);
	stack->oldest_s = age_s > stack->oldest_s ? age_s : stack->oldest_s;
	stack->youngest_s = age_s < stack->youngest_s ? age_s : stack->youngest_s;
}

/* Horvitz-Thompson terms: w k, with variance w^2 (1 - p) k^2. */
static void snapshot_live_add_sample(struct snapshot_work *work,
				     const struct snapshot_live_sample *sample)
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

	if (sample->is_python)
		work->python_live += term.bytes;
	else if (!sample->is_map)
		work->libc_live += term.bytes;
	line->bytes += term.bytes;
	line->bytes_variance += term.bytes_variance;
	line->count += term.count;
	line->count_variance += term.count_variance;
	snapshot_live_add_since(&line->since_bytes, &line->since_count, &term, sample->birth);
	line->intervals |= UINT64_C(1) << snapshot_live_interval_of(sample->birth);
	snapshot_live_add_to_stack(work, sample, context, &term);
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

static void snapshot_live_add_blocks(struct snapshot_work *work, struct live_block *copy)
{
	classes_begin_round();
	for (size_t shard = 0; shard < live_blocks_shards(); shard++) {
		size_t count;

		if (work->now > contexts_older())
			live_blocks_find_types(shard, work->now - contexts_older());
		count = live_blocks_copy_shard(shard, copy);
		work->snapshot.live_samples += count;
		for (size_t i = 0; i < count; i++)
			snapshot_live_add_sample(
				work, &(struct snapshot_live_sample){
					      .line = copy[i].line,
					      .stack = copy[i].stack,
					      .birth = copy[i].birth,
					      .type = live_blocks_type(&copy[i]),
					      .size = copy[i].size,
					      .probability = (double)copy[i].probability,
					      .is_growth = copy[i].flags & LIVE_IS_GROWTH,
					      .is_python = copy[i].flags & LIVE_IS_PYTHON,
				      });
	}
}

static void snapshot_live_add_maps(struct snapshot_work *work)
{
	struct map maps[64];
	size_t from = 0, count;

	while ((count = maps_copy(from, maps, TL_COUNT_OF(maps))) > 0) {
		for (size_t i = 0; i < count; i++) {
			if (maps[i].kind == MAP_CHARGED)
				snapshot_live_add_sample(work, &(struct snapshot_live_sample){
								       .line = maps[i].line,
								       .stack = maps[i].stack,
								       .birth = maps[i].birth,
								       .size = maps_bytes(&maps[i]),
								       .probability = 1,
								       .is_growth = maps[i].is_rest,
								       .is_map = true,
							       });
		}
		from += count;
	}
}

TL_INTERNAL enum tl_err snapshot_live_gather(struct snapshot_work *work)
{
	size_t copy_bytes = live_blocks_shard_slots() * sizeof(struct live_block);
	struct live_block *copy = pages_map(copy_bytes);

	if (copy == NULL)
		return TL_ERR_SYSTEM;
	snapshot_live_add_blocks(work, copy);
	pages_unmap(copy, copy_bytes);
	snapshot_live_add_maps(work);
	return TL_OK;
}
