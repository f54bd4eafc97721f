#include "verb.h"

#include "../base/fail.h"
#include "../base/keep.h"
#include "../base/terminal.h"
#include "../profile/profile_find.h"
#include "../profile/profile_read.h"
#include "../view/export.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERB_EXPORT_FORMS "pprof, folded, speedscope, gprof2dot, html, csv"

/* A long history adds about 2 MB to a page. */
#define VERB_EXPORT_DUMPS     200
#define VERB_EXPORT_FUNCTIONS 100 /* of each dump */

/* The earlier dumps, from `lines` (NULL: those beside the snapshot), of the one process that is
 * worst. NULL: there are none. */
static struct history *verb_export_history(const struct profile *process, const char *lines)
{
	struct history *history;
	char *folder = keep_copy(process->path), *slash = strrchr(folder, '/');

	if (slash != NULL)
		*slash = '\0';
	/* A folder may let through who knows a name, and nobody else. */
	if (lines == NULL && access(slash != NULL ? folder : ".", R_OK | X_OK) != 0)
		return NULL;
	history = history_of(process, lines);
	if (lines != NULL && history->count == 0)
		fail("%s: no whole dump of process %.0f in these lines", lines, process->pid);
	if (history->count == 0)
		return NULL;
	history_thin(history, VERB_EXPORT_DUMPS);
	history_fill(history, VERB_EXPORT_FUNCTIONS);
	return history;
}

static int verb_export_run(const struct verb *verb, int argc, const char **argv)
{
	char *to = NULL, *output = NULL, *lines = NULL;
	int since = 0;
	const struct poptOption options[] = {
		{"to", '\0', POPT_ARG_STRING, &to, 0, VERB_EXPORT_FORMS, COMPLETION_CHOICE},
		{"history", '\0', POPT_ARG_STRING, &lines, 0,
		 "html: JSON lines of the earlier dumps (those beside the snapshot)", "FILE"},
		{"since-baseline", '\0', POPT_ARG_NONE, &since, 0,
		 "only what was allocated since the baseline", NULL},
		{"output", 'o', POPT_ARG_STRING, &output, 0, "instead of standard output", "FILE"},
		POPT_TABLEEND};
	static void (*const forms[])(FILE * out, const struct profile *profile) = {
		export_pprof,     export_folded, export_speedscope,
		export_gprof2dot, NULL,          export_csv}; /* NULL: html */
	const char **words = verb_options(verb, options, argc, argv, 1, 1);
	size_t form = verb_choice("to", VERB_EXPORT_FORMS, to != NULL ? to : "is missing");
	const struct session *session = NULL;
	struct history *history = NULL;
	const struct profile *worst;
	struct profile *profile;
	struct stat status;
	FILE *out;

	if (lines != NULL && (since || forms[form] != NULL))
		fail("--history goes with --to html, and without --since-baseline");
	if (since)
		profile_read_since_baseline();
	profile = profile_find(words[0], &worst);
	if (form == 0 && output == NULL && isatty(STDOUT_FILENO))
		fail("pprof is not for a screen: use -o FILE");
	if (stat(words[0], &status) == 0 && S_ISDIR(status.st_mode))
		session = session_read(words[0]);
	/* Dumps are kept without a mark of what came since the baseline. */
	if (forms[form] == NULL && !since)
		history = verb_export_history(worst != NULL ? worst : profile, lines);
	out = terminal_open(output, false);
	if (forms[form] != NULL)
		forms[form](out, profile);
	else
		export_html(out, profile, session, history);
	terminal_close(out, output);
	return 0;
}

const struct verb verb_export = {
	"export", "PID, FILE or DIR", "A profile in the form of another viewer, or as a page.",
	"trackleak export snapshot-4711.json --to html -o leak.html", verb_export_run};
