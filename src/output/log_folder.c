/* DESIGN: three choices in order: LOG_DIR, /tmp/trackleak, /tmp/trackleak-<uid>. All that is
 * remembered is which one was taken, one word that needs no lock and survives a fork; paths are put
 * together when they are needed, and the folder is opened anew for each use, because the program
 * may close any descriptor, and cleaners delete folders. The choice that worked last is tried
 * first, so that the files of a process stay together; when it fails, all are tried again from the
 * top.
 *
 * What stands under /tmp has a name that anybody can guess. Opening without following links and
 * then looking at the open folder (ours, nobody else may write) leaves no moment between look and
 * use.
 */
#include "log_folder.h"

#include "../base/descriptor.h"
#include "../base/diag.h"
#include "../base/text.h"
#include "../process/config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_FOLDER_PATH 4096

enum log_folder_choice {
	LOG_FOLDER_SET, /* config.log_dir */
	LOG_FOLDER_TEMPORARY,
	LOG_FOLDER_TEMPORARY_OF_USER,
	LOG_FOLDER_NONE,
};

TL_INTERNAL bool log_folder_is_shut;
TL_INTERNAL const char *log_folder_temporary = "/tmp";

static enum log_folder_choice
	log_folder_chosen; /* written by whoever finds it failing; stale does no harm */
static bool log_folder_is_silent;
static char log_folder_started_in[LOG_FOLDER_PATH / 2]; /* written in the constructor only */

static void log_folder_put_choice(struct text *path, enum log_folder_choice choice)
{
	if (choice == LOG_FOLDER_TEMPORARY || choice == LOG_FOLDER_TEMPORARY_OF_USER) {
		text_put(path, log_folder_temporary);
		text_put(path, "/trackleak");
	} else {
		if (config.log_dir[0] != '/') {
			text_put(path, log_folder_started_in);
			text_put_char(path, '/');
		}
		text_put(path, config.log_dir);
	}
	if (choice == LOG_FOLDER_TEMPORARY_OF_USER) {
		text_put_char(path, '-');
		text_put_u64(path, geteuid());
	}
}

/* 0600 -> 0700, 0644 -> 0755. */
static mode_t log_folder_mode(enum log_folder_choice choice)
{
	mode_t mode = (mode_t)config.log_mode & 0777;

	mode |= (mode & 0444) >> 2 | S_IRWXU;
	return choice == LOG_FOLDER_SET ? mode : mode & ~(mode_t)(S_IWGRP | S_IWOTH);
}

/* The folders above it, as `mkdir -p` makes them. Failures show when the folder itself is made. */
static void log_folder_make_parents(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
}

static int log_folder_open_or_make(char *path, enum log_folder_choice choice)
{
	int flags =
		O_RDONLY | O_DIRECTORY | O_CLOEXEC | (choice == LOG_FOLDER_SET ? 0 : O_NOFOLLOW);
	int folder = descriptor_open(AT_FDCWD, path, flags);
	bool is_new;

	if (folder >= 0 || errno != ENOENT)
		return folder;
	log_folder_make_parents(path);
	is_new = mkdir(path, 0700) == 0;
	if (!is_new && errno != EEXIST)
		return -1;
	folder = descriptor_open(AT_FDCWD, path, flags);
	if (folder >= 0 && is_new)
		fchmodat(folder, ".", log_folder_mode(choice), 0); /* what the umask took away */
	return folder;
}

TL_INTERNAL bool log_folder_is_private(int folder)
{
	struct stat status;

	return fstat(folder, &status) == 0 && status.st_uid == geteuid() &&
	       !(status.st_mode & (S_IWGRP | S_IWOTH));
}

/* Opens one choice. -1 and errno if it cannot be had, written, or trusted. */
static int log_folder_try(enum log_folder_choice choice)
{
	char buffer[LOG_FOLDER_PATH];
	struct text path = text_over(buffer, sizeof(buffer));
	int folder, error;

	log_folder_put_choice(&path, choice);
	text_terminate(&path);
	if (path.cut) {
		errno = ENAMETOOLONG;
		return -1;
	}
	folder = log_folder_open_or_make(buffer, choice);
	if (folder < 0)
		return -1;
	if (choice != LOG_FOLDER_SET && !log_folder_is_private(folder))
		error = EPERM;
	else if (faccessat(folder, ".", W_OK | X_OK, AT_EACCESS) != 0)
		error = errno;
	else
		return folder;
	close(folder);
	errno = error;
	return -1;
}

TL_COLD static void log_folder_say_choice(enum log_folder_choice choice, int error)
{
	char set_buffer[LOG_FOLDER_PATH], buffer[256];
	struct text set = text_over(set_buffer, sizeof(set_buffer));
	struct text path = text_over(buffer, sizeof(buffer));

	log_folder_put_choice(&set, LOG_FOLDER_SET);
	if (choice == LOG_FOLDER_NONE) {
		diag_say("cannot write to ", text_terminate(&set), " (", diag_reason(error),
			 ") nor under /tmp: no files are written", NULL);
	} else if (choice != LOG_FOLDER_SET && !log_folder_is_silent) {
		log_folder_put_choice(&path, choice);
		diag_say("cannot write to ", text_terminate(&set), " (", diag_reason(error),
			 "): files go to ", text_terminate(&path), NULL);
	}
}

TL_INTERNAL int log_folder_open(void)
{
	enum log_folder_choice last = TL_LOAD(log_folder_chosen), choice;
	int folder, first_error = 0;

	if (last != LOG_FOLDER_NONE) {
		folder = log_folder_try(last);
		if (folder >= 0)
			return folder;
	}
	for (choice = LOG_FOLDER_SET; choice < LOG_FOLDER_NONE; choice++) {
		folder = log_folder_try(choice);
		if (folder >= 0)
			break;
		if (choice == LOG_FOLDER_SET)
			first_error = errno;
	}
	TL_STORE(log_folder_chosen, choice);
	if (choice != last)
		log_folder_say_choice(choice, first_error);
	return choice == LOG_FOLDER_NONE ? -1 : folder;
}

TL_INTERNAL void log_folder_start(bool silent)
{
	int folder;

	log_folder_is_silent = silent;
	TL_STORE(log_folder_chosen, LOG_FOLDER_SET);
	if (config.log_dir[0] != '/' &&
	    getcwd(log_folder_started_in, sizeof(log_folder_started_in)) == NULL)
		memcpy(log_folder_started_in, ".", 2);
	folder = log_folder_open();
	if (folder >= 0)
		close(folder);
}

TL_INTERNAL void log_folder_path(struct text *path)
{
	log_folder_put_choice(path, TL_LOAD(log_folder_chosen));
}

TL_INTERNAL bool log_folder_is_shared(int folder)
{
	struct stat status;

	if (fstat(folder, &status) != 0)
		return true;
	return (status.st_mode & S_IWOTH) || (status.st_uid != geteuid() && status.st_uid != 0);
}
