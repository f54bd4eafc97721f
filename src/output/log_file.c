/* DESIGN: open, look, write, close, at each call. Dumps are minutes apart and event lines come 64
 * KiB at a time, so an open costs nothing that matters, and it answers four troubles at once:
 * rotation by others, deleted folders, descriptors that the program closed, and forks.
 *
 * Rotation is a chain of renames under a flock of the log itself, taken without waiting: who does
 * not get it appends to the file it has open, and no line is lost, for a renamed file is still a
 * file. Under the lock the name must still mean the open file, else another process has just
 * rotated it. The lock is given back by name (LOCK_UN) and not by close alone: a child forked
 * meanwhile holds a copy of the descriptor, and would hold the lock.
 *
 * Appends exclude each other in the kernel, but a look at the end of the file may see half of one.
 * So who appends holds a second lock shared, and who looks for a torn line (at the first append,
 * and after a failed one) wants that alone. Either goes on without it when it cannot be had at
 * once; the worst of that is an empty line. It is a record lock of the open file, which flock knows
 * nothing of: with one lock for both, busy writers kept everybody from rotating.
 */
#include "log_file.h"

#include "../base/descriptor.h"
#include "../base/diag.h"
#include "../base/text.h"
#include "../process/config.h"
#include "log_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h> /* renameat */
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define LOG_FILE_PATH  4096
#define LOG_FILE_TRIES 4 /* of losing a race against another process that rotates */

static bool log_file_is_stderr(const char *name)
{
	return strcmp(name, "-") == 0;
}

/* The name with `%p` replaced. */
static void log_file_put_name(struct text *text, const char *name)
{
	for (const char *mark; (mark = strstr(name, "%p")) != NULL; name = mark + 2) {
		text_put_bytes(text, name, (size_t)(mark - name));
		text_put_u64(text, (uint64_t)getpid());
	}
	text_put(text, name);
}

TL_INTERNAL void log_file_path(struct text *path, const char *name)
{
	if (name[0] != '/' && !log_file_is_stderr(name)) {
		log_folder_path(path);
		text_put_char(path, '/');
	}
	log_file_put_name(path, name);
}

/* Opens the folder that holds the log, and puts the last part of its name into `leaf`. */
static int log_file_open_folder(const char *name, struct text *leaf)
{
	char buffer[LOG_FILE_PATH];
	struct text full = text_over(buffer, sizeof(buffer));
	const char *slash;
	int base = AT_FDCWD, folder, error;

	log_file_put_name(&full, name);
	text_terminate(&full);
	slash = strrchr(buffer, '/');
	text_put(leaf, slash == NULL ? buffer : slash + 1);
	text_terminate(leaf);
	if (full.cut || leaf->cut) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (buffer[0] != '/') {
		base = log_folder_open();
		if (base < 0 || slash == NULL)
			return base;
	}
	buffer[slash - buffer + 1] = '\0'; /* with its slash, so that the root is itself */
	folder = descriptor_open(base, buffer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	error = errno;
	if (base != AT_FDCWD)
		close(base);
	errno = error;
	return folder;
}

/* Is this the kind of file we write to? */
static bool log_file_is_safe(int folder, int fd)
{
	struct stat status;

	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
		return false;
	if (!log_folder_is_shared(folder))
		return true;
	return status.st_nlink <= 1 && (status.st_uid == geteuid() || status.st_uid == 0);
}

/* -1 and errno; EINVAL: what stands there is not ours to write to. */
static int log_file_open(int folder, const char *leaf)
{
	/* Read too: the last byte tells whether a line was torn. O_NONBLOCK: a planted FIFO must
	 * not stop us. */
	int flags = O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	int fd = -1;

	for (int i = 0; fd < 0 && i < LOG_FILE_TRIES; i++) {
		fd = descriptor_open(folder, leaf, flags);
		if (fd >= 0 || errno != ENOENT)
			break;
		fd = descriptor_open(folder, leaf, flags | O_CREAT | O_EXCL);
		if (fd >= 0)
			fchmod(fd, (mode_t)config.log_mode); /* whatever the umask */
		else if (errno != EEXIST)
			break;
	}
	if (fd >= 0 && !log_file_is_safe(folder, fd)) {
		close(fd);
		fd = -1;
		errno = EINVAL;
	}
	return fd;
}

static bool log_file_would_overflow(int fd, size_t length)
{
	struct stat status;
	uint64_t limit = config.log_max_mb << 20;

	return fstat(fd, &status) == 0 && status.st_size > 0 &&
	       (uint64_t)status.st_size + length > limit;
}

/* `events.log.3`; number 0 is the log itself. */
static const char *log_file_numbered(struct text *name, const char *leaf, uint64_t number)
{
	text_clear(name);
	text_put(name, leaf);
	if (number > 0) {
		text_put_char(name, '.');
		text_put_u64(name, number);
	}
	return text_terminate(name);
}

static void log_file_shift(int folder, const char *leaf)
{
	char older_buffer[NAME_MAX + 1], newer_buffer[NAME_MAX + 1];
	struct text older = text_over(older_buffer, sizeof(older_buffer));
	struct text newer = text_over(newer_buffer, sizeof(newer_buffer));

	if (config.log_keep == 0) {
		unlinkat(folder, leaf, 0);
		return;
	}
	/* The last rename is that of the log itself: until then, all others find the lock taken. */
	for (uint64_t number = config.log_keep; number > 0; number--) {
		log_file_numbered(&older, leaf, number);
		log_file_numbered(&newer, leaf, number - 1);
		if (!older.cut && !newer.cut)
			renameat(folder, newer.data, folder, older.data);
	}
}

/* Returns true when the name means another file now, which has to be opened. */
static bool log_file_rotate(int folder, const char *leaf, int fd)
{
	struct stat opened, named;
	bool is_moved = false;

	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return false;
	if (fstat(fd, &opened) == 0) {
		if (fstatat(folder, leaf, &named, AT_SYMLINK_NOFOLLOW) != 0) {
			is_moved = errno == ENOENT;
		} else if (named.st_dev != opened.st_dev || named.st_ino != opened.st_ino) {
			is_moved = true;
		} else {
			log_file_shift(folder, leaf);
			is_moved = fstatat(folder, leaf, &named, AT_SYMLINK_NOFOLLOW) != 0 ||
				   named.st_ino != opened.st_ino;
		}
	}
	flock(fd, LOCK_UN);
	return is_moved;
}

static bool log_file_is_torn(int fd)
{
	struct stat status;
	char last;

	return fstat(fd, &status) == 0 && status.st_size > 0 &&
	       pread(fd, &last, 1, status.st_size - 1) == 1 && last != '\n';
}

/* Never waits. `type` F_RDLCK, F_WRLCK or F_UNLCK. */
static bool log_file_lock_writes(int fd, short type)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};

	return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

