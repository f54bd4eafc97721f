/* sort: by number, without memory (libc's qsort may allocate). */
#ifndef TL_BASE_SORT_H
#define TL_BASE_SORT_H

#include "types.h"

/* Orders `index[0..count)` by descending keys[index[i]]. Equal keys by ascending index, so that
 * reports repeat. Heapsort. */
TL_INTERNAL void sort_descending(uint32_t *index, size_t count, const double *keys);

/* Puts rows into that order, in place: row i becomes what was row order[i]. `order` is used up. A
 * row is at most SORT_LARGEST_ROW bytes. */
TL_INTERNAL void sort_apply(uint32_t *order, size_t count, void *rows, size_t row_bytes);

#define SORT_LARGEST_ROW 640

#endif
