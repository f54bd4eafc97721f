/* DESIGN
 *     (site, via) --hash, linear probing--> context        function --> is it own code? (a byte)
 * The hooks know nothing of contexts: an epoch is taken by looking at all live samples, once a
 * second at first and ever more rarely. That costs the hooks no time and the profile one row of
 * 144 bytes for a context that holds something, and it can ask for the age, which a running sum
 * could not: what lives shorter than OLDER is noise here.
 *
 * Sampling errors are not kept with each epoch: what matters is the error of a difference, and that
 * follows from what came and went (analysis/growth).
 */
#include "contexts.h"

#include "../base/clock.h"
#include "../base/pages.h"
#include "../process/config.h"
#include "../process/own_code.h"
#include "../process/py_type.h"
#include "maps.h"
#include "names.h"
#include "sites.h"
#include "stacks.h"

#include <string.h>

#define CONTEXTS_SLOTS 8192u

enum { CONTEXTS_NOT_LOOKED, CONTEXTS_OWN, CONTEXTS_LIBRARY };

static struct {
	struct context *rows;
	uint16_t *slots; /* numbers of rows; 0: none */
	uint8_t *owners; /* by function: whose code */
	uint32_t used;   /* rows, the unused 0 included */
	uint32_t ticks[CONTEXTS_EPOCHS];
	unsigned epochs;
	uint32_t period; /* ticks */
	uint32_t baseline;
} contexts;

static void contexts_begin(void)
{
	contexts.used = 1;
	contexts.epochs = 0;
	contexts.period = CLOCK_TICKS_PER_S;
	contexts.baseline = 0;
}

TL_INTERNAL enum tl_err contexts_start(void)
{
	contexts.rows = pages_map(CONTEXTS_MOST * sizeof(struct context));
	contexts.slots = pages_map(CONTEXTS_SLOTS * sizeof(uint16_t));
	contexts.owners = pages_map(names_functions_end());
	contexts_begin();
	return contexts.rows == NULL || contexts.slots == NULL || contexts.owners == NULL
		       ? TL_ERR_SYSTEM
		       : TL_OK;
}

TL_INTERNAL void contexts_reset_in_child(void)
{
	pages_clear(contexts.rows, CONTEXTS_MOST * sizeof(struct context));
	pages_clear(contexts.slots, CONTEXTS_SLOTS * sizeof(uint16_t));
	pages_clear(contexts.owners, names_functions_end());
	contexts_begin();
}

static bool contexts_is_own(uint32_t number)
{
	if (contexts.owners[number] == CONTEXTS_NOT_LOOKED) {
		const struct function *function = names_function(number);
		bool is_own = function->kind == FUNCTION_PYTHON &&
			      own_code_is(names_text(function->file));

		contexts.owners[number] = is_own ? CONTEXTS_OWN : CONTEXTS_LIBRARY;
	}
	return contexts.owners[number] == CONTEXTS_OWN;
}

TL_INTERNAL uint32_t contexts_own_frame(uint32_t stack)
{
	stack = stacks_blamed(stack);
	while (stack != STACKS_ROOT && !contexts_is_own(stacks_frame(stack).function))
		stack = stacks_blamed(stacks_frame(stack).caller);
	return stack;
}

static uint32_t contexts_via(uint32_t stack)
{
	uint32_t own = contexts_own_frame(stack);

	return own == STACKS_ROOT || own == stacks_blamed(stack) ? NAMES_OTHERS
								 : stacks_frame(own).function;
}

TL_INTERNAL uint32_t contexts_of(uint32_t line, uint32_t stack, unsigned type)
{
	bool is_uncertain = py_type_is_uncertain(type);
	uint32_t site = is_uncertain ? CONTEXTS_OF_TYPE : sites_site_of_line(line);
	uint32_t via = is_uncertain ? type : contexts_via(stack), slot;

	slot = (site * 0x9e3779b1u ^ via * 0x85ebca6bu) >> 16;
	for (slot %= CONTEXTS_SLOTS; contexts.slots[slot] != 0;
	     slot = (slot + 1) % CONTEXTS_SLOTS) {
		const struct context *row = &contexts.rows[contexts.slots[slot]];

		if (row->site == site && row->via == via)
			return contexts.slots[slot];
	}
	if (contexts.used == CONTEXTS_MOST)
		return CONTEXTS_NONE;
	contexts.rows[contexts.used].site = site;
	contexts.rows[contexts.used].via = via;
	contexts.slots[slot] = (uint16_t)contexts.used;
	return contexts.used++;
}

