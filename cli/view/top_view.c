/* DESIGN: rows are made when something has changed and drawn as often as it takes; of all of them
 * only those that fit are put into words. A page of text (a site, the help) is one string, shown
 * from a line on.
 */
#include "top_view.h"

#include "../base/fail.h"
#include "../base/keep.h"
#include "../base/lookup.h"
#include "../base/process.h"
#include "../base/show.h"
#include "report_table.h"
#include "screen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TOP_VIEW_STACKS 20  /* of an opened site */
#define TOP_VIEW_WIDE   120 /* columns from which there is room for more of them */
#define TOP_VIEW_TEXT   500
#define TOP_VIEW_Z      1.96

static const char top_view_keys[] =
	"up, down, page up, page down, home, end   move\n"
	"Enter   open a site: its verdict, types, stacks and source\n"
	"Esc     back; forget the filter\n"
	"\n"
	"s  n  g   sort by size, by number of blocks, by growth (its lower bound)\n"
	"d         sort by what came since the baseline\n"
	"v         group by function, file, line, stack, type, module\n"
	"l         only what is leaking or growing, or all\n"
	"/         filter by a part of a name or file; Enter keeps it\n"
	"\n"
	"b  B      take a baseline: what comes from now on; forget it\n"
	"w         write the snapshot to a file in this folder\n"
	"p         pause, or go on\n"
	"h  ?      this page\n"
	"q         quit\n"
	"\n"
	"LIVE is an estimate, GROWTH has its 95 % interval. Figures are as of the last dump:\n"
	"TRACKLEAK_DUMP_INTERVAL says how often there is a new one. RSS is read each second.\n";

static bool top_view_has_types(const struct profile *profile)
{
	for (size_t i = 0; i < profile->function_count; i++) {
		if (profile->functions[i].type_count > 0)
			return true;
	}
	return false;
}

static bool top_view_matches(const struct top_view *top, const struct row *row)
{
	return top->filter[0] == '\0' || strcasestr(row->name, top->filter) != NULL ||
	       strcasestr(row->file, top->filter) != NULL;
}

static int top_view_compare(const void *a, const void *b)
{
	double left = ((const struct change *)a)->bytes.value;
	double right = ((const struct change *)b)->bytes.value;

	return (left < right) - (left > right);
}

void top_view_arrange(struct top_view *top)
{
	const struct profile *now = top->service.profile, *before = top->service.baseline;
	struct rows rows, old = {0};
	struct lookup lookup = {0};

	region_free(top->region);
	top->region = region_new();
	region_use(top->region);
	if (top->choice.by == ROWS_TYPE && (top->choice.leaks || !top_view_has_types(now)))
		top->choice.by = ROWS_FUNCTION;
	rows = rows_of(now, &top->choice);
	if (before != NULL && (top->choice.by != ROWS_TYPE || top_view_has_types(before)))
		old = rows_of(before, &top->choice);
	for (size_t i = 0; i < old.count; i++)
		lookup_put(&lookup, old.rows[i].key, i);
	top->rows = region_alloc(rows.count, sizeof(*top->rows));
	top->row_count = 0;
	top->all_bytes = 0;
	for (size_t i = 0; i < rows.count; i++) {
		struct change *change = &top->rows[top->row_count];
		size_t at;

		top->all_bytes += rows.rows[i].figures.live_bytes.value;
		if (!top_view_matches(top, &rows.rows[i]))
			continue;
		*change = (struct change){.after = &rows.rows[i]};
		if (lookup_get(&lookup, rows.rows[i].key, &at))
			change->before = &old.rows[at];
		report_diff_judge(change);
		top->row_count++;
	}
	if (top->by_difference && before != NULL && top->row_count > 0)
		qsort(top->rows, top->row_count, sizeof(*top->rows), top_view_compare);
	region_use(NULL);
	if (top->selected >= top->row_count)
		top->selected = top->row_count > 0 ? top->row_count - 1 : 0;
}

static int top_view_chart_rows(void)
{
	int height = screen_height();

	return height >= 36 ? 7 : height >= 24 ? 4 : height >= 18 ? 2 : 0;
}

/* Where the rows begin: below title, figures, news, charts with their titles, and heading. */
static int top_view_first_row(void)
{
	int chart = top_view_chart_rows();

	return 4 + (chart > 0 ? chart + 1 : 0);
}

size_t top_view_page(const struct top_view *top)
{
	int rows = screen_height() - 1 - (top->page == TOP_SITES ? top_view_first_row() : 2);

	return rows > 0 ? (size_t)rows : 1;
}

