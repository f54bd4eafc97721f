#include "verb.h"

#include <string.h>

static int verb_complete_run(const struct verb *verb, int argc, const char **argv)
{
	const struct poptOption options[] = {POPT_TABLEEND};
	const char **words = verb_options(verb, options, argc, argv, 1, SIZE_MAX);
	int count = 0;

	while (words[count] != NULL)
		count++;
	for (size_t i = 0; verb_all[i] != NULL; i++) {
		if (count == 1 || (count == 2 && strcmp(words[0], "help") == 0))
			completion_put(words[count - 1], verb_all[i]->name, verb_all[i]->summary);
		else if (strcmp(words[0], verb_all[i]->name) == 0)
			verb_offer(verb_all[i], count, words);
	}
	if (count == 1)
		completion_put(words[0], "help", "Says more of a verb.");
	return 0;
}

const struct verb verb_complete = {
	"complete", "[--] WORD...",
	"What the last of the words after `trackleak` may be; shells ask, on the Tab key.",
	"trackleak complete -- report --by \"\"", verb_complete_run};
