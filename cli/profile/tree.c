#include "tree.h"

#include "../base/region.h"

#include <stdlib.h>

static int tree_compare(const void *a, const void *b, void *nodes_)
{
	size_t left = *(const size_t *)a, right = *(const size_t *)b;
	const struct tree_node *nodes = nodes_;

	if (nodes[left].live_bytes.value != nodes[right].live_bytes.value)
		return nodes[left].live_bytes.value > nodes[right].live_bytes.value ? -1 : 1;
	return left < right ? -1 : left > right;
}

/* All children lie in one array, each node's in a row. */
static void tree_link(const struct profile *profile, struct tree_node *nodes)
{
	size_t *all = region_alloc(profile->frame_count, sizeof(*all)), taken = 0;

	for (size_t i = 1; i < profile->frame_count; i++)
		nodes[profile->frames[i].parent].child_count += nodes[i].live_bytes.value > 0;
	for (size_t i = 0; i < profile->frame_count; i++) {
		nodes[i].children = all + taken;
		taken += nodes[i].child_count;
		nodes[i].child_count = 0;
	}
	for (size_t i = 1; i < profile->frame_count; i++) {
		struct tree_node *parent = &nodes[profile->frames[i].parent];

		if (nodes[i].live_bytes.value > 0)
			parent->children[parent->child_count++] = i;
	}
	for (size_t i = 0; i < profile->frame_count; i++) {
		if (nodes[i].child_count > 1)
			qsort_r(nodes[i].children, nodes[i].child_count, sizeof(size_t),
				tree_compare, nodes);
	}
}

struct tree_node *tree_of(const struct profile *profile, const struct rows_choice *choice)
{
	struct tree_node *nodes = region_alloc(profile->frame_count, sizeof(*nodes));
	const bool *wanted = rows_wanted_stacks(profile, choice);

	for (size_t i = 0; i < profile->stack_count; i++) {
		const struct profile_stack *stack = &profile->stacks[i];
		struct tree_node *node = &nodes[stack->frame];

		if (!wanted[i])
			continue;
		node->own_bytes = profile_add(node->own_bytes, stack->live_bytes);
		node->own_count = profile_add(node->own_count, stack->live_count);
	}
	/* Children stand behind their parents: from the end, each sum is whole when it is used. */
	for (size_t i = profile->frame_count; i-- > 0;) {
		struct tree_node *node = &nodes[i], *parent = &nodes[profile->frames[i].parent];

		node->live_bytes = profile_add(node->live_bytes, node->own_bytes);
		node->live_count = profile_add(node->live_count, node->own_count);
		if (i == 0)
			break;
		parent->live_bytes = profile_add(parent->live_bytes, node->live_bytes);
		parent->live_count = profile_add(parent->live_count, node->live_count);
	}
	tree_link(profile, nodes);
	return nodes;
}
