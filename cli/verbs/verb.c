#include "verb.h"

#include "../base/fail.h"
#include "../base/keep.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct verb *const verb_all[] = {&verb_run,    &verb_ps,       &verb_top,      &verb_report,
				       &verb_diff,   &verb_snapshot, &verb_watch,    &verb_control,
				       &verb_export, &verb_ship,     &verb_complete, NULL};

static bool verb_is_offering; /* a shell has asked what may come next */

static void verb_help(const struct verb *verb, poptContext context)
{
	printf("%s\n\n", verb->summary);
	poptPrintHelp(context, stdout, 0);
	printf("\nexample: %s\n", verb->example);
	exit(0);
}

const char **verb_options(const struct verb *verb, const struct poptOption *options, int argc,
			  const char **argv, size_t least, size_t most)
{
	static const char *none[] = {NULL};
	int help = 0, error;
	const struct poptOption all[] = {
		{NULL, '\0', POPT_ARG_INCLUDE_TABLE, (void *)options, 0, "Options:", NULL},
		{"help", 'h', POPT_ARG_NONE, &help, 0, "this page", NULL},
		POPT_TABLEEND};
	char *program = keep_text("trackleak %s", verb->name);
	const char **words;
	size_t count = 0;
	poptContext context;

	if (verb_is_offering) {
		completion_offer(verb->arguments, most, all, argv + 1);
		exit(0);
	}
	argv[0] = program;
	/* A program's own options are its own: reading ends at the first word that is none. */
	context = poptGetContext(NULL, argc, argv, all,
				 most == SIZE_MAX ? POPT_CONTEXT_POSIXMEHARDER : 0);
	poptSetOtherOptionHelp(context, verb->arguments);
	error = poptGetNextOpt(context);
	if (error < -1)
		fail("%s: %s: see `trackleak %s --help`", poptBadOption(context, 0),
		     poptStrerror(error), verb->name);
	if (help)
		verb_help(verb, context);
	words = poptGetArgs(context);
	words = words != NULL ? words : none;
	while (words[count] != NULL)
		count++;
	if (count < least)
		fail("usage: trackleak %s %s", verb->name, verb->arguments);
	if (count > most)
		fail("%s: one word too many: usage: trackleak %s %s", words[most], verb->name,
		     verb->arguments);
	return words; /* they live in the context, which stays */
}

void verb_offer(const struct verb *verb, int count, const char **words)
{
	verb_is_offering = true;
	exit(verb->run(verb, count, words));
}

pid_t verb_pid(const char *word)
{
	if (word[0] == '\0' || strspn(word, "0123456789") != strlen(word) || strlen(word) > 9 ||
	    atoi(word) == 0)
		fail("%s: not a process number", word);
	return (pid_t)atoi(word);
}

size_t verb_choice(const char *option, const char *choices, const char *word)
{
	size_t index = 0, length;

	for (const char *at = choices; *at != '\0'; index++) {
		length = strcspn(at, ",");
		if (length == strlen(word) && strncmp(at, word, length) == 0)
			return index;
		at += length + strspn(at + length, ", ");
	}
	fail("--%s %s: one of %s", option, word, choices);
}

const regex_t *verb_regex(const char *option, const char *text)
{
	regex_t *regex;
	char why[128];
	int error;

	if (text == NULL)
		return NULL;
	regex = keep_alloc(1, sizeof(*regex));
	error = regcomp(regex, text, REG_EXTENDED | REG_NOSUB);
	if (error != 0) {
		regerror(error, regex, why, sizeof(why));
		fail("--%s %s: %s", option, text, why);
	}
	return regex;
}

double verb_number(const char *option, const char *text)
{
	char *end;
	double number;

	errno = 0;
	number = strtod(text, &end);
	if (end == text || *end != '\0' || !isfinite(number) || number < 0)
		fail("--%s %s: not a number from 0 up", option, text);
	return number;
}

double verb_size(const char *option, const char *text)
{
	static const char units[] = "kMGT";
	size_t length = strlen(text);
	double scale = 1;
	char *digits = keep_copy(text);
	const char *unit;

	if (length > 1 && (unit = strchr(units, digits[length - 1])) != NULL) {
		digits[length - 1] = '\0';
		scale = pow(1024, (double)(unit - units + 1));
	}
	return scale * verb_number(option, digits);
}
