#include "profile_find.h"

#include "../base/fail.h"
#include "../base/keep.h"
#include "../base/process.h"
#include "../base/region.h"
#include "control_client.h"
#include "profile_merge.h"
#include "profile_read.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROFILE_FIND_FOLDERS  6
#define PROFILE_FIND_HOSTNAME 256

static int profile_find_newest_first(const void *a, const void *b)
{
	double left = (*(struct profile *const *)a)->time;
	double right = (*(struct profile *const *)b)->time;

	return left > right ? -1 : left < right;
}

bool profile_find_is_snapshot(const char *name)
{
	size_t length = strlen(name);

	return strncmp(name, "snapshot-", 9) == 0 && length > 14 &&
	       strcmp(name + length - 5, ".json") == 0;
}

void profile_find_all(struct profile_list *list, const char *folder)
{
	DIR *stream = opendir(folder);
	const struct dirent *entry;

	if (stream == NULL)
		return;
	while ((entry = readdir(stream)) != NULL) {
		char why[PROFILE_READ_WHY], *path;
		struct profile *profile;

		if (!profile_find_is_snapshot(entry->d_name))
			continue;
		path = region_text("%s/%s", folder, entry->d_name);
		profile = profile_read(path, why);
		if (profile == NULL) {
			fail_softly("%s: %s", path, why);
			continue;
		}
		list->profiles = region_grow(list->profiles, list->count, &list->room,
					     sizeof(struct profile *));
		list->profiles[list->count++] = profile;
	}
	closedir(stream);
	if (list->count > 0)
		qsort(list->profiles, list->count, sizeof(struct profile *),
		      profile_find_newest_first);
}

char **profile_find_folders(void)
{
	char **folders = keep_alloc(PROFILE_FIND_FOLDERS, sizeof(char *));
	const char *own = getenv("TRACKLEAK_LOG_DIR");
	size_t count = 0;

	if (own != NULL && own[0] != '\0')
		folders[count++] = keep_copy(own);
	folders[count++] = keep_copy("/var/log/memory-profiler");
	folders[count++] = keep_copy("/tmp/trackleak");
	folders[count] = keep_text("/tmp/trackleak-%u", (unsigned)getuid());
	return folders;
}

char *profile_find_folder_of(unsigned long pid)
{
	return process_variable((pid_t)pid, "TRACKLEAK_LOG_DIR");
}

bool profile_find_is_running(const struct profile *profile)
{
	char hostname[PROFILE_FIND_HOSTNAME] = "";
	double start = process_start_time((pid_t)profile->pid);

	/* A folder may be shared by machines or containers, each with pids of its own. */
	gethostname(hostname, sizeof(hostname) - 1);
	if (strcmp(hostname, profile->hostname) != 0)
		return false;
	/* Who has the pid now may be another, started after the snapshot was written. */
	return !profile->is_final && start > 0 && start < profile->time + 1;
}

/* Until when is it known to have been there? */
static double profile_find_end(const struct profile *profile)
{
	return profile_find_is_running(profile) ? INFINITY : profile->time;
}

static bool profile_find_is_same_service(const struct profile *a, const struct profile *b)
{
	return strcmp(a->program, b->program) == 0 && strcmp(a->script, b->script) == 0 &&
	       strcmp(a->job_name, b->job_name) == 0 && strcmp(a->hostname, b->hostname) == 0 &&
	       a->start <= profile_find_end(b) && b->start <= profile_find_end(a);
}

bool profile_find_is_worse(const struct profile *a, const struct profile *b)
{
	const struct profile_function *whose;
	unsigned left = profile_verdict_rank(profile_worst(a, &whose));
	unsigned right = profile_verdict_rank(profile_worst(b, &whose));

	return left > right || (left == right && a->live_bytes.value > b->live_bytes.value);
}

/* The newest one and those that belong to it, as one. What a process held that has ended is gone:
 * it only counts where none is left. */
static struct profile *profile_find_service(const struct profile_list *list,
					    const struct profile **worst)
{
	struct profile **parts = region_alloc(list->count, sizeof(*parts)), *whole;
	size_t count = 0, running = 0;

	for (size_t i = 0; i < list->count; i++) {
		struct profile *part = list->profiles[i];

		if (!profile_find_is_same_service(list->profiles[0], part))
			continue;
		parts[count++] = part;
		if (profile_find_is_running(part)) {
			parts[count - 1] = parts[running];
			parts[running++] = part;
		}
	}
	whole = profile_merge(parts, running > 0 ? running : count);
	whole->ended = running > 0 ? count - running : 0;
	if (worst != NULL) {
		*worst = parts[0];
		for (size_t i = 1; i < whole->processes; i++) {
			if (profile_find_is_worse(parts[i], *worst))
				*worst = parts[i];
		}
	}
	return whole;
}

struct profile *profile_find_newest(const char *folder, const struct profile **worst)
{
	struct profile_list list = {0};

	profile_find_all(&list, folder);
	return list.count > 0 ? profile_find_service(&list, worst) : NULL;
}

/* The snapshot that it writes now, if it can be asked; else the one of its last dump. */
static struct profile *profile_find_pid(const char *wanted)
{
	char **folders = profile_find_folders(), why[PROFILE_READ_WHY] = "";
	char why_not[CONTROL_CLIENT_WHY] = "";
	unsigned long pid = strtoul(wanted, NULL, 10);
	char *own = profile_find_folder_of(pid), *fresh = NULL;

	if (process_start_time((pid_t)pid) > 0)
		fresh = control_client_snapshot((pid_t)pid, why_not);
	if (fresh != NULL) {
		struct profile *profile = profile_read(fresh, why);

		if (profile == NULL)
			fail("%s: %s", fresh, why);
		return profile;
	}
	for (size_t i = 0; own != NULL || folders[i] != NULL; own = NULL) {
		char *path = keep_text("%s/snapshot-%lu.json", own != NULL ? own : folders[i], pid);

		if (access(path, F_OK) == 0) {
			struct profile *profile = profile_read(path, why);

			if (profile == NULL)
				fail("%s: %s", path, why);
			return profile;
		}
		if (own == NULL)
			i++;
	}
	if (process_start_time((pid_t)pid) <= 0)
		fail("there is no process %lu, and no snapshot of it in %s", pid, folders[0]);
	fail("%s, and there is no snapshot of it in %s", why_not, folders[0]);
}

struct profile *profile_find(const char *wanted, const struct profile **worst)
{
	char why[PROFILE_READ_WHY];
	struct stat status;
	struct profile *profile = NULL;

	if (worst != NULL)
		*worst = NULL;
	if (wanted == NULL) {
		char **folders = profile_find_folders();

		for (size_t i = 0; folders[i] != NULL && profile == NULL; i++)
			profile = profile_find_newest(folders[i], worst);
		if (profile == NULL)
			fail("no snapshot in %s: name a pid, a file or a folder", folders[0]);
		return profile;
	}
	if (wanted[0] == '\0')
		fail("an empty name is no pid, file or folder");
	if (stat(wanted, &status) != 0) {
		if (strspn(wanted, "0123456789") == strlen(wanted) && strlen(wanted) < 10)
			return profile_find_pid(wanted);
		fail("%s: %s", wanted, strerror(errno));
	}
	if (S_ISDIR(status.st_mode)) {
		profile = profile_find_newest(wanted, worst);
		if (profile == NULL)
			fail("%s: no snapshot in this folder", wanted);
		return profile;
	}
	profile = profile_read(wanted, why);
	if (profile == NULL)
		fail("%s: %s", wanted, why);
	return profile;
}
