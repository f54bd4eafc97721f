#include "profile_find.h"

#include "../base/fail.h"
#include "../base/keep.h"
#include "../base/process.h"
#include "../base/region.h"
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

#define PROFILE_FIND_FOLDERS 6
#define PROFILE_FIND_ENVIRON ((size_t)4 << 20)

static int profile_find_newest_first(const void *a, const void *b)
{
	double left = (*(struct profile *const *)a)->time;
	double right = (*(struct profile *const *)b)->time;

	return left > right ? -1 : left < right;
}

static bool profile_find_is_snapshot(const char *name)
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
	static const char variable[] = "TRACKLEAK_LOG_DIR=";
	char path[64], *environ_text, *found = NULL;
	FILE *file;
	size_t length;

	snprintf(path, sizeof(path), "/proc/%lu/environ", pid);
	file = fopen(path, "re");
	if (file == NULL)
		return NULL;
	environ_text = keep_alloc(PROFILE_FIND_ENVIRON + 1, 1);
	length = fread(environ_text, 1, PROFILE_FIND_ENVIRON, file);
	fclose(file);
	for (size_t at = 0; at < length; at += strlen(environ_text + at) + 1) {
		if (strncmp(environ_text + at, variable, sizeof(variable) - 1) == 0)
			found = keep_copy(environ_text + at + sizeof(variable) - 1);
	}
	free(environ_text);
	return found;
}

bool profile_find_is_running(const struct profile *profile)
{
	double start = process_start_time((pid_t)profile->pid);

	/* Who has the pid now may be another, started after the snapshot was written. */
	return !profile->is_final && start > 0 && start < profile->time + 1;
}

static bool profile_find_is_same_service(const struct profile *a, const struct profile *b)
{
	return strcmp(a->program, b->program) == 0 && strcmp(a->job_name, b->job_name) == 0 &&
	       strcmp(a->hostname, b->hostname) == 0 && a->start <= b->time && b->start <= a->time;
}

/* The newest one and those that belong to it, as one. */
static struct profile *profile_find_service(const struct profile_list *list,
					    const struct profile **worst)
{
	struct profile **parts = region_alloc(list->count, sizeof(*parts));
	size_t count = 0;

	for (size_t i = 0; i < list->count; i++) {
		if (profile_find_is_same_service(list->profiles[0], list->profiles[i]))
			parts[count++] = list->profiles[i];
	}
	if (worst != NULL) {
		const struct profile_function *whose;

		*worst = parts[0];
		for (size_t i = 1; i < count; i++) {
			unsigned rank = profile_verdict_rank(profile_worst(parts[i], &whose));
			unsigned before = profile_verdict_rank(profile_worst(*worst, &whose));

			if (rank > before || (rank == before && parts[i]->live_bytes.value >
									(*worst)->live_bytes.value))
				*worst = parts[i];
		}
	}
	return profile_merge(parts, count);
}

static struct profile *profile_find_pid(const char *wanted)
{
	char **folders = profile_find_folders(), why[PROFILE_READ_WHY] = "";
	unsigned long pid = strtoul(wanted, NULL, 10);
	char *own = profile_find_folder_of(pid);

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
	if (kill((pid_t)pid, 0) != 0 && errno == ESRCH)
		fail("there is no process %lu, and no snapshot of it in %s", pid, folders[0]);
	fail("process %lu has no snapshot in %s: is it profiled, and has it dumped yet?", pid,
	     folders[0]);
}

struct profile *profile_find(const char *wanted, const struct profile **worst)
{
	struct profile_list list = {0};
	char why[PROFILE_READ_WHY];
	struct stat status;
	struct profile *profile;

	if (worst != NULL)
		*worst = NULL;
	if (wanted == NULL) {
		char **folders = profile_find_folders();

		for (size_t i = 0; folders[i] != NULL && list.count == 0; i++)
			profile_find_all(&list, folders[i]);
		if (list.count == 0)
			fail("no snapshot in %s: name a pid, a file or a folder", folders[0]);
		return profile_find_service(&list, worst);
	}
	if (wanted[0] == '\0')
		fail("an empty name is no pid, file or folder");
	if (stat(wanted, &status) != 0) {
		if (strspn(wanted, "0123456789") == strlen(wanted) && strlen(wanted) < 10)
			return profile_find_pid(wanted);
		fail("%s: %s", wanted, strerror(errno));
	}
	if (S_ISDIR(status.st_mode)) {
		profile_find_all(&list, wanted);
		if (list.count == 0)
			fail("%s: no snapshot in this folder", wanted);
		return profile_find_service(&list, worst);
	}
	profile = profile_read(wanted, why);
	if (profile == NULL)
		fail("%s: %s", wanted, why);
	return profile;
}
