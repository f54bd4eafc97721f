/* keep: memory for as long as the command runs; it is short, so nothing of it is given back.
 *
 * Promises  never NULL: without memory the command ends with one line.
 */
#ifndef TL_CLI_BASE_KEEP_H
#define TL_CLI_BASE_KEEP_H

#include <stddef.h>

void *keep_alloc(size_t count, size_t size); /* zeroed */
/* Room for one more in an array that doubles: `*room` is what there is, `used` what is taken. */
void *keep_grow(void *array, size_t used, size_t *room, size_t size);
char *keep_copy(const char *string);
__attribute__((format(printf, 1, 2))) char *keep_text(const char *format, ...);

#endif
