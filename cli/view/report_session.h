/* report_session: what a run of a program was like: RSS over time, growth, alerts. */
#ifndef TL_CLI_VIEW_REPORT_SESSION_H
#define TL_CLI_VIEW_REPORT_SESSION_H

#include "../profile/profile.h"
#include "../profile/session.h"

#include <stdio.h>

/* `profile` may be NULL: there was no snapshot. */
void report_session(FILE *out, const struct session *session, const struct profile *profile);
/* A chart of the last samples in `columns` characters. */
void report_session_chart(FILE *out, const struct session *session, size_t columns);

#endif
