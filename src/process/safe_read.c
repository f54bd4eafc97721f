#include "safe_read.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

static bool safe_read_is_refused;

TL_INTERNAL bool safe_read(const void *from, void *to, size_t bytes)
{
	struct iovec here = {to, bytes}, there = {(void *)(uintptr_t)from, bytes};
	ssize_t copied;

	if (TL_LOAD(safe_read_is_refused))
		return false;
	copied = process_vm_readv(getpid(), &here, 1, &there, 1, 0);
	if (copied < 0 && errno != EFAULT)
		TL_STORE(safe_read_is_refused, true);
	return copied == (ssize_t)bytes;
}

TL_INTERNAL bool safe_read_is_there(uintptr_t from, uintptr_t to)
{
	enum { PAGES = 64 };
	struct iovec there[PAGES];
	char bytes[PAGES] = {0};

	from &= ~(uintptr_t)(SAFE_READ_PAGE - 1);
	while (from < to) {
		struct iovec here = {bytes, 0};

		for (; from < to && here.iov_len < PAGES; from += SAFE_READ_PAGE)
			there[here.iov_len++] = (struct iovec){(void *)from, 1};
		if (process_vm_readv(getpid(), &here, 1, there, here.iov_len, 0) !=
		    (ssize_t)here.iov_len)
			return false;
	}
	return true;
}