static void top_view_title(const struct top_view *top)
{
	const struct profile *profile = top->service.profile;
	char text[TOP_VIEW_TEXT], size[SHOW_WORD];

	if (profile->processes == 1)
		snprintf(size, sizeof(size), "pid %.0f", profile->pid);
	else
		snprintf(size, sizeof(size), "%zu processes", profile->processes);
	snprintf(text, sizeof(text), " trackleak top%s   %.99s, %s on %.99s   Python %.*s",
		 top->is_paused ? " PAUSED" : "", profile->title, size, profile->hostname,
		 (int)strcspn(profile->python_version, " "), profile->python_version);
	screen_put(0, 0, screen_width(), SCREEN_BAR, text);
}

static void top_view_figures(const struct top_view *top)
{
	const struct profile *profile = top->service.profile;
	char text[TOP_VIEW_TEXT], rss[SHOW_WORD], live[SHOW_WORD], error[SHOW_WORD], age[SHOW_WORD];
	double growth = profile_growth(profile), now_rss = profile->rss_bytes;
	int used;

	if (top->rss.sample_count > 0)
		now_rss = top->rss.samples[top->rss.sample_count - 1].rss_bytes;
	used = snprintf(text, sizeof(text), "RSS %s   live %s ± %s", show_size(rss, now_rss),
			show_size(live, profile->live_bytes.value),
			show_size(error, TOP_VIEW_Z * profile->live_bytes.se));
	if (!isnan(growth))
		used += snprintf(text + used, sizeof(text) - (size_t)used, "   %+.1f MB/h", growth);
	snprintf(text + used, sizeof(text) - (size_t)used, "   dump %.0f, %s ago", profile->dump,
		 show_duration(age, fmax(0, process_now() - profile->time)));
	screen_put(1, 0, screen_width(), SCREEN_STRONG, text);
}

/* The most important thing to know besides the figures, if there is one. */
static void top_view_news(const struct top_view *top)
{
	const struct profile *profile = top->service.profile, *worst = top->service.worst;
	size_t running = service_running(&top->service);
	const struct profile_function *whose;
	char text[TOP_VIEW_TEXT], size[SHOW_WORD];
	enum screen_style style = SCREEN_WARNING;

	if (running == 0) {
		snprintf(text, sizeof(text), "ENDED: %s; these are its last figures",
			 profile->processes == 1 ? "the process is gone"
						 : "all of its processes are gone");
	} else if (running < profile->processes) {
		snprintf(text, sizeof(text), "%zu of %zu processes have ended",
			 profile->processes - running, profile->processes);
	} else if (worst != NULL && profile->processes > 1) {
		const char *verdict = profile_worst(worst, &whose);

		snprintf(text, sizeof(text), "worst process: pid %.0f, live %s, %s %.99s",
			 worst->pid, show_size(size, worst->live_bytes.value), verdict,
			 whose != NULL ? whose->name : "");
		style = SCREEN_PLAIN;
	} else {
		const char *verdict = profile_worst(profile, &whose);

		snprintf(text, sizeof(text), "%s%s%.99s: %.200s", verdict,
			 whose != NULL ? ": " : "", whose != NULL ? whose->name : "",
			 whose != NULL ? whose->sentence : "not enough is known yet");
		style = SCREEN_PLAIN;
	}
	screen_put(2, 0, screen_width(), style, text);
}

static void top_view_chart(int x, int width, const char *name, const struct session *samples)
{
	char text[TOP_VIEW_TEXT], a[SHOW_WORD], b[SHOW_WORD], time[SHOW_WORD];
	double low = INFINITY, high = 0;

	for (size_t i = 0; i < samples->sample_count; i++) {
		low = fmin(low, samples->samples[i].rss_bytes);
		high = fmax(high, samples->samples[i].rss_bytes);
	}
	if (samples->sample_count == 0)
		return;
	snprintf(text, sizeof(text), "%s %s to %s, %s", name, show_size(a, low), show_size(b, high),
		 show_duration(time, samples->samples[samples->sample_count - 1].time_s -
					     samples->samples[0].time_s));
	screen_put(3, x, width, SCREEN_DIM, text);
	screen_chart(4, x, top_view_chart_rows(), width, samples);
}

static void top_view_heading(const struct top_view *top, int y)
{
	static const char *const names[] = {"FUNCTION", "FILE", "LINE", "STACK", "TYPE", "MODULE"};
	static const char *const sorts[] = {"size", "blocks", "growth"};
	char text[TOP_VIEW_TEXT];
	bool has_baseline = top->service.baseline != NULL,
	     is_wide = screen_width() >= TOP_VIEW_WIDE;

	snprintf(text, sizeof(text), "%10s %11s%s %21s %-8s %s  (by %s%s)", "LIVE",
		 has_baseline ? "SINCE BASE" : "SHARE", is_wide ? "     BLOCKS" : "",
		 "GROWTH MB/h, 95%", "VERDICT", names[top->choice.by],
		 has_baseline && top->by_difference ? "difference" : sorts[top->choice.sort],
		 top->choice.leaks ? ", leaks" : "");
	screen_put(y, 0, screen_width(), SCREEN_BAR, text);
}

