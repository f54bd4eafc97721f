/* report_diff: what grew, shrank, came and went between two snapshots, and what of it may be noise.
 * */
#ifndef TL_CLI_VIEW_REPORT_DIFF_H
#define TL_CLI_VIEW_REPORT_DIFF_H

#include "../profile/profile.h"
#include "../profile/rows.h"

#include <stdio.h>

struct change {
	const struct row *before, *after; /* NULL: not there; not both */
	struct estimate bytes, count;     /* after minus before */
	/* grew, shrank, came, went, same; `noise` when the difference may be chance alone */
	const char *word;
};

struct changes {
	struct change *changes; /* largest difference first */
	size_t count;
	struct estimate bytes; /* the sum of all of them */
};

/* Fills in what follows from `before` and `after`. */
void report_diff_judge(struct change *change);
struct changes report_diff_of(const struct rows *before, const struct rows *after);
/* At most `top` rows. */
void report_diff(FILE *out, const struct profile *before, const struct profile *after,
		 const struct changes *changes, enum rows_by by, size_t top, unsigned width);
void report_diff_json(FILE *out, const struct profile *before, const struct profile *after,
		      const struct changes *changes, size_t top);

#endif
