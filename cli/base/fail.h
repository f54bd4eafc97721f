/* fail: how the command says that it cannot go on: one line on stderr, status 2.
 *
 * Promises  the line is one line, whatever a name in it holds.
 */
#ifndef TL_CLI_BASE_FAIL_H
#define TL_CLI_BASE_FAIL_H

#define FAIL_STATUS 2

__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...);
__attribute__((format(printf, 1, 2))) void fail_softly(const char *format, ...); /* and goes on */

#endif
