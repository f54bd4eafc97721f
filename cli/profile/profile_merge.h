/* profile_merge: several processes as one: a prefork fleet is one service.
 *
 * Promises  every sum of the result is the sum over the parts. Functions are the same when name,
 *           file and first line are; frames when their whole stack is.
 */
#ifndef TL_CLI_PROFILE_PROFILE_MERGE_H
#define TL_CLI_PROFILE_PROFILE_MERGE_H

#include "profile.h"

/* `count` from 1 up. The first part says who it is: the newest one. The array stays in use. */
struct profile *profile_merge(struct profile *const *parts, size_t count);

#endif
