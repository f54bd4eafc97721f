/* verb: what every verb has: its options, its help, and the choices that several share. */
#ifndef TL_CLI_VERBS_VERB_H
#define TL_CLI_VERBS_VERB_H

#include "../profile/rows.h"

#include <popt.h>
#include <sys/types.h>

struct verb {
	const char *name, *arguments, *summary, *example;
	int (*run)(const struct verb *verb, int argc, const char **argv);
};

extern const struct verb verb_run, verb_ps, verb_report, verb_diff, verb_snapshot, verb_watch,
	verb_control, verb_export, verb_ship, verb_top;

/* Reads the options; returns the other words, NULL at the end. `most`: how many there may be.
 * --help prints the help and ends the command. A bad option fails with one line. */
const char **verb_options(const struct verb *verb, const struct poptOption *options, int argc,
			  const char **argv, size_t least, size_t most);

/* A process number; fails with one line when it is none. */
pid_t verb_pid(const char *word);
enum rows_by verb_by(const char *word);
/* Fails with one line when it is none; NULL is NULL. */
const regex_t *verb_regex(const char *option, const char *text);
/* A size: 4096, 64k, 10M, 1G. */
double verb_size(const char *option, const char *text);
/* A number from 0 up. */
double verb_number(const char *option, const char *text);

#endif
