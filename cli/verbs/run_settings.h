/* run_settings: every setting of the agent as an option of `run`, from its own list of settings. */
#ifndef TL_CLI_VERBS_RUN_SETTINGS_H
#define TL_CLI_VERBS_RUN_SETTINGS_H

#include <popt.h>

/* A table for popt; call it once. Secrets are no options: a command line is for all to read. */
struct poptOption *run_settings_options(void);
/* Puts what was given into the environment; a value that the agent would refuse fails with one
 * line. */
void run_settings_apply(void);

#endif
