/* refused_copies: preloaded beside the agent. A process may not copy its own memory, as some seccomp filters have it. */
#include <errno.h>
#include <sys/types.h>

ssize_t process_vm_readv(void)
{
	errno = EPERM;
	return -1;
}
