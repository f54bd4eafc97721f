/* DESIGN: the kernel gives the lowest free number, and no call opens a file at a high one: so it is
 * opened, copied up, and closed below. (A descriptor table of our own, by unshare(CLONE_FILES),
 * was dropped: it holds what the program has since closed.)
 *
 * A table of descriptors that grows costs nothing in a process of one thread, and with several a
 * wait of some 10 ms. It grows once, to 1,024, with the first file that the constructor opens. A
 * lower number would save 6 KB, and lies where a server's connections are.
 */
#include "descriptor.h"

#include <fcntl.h>
#include <unistd.h>

TL_INTERNAL int descriptor_raise(int fd)
{
	int high;

	if (fd < 0)
		return fd;
	high = fcntl(fd, F_DUPFD_CLOEXEC, DESCRIPTOR_HIGH);
	if (high < 0 && fd > STDERR_FILENO)
		return fd;
	if (high < 0)
		high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(fd);
	return high;
}

TL_INTERNAL int descriptor_open(int folder, const char *path, int flags)
{
	return descriptor_raise(openat(folder, path, flags, 0600));
}
