/* top_view: the page of `trackleak top`: who, two charts, the sites, and what was opened of one. */
#ifndef TL_CLI_VIEW_TOP_VIEW_H
#define TL_CLI_VIEW_TOP_VIEW_H

#include "../profile/rows.h"
#include "../profile/service.h"
#include "../profile/session.h"
#include "report_diff.h"

#define TOP_VIEW_FILTER 64 /* bytes */

enum top_page { TOP_SITES, TOP_SITE, TOP_HELP };

struct top_view {
	struct service service;
	struct session rss, live; /* a sample each second */
	struct rows_choice choice;
	bool by_difference; /* sorted by what came since the baseline */
	bool is_paused, is_typing;
	char filter[TOP_VIEW_FILTER]; /* what a name or file must hold */
	char *message;                /* NULL: none */

	struct region *region; /* where the rows lie */
	struct change *rows;   /* `before` and the difference only with a baseline */
	size_t row_count, selected, first;
	double all_bytes; /* of all rows, filtered or not */

	enum top_page page;
	char *text; /* of an opened site, or the help: lines */
	size_t scroll;
};

/* Rows anew, after a key or a newer snapshot. */
void top_view_arrange(struct top_view *top);
/* Opens the selected site: verdict, types, stacks with their source. */
void top_view_open(struct top_view *top);
void top_view_help(struct top_view *top);
void top_view_close(struct top_view *top); /* back to the sites */
void top_view_draw(struct top_view *top);
/* How far a page goes at this size: rows of sites, or lines of text. */
size_t top_view_page(const struct top_view *top);

#endif
