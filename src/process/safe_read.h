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

#define SAFE_READ_PAGE 4096u
/* Can a byte be read of every page between the two? */
TL_INTERNAL bool safe_read_is_there(uintptr_t from, uintptr_t to);

#endif
