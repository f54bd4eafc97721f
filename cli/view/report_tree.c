#include "report_tree.h"

#include "../base/show.h"
#include "../profile/tree.h"
#include "report_table.h"

#include <string.h>

/* Deeper levels are not moved further to the right, or they would leave the screen. */
#define REPORT_TREE_INDENT 24

struct report_tree {
	FILE *out;
	const struct profile *profile;
	const struct tree_node *nodes;
	double all, threshold;
	unsigned width;
};

static unsigned report_tree_figures(const struct report_tree *tree, unsigned depth, double bytes,
				    double blocks)
{
	char size[SHOW_WORD], count[SHOW_WORD];
	unsigned indent = depth < REPORT_TREE_INDENT ? depth : REPORT_TREE_INDENT;

	return (unsigned)fprintf(tree->out, "%*s-> %.2f%% (%s, %s): ", (int)indent * 2, "",
				 tree->all > 0 ? bytes * 100 / tree->all : 0,
				 show_size(size, bytes), show_count(count, blocks));
}

static void report_tree_put(const struct report_tree *tree, size_t at, unsigned depth)
{
	const struct profile_frame *frame = &tree->profile->frames[at];
	const struct tree_node *node = &tree->nodes[at];
	double folded_bytes = 0, folded_count = 0;
	size_t folded = 0;

	if (at != 0) {
		unsigned used = report_tree_figures(tree, depth, node->live_bytes.value,
						    node->live_count.value);

		report_table_place(tree->out, frame->name, frame->file, frame->line, used,
				   tree->width);
		fputc('\n', tree->out);
	}
	for (size_t i = 0; i < node->child_count; i++) {
		const struct tree_node *child = &tree->nodes[node->children[i]];

		if (child->live_bytes.value * 100 >= tree->threshold * tree->all) {
			report_tree_put(tree, node->children[i], depth + (at != 0));
			continue;
		}
		folded++;
		folded_bytes += child->live_bytes.value;
		folded_count += child->live_count.value;
	}
	if (folded > 0) {
		report_tree_figures(tree, depth + (at != 0), folded_bytes, folded_count);
		fprintf(tree->out, "in %zu places, all below the threshold of %g%%\n", folded,
			tree->threshold);
	}
	if (node->own_bytes.value > 0 && (node->child_count > 0 || at == 0)) {
		report_tree_figures(tree, depth + (at != 0), node->own_bytes.value,
				    node->own_count.value);
		fputs(at != 0 ? "by this line itself\n" : "without a stack\n", tree->out);
	}
}

void report_tree(FILE *out, const struct profile *profile, const struct rows_choice *choice,
		 double threshold, unsigned width)
{
	struct report_tree tree = {.out = out,
				   .profile = profile,
				   .nodes = tree_of(profile, choice),
				   .threshold = threshold,
				   .width = width};
	char size[SHOW_WORD], count[SHOW_WORD];

	tree.all = tree.nodes[0].live_bytes.value;
	fprintf(out, "%s in %s blocks: share of live bytes (bytes, blocks): function  file:line\n",
		show_size(size, tree.all), show_count(count, tree.nodes[0].live_count.value));
	report_tree_put(&tree, 0, 0);
}