/* `name  file:line` as a string; the caller frees it. */
static char *top_view_place(const struct row *row, unsigned width)
{
	size_t length;
	char *text = NULL;
	FILE *out = open_memstream(&text, &length);

	if (out == NULL)
		fail("there is not enough memory");
	report_table_place(out, row->name, row->file == row->name ? "" : row->file, row->line, 0,
			   width);
	fclose(out);
	return text;
}

static void top_view_row(const struct top_view *top, int y, size_t index)
{
	const struct change *change = &top->rows[index];
	const struct row *row = change->after;
	const char *verdict = row->function != NULL ? row->function->verdict : "";
	char text[TOP_VIEW_TEXT], size[SHOW_WORD], since[SHOW_WORD], growth[SHOW_WORD * 2] = "-",
											*place;
	bool is_bad = profile_verdict_rank(verdict) >= profile_verdict_rank("growing");
	enum screen_style style = index == top->selected            ? SCREEN_BAR
				  : strcmp(verdict, "leaking") == 0 ? SCREEN_BAD
				  : is_bad                          ? SCREEN_WARNING
								    : SCREEN_PLAIN;
	int used;

	if (!isnan(row->growth)) {
		int digits = fabs(row->growth) < 100;

		snprintf(growth, sizeof(growth), "%+.*f (%.*f to %.*f)", digits, row->growth,
			 digits, row->growth_low, digits, row->growth_high);
	}
	if (top->service.baseline != NULL)
		snprintf(since, sizeof(since), "%s%s", show_signed_size(size, change->bytes.value),
			 strcmp(change->word, "noise") == 0 ? "?" : "");
	else
		snprintf(since, sizeof(since), "%.1f%%",
			 top->all_bytes > 0 ? row->figures.live_bytes.value * 100 / top->all_bytes
					    : 0);
	used = snprintf(text, sizeof(text), "%10s %11s",
			show_size(size, row->figures.live_bytes.value), since);
	if (screen_width() >= TOP_VIEW_WIDE)
		used += snprintf(text + used, sizeof(text) - (size_t)used, " %10s",
				 isnan(row->figures.live_count.value)
					 ? "-"
					 : show_count(size, row->figures.live_count.value));
	used += snprintf(text + used, sizeof(text) - (size_t)used, " %21s %-8s ", growth,
			 verdict[0] != '\0' ? verdict : "-");
	place = top_view_place(row, (unsigned)(screen_width() > used ? screen_width() - used : 1));
	snprintf(text + used, sizeof(text) - (size_t)used, "%s", place);
	free(place);
	screen_put(y, 0, screen_width(), style, text);
}

static void top_view_bottom(const struct top_view *top)
{
	char text[TOP_VIEW_TEXT];
	int y = screen_height() - 1;

	if (top->is_typing)
		snprintf(text, sizeof(text), "filter: %s_   Enter keeps it, Esc forgets it",
			 top->filter);
	else if (top->message != NULL)
		snprintf(text, sizeof(text), "%s", top->message);
	else if (top->page != TOP_SITES)
		snprintf(text, sizeof(text), "up, down  scroll   Esc, q  back");
	else if (top->filter[0] != '\0')
		snprintf(text, sizeof(text), "filter: %s   Esc forgets it", top->filter);
	else
		snprintf(text, sizeof(text),
			 "q quit  h help  Enter open  / filter  s n g d sort  v group  l leaks  "
			 "b base");
	screen_put(y, 0, screen_width(), SCREEN_DIM, text);
}

static void top_view_sites(struct top_view *top)
{
	int y = top_view_first_row(), width = screen_width();
	size_t page = top_view_page(top);

	top_view_title(top);
	top_view_figures(top);
	top_view_news(top);
	if (top_view_chart_rows() > 0) {
		top_view_chart(0, width / 2 - 1, "RSS", &top->rss);
		top_view_chart(width / 2, width - width / 2, "live", &top->live);
	}
	top_view_heading(top, y - 1);
	if (top->selected < top->first)
		top->first = top->selected;
	if (top->selected >= top->first + page)
		top->first = top->selected - page + 1;
	for (size_t i = 0; i < page && top->first + i < top->row_count; i++)
		top_view_row(top, y + (int)i, top->first + i);
	if (top->row_count == 0)
		screen_put(y, 0, width, SCREEN_PLAIN,
			   top->filter[0] != '\0' ? "nothing matches the filter"
			   : top->choice.leaks    ? "nothing is leaking or growing"
						  : "nothing is known to be alive");
}

