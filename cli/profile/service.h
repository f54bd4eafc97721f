/* service: one process, or all of a folder as one, read anew when there are newer snapshots.
 *
 * Promises  the last figures stay when the process ends or its files go. Memory stays bounded
 *           however long it is watched.
 */
#ifndef TL_CLI_PROFILE_SERVICE_H
#define TL_CLI_PROFILE_SERVICE_H

#include "../base/region.h"
#include "profile.h"

struct service {
	char *path;                    /* a file or a folder */
	struct region *region;         /* where the profile lies */
	const struct profile *profile; /* never NULL */
	const struct profile *worst;   /* of several processes; NULL: there is one */
	uint64_t stamp;                /* of the files as they were read */

	struct region *baseline_region;
	const struct profile *baseline; /* what differences are counted from; NULL: nothing */
};

/* `wanted` as profile_find takes it; fails with one line. */
void service_open(struct service *service, const char *wanted);
/* Is there something newer? Then it is read. */
bool service_refresh(struct service *service);
const struct profile *service_part(const struct service *service, size_t index);
size_t service_running(const struct service *service); /* processes of the profile that still run */
double service_rss(const struct service *service);     /* of those that run, now */
/* What is known now becomes what differences are counted from; or nothing does. */
void service_take_baseline(struct service *service);
void service_drop_baseline(struct service *service);

#endif
