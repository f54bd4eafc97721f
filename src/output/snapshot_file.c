/* DESIGN: a process is dead when nobody has its pid, or when who has it now was started after the
 * snapshot was written.
 */
#include "snapshot_file.h"

#include "../base/descriptor.h"
#include "../base/diag.h"
#include "../base/folder.h"
#include "../base/text.h"
#include "../process/config.h"
#include "../process/proc_memory.h"
#include "log_folder.h"
#include "snapshot.h"
#include "snapshot_json.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h> /* renameat */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SNAPSHOT_FILE_NAME 64

static const char *snapshot_file_name(struct text *name, uint64_t pid, const char *suffix)
{
	text_put(name, "snapshot-");
	text_put_u64(name, pid);
	text_put(name, suffix);
	return text_terminate(name);
}

/* In a folder that others can write to, a file of this name may be theirs. */
static bool snapshot_file_is_foreign(int folder, const char *name)
{
	struct stat status;

	return fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
	       status.st_uid != geteuid();
}

/* Returns 0 or an errno. */
static int snapshot_file_replace(int folder, const struct snapshot *snapshot, char *buffer)
{
	char name_buffer[SNAPSHOT_FILE_NAME], temporary_buffer[SNAPSHOT_FILE_NAME];
	struct text name = text_over(name_buffer, sizeof(name_buffer));
	struct text temporary = text_over(temporary_buffer, sizeof(temporary_buffer));
	int file, error;

	snapshot_file_name(&name, snapshot->pid, ".json");
	snapshot_file_name(&temporary, snapshot->pid, ".json.tmp");
	if (snapshot_file_is_foreign(folder, name_buffer) ||
	    snapshot_file_is_foreign(folder, temporary_buffer))
		return EPERM;
	unlinkat(folder, temporary_buffer, 0); /* of a process that was killed while it wrote */
	file = descriptor_open(folder, temporary_buffer,
			       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC);
	if (file < 0)
		return errno;
	fchmod(file, (mode_t)config.log_mode);
	error = snapshot_json_put(file, snapshot, buffer);
	if (close(file) != 0 && error == 0) /* network file systems tell it here */
		error = errno;
	if (log_folder_is_shut)
		return 0; /* the file is the parent's */
	if (error == 0 && renameat(folder, temporary_buffer, folder, name_buffer) != 0)
		error = errno;
	if (error != 0)
		unlinkat(folder, temporary_buffer, 0);
	return error;
}

struct snapshot_file_dead {
	int64_t written_ns;
	uint64_t pid;
};

/* `snapshot-<pid>.json`, or with .tmp behind it: gives the pid, else 0. */
static uint64_t snapshot_file_parse_name(const char *name, bool *is_temporary)
{
	uint64_t pid = 0;

	if (strncmp(name, "snapshot-", 9) != 0)
		return 0;
	for (name += 9; *name >= '0' && *name <= '9' && pid < UINT32_MAX; name++)
		pid = pid * 10 + (uint64_t)(*name - '0');
	*is_temporary = strcmp(name, ".json.tmp") == 0;
	return *is_temporary || strcmp(name, ".json") == 0 ? pid : 0;
}

/* Is it the snapshot, or what is left of one, of a process that is dead, and ours? */
static bool snapshot_file_is_dead(int folder, const char *name, uint64_t pid, int64_t *written_ns)
{
	struct stat status;
	double started;

	if (pid == (uint64_t)getpid() || fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
	    !S_ISREG(status.st_mode) || status.st_uid != geteuid())
		return false;
	*written_ns = status.st_mtim.tv_sec * INT64_C(1000000000) + status.st_mtim.tv_nsec;
	if (kill((pid_t)pid, 0) != 0 && errno == ESRCH)
		return true;
	/* A second of doubt: the kernel's clocks for files and for processes are not one. */
	started = proc_start_time(pid);
	return started > (double)*written_ns / 1e9 + 1;
}

static void snapshot_file_remove(int folder, uint64_t pid)
{
	char buffer[SNAPSHOT_FILE_NAME];
	struct text name = text_over(buffer, sizeof(buffer));

	unlinkat(folder, snapshot_file_name(&name, pid, ".json"), 0);
}

/* Lists the dead, at most `limit` of them, and removes what they left half-written. */
static size_t snapshot_file_list_dead(int folder_fd, struct snapshot_file_dead *dead, size_t limit)
{
	struct folder folder;
	const char *name;
	size_t count = 0;

	folder_begin(&folder, folder_fd);
	while (count < limit && (name = folder_next(&folder)) != NULL) {
		bool is_temporary;
		uint64_t pid = snapshot_file_parse_name(name, &is_temporary);
		int64_t written_ns;

		if (pid == 0 || !snapshot_file_is_dead(folder_fd, name, pid, &written_ns))
			continue;
		if (is_temporary)
			unlinkat(folder_fd, name, 0);
		else
			dead[count++] = (struct snapshot_file_dead){written_ns, pid};
	}
	return count;
}

static void snapshot_file_prune(int folder, char *buffer)
{
	struct snapshot_file_dead *dead = (void *)buffer;
	size_t count = snapshot_file_list_dead(folder, dead, SNAPSHOT_JSON_BUFFER / sizeof(*dead));

	while (count > config.log_keep) {
		size_t oldest = 0;

		for (size_t i = 1; i < count; i++) {
			if (dead[i].written_ns < dead[oldest].written_ns)
				oldest = i;
		}
		snapshot_file_remove(folder, dead[oldest].pid);
		dead[oldest] = dead[--count];
	}
}

TL_INTERNAL enum tl_err snapshot_file_write(const struct snapshot *snapshot, char *buffer)
{
	static bool snapshot_file_has_complained;
	int folder = log_folder_open();
	int error;

	if (folder < 0)
		return TL_ERR_SYSTEM; /* log_folder has said so */
	error = snapshot_file_replace(folder, snapshot, buffer);
	snapshot_file_prune(folder, buffer);
	close(folder);
	if (error == 0)
		return TL_OK;
	if (!snapshot_file_has_complained)
		diag_say("cannot write the snapshot file (", diag_reason(error),
			 "): the former one stays", NULL);
	snapshot_file_has_complained = true;
	return TL_ERR_SYSTEM;
}

TL_INTERNAL void snapshot_file_path(struct text *path, uint64_t pid)
{
	log_folder_path(path);
	text_put_char(path, '/');
	snapshot_file_name(path, pid, ".json");
}

TL_INTERNAL bool snapshot_file_is_there(void)
{
	char buffer[SNAPSHOT_FILE_NAME];
	struct text name = text_over(buffer, sizeof(buffer));
	int folder = log_folder_open();
	struct stat status;
	bool is_there;

	if (folder < 0)
		return false;
	is_there = fstatat(folder, snapshot_file_name(&name, (uint64_t)getpid(), ".json"), &status,
			   AT_SYMLINK_NOFOLLOW) == 0 &&
		   (double)status.st_mtim.tv_sec + (double)status.st_mtim.tv_nsec / 1e9 >=
			   proc_start_time((uint64_t)getpid());
	close(folder);
	return is_there;
}
