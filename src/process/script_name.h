/* script_name: which program an interpreter runs, by its command line.
 *
 * Runs      anywhere. Pure: words in, name out.
 * Promises  only a path or a module's name is given: neither code nor any other argument, which may
 *           hold secrets.
 */
#ifndef TL_PROCESS_SCRIPT_NAME_H
#define TL_PROCESS_SCRIPT_NAME_H

#include "../base/types.h"

struct text;

/* Puts `app.py`, `-m package`, `-c`, `-` (standard input), or nothing. The words are those of
 * /proc/PID/cmdline, each with a NUL behind it, and one more behind them all. False, and nothing
 * put: a helper that multiprocessing started, for the program that its parent runs. */
TL_INTERNAL bool script_name_put(struct text *name, const char *words, size_t length);

#endif
