#include "verb.h"

#include "../base/fail.h"
#include "../base/keep.h"
#include "../base/terminal.h"
#include "../profile/control_client.h"
#include "../profile/profile_read.h"

#include <stdio.h>
#include <string.h>

static int verb_snapshot_run(const struct verb *verb, int argc, const char **argv)
{
	char *output = NULL, *text, *from, why[CONTROL_CLIENT_WHY];
	const struct poptOption options[] = {
		{"output", 'o', POPT_ARG_STRING, &output, 0,
		 "into this file (snapshot-PID-TIME.json); -: standard output", "FILE"},
		POPT_TABLEEND};
	const char **words = verb_options(verb, options, argc, argv, 1, 1);
	pid_t pid = verb_pid(words[0]);
	const struct profile *profile;
	size_t length;
	FILE *out;

	from = control_client_snapshot(pid, why);
	if (from == NULL)
		fail("%s", why);
	text = profile_read_file(from, SIZE_MAX, &length, why);
	profile = text != NULL ? profile_parse(text, length, from, why) : NULL;
	if (profile == NULL)
		fail("%s: %s", from, why);
	if (output == NULL) {
		output = keep_text("snapshot-%d-%.0f.json", (int)pid, profile->time);
		puts(output);
	}
	out = terminal_open(output, false);
	fwrite(text, 1, length, out);
	terminal_close(out, output);
	return 0;
}

const struct verb verb_snapshot = {
	"snapshot", "PID [-o FILE]",
	"Take a snapshot of a running process now, to report, compare or export it.",
	"trackleak snapshot 4711 -o before.json", verb_snapshot_run};
