/* safe_read: reads memory that may not be there.
 *
 * Runs      anywhere; one syscall, so never on the hot path. The kernel copies: no fault.
 * Gives up  for good where the kernel refuses (a seccomp filter): everything is unreadable then.
 */
#ifndef TL_PROCESS_SAFE_READ_H
#define TL_PROCESS_SAFE_READ_H

#include "../base/types.h"

/* All of it, or false. Another thread may be writing there: words may be torn. */
TL_INTERNAL bool safe_read(const void *from, void *to, size_t bytes);

#endif
