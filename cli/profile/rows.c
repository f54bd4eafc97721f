/* DESIGN: figures that the profile has by function or by line are summed from there, because they
 * are exact and complete. What asks for single stacks (by stack, --older, sizes, include, exclude)
 * is summed from the stacks, which know only what is alive. A row's key is text, the same for the
 * same thing in any snapshot, so that two can be compared.
 */
#include "rows.h"

#include "../base/fail.h"
#include "../base/keep.h"
#include "../base/lookup.h"
#include "../base/region.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_NATIVE "<native "

struct rows_maker {
	const struct profile *profile;
	const struct rows_choice *choice;
	struct rows rows;
	struct lookup lookup;
	uint64_t *stack_hashes; /* by frame; NULL: rows are no stacks */
};

const char *rows_module(const char *name, const char *file)
{
	const char *module = file;

	if (strncmp(name, ROWS_NATIVE, sizeof(ROWS_NATIVE) - 1) == 0) {
		char *native = region_copy(name + sizeof(ROWS_NATIVE) - 1);

		native[strcspn(native, "+>")] = '\0';
		return native;
	}
	/* The package: the folder below site-packages, or the file's own name. */
	for (const char *mark = strstr(file, "-packages/"); mark != NULL;
	     mark = strstr(module, "-packages/"))
		module = mark + strlen("-packages/");
	if (module != file) {
		char *package = region_copy(module);

		package[strcspn(package, "/")] = '\0';
		return package;
	}
	module = strrchr(file, '/');
	module = module == NULL ? file : module + 1;
	return module[0] != '\0' ? module : name;
}

static struct row *rows_at(struct rows_maker *maker, char *key)
{
	struct rows *rows = &maker->rows;
	size_t at = lookup_put(&maker->lookup, key, rows->count);

	if (at < rows->count)
		return &rows->rows[at];
	rows->rows = region_grow(rows->rows, rows->count, &rows->room, sizeof(struct row));
	rows->rows[rows->count] = (struct row){
		.key = key,
		.name = "",
		.file = "",
		.figures.retention = NAN,
		.growth = NAN,
		.growth_low = NAN,
		.growth_high = NAN,
		.oldest_s = NAN,
		.youngest_s = NAN,
	};
	return &rows->rows[rows->count++];
}

/* The row of a place, by the grouping that is asked for. */
static struct row *rows_of_place(struct rows_maker *maker, const char *name, const char *file,
				 uint32_t first_line, uint32_t line)
{
	struct row *row;
	const char *module;

	switch (maker->choice->by) {
	case ROWS_FILE:
		row = rows_at(maker, region_copy(file[0] != '\0' ? file : rows_module(name, file)));
		row->file = row->key;
		return row;
	case ROWS_MODULE:
		module = rows_module(name, file);
		row = rows_at(maker, region_copy(module));
		row->file = row->key;
		return row;
	case ROWS_LINE:
		row = rows_at(maker, region_text("%s:%u:%s", file, line, name));
		row->line = line;
		break;
	default:
		row = rows_at(maker, region_text("%s:%u:%s", file, first_line, name));
		row->line = row->line == 0 ? line : row->line;
	}
	row->name = name;
	row->file = file;
	return row;
}

static void rows_judge(struct row *row, const struct profile_function *function)
{
	if (row->function == NULL ||
	    profile_verdict_rank(function->verdict) > profile_verdict_rank(row->function->verdict))
		row->function = function;
}

static bool rows_is_leak(const struct profile_function *function)
{
	return profile_verdict_rank(function->verdict) >= profile_verdict_rank("growing");
}

static void rows_add_function(struct rows_maker *maker, const struct profile_function *function)
{
	struct row *row;

	if (maker->choice->by == ROWS_LINE && function->line_count > 0) {
		for (size_t i = 0; i < function->line_count; i++) {
			row = rows_of_place(maker, function->name, function->file,
					    function->first_line, function->lines[i].line);
			profile_add_figures(&row->figures, &function->lines[i].figures);
			row->peak_live_bytes = NAN;
			rows_judge(row, function);
		}
		return;
	}
	row = rows_of_place(maker, function->name, function->file, function->first_line,
			    function->line);
	profile_add_figures(&row->figures, &function->figures);
	row->peak_live_bytes += function->peak_live_bytes;
	row->uncertain_bytes += function->uncertain_bytes;
	row->growth = profile_sum(row->growth, function->growth);
	row->growth_low = profile_sum(row->growth_low, function->growth_low);
	row->growth_high = profile_sum(row->growth_high, function->growth_high);
	rows_judge(row, function);
}

