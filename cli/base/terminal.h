/* terminal: how wide the screen is, and a pager for what is longer than it. */
#ifndef TL_CLI_BASE_TERMINAL_H
#define TL_CLI_BASE_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

#define TERMINAL_PIPE_WIDTH 120 /* where nothing says how wide it is */

unsigned terminal_width(void);
/* Where a report goes: `path`, standard output when NULL or "-"; a terminal gets a pager. */
FILE *terminal_open(const char *path, bool with_pager);
/* Ends it; fails with one line if not everything could be written. */
void terminal_close(FILE *out, const char *path);

#endif
