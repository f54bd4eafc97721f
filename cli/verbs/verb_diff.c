#include "verb.h"

#include "../base/fail.h"
#include "../base/terminal.h"
#include "../profile/profile_find.h"
#include "../view/report_diff.h"

#include <math.h>

static int verb_diff_run(const struct verb *verb, int argc, const char **argv)
{
	char *by = "function", *include = NULL, *exclude = NULL;
	int top = 20, json = 0;
	const struct poptOption options[] = {
		{"by", '\0', POPT_ARG_STRING, &by, 0, "function, file, line, stack, type, module",
		 "WHAT"},
		{"top", 'n', POPT_ARG_INT, &top, 0, "rows at most (20; 0: all)", "N"},
		{"include", '\0', POPT_ARG_STRING, &include, 0,
		 "stacks with a frame whose `function file` matches", "REGEX"},
		{"exclude", '\0', POPT_ARG_STRING, &exclude, 0, "no stacks with such a frame",
		 "REGEX"},
		{"json", '\0', POPT_ARG_NONE, &json, 0, "for programs", NULL},
		POPT_TABLEEND};
	const char **words = verb_options(verb, options, argc, argv, 2, 2);
	struct rows_choice choice = {
		.by = verb_by(by),
		.max_size = INFINITY,
		.include = verb_regex("include", include),
		.exclude = verb_regex("exclude", exclude),
	};
	struct profile *before = profile_find(words[0], NULL),
		       *after = profile_find(words[1], NULL);
	struct rows before_rows = rows_of(before, &choice), after_rows = rows_of(after, &choice);
	struct changes changes = report_diff_of(&before_rows, &after_rows);
	size_t most = top > 0 ? (size_t)top : SIZE_MAX;
	FILE *out;

	if (top < 0)
		fail("--top %d: not a number from 0 up", top);
	out = terminal_open(NULL, !json);
	if (json)
		report_diff_json(out, before, after, &changes, most);
	else
		report_diff(out, before, after, &changes, choice.by, most, terminal_width());
	terminal_close(out, NULL);
	return 0;
}

const struct verb verb_diff = {"diff", "A B",
			       "What grew, shrank, came and went from one snapshot to another.",
			       "trackleak diff before.json after.json --by line", verb_diff_run};
