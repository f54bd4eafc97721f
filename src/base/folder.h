/* folder: the names in an open folder, read without memory (opendir allocates).
 *
 * Runs      anywhere but on the hot path. The descriptor stays the caller's.
 */
#ifndef TL_BASE_FOLDER_H
#define TL_BASE_FOLDER_H

#include "types.h"

struct folder {
	int fd;
	long length, at; /* of what was read */
	_Alignas(8) char entries[2048];
};

TL_INTERNAL void folder_begin(struct folder *folder, int fd);
/* The next name, valid until the next call; NULL at the end, or when the folder cannot be read. */
TL_INTERNAL const char *folder_next(struct folder *folder);

#endif
