/* DESIGN
 * pthread's mutex wakes who sleeps, and so must find out, with a second locked instruction, whether
 * anybody does; a sample's birth and death take four locks. They are held for some fifty
 * instructions, and in a dump for up to 50 us; only a holder that has lost its core lets the others
 * wait for longer, and then a millisecond more is nothing new.
 */
#include "lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOCK_LOOKS       100 /* some microseconds */
#define LOCK_SHORTEST_NS 50000
#define LOCK_LONGEST_NS  1000000

static bool lock_becomes_free(const struct lock *lock)
{
	for (int looks = 0; looks < LOCK_LOOKS; looks++) {
		if (TL_LOAD(lock->is_held) == 0)
			return true;
#ifdef __x86_64__
		__builtin_ia32_pause();
#endif
	}
	return false;
}

TL_INTERNAL TL_COLD void lock_await(struct lock *lock)
{
	struct timespec pause = {.tv_nsec = LOCK_SHORTEST_NS};
	int saved_errno = errno;

	do {
		/* Returns at once if it is free by now. No sleep of libc's: those are where a thread
		 * may be cancelled. */
		if (!lock_becomes_free(lock)) {
			syscall(SYS_futex, &lock->is_held, FUTEX_WAIT_PRIVATE, 1, &pause, NULL, 0);
			if (pause.tv_nsec < LOCK_LONGEST_NS)
				pause.tv_nsec *= 2;
		}
	} while (__atomic_exchange_n(&lock->is_held, 1, __ATOMIC_ACQUIRE) != 0);
	errno = saved_errno;
}
