#include "verb.h"

#include "../base/fail.h"
#include "../base/terminal.h"
#include "../profile/profile_find.h"
#include "../profile/profile_read.h"
#include "../view/export.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int verb_export_run(const struct verb *verb, int argc, const char **argv)
{
	char *to = NULL, *output = NULL;
	int since = 0;
	const struct poptOption options[] = {
		{"to", '\0', POPT_ARG_STRING, &to, 0,
		 "pprof, folded, speedscope, gprof2dot, html, csv", "FORM"},
		{"since-baseline", '\0', POPT_ARG_NONE, &since, 0,
		 "only what was allocated since the baseline", NULL},
		{"output", 'o', POPT_ARG_STRING, &output, 0, "instead of standard output", "FILE"},
		POPT_TABLEEND};
	static const struct {
		const char *name;
		void (*write)(FILE *out, const struct profile *profile);
	} forms[] = {
		{"pprof", export_pprof},
		{"folded", export_folded},
		{"speedscope", export_speedscope},
		{"gprof2dot", export_gprof2dot},
		{"csv", export_csv},
		{"html", NULL},
	};
	const char **words = verb_options(verb, options, argc, argv, 1, 1);
	size_t form = 0, count = sizeof(forms) / sizeof(forms[0]);
	const struct session *session = NULL;
	struct profile *profile;
	struct stat status;
	FILE *out;

	while (to != NULL && form < count && strcmp(forms[form].name, to) != 0)
		form++;
	if (to == NULL || form == count)
		fail("--to %s: one of pprof, folded, speedscope, gprof2dot, html, csv",
		     to != NULL ? to : "is missing");
	if (since)
		profile_read_since_baseline();
	profile = profile_find(words[0], NULL);
	if (form == 0 && output == NULL && isatty(STDOUT_FILENO))
		fail("pprof is not for a screen: use -o FILE");
	if (stat(words[0], &status) == 0 && S_ISDIR(status.st_mode))
		session = session_read(words[0]);
	out = terminal_open(output, false);
	if (forms[form].write != NULL)
		forms[form].write(out, profile);
	else
		export_html(out, profile, session);
	terminal_close(out, output);
	return 0;
}

const struct verb verb_export = {
	"export", "PID, FILE or DIR", "A profile in the form of another viewer, or as a page.",
	"trackleak export snapshot-4711.json --to html -o leak.html", verb_export_run};
