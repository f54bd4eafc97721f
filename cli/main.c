/* trackleak: the command that reads what the agent writes.
 *
 *     trackleak run python3 app.py
 *     trackleak report /var/log/memory-profiler
 *
 * The layers, lowest first: base, profile, view, verbs (tools/arrows.py). It meets the agent in
 * files, settings and its control socket only (docs/FORMAT.md).
 */
#include "../src/base/types.h"
#include "base/fail.h"
#include "verbs/verb.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

static int main_help(FILE *out)
{
	fputs("usage: trackleak VERB [options] ...\n\n", out);
	for (size_t i = 0; verb_all[i] != NULL; i++)
		fprintf(out, "  %-8s %s\n", verb_all[i]->name, verb_all[i]->summary);
	fputs("\n`trackleak help VERB` says more. --version prints the version.\n", out);
	return 0;
}

static const struct verb *main_find(const char *name)
{
	for (size_t i = 0; verb_all[i] != NULL; i++) {
		if (strcmp(verb_all[i]->name, name) == 0)
			return verb_all[i];
	}
	fail("%s: no such verb: see `trackleak help`", name);
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "", *help[] = {word, "--help", NULL};
	const struct verb *verb;

	/* Widths of characters only: numbers are written as in C. */
	setlocale(LC_CTYPE, "");
	if (argc < 2)
		fail("usage: trackleak VERB [options] ...: see `trackleak help`");
	if (strcmp(word, "--version") == 0) {
		puts("trackleak " TL_VERSION);
		return 0;
	}
	if (strcmp(word, "help") == 0 && argc > 2) {
		verb = main_find(argv[2]);
		return verb->run(verb, 2, help);
	}
	if (strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		return main_help(stdout);
	verb = main_find(word);
	return verb->run(verb, argc - 1, (const char **)argv + 1);
}
