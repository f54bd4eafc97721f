/* DESIGN: one pass over the lines puts their figures beside what is alive of them and adds up their
 * sites; then both are sorted, and every table that leads to a site's row is led to its new one.
 */
#include "snapshot_sites.h"

#include "../base/math.h"
#include "../base/sort.h"
#include "../profile/names.h"
#include "../profile/sites.h"
#include "evidence.h"
#include "snapshot_work.h"

#include <string.h>

_Static_assert(sizeof(struct snapshot_site) <= SORT_LARGEST_ROW, "rows are sorted in place");

static struct site_figures snapshot_sites_sum_line(const struct line_figures *line,
						   const struct snapshot_live *live)
{
	return (struct site_figures){
		.counted = line->counted,
		.counted_bytes = line->counted_bytes,
		.count = {(double)line->counted + line->small_count, line->small_count_variance},
		.total_bytes = {(double)line->counted_bytes + line->small_bytes,
				line->small_bytes_variance},
		.largest = line->largest,
		.sample_count = line->samples,
		.sample_bytes = line->sample_bytes,
		.freed_samples = line->freed_samples,
		.freed_sample_bytes = line->freed_sample_bytes,
		.freed_bytes = line->freed_bytes,
		.live_bytes = {live->bytes, live->bytes_variance},
		.live_count = {live->count, live->count_variance},
		.since_bytes = live->since_bytes,
		.since_count = live->since_count,
	};
}

static void snapshot_sites_add_figures(struct site_figures *to, const struct site_figures *from)
{
	to->counted += from->counted;
	to->counted_bytes += from->counted_bytes;
	snapshot_work_add_estimate(&to->count, &from->count);
	snapshot_work_add_estimate(&to->total_bytes, &from->total_bytes);
	to->largest = from->largest > to->largest ? from->largest : to->largest;
	to->sample_count += from->sample_count;
	to->sample_bytes += from->sample_bytes;
	to->freed_samples += from->freed_samples;
	to->freed_sample_bytes += from->freed_sample_bytes;
	to->freed_bytes += from->freed_bytes;
	snapshot_work_add_estimate(&to->live_bytes, &from->live_bytes);
	snapshot_work_add_estimate(&to->live_count, &from->live_count);
	snapshot_work_add_estimate(&to->since_bytes, &from->since_bytes);
	snapshot_work_add_estimate(&to->since_count, &from->since_count);
}

/* The sums are complete: variances become errors, shares can be said. */
static void snapshot_sites_settle_figures(struct site_figures *figures)
{
	double seen = figures->live_bytes.value + figures->freed_bytes;

	/* A growth that stands for several (live_blocks.c) has a size that none of them had. */
	if (figures->freed_sample_bytes > figures->sample_bytes)
		figures->freed_sample_bytes = figures->sample_bytes;
	figures->count.se = math_sqrt(figures->count.se);
	figures->total_bytes.se = math_sqrt(figures->total_bytes.se);
	figures->live_bytes.se = math_sqrt(figures->live_bytes.se);
	figures->live_count.se = math_sqrt(figures->live_count.se);
	figures->since_bytes.se = math_sqrt(figures->since_bytes.se);
	figures->since_count.se = math_sqrt(figures->since_count.se);
	figures->retention =
		seen > 0 ? figures->live_bytes.value / seen : (double)__builtin_nanf("");
}

/* The site's row: a new one when this is its first line. */
static struct snapshot_site *snapshot_sites_row_of(struct snapshot_work *work, uint32_t site)
{
	struct site_life life;
	struct snapshot_site *row;

	if (work->row_of_site[site] != 0)
		return &work->sites[work->row_of_site[site] - 1];
	life = sites_copy_life(site);
	row = &work->sites[work->snapshot.site_count++];
	work->row_of_site[site] = (uint32_t)work->snapshot.site_count;
	row->kind = snapshot_work_names(life.function, &row->function, &row->file);
	row->first_line = names_function(life.function)->first_line;
	/* Samples that were thinned out never died for the sites: those that stayed die with more
	 * weight than they were born with, and a sum may end below zero. */
	row->peak_live_bytes = life.peak_live > 0 ? (double)life.peak_live : 0;
	row->last_free_s = life.last_free == 0
				   ? (double)__builtin_nanf("")
				   : snapshot_work_seconds_since(work, life.last_free - 1);
	memcpy(row->lifetimes, life.lifetimes, sizeof(row->lifetimes));
	row->verdict = evidence_judge_site(work->evidence, site, life.lifetimes);
	row->context = UINT32_MAX;
	evidence_put_types(work->evidence, site, row->types, &row->uncertain_bytes);
	return row;
}

