/* verb: what every verb has: its options, its help, and the choices that several share. */
#ifndef TL_CLI_VERBS_VERB_H
#define TL_CLI_VERBS_VERB_H

#include "../profile/rows.h"
#include "completion.h"

#include <popt.h>
#include <sys/types.h>

struct verb {
	const char *name, *arguments, *summary, *example;
	int (*run)(const struct verb *verb, int argc, const char **argv);
};

extern const struct verb *const verb_all[]; /* NULL at the end */
extern const struct verb verb_run, verb_ps, verb_report, verb_diff, verb_snapshot, verb_watch,
	verb_control, verb_export, verb_ship, verb_top, verb_complete;

/* Reads the options; returns the other words, NULL at the end. `most`: how many there may be.
 * --help prints the help and ends the command. A bad option fails with one line. */
const char **verb_options(const struct verb *verb, const struct poptOption *options, int argc,
			  const char **argv, size_t least, size_t most);

/* Prints what the last of these words may be, and ends the command; the first is the verb's name. */
__attribute__((noreturn)) void verb_offer(const struct verb *verb, int count, const char **words);

/* A process number; fails with one line when it is none. */
pid_t verb_pid(const char *word);
/* Which of `choices` is `word`; fails with one line when it is none. COMPLETION_CHOICE says how they
 * stand in the table of options. */
size_t verb_choice(const char *option, const char *choices, const char *word);
#define VERB_BY "function, file, line, stack, type, module" /* as enum rows_by */
/* Fails with one line when it is none; NULL is NULL. */
const regex_t *verb_regex(const char *option, const char *text);
/* A size: 4096, 64k, 10M, 1G. */
double verb_size(const char *option, const char *text);
/* A number from 0 up. */
double verb_number(const char *option, const char *text);

#endif
