/* report_head: the lines above a report: whose profile it is, and how far to trust it. */
#ifndef TL_CLI_VIEW_REPORT_HEAD_H
#define TL_CLI_VIEW_REPORT_HEAD_H

#include "../profile/profile.h"

#include <stdio.h>

/* `worst`: of several processes the one to look at first, or NULL. */
void report_head(FILE *out, const struct profile *profile, const struct profile *worst);

/* What comes from CPython's free lists, by type; nothing when there is none. */
void report_pools(FILE *out, const struct profile *profile);

#endif