/* Rows for the lines and their sites, not yet in order. keys[row] gets what a site's largest line
 * has allocated. */
static void snapshot_sites_sum(struct snapshot_work *work)
{
	for (uint32_t number = 0; number < sites_lines_end(); number++) {
		struct snapshot_line *row = &work->lines[work->snapshot.line_count];
		struct snapshot_site *site;
		struct line_figures line;
		size_t place;

		if (!sites_line_is_known(number))
			continue;
		line = sites_copy_line(number);
		if ((line.counted == 0 && line.samples == 0) || line.site >= work->site_count)
			continue;
		site = snapshot_sites_row_of(work, line.site);
		place = (size_t)(site - work->sites);
		row->site = (uint32_t)place;
		row->line = line.line;
		row->figures = snapshot_sites_sum_line(&line, &work->live[number]);
		if (row->figures.total_bytes.value > work->keys[place]) {
			work->keys[place] = row->figures.total_bytes.value;
			site->line = line.line;
		}
		snapshot_sites_add_figures(&site->figures, &row->figures);
		snapshot_sites_settle_figures(&row->figures);
		work->intervals[place] |= work->live[number].intervals;
		work->snapshot.line_count++;
	}
	for (size_t row = 0; row < work->snapshot.site_count; row++) {
		snapshot_sites_settle_figures(&work->sites[row].figures);
		work->sites[row].generations = (uint32_t)__builtin_popcountll(work->intervals[row]);
	}
}

/* Where a leak is, is the line that holds most, which need not be the one that allocates most. */
static void snapshot_sites_find_held_lines(struct snapshot_work *work)
{
	double most = 0;

	for (size_t i = 0; i < work->snapshot.line_count; i++) {
		const struct snapshot_line *line = &work->lines[i];
		struct snapshot_site *site = &work->sites[line->site];

		if (i == 0 || line[-1].site != line->site)
			most = -1;
		if (line->figures.live_bytes.value > most) {
			most = line->figures.live_bytes.value;
			site->held_line = line->line;
		}
	}
}

static void snapshot_sites_sort(struct snapshot_work *work)
{
	size_t sites = work->snapshot.site_count, lines = work->snapshot.line_count;
	uint32_t *new_row = (uint32_t *)work->intervals; /* used up */

	for (size_t i = 0; i < sites; i++)
		work->keys[i] = work->sites[i].figures.total_bytes.value;
	snapshot_work_start_order(work, sites);
	sort_descending(work->order, sites, work->keys);
	for (uint32_t i = 0; i < sites; i++)
		new_row[work->order[i]] = i;
	sort_apply(work->order, sites, work->sites, sizeof(*work->sites));
	for (uint32_t site = 0; site < work->site_count; site++) {
		if (work->row_of_site[site] == 0)
			continue;
		work->row_of_site[site] = new_row[work->row_of_site[site] - 1] + 1;
		work->row_of_function[sites_copy_life(site).function] = work->row_of_site[site];
	}
	work->row_of_function[NAMES_OTHERS] = work->row_of_site[SITES_OTHERS];

	/* Lines by their site's row, then by bytes: a key of two parts, the second below 1. */
	for (size_t i = 0; i < lines; i++) {
		struct snapshot_line *line = &work->lines[i];

		line->site = new_row[line->site];
		work->keys[i] = -(double)line->site - 1 / (1 + line->figures.total_bytes.value);
	}
	snapshot_work_start_order(work, lines);
	sort_descending(work->order, lines, work->keys);
	sort_apply(work->order, lines, work->lines, sizeof(*work->lines));
	snapshot_sites_find_held_lines(work);
	work->snapshot.sites = work->sites;
	work->snapshot.lines = work->lines;
}

TL_INTERNAL void snapshot_sites_build(struct snapshot_work *work)
{
	snapshot_sites_sum(work);
	snapshot_sites_sort(work);
}