TL_INTERNAL const struct context *contexts_at(uint32_t number)
{
	return &contexts.rows[number];
}

TL_INTERNAL uint32_t contexts_end(void)
{
	return contexts.used;
}

TL_INTERNAL unsigned contexts_epochs(const uint32_t **ticks)
{
	*ticks = contexts.ticks;
	return contexts.epochs;
}

TL_INTERNAL uint32_t contexts_older(void)
{
	double ticks = config.older_s * CLOCK_TICKS_PER_S;

	return ticks < 1 ? 1 : ticks > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)ticks;
}

/* Of two neighbours the later one stays. */
static void contexts_drop_every_other(void)
{
	for (unsigned i = 0; i < CONTEXTS_EPOCHS / 2; i++)
		contexts.ticks[i] = contexts.ticks[2 * i + 1];
	for (uint32_t row = 1; row < contexts.used; row++) {
		float *held = contexts.rows[row].held;

		for (unsigned i = 0; i < CONTEXTS_EPOCHS / 2; i++)
			held[i] = held[2 * i + 1];
		memset(held + CONTEXTS_EPOCHS / 2, 0, CONTEXTS_EPOCHS / 2 * sizeof(*held));
	}
	contexts.epochs = CONTEXTS_EPOCHS / 2;
	contexts.period *= 2;
}

/* Into the epoch that is being made, if it is old enough. */
static void contexts_add(const struct live_block *sample, uint32_t now)
{
	uint32_t number;

	if (sample->birth + contexts_older() > now || sample->birth < contexts.baseline)
		return;
	number = contexts_of(sample->line, sample->stack, live_blocks_type(sample));
	if (number != CONTEXTS_NONE)
		contexts.rows[number].held[contexts.epochs] +=
			(float)((double)sample->size / (double)sample->probability);
}

static void contexts_add_maps(uint32_t now)
{
	struct map maps[64];
	size_t from = 0, count;

	while ((count = maps_copy(from, maps, TL_COUNT_OF(maps))) > 0) {
		for (size_t i = 0; i < count; i++) {
			struct live_block sample = {
				.size = live_size(maps_bytes(&maps[i])) & LIVE_LARGEST,
				.probability = 1,
				.line = maps[i].line,
				.stack = maps[i].stack,
				.birth = maps[i].birth,
			};

			if (maps[i].kind == MAP_CHARGED)
				contexts_add(&sample, now);
		}
		from += count;
	}
}

static bool contexts_add_all(uint32_t now)
{
	size_t bytes = live_blocks_shard_slots() * sizeof(struct live_block);
	struct live_block *copy = pages_map(bytes);

	if (copy == NULL)
		return false;
	classes_begin_round();
	for (size_t shard = 0; shard < live_blocks_shards(); shard++) {
		size_t count;

		live_blocks_find_types(shard, now - contexts_older());
		count = live_blocks_copy_shard(shard, copy);
		for (size_t i = 0; i < count; i++)
			contexts_add(&copy[i], now);
	}
	pages_unmap(copy, bytes);
	contexts_add_maps(now);
	return true;
}

TL_INTERNAL void contexts_rebase(uint32_t tick)
{
	contexts.baseline = tick;
	contexts.epochs = 0;
	contexts.period = CLOCK_TICKS_PER_S;
	for (uint32_t row = 1; row < contexts.used; row++) {
		struct context *context = &contexts.rows[row];

		context->has_begun = false;
		memset(context->held, 0, sizeof(context->held));
	}
}

TL_INTERNAL uint32_t contexts_baseline(void)
{
	return contexts.baseline;
}

TL_INTERNAL void contexts_tick(uint32_t now)
{
	unsigned epochs = contexts.epochs;
	uint32_t last = epochs > 0 ? contexts.ticks[epochs - 1] : contexts.baseline;

	/* The worker's second is never quite one. */
	if (now < contexts.baseline + contexts_older() ||
	    now < last + contexts.period - CLOCK_TICKS_PER_S / 10)
		return;
	if (epochs == CONTEXTS_EPOCHS) {
		contexts_drop_every_other();
		epochs = contexts.epochs;
	}
	if (!contexts_add_all(now))
		return;
	for (uint32_t row = 1; row < contexts.used; row++) {
		struct context *context = &contexts.rows[row];

		if (!context->has_begun && context->held[epochs] > 0) {
			context->has_begun = true;
			context->begin = last;
		}
	}
	contexts.ticks[epochs] = now;
	contexts.epochs = epochs + 1;
}