/* One write of all, behind a newline if the last line is torn. Returns the bytes of ours that
 * were written. */
static size_t log_file_write(int fd, const char *bytes, size_t length, bool must_look)
{
	struct iovec parts[] = {
		{.iov_base = "\n", .iov_len = 1},
		{.iov_base = (void *)(uintptr_t)bytes, .iov_len = length},
	};
	bool is_locked = log_file_lock_writes(fd, must_look ? F_WRLCK : F_RDLCK);
	bool is_torn = must_look && is_locked && log_file_is_torn(fd);
	ssize_t written;
	int error;

	if (log_folder_is_shut)
		return length;
	do {
		written = is_torn ? writev(fd, parts, 2) : writev(fd, parts + 1, 1);
	} while (written < 0 && errno == EINTR);
	error = errno;
	if (is_locked)
		log_file_lock_writes(fd, F_UNLCK);
	errno = error;
	if (written < 0)
		return 0;
	if (is_torn && written > 0)
		written--;
	if ((size_t)written < length)
		errno = ENOSPC; /* the only reason for a regular file to take a part */
	return (size_t)written;
}

/* Returns the bytes that were written; errno when that is not all. */
static size_t log_file_try(const char *name, const char *bytes, size_t length, bool must_look)
{
	char leaf_buffer[NAME_MAX + 1];
	struct text leaf = text_over(leaf_buffer, sizeof(leaf_buffer));
	size_t written = 0;
	int folder = log_file_open_folder(name, &leaf);
	int fd, error;

	if (folder < 0)
		return 0;
	fd = log_file_open(folder, leaf_buffer);
	for (int i = 0; fd >= 0 && i < LOG_FILE_TRIES && log_file_would_overflow(fd, length); i++) {
		if (!log_file_rotate(folder, leaf_buffer, fd))
			break;
		close(fd);
		fd = log_file_open(folder, leaf_buffer);
	}
	if (fd >= 0)
		written = log_file_write(fd, bytes, length, must_look);
	error = errno;
	if (fd >= 0)
		close(fd);
	close(folder);
	errno = error;
	return written;
}

TL_COLD static void log_file_complain(const struct log_file *file, int error)
{
	char buffer[LOG_FILE_PATH];
	struct text path = text_over(buffer, sizeof(buffer));

	log_file_path(&path, file->name);
	diag_say("cannot write ", text_terminate(&path), " (", diag_reason(error),
		 "): what does not fit is lost", NULL);
}

TL_COLD static void log_file_tell_recovery(const struct log_file *file)
{
	char buffer[LOG_FILE_PATH], number_buffer[24];
	struct text path = text_over(buffer, sizeof(buffer));
	struct text number = text_over(number_buffer, sizeof(number_buffer));

	log_file_path(&path, file->name);
	text_put_u64(&number, file->lost_bytes);
	diag_say(text_terminate(&path), " is written again; lost bytes: ", text_terminate(&number),
		 NULL);
}

TL_INTERNAL void log_file_reset_in_child(struct log_file *file)
{
	file->lost_bytes = 0;
	file->has_recovered = file->has_complained;
}

TL_INTERNAL enum tl_err log_file_append(struct log_file *file, const char *bytes, size_t length)
{
	int saved_errno = errno;
	size_t written;

	if (log_file_is_stderr(file->name))
		written = log_folder_is_shut ? length : diag_write(bytes, length);
	else
		written = log_file_try(file->name, bytes, length, !file->is_whole);
	file->is_whole = written == length;

	if (written < length) {
		file->lost_bytes += length - written;
		if (!file->has_complained && !log_file_is_stderr(file->name))
			log_file_complain(file, errno);
		file->has_complained = true;
	} else if (file->has_complained && !file->has_recovered) {
		if (!log_file_is_stderr(file->name))
			log_file_tell_recovery(file);
		file->has_recovered = true;
	}
	errno = saved_errno;
	return written < length ? TL_ERR_SYSTEM : TL_OK;
}