/* Has a stack that ends here a frame that matches? Parents stand before their children. */
static bool *rows_match_frames(const struct profile *profile, const regex_t *regex)
{
	bool *matches = region_alloc(profile->frame_count, sizeof(*matches));

	for (size_t i = 1; i < profile->frame_count; i++) {
		const struct profile_frame *frame = &profile->frames[i];
		char *text;

		matches[i] = matches[frame->parent];
		if (matches[i])
			continue;
		text = keep_text("%s %s", frame->name, frame->file);
		matches[i] = regexec(regex, text, 0, NULL, 0) == 0;
		free(text);
	}
	return matches;
}

static bool rows_wants_stack(const struct profile *profile, const struct profile_stack *stack,
			     const struct rows_choice *choice)
{
	const struct profile_function *function = profile_blame(profile, stack).function;
	double size =
		stack->live_count.value > 0 ? stack->live_bytes.value / stack->live_count.value : 0;

	if (stack->oldest_s < choice->older_s || size < choice->min_size || size > choice->max_size)
		return false;
	return !choice->leaks || (function != NULL && rows_is_leak(function));
}

bool *rows_wanted_stacks(const struct profile *profile, const struct rows_choice *choice)
{
	bool *wanted = region_alloc(profile->stack_count, sizeof(*wanted)), *in = NULL, *out = NULL;

	if (choice->include != NULL)
		in = rows_match_frames(profile, choice->include);
	if (choice->exclude != NULL)
		out = rows_match_frames(profile, choice->exclude);
	for (size_t i = 0; i < profile->stack_count; i++) {
		const struct profile_stack *stack = &profile->stacks[i];

		wanted[i] = rows_wants_stack(profile, stack, choice) &&
			    (in == NULL || in[stack->frame]) && (out == NULL || !out[stack->frame]);
	}
	return wanted;
}

/* By frame, a number that stands for the stack that ends there. Of 200,000 stacks, two have the
 * same by chance once in 10^9 profiles. */
static uint64_t *rows_stack_hashes(const struct profile *profile)
{
	uint64_t *hashes = region_alloc(profile->frame_count, sizeof(*hashes));

	for (size_t i = 1; i < profile->frame_count; i++) {
		const struct profile_frame *frame = &profile->frames[i];
		uint64_t hash = lookup_hash(hashes[frame->parent] ^ frame->line, frame->file);

		hashes[i] = lookup_hash(hash, frame->name);
	}
	return hashes;
}

static void rows_add_stack(struct rows_maker *maker, const struct profile_stack *stack)
{
	const struct profile *profile = maker->profile;
	const struct profile_frame *leaf = &profile->frames[stack->frame];
	const struct profile_blame blame = profile_blame(profile, stack);
	struct row *row;

	if (maker->choice->by == ROWS_STACK) {
		row = rows_at(maker, region_text("%016" PRIx64, maker->stack_hashes[stack->frame]));
		row->name = leaf->name;
		row->file = leaf->file;
		row->line = leaf->line;
	} else {
		row = rows_of_place(maker, blame.name, blame.file,
				    blame.function != NULL ? blame.function->first_line : 0,
				    blame.line);
	}
	row->figures.live_bytes = profile_add(row->figures.live_bytes, stack->live_bytes);
	row->figures.live_count = profile_add(row->figures.live_count, stack->live_count);
	row->peak_live_bytes = NAN;
	row->oldest_s = fmax(row->oldest_s, stack->oldest_s);
	row->youngest_s = fmin(row->youngest_s, stack->youngest_s);
	if (stack->live_bytes.value >= row->frame_bytes) {
		row->frame = stack->frame;
		row->frame_bytes = stack->live_bytes.value;
		row->line = maker->choice->by == ROWS_FILE || maker->choice->by == ROWS_MODULE ? 0
			    : maker->choice->by == ROWS_STACK ? leaf->line
							      : blame.line;
	}
	if (blame.function != NULL)
		rows_judge(row, blame.function);
}

