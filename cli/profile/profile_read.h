/* profile_read: reads a snapshot.
 *
 * Promises  what is returned is whole, lies in the region in use, and keeps what
 *           profile.h says, whatever the file holds; else NULL, and `why` is one line for a person.
 */
#ifndef TL_CLI_PROFILE_PROFILE_READ_H
#define TL_CLI_PROFILE_PROFILE_READ_H

#include "profile.h"

#define PROFILE_READ_WHY 256 /* READER_WHY */

/* From now on what is alive means: of what was allocated since the baseline. A snapshot without a
 * baseline is refused. */
void profile_read_since_baseline(void);
struct profile *profile_read(const char *path, char why[PROFILE_READ_WHY]);
/* The same from text with a NUL behind it; `path` is the name it goes by. */
struct profile *profile_parse(const char *text, size_t length, const char *path,
			      char why[PROFILE_READ_WHY]);
/* A whole file of at most `limit` bytes, NUL-terminated; NULL with a reason. Only a regular file.
 * */
char *profile_read_file(const char *path, size_t limit, size_t *length, char why[PROFILE_READ_WHY]);

#endif
