/* report_tree: the call tree of what is alive, callers above what they called. */
#ifndef TL_CLI_VIEW_REPORT_TREE_H
#define TL_CLI_VIEW_REPORT_TREE_H

#include "../profile/profile.h"
#include "../profile/rows.h"

#include <stdio.h>

/* Branches below `threshold` percent of the whole are folded into one line with their sum. */
void report_tree(FILE *out, const struct profile *profile, const struct rows_choice *choice,
		 double threshold, unsigned width);

#endif
