/* DESIGN: the line is built on the stack and leaves in one write. Descriptor 2 is looked at before
 * each write, because the program may have closed it and the kernel hands the number to the next
 * file or socket it opens; our line would then land in its data. What stands on a closed stderr's
 * number is told by the close-on-exec flag: Python and careful libraries set it on all they open,
 * and no stderr that was inherited or put in place by dup2 carries it. (Remembering the inode from
 * the start was dropped: a daemon that points stderr at its log is an ordinary thing.)
 *
 * A pipe that is full or closed must not stop or kill the program where it would not have stopped
 * by itself: each piece is at most PIPE_BUF, for which poll promises that the write does not wait,
 * and SIGPIPE is blocked and taken away again.
 */
#include "diag.h"

#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

#define DIAG_LINE        1024
#define DIAG_PATIENCE_MS 100 /* for a reader that is slow, not dead */

static bool diag_stderr_is_ours(void)
{
	int flags = fcntl(STDERR_FILENO, F_GETFD);

	return flags >= 0 && !(flags & FD_CLOEXEC);
}

static bool diag_sigpipe_is_pending(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

static size_t diag_write_pieces(const char *bytes, size_t length)
{
	struct pollfd stderr_poll = {.fd = STDERR_FILENO, .events = POLLOUT};
	size_t done = 0;

	while (done < length) {
		size_t piece = length - done < PIPE_BUF ? length - done : PIPE_BUF;
		ssize_t written;

		int ready = poll(&stderr_poll, 1, DIAG_PATIENCE_MS);
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready != 1 || !(stderr_poll.revents & POLLOUT))
			break;
		written = write(STDERR_FILENO, bytes + done, piece);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			break;
		done += (size_t)written;
	}
	return done;
}

TL_INTERNAL size_t diag_write(const char *bytes, size_t length)
{
	int saved_errno = errno;
	size_t written = 0;
	sigset_t sigpipe, before;
	bool was_pending;

	if (!diag_stderr_is_ours())
		goto out;
	sigemptyset(&sigpipe);
	sigaddset(&sigpipe, SIGPIPE);
	if (pthread_sigmask(SIG_BLOCK, &sigpipe, &before) != 0)
		goto out;
	was_pending = diag_sigpipe_is_pending();
	written = diag_write_pieces(bytes, length);
	if (!was_pending && diag_sigpipe_is_pending()) {
		while (sigtimedwait(&sigpipe, NULL, &(struct timespec){0}) < 0 && errno == EINTR)
			continue;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
out:
	errno = saved_errno;
	return written;
}

TL_INTERNAL void diag_say(const char *part, ...)
{
	char buffer[DIAG_LINE];
	struct text line = text_over(buffer, sizeof(buffer) - 1);
	va_list parts;

	text_put(&line, "[trackleak] ");
	va_start(parts, part);
	for (; part != NULL; part = va_arg(parts, const char *))
		text_put_plain(&line, part);
	va_end(parts);
	line.capacity++; /* kept free for the end of the line */
	text_put_char(&line, '\n');
	diag_write(line.data, line.length);
}

TL_INTERNAL const char *diag_reason(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return "permission denied";
	case EROFS:
		return "read-only file system";
	case ENOSPC:
		return "no space left";
	case EDQUOT:
		return "quota used up";
	case EFBIG:
		return "file too large";
	case ENOENT:
		return "no such folder";
	case ENOTDIR:
		return "not a folder";
	case EISDIR:
		return "is a folder";
	case ELOOP:
		return "is a symbolic link";
	case ENAMETOOLONG:
		return "name too long";
	case EMFILE:
	case ENFILE:
		return "too many open files";
	case EIO:
		return "input/output error";
	case EINVAL:
		return "not a regular file of ours";
	case ENOMEM:
		return "no memory";
	default:
		return "refused by the system";
	}
}
