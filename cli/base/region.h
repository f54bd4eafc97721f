/* region: memory that goes back in one piece: what is known of a snapshot, until there is a newer
 * one.
 *
 * Promises  never NULL: without memory the command ends with one line. What is given is zeroed,
 *           aligned for anything, and not for free(): it goes with its region.
 */
#ifndef TL_CLI_BASE_REGION_H
#define TL_CLI_BASE_REGION_H

#include <stddef.h>

struct region;

/* The region that the functions below take from, from now on; returns the one until now. NULL, as
 * at the start: what is taken stays as long as the command. */
struct region *region_use(struct region *region);
struct region *region_new(void);
void region_free(struct region *region); /* not the one in use; NULL: nothing */

void *region_alloc(size_t count, size_t size);
/* Room for one more in an array that doubles: `*room` is what there is, `used` what is taken. */
void *region_grow(void *array, size_t used, size_t *room, size_t size);
char *region_copy(const char *string);
__attribute__((format(printf, 1, 2))) char *region_text(const char *format, ...);

#endif