static void top_view_text(struct top_view *top)
{
	const char *at = top->text;
	size_t lines = 0, page = top_view_page(top);

	for (const char *each = at; *each != '\0'; each++)
		lines += *each == '\n';
	if (top->scroll + page > lines)
		top->scroll = lines > page ? lines - page : 0;
	for (size_t i = 0; i < top->scroll; i++)
		at = strchr(at, '\n') + 1;
	top_view_title(top);
	for (int y = 2; *at != '\0' && y < screen_height() - 1; y++) {
		size_t length = strcspn(at, "\n");
		char *line = strndup(at, length);

		if (line == NULL)
			fail("there is not enough memory");
		screen_put(y, 0, screen_width(), SCREEN_PLAIN, line);
		free(line);
		at += length + 1;
	}
}

void top_view_draw(struct top_view *top)
{
	screen_clear();
	if (top->page == TOP_SITES)
		top_view_sites(top);
	else
		top_view_text(top);
	top_view_bottom(top);
	screen_show();
}

void top_view_close(struct top_view *top)
{
	free(top->text);
	top->text = NULL;
	top->page = TOP_SITES;
	top->scroll = 0;
}

void top_view_help(struct top_view *top)
{
	top_view_close(top);
	top->text = keep_copy(top_view_keys);
	top->page = TOP_HELP;
}

static bool top_view_owns(const struct top_view *top, const struct row *row,
			  const struct profile_stack *stack)
{
	const struct profile_blame blame = profile_blame(top->service.profile, stack);

	switch (top->choice.by) {
	case ROWS_STACK:
		return stack->frame == row->frame;
	case ROWS_FILE:
		return strcmp(row->file, blame.file[0] != '\0' ? blame.file : blame.name) == 0;
	case ROWS_MODULE:
		return strcmp(row->file, rows_module(blame.name, blame.file)) == 0;
	case ROWS_LINE:
		return blame.line == row->line && strcmp(row->name, blame.name) == 0 &&
		       strcmp(row->file, blame.file) == 0;
	case ROWS_TYPE:
		return false; /* types are known by function only */
	default:
		return strcmp(row->name, blame.name) == 0 && strcmp(row->file, blame.file) == 0;
	}
}

static void top_view_put_stacks(FILE *out, const struct top_view *top, const struct row *row)
{
	const struct profile *profile = top->service.profile;
	char size[SHOW_WORD], count[SHOW_WORD], oldest[SHOW_WORD];
	size_t put = 0, left_out = 0;

	for (size_t i = 0; i < profile->stack_count; i++) {
		const struct profile_stack *stack = &profile->stacks[i];

		if (!top_view_owns(top, row, stack))
			continue;
		if (put == TOP_VIEW_STACKS) {
			left_out++;
			continue;
		}
		put++;
		fprintf(out, "\n%s in %s blocks, the oldest %s:\n",
			show_size(size, stack->live_bytes.value),
			show_count(count, stack->live_count.value),
			show_duration(oldest, stack->oldest_s));
		report_table_stack(out, profile, stack->frame, true, 0);
	}
	if (left_out > 0)
		fprintf(out, "\n%zu smaller stacks are not shown\n", left_out);
	if (put == 0)
		fputs("\nThe snapshot has no stacks of it.\n", out);
}

void top_view_open(struct top_view *top)
{
	const struct row *row;
	size_t length;
	char size[SHOW_WORD], *place;
	FILE *out;

	if (top->row_count == 0)
		return;
	row = top->rows[top->selected].after;
	top_view_close(top);
	out = open_memstream(&top->text, &length);
	if (out == NULL)
		fail("there is not enough memory");
	region_use(top->region);
	place = top_view_place(row, TOP_VIEW_TEXT);
	fprintf(out, "%s\nlive %s", place, show_size(size, row->figures.live_bytes.value));
	free(place);
	fprintf(out, " ± %s", show_size(size, TOP_VIEW_Z * row->figures.live_bytes.se));
	if (!isnan(row->figures.live_count.value))
		fprintf(out, " in %s blocks", show_count(size, row->figures.live_count.value));
	if (row->uncertain_bytes > 0)
		fprintf(out, ", %s of it from CPython's free lists, maker unknown",
			show_size(size, row->uncertain_bytes));
	fputc('\n', out);
	if (row->function != NULL && row->function->verdict[0] != '\0') {
		fprintf(out, "%s: ", row->function->verdict);
		show_plain(out, row->function->sentence);
		fputc('\n', out);
	}
	for (size_t i = 0; row->function != NULL && i < row->function->type_count; i++) {
		fprintf(out, "%s%s of ", i > 0 ? ", " : "",
			show_size(size, row->function->types[i].bytes));
		show_plain(out, row->function->types[i].name);
		if (i + 1 == row->function->type_count)
			fputc('\n', out);
	}
	top_view_put_stacks(out, top, row);
	region_use(NULL);
	if (fclose(out) != 0)
		fail("there is not enough memory");
	top->page = TOP_SITE;
}
