#include "verb.h"

#include "../base/fail.h"
#include "../base/keep.h"
#include "../base/show.h"
#include "../base/terminal.h"
#include "../profile/control_client.h"

#include <string.h>

/* One line for each thing that the agent says of itself; `prefix` is the object it stands in. */
static void verb_control_show(FILE *out, const char *prefix, json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		if (strcmp(key, "ok") == 0)
			continue;
		if (json_is_object(value)) {
			verb_control_show(out, keep_text("%s%s.", prefix, key), value);
			continue;
		}
		fprintf(out, "%s%s: ", prefix, key);
		if (json_is_string(value)) {
			show_plain(out, json_string_value(value));
			fputc('\n', out);
		} else {
			fprintf(out, "%s\n", json_dumps(value, JSON_ENCODE_ANY));
		}
	}
}

static int verb_control_run(const struct verb *verb, int argc, const char **argv)
{
	const struct poptOption options[] = {POPT_TABLEEND};
	const char **words = verb_options(verb, options, argc, argv, 2, 16);
	pid_t pid = verb_pid(words[0]);
	char *request = keep_copy(words[1]), why[CONTROL_CLIENT_WHY];
	json_t *answer;

	for (size_t i = 2; words[i] != NULL; i++)
		request = keep_text("%s %s", request, words[i]);
	if (strchr(request, '\n') != NULL || strlen(request) > CONTROL_CLIENT_REQUEST)
		fail("a request is one line of at most %d bytes", CONTROL_CLIENT_REQUEST);
	answer = control_client_ask(pid, request, why);
	if (answer == NULL)
		fail("%s", why);
	verb_control_show(stdout, "", answer);
	terminal_close(stdout, NULL);
	return 0;
}

const struct verb verb_control = {
	"control", "PID status|pause|resume|baseline|set NAME=VALUE...",
	"Ask a running process for its state, or change what the profiler does in it.",
	"trackleak control 4711 set sample_rate=10 dump_interval=60", verb_control_run};
