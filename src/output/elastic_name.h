/* elastic_name: the addresses of a server's name.
 *
 * Runs      in the thread that ships. Asks libc in a thread of its own, `trackleak-name`, which has
 *           all signals blocked and lives as long as the question is open.
 * Promises  one such thread at most, however long the name servers hang; nobody waits for it.
 */
#ifndef TL_OUTPUT_ELASTIC_NAME_H
#define TL_OUTPUT_ELASTIC_NAME_H

#include "../base/types.h"

struct text;

enum elastic_name_state { ELASTIC_NAME_ASKING, ELASTIC_NAME_FOUND, ELASTIC_NAME_UNKNOWN };

/* Asks, unless the answer is there: appends the addresses, parted by commas, those of IPv6 in
 * brackets. An answer is good for a minute; that there is none, for one call. */
TL_INTERNAL enum elastic_name_state elastic_name_look_up(struct text *addresses, const char *name);

/* In a forked child, where the thread is not. */
TL_INTERNAL void elastic_name_forget(void);

#endif
