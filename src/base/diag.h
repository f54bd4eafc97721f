/* diag: one line to the user on stderr, prefixed `[trackleak] `.
 *
 * Runs      anywhere but on the hot path. One write a line, so lines of several processes do not
 *           mix.
 * Promises  errno is kept; nothing is printed when stderr is closed, or when descriptor 2 has
 *           become something else; nothing waits for a reader that does not read, no SIGPIPE; names
 *           are printed as text_put_plain has them.
 */
#ifndef TL_BASE_DIAG_H
#define TL_BASE_DIAG_H

#include "types.h"

/* The message is made of the parts up to a NULL, joined as they are: diag_say("cannot open ",
 * path, NULL). */
TL_INTERNAL void diag_say(const char *part, ...) __attribute__((sentinel));
/* The bytes as they are, with the same promises: the banner, or a log whose name is `-`. Returns
 * how many were written. */
TL_INTERNAL size_t diag_write(const char *bytes, size_t length);
/* What an errno means, in English and without locale: "permission denied". */
TL_INTERNAL const char *diag_reason(int error);

#endif
