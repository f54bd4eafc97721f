/* completion: what the word under a shell's cursor may be, from the tables that popt reads and from
 * the words by which a verb's usage names its arguments.
 *
 * Prints    a line for each candidate, and behind a tab what it means; then `:files` or `:commands`
 *           where the shell shall add these by itself. completion/ has the shells' side.
 */
#ifndef TL_CLI_VERBS_COMPLETION_H
#define TL_CLI_VERBS_COMPLETION_H

#include <popt.h>
#include <stddef.h>

/* The argDescrip of an option that takes one of some words; these are its descrip, parted by ", ". */
#define COMPLETION_CHOICE "WHAT"

/* One candidate, unless something else has been typed. */
void completion_put(const char *typed, const char *candidate, const char *meaning);
/* For the last of these words; those before it are taken for right. `arguments`: of a verb's usage,
 * `most`: how many there may be. */
void completion_offer(const char *arguments, size_t most, const struct poptOption *options,
		      const char *const *words);

#endif
