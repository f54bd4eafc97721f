#include "service.h"

#include "../base/keep.h"
#include "../base/lookup.h"
#include "../base/process.h"
#include "profile_find.h"
#include "profile_read.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* 0: there is no such file. */
static uint64_t service_stamp_file(const char *path)
{
	struct stat status;
	char text[128];

	if (stat(path, &status) != 0 || !S_ISREG(status.st_mode))
		return 0;
	snprintf(text, sizeof(text), "%lld %lld %ld %ju", (long long)status.st_size,
		 (long long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
		 (uintmax_t)status.st_ino);
	return lookup_hash(0, text);
}

/* A number that changes when a snapshot does, or comes, or goes. */
static uint64_t service_stamp(const char *path)
{
	DIR *stream = opendir(path);
	const struct dirent *entry;
	uint64_t stamp = 0;

	if (stream == NULL)
		return service_stamp_file(path);
	while ((entry = readdir(stream)) != NULL) {
		char *file;

		if (!profile_find_is_snapshot(entry->d_name))
			continue;
		file = keep_text("%s/%s", path, entry->d_name);
		stamp += service_stamp_file(file);
		free(file);
	}
	closedir(stream);
	return stamp;
}

void service_open(struct service *service, const char *wanted)
{
	struct stat status;
	char *end;

	*service = (struct service){.region = region_new()};
	region_use(service->region);
	service->profile = profile_find(wanted, &service->worst);
	region_use(NULL);
	if (wanted != NULL && stat(wanted, &status) == 0) {
		service->path = keep_copy(wanted);
	} else {
		const struct profile *part = service->profile->parts != NULL
						     ? service->profile->parts[0]
						     : service->profile;

		service->path = keep_copy(part->path);
		end = strrchr(service->path, '/');
		if (wanted == NULL && end != NULL)
			*end = '\0';
	}
	service->stamp = service_stamp(service->path);
}

bool service_refresh(struct service *service)
{
	uint64_t stamp = service_stamp(service->path);
	const struct profile *profile, *worst = NULL;
	struct region *region;
	char why[PROFILE_READ_WHY];
	struct stat status;

	if (stamp == service->stamp || stamp == 0)
		return false;
	service->stamp = stamp;
	region = region_new();
	region_use(region);
	if (stat(service->path, &status) == 0 && S_ISDIR(status.st_mode))
		profile = profile_find_newest(service->path, &worst);
	else
		profile = profile_read(service->path, why);
	region_use(NULL);
	if (profile == NULL) {
		region_free(region);
		return false;
	}
	if (service->region != service->baseline_region)
		region_free(service->region);
	service->region = region;
	service->profile = profile;
	service->worst = worst;
	return true;
}

const struct profile *service_part(const struct service *service, size_t index)
{
	return service->profile->parts != NULL ? service->profile->parts[index] : service->profile;
}

size_t service_running(const struct service *service)
{
	size_t running = 0;

	for (size_t i = 0; i < service->profile->processes; i++)
		running += profile_find_is_running(service_part(service, i));
	return running;
}

double service_rss(const struct service *service)
{
	double rss = 0;

	for (size_t i = 0; i < service->profile->processes; i++) {
		const struct profile *part = service_part(service, i);

		if (profile_find_is_running(part))
			rss += process_rss((pid_t)part->pid);
	}
	return rss;
}

void service_take_baseline(struct service *service)
{
	service_drop_baseline(service);
	service->baseline = service->profile;
	service->baseline_region = service->region;
}

void service_drop_baseline(struct service *service)
{
	if (service->baseline_region != service->region)
		region_free(service->baseline_region);
	service->baseline = NULL;
	service->baseline_region = NULL;
}
