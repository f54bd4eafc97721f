/* process: what the kernel says of another process. */
#ifndef TL_CLI_BASE_PROCESS_H
#define TL_CLI_BASE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Epoch seconds of its start; 0: there is no such process. */
double process_start_time(pid_t pid);
/* Resident bytes; 0: not known. */
double process_rss(pid_t pid);
/* Its command line, words parted by blanks; "" when it cannot be read. Kept. */
char *process_command(pid_t pid);
/* A variable of the environment that it was started with, kept; NULL: not set, or not to be read.
 * */
char *process_variable(pid_t pid, const char *name);
/* Whose it is, by its effective user; (uid_t)-1: not known. */
uid_t process_uid(pid_t pid);
double process_now(void); /* epoch seconds */

#endif
