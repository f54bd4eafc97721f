#include "verb.h"

#include "../base/fail.h"
#include "../base/region.h"
#include "../base/terminal.h"
#include "../profile/history.h"
#include "../profile/profile_find.h"
#include "../profile/profile_merge.h"
#include "../profile/profile_read.h"
#include "../view/report_diff.h"

#include <math.h>
#include <string.h>

#define VERB_DIFF_AGAINST "start, previous, baseline"
enum { AGAINST_START, AGAINST_PREVIOUS, AGAINST_BASELINE };

/* What is compared. */
struct verb_diff {
	const struct profile *before, *after;
};

/* The dumps of every process that is meant; returns how many processes. */
static size_t verb_diff_histories(const char *wanted, struct history ***histories)
{
	const struct profile *whole;

	if (wanted != NULL && history_is_file(wanted)) {
		*histories = region_alloc(1, sizeof(**histories));
		(*histories)[0] = history_of_file(wanted);
		return 1;
	}
	whole = profile_find(wanted, NULL);
	*histories = region_alloc(whole->processes, sizeof(**histories));
	for (size_t i = 0; i < whole->processes; i++)
		(*histories)[i] = history_of(whole->parts != NULL ? whole->parts[i] : whole, NULL);
	return whole->processes;
}

/* Of the dumps that are kept the last one, and the first or the one before it; of several processes
 * their sums. */
static struct verb_diff verb_diff_in_history(const char *wanted, bool is_start)
{
	struct history **histories;
	size_t count = verb_diff_histories(wanted, &histories), kept = 0;
	struct profile **before = region_alloc(count, sizeof(*before)),
		       **after = region_alloc(count, sizeof(*after));

	for (size_t i = 0; i < count; i++) {
		const struct history *history = histories[i];

		if (history->count < 2)
			continue;
		before[kept] = history_profile(history, is_start ? 0 : history->count - 2);
		if (is_start && before[kept]->dump > 1)
			before[kept]->path =
				region_text("%s, the first that is kept", before[kept]->path);
		after[kept++] = history_profile(history, history->count - 1);
	}
	if (kept == 0)
		fail("%s: fewer than two dumps of process %.0f in JSON lines (*.jsonl)",
		     histories[0]->path, histories[0]->pid);
	if (kept < count)
		fail_softly("%zu of %zu processes are left out: they have fewer than two dumps",
			    count - kept, count);
	return (struct verb_diff){profile_merge(before, kept), profile_merge(after, kept)};
}

/* A snapshot marks what was allocated since the baseline; of what was there before it knows only
 * what is left, which would hide what went. So the baseline counts as nothing. */
static struct verb_diff verb_diff_since_baseline(const char *wanted)
{
	struct profile *before = region_alloc(1, sizeof(*before)), *after;

	profile_read_since_baseline();
	after = profile_find(wanted, NULL);
	*before = *after;
	before->path = "the baseline, what was there before it left out";
	before->time = after->baseline_time;
	before->rss_bytes = NAN;
	before->live_bytes = before->live_count = (struct estimate){0, 0};
	before->function_count = before->stack_count = 0;
	return (struct verb_diff){before, after};
}

static struct verb_diff verb_diff_against(const char *against, const char *wanted,
					  const struct rows_choice *choice)
{
	size_t which = verb_choice("against", VERB_DIFF_AGAINST, against);

	if (which == AGAINST_BASELINE && choice->by == ROWS_TYPE)
		fail("--against baseline goes without --by type: a snapshot does not tell how old "
		     "the blocks of a type are");
	if (which == AGAINST_BASELINE)
		return verb_diff_since_baseline(wanted);
	if (choice->by == ROWS_LINE || choice->by == ROWS_STACK || choice->include != NULL ||
	    choice->exclude != NULL)
		fail("--against %s goes with --by function, file, type or module only: earlier "
		     "dumps are kept without their lines and stacks",
		     against);
	return verb_diff_in_history(wanted, which == AGAINST_START);
}

static int verb_diff_run(const struct verb *verb, int argc, const char **argv)
{
	char *by = "function", *include = NULL, *exclude = NULL, *against = NULL;
	int top = 20, json = 0;
	const struct poptOption options[] = {
		{"against", '\0', POPT_ARG_STRING, &against, 0, VERB_DIFF_AGAINST,
		 COMPLETION_CHOICE},
		{"by", '\0', POPT_ARG_STRING, &by, 0, VERB_BY, COMPLETION_CHOICE},
		{"top", 'n', POPT_ARG_INT, &top, 0, "rows at most (20; 0: all)", "N"},
		{"include", '\0', POPT_ARG_STRING, &include, 0,
		 "stacks with a frame whose `function file` matches", "REGEX"},
		{"exclude", '\0', POPT_ARG_STRING, &exclude, 0, "no stacks with such a frame",
		 "REGEX"},
		{"json", '\0', POPT_ARG_NONE, &json, 0, "for programs", NULL},
		POPT_TABLEEND};
	const char **words = verb_options(verb, options, argc, argv, 0, 2);
	struct rows_choice choice = {
		.by = (enum rows_by)verb_choice("by", VERB_BY, by),
		.max_size = INFINITY,
		.include = verb_regex("include", include),
		.exclude = verb_regex("exclude", exclude),
	};
	size_t most = top > 0 ? (size_t)top : SIZE_MAX;
	struct rows before_rows, after_rows;
	struct changes changes;
	struct verb_diff diff;
	FILE *out;

	if (top < 0)
		fail("--top %d: not a number from 0 up", top);
	if (against != NULL && words[0] != NULL && words[1] != NULL)
		fail("%s: one word too many: --against stands for A", words[1]);
	if (against == NULL && (words[0] == NULL || words[1] == NULL))
		fail("usage: trackleak diff %s", verb->arguments);
	if (against != NULL)
		diff = verb_diff_against(against, words[0], &choice);
	else
		diff = (struct verb_diff){profile_find(words[0], NULL),
					  profile_find(words[1], NULL)};
	before_rows = rows_of(diff.before, &choice);
	after_rows = rows_of(diff.after, &choice);
	changes = report_diff_of(&before_rows, &after_rows);
	out = terminal_open(NULL, !json);
	if (json)
		report_diff_json(out, diff.before, diff.after, &changes, most);
	else
		report_diff(out, diff.before, diff.after, &changes, choice.by, most,
			    terminal_width());
	terminal_close(out, NULL);
	return 0;
}

const struct verb verb_diff = {"diff",
			       "A B, or --against start|previous|baseline [PID, FILE or DIR]",
			       "What grew, shrank, came and went from one snapshot to another.",
			       "trackleak diff before.json after.json --by line", verb_diff_run};
