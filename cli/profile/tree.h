/* tree: the call tree of what is alive: every frame with the sum of what lies below it. */
#ifndef TL_CLI_PROFILE_TREE_H
#define TL_CLI_PROFILE_TREE_H

#include "profile.h"
#include "rows.h"

struct tree_node {
	struct estimate live_bytes, live_count; /* of this frame and all it called */
	struct estimate own_bytes, own_count;   /* allocated by this frame itself */
	size_t *children;                       /* frames, most bytes first */
	size_t child_count;
};

/* One node for each frame of the profile, by its index; 0 is the root. */
struct tree_node *tree_of(const struct profile *profile, const struct rows_choice *choice);

#endif
