/* export: a profile in the forms that other viewers read. One function for each form; `out` takes
 * the whole document.
 *
 * Promises  live bytes of every form add up to the profile's.
 */
#ifndef TL_CLI_VIEW_EXPORT_H
#define TL_CLI_VIEW_EXPORT_H

#include "../profile/history.h"
#include "../profile/profile.h"
#include "../profile/session.h"

#include <stdio.h>

void export_folded(FILE *out, const struct profile *profile);     /* flamegraph.pl: live bytes */
void export_speedscope(FILE *out, const struct profile *profile); /* speedscope's file format */
void export_gprof2dot(FILE *out, const struct profile *profile);  /* gprof2dot -f json */
void export_csv(FILE *out, const struct profile *profile);        /* a row for each line */
void export_pprof(FILE *out, const struct profile *profile);      /* profile.proto, gzipped */
/* One page that needs nothing else. `session` and `history` (filled) may be NULL: RSS over time and
 * earlier dumps are left out. */
void export_html(FILE *out, const struct profile *profile, const struct session *session,
		 const struct history *history);

#endif
