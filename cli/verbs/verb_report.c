#include "verb.h"

#include "../base/fail.h"
#include "../base/terminal.h"
#include "../profile/profile_find.h"
#include "../profile/profile_read.h"
#include "../view/report_head.h"
#include "../view/report_json.h"
#include "../view/report_session.h"
#include "../view/report_table.h"
#include "../view/report_tree.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#define VERB_REPORT_SORT "size, count, growth" /* as enum rows_sort */

/* Of a folder that `trackleak run` made: what it saw, above the report. */
static void verb_report_head(FILE *out, const char *wanted, const struct profile *profile,
			     const struct profile *worst)
{
	struct stat status;
	const struct session *session = NULL;

	if (wanted != NULL && stat(wanted, &status) == 0 && S_ISDIR(status.st_mode))
		session = session_read(wanted);
	if (session != NULL)
		report_session(out, session, profile);
	report_head(out, profile, worst);
}

static int verb_report_run(const struct verb *verb, int argc, const char **argv)
{
	char *by = "function", *sort = "size", *include = NULL, *exclude = NULL, *older = "0",
	     *min_size = "0", *max_size = NULL, *threshold = NULL;
	int tree = 0, peak = 0, leaks = 0, top = 20, show_allocs = 0, json = 0, no_source = 0,
	    since = 0;
	const struct poptOption options[] = {
		{"by", '\0', POPT_ARG_STRING, &by, 0, VERB_BY, COMPLETION_CHOICE},
		{"tree", '\0', POPT_ARG_NONE, &tree, 0, "the call tree: shares, bytes, blocks",
		 NULL},
		{"peak", '\0', POPT_ARG_NONE, &peak, 0, "at the maximum of live bytes", NULL},
		{"leaks", '\0', POPT_ARG_NONE, &leaks, 0, "only what is leaking or growing", NULL},
		{"older", '\0', POPT_ARG_STRING, &older, 0, "stacks with a block of this age",
		 "SECONDS"},
		{"min-size", '\0', POPT_ARG_STRING, &min_size, 0,
		 "stacks whose blocks have at least this mean size", "BYTES"},
		{"max-size", '\0', POPT_ARG_STRING, &max_size, 0, "and at most this", "BYTES"},
		{"top", 'n', POPT_ARG_INT, &top, 0, "rows at most (20; 0: all)", "N"},
		{"sort", '\0', POPT_ARG_STRING, &sort, 0, VERB_REPORT_SORT, COMPLETION_CHOICE},
		{"threshold", '\0', POPT_ARG_STRING, &threshold, 0,
		 "fold what is below (of a tree: 1)", "PERCENT"},
		{"include", '\0', POPT_ARG_STRING, &include, 0,
		 "stacks with a frame whose `function file` matches", "REGEX"},
		{"exclude", '\0', POPT_ARG_STRING, &exclude, 0, "no stacks with such a frame",
		 "REGEX"},
		{"since-baseline", '\0', POPT_ARG_NONE, &since, 0,
		 "only what was allocated since the baseline", NULL},
		{"show-allocs", '\0', POPT_ARG_NONE, &show_allocs, 0,
		 "what was allocated too, freed or not", NULL},
		{"no-source", '\0', POPT_ARG_NONE, &no_source, 0, "without lines of source", NULL},
		{"json", '\0', POPT_ARG_NONE, &json, 0, "for programs", NULL},
		POPT_TABLEEND};
	const char **words = verb_options(verb, options, argc, argv, 0, 1);
	struct rows_choice choice = {
		.by = (enum rows_by)verb_choice("by", VERB_BY, by),
		.sort = (enum rows_sort)verb_choice("sort", VERB_REPORT_SORT, sort),
		.peak = peak,
		.leaks = leaks,
		.older_s = verb_number("older", older),
		.min_size = verb_size("min-size", min_size),
		.max_size = max_size == NULL ? INFINITY : verb_size("max-size", max_size),
		.include = verb_regex("include", include),
		.exclude = verb_regex("exclude", exclude),
	};
	struct report_table table = {
		.top = top > 0 ? (size_t)top : SIZE_MAX,
		.threshold = threshold == NULL ? tree : verb_number("threshold", threshold),
		.show_allocs = show_allocs,
		.show_source = !no_source,
		.width = terminal_width(),
	};
	const struct profile *worst, *profile;
	FILE *out;

	if (top < 0)
		fail("--top %d: not a number from 0 up", top);
	if (tree && (json || peak))
		fail("--tree goes without --json and --peak");
	if (since)
		profile_read_since_baseline();
	profile = profile_find(words[0], &worst);
	if (tree) {
		out = terminal_open(NULL, true);
		verb_report_head(out, words[0], profile, worst);
		report_tree(out, profile, &choice, table.threshold, table.width);
	} else {
		struct rows rows = rows_of(profile, &choice);

		out = terminal_open(NULL, !json);
		if (json) {
			report_json(out, profile, &rows, report_table_count(&rows, &choice, &table),
				    &choice);
		} else {
			verb_report_head(out, words[0], profile, worst);
			report_table(out, profile, &rows, &choice, &table);
			if (rows.has_totals && !leaks && !peak)
				report_pools(out, profile);
		}
	}
	terminal_close(out, NULL);
	return 0;
}

const struct verb verb_report = {
	"report", "[PID, FILE or DIR]",
	"What is alive, whose it is, and whether it grows, from a snapshot.",
	"trackleak report 4711 --by line --top 10", verb_report_run};
