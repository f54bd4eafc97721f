#include "folder.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

TL_INTERNAL void folder_begin(struct folder *folder, int fd)
{
	folder->fd = fd;
	folder->length = folder->at = 0;
}

TL_INTERNAL const char *folder_next(struct folder *folder)
{
	/* struct linux_dirent64: inode, offset, 16-bit record length, type, name */
	const char *entry;
	uint16_t record;

	if (folder->at >= folder->length) {
		folder->at = 0;
		folder->length = syscall(SYS_getdents64, folder->fd, folder->entries,
					 sizeof(folder->entries));
		if (folder->length <= 0)
			return NULL;
	}
	entry = folder->entries + folder->at;
	memcpy(&record, entry + 16, sizeof(record));
	folder->at += record;
	return entry + 19;
}
