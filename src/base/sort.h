/* sort: by number, without memory (libc's qsort may allocate). */
#ifndef TL_BASE_SORT_H
#define TL_BASE_SORT_H

#include "types.h"

/* Orders `index[0..count)` by descending keys[index[i]]. Equal keys by ascending index, so that
 * reports repeat. Heapsort. */
TL_INTERNAL void sort_descending(uint32_t *index, size_t count, const double *keys);

#endif