static void rows_add_types(struct rows_maker *maker)
{
	double known = 0;

	for (size_t i = 0; i < maker->profile->function_count; i++) {
		const struct profile_function *function = &maker->profile->functions[i];

		for (size_t t = 0; t < function->type_count; t++) {
			struct row *row = rows_at(maker, region_copy(function->types[t].name));

			row->name = row->key;
			row->figures.live_bytes.value += function->types[t].bytes;
			row->figures.live_count.value = NAN;
			row->peak_live_bytes = NAN;
			known += function->types[t].bytes;
		}
	}
	if (maker->rows.count == 0)
		fail("%s: this snapshot knows no types", maker->profile->path);
	if (known < maker->profile->live_bytes.value) {
		struct row *row = rows_at(maker, region_copy("<other types, and raw memory>"));

		row->name = row->key;
		row->figures.live_bytes.value = maker->profile->live_bytes.value - known;
		row->figures.live_count.value = NAN;
		row->peak_live_bytes = NAN;
	}
}

double rows_bytes(const struct row *row, const struct rows_choice *choice)
{
	return choice->peak ? row->peak_live_bytes : row->figures.live_bytes.value;
}

/* What cannot be said comes last. By size: what may have been made by others moves nobody up. */
static double rows_rank(const struct row *row, const struct rows_choice *choice)
{
	double rank = choice->sort == ROWS_COUNT    ? row->figures.live_count.value
		      : choice->sort == ROWS_GROWTH ? row->growth_low
		      : choice->peak                ? row->peak_live_bytes
				     : row->figures.live_bytes.value - row->uncertain_bytes;

	return isnan(rank) ? -INFINITY : rank;
}

static int rows_compare(const void *a, const void *b, void *choice)
{
	const struct row *left = a, *right = b;
	double left_rank = rows_rank(left, choice), right_rank = rows_rank(right, choice);

	if (left_rank != right_rank)
		return left_rank > right_rank ? -1 : 1;
	if (left->figures.live_bytes.value != right->figures.live_bytes.value)
		return left->figures.live_bytes.value > right->figures.live_bytes.value ? -1 : 1;
	return strcmp(left->key, right->key);
}

struct rows rows_of(const struct profile *profile, const struct rows_choice *choice)
{
	struct rows_maker maker = {.profile = profile, .choice = choice};
	bool picks = choice->older_s > 0 || choice->min_size > 0 || isfinite(choice->max_size) ||
		     choice->include != NULL || choice->exclude != NULL;
	bool by_stacks = choice->by == ROWS_STACK || picks, *wanted;

	if (choice->peak && (by_stacks || choice->by == ROWS_LINE || choice->by == ROWS_TYPE))
		fail("--peak goes with --by function, file or module and without other choices: "
		     "a snapshot holds no stacks, lines or types of the peak");
	if (choice->by == ROWS_TYPE && (picks || choice->leaks))
		fail("--by type takes no choice of ages, sizes, names or leaks: "
		     "a snapshot holds types by function only");
	maker.rows.has_totals = !by_stacks && choice->by != ROWS_TYPE;
	if (choice->by == ROWS_TYPE)
		rows_add_types(&maker);
	if (choice->by == ROWS_STACK)
		maker.stack_hashes = rows_stack_hashes(profile);
	wanted = by_stacks ? rows_wanted_stacks(profile, choice) : NULL;
	for (size_t i = 0; i < profile->stack_count && by_stacks; i++) {
		if (wanted[i])
			rows_add_stack(&maker, &profile->stacks[i]);
	}
	for (size_t i = 0; i < profile->function_count && maker.rows.has_totals; i++) {
		if (!choice->leaks || rows_is_leak(&profile->functions[i]))
			rows_add_function(&maker, &profile->functions[i]);
	}
	if (maker.rows.count > 0)
		qsort_r(maker.rows.rows, maker.rows.count, sizeof(struct row), rows_compare,
			(void *)choice);
	return maker.rows;
}
