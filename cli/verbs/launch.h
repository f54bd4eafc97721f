/* launch: starts a program with the agent in it. */
#ifndef TL_CLI_VERBS_LAUNCH_H
#define TL_CLI_VERBS_LAUNCH_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* The agent: beside this command, in ../lib, or where TRACKLEAK_LIBRARY says; fails with one line.
 * */
char *launch_library(void);
/* The file that a shell would start; fails with one line. */
char *launch_find(const char *program);
/* Is it Python, or a script for it? */
bool launch_is_python(const char *path);
/* Puts the library before what is preloaded already. */
void launch_preload(const char *library);
/* Runs it with this process's environment and with the signal mask `mask`. */
pid_t launch_start(const char *path, char *const *argv, const sigset_t *mask);

#endif
