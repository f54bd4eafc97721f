/* pages: our own memory, straight from the kernel, so that the tables never meet the allocators
 * that they watch.
 *
 * Runs      anywhere; each call is a syscall, so never on the hot path.
 * Promises  memory is zero, and resident only where it was touched.
 */
#ifndef TL_BASE_PAGES_H
#define TL_BASE_PAGES_H

#include "types.h"

/* NULL when the kernel refuses. */
TL_INTERNAL void *pages_map(size_t bytes);
TL_INTERNAL void pages_unmap(void *pages, size_t bytes);
/* Everything is zero again, and gives its memory back. */
TL_INTERNAL void pages_clear(void *pages, size_t bytes);
/* Of this range, whoever mapped it; counted as far as it is mapped. `start` is a page's. */
TL_INTERNAL size_t pages_resident_in(const char *start, size_t bytes);
/* Bytes of all mappings of pages_map that are resident now. Up to PAGES_MAPPINGS mappings are
 * known. */
TL_INTERNAL size_t pages_resident_bytes(void);

#define PAGES_MAPPINGS 160

#endif
