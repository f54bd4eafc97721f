#include "report_table.h"

#include "../base/show.h"
#include "../profile/source.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_TABLE_Z 1.96

size_t report_table_count(const struct rows *rows, const struct rows_choice *choice,
			  const struct report_table *options)
{
	double all = 0;
	size_t count = 0;

	for (size_t i = 0; i < rows->count; i++)
		all += rows_bytes(&rows->rows[i], choice);
	/* Sorted by size, what is small comes last; by anything else it does not. */
	for (size_t i = 0; i < rows->count && i < options->top; i++) {
		if (rows_bytes(&rows->rows[i], choice) * 100 >= options->threshold * all)
			count = i + 1;
	}
	return count;
}

/* The end of a path says more than its start. */
static void report_table_put_path(FILE *out, const char *path, size_t room)
{
	char *plain = show_plain_text(path);
	size_t length = strlen(plain), skip = 0;

	if (length > room && room > 3) {
		skip = length - room + 3;
		while (((unsigned char)plain[skip] & 0xC0) == 0x80)
			skip++;
		fputs("...", out);
	}
	fputs(plain + skip, out);
	free(plain);
}

void report_table_place(FILE *out, const char *name, const char *file, uint32_t line, unsigned used,
			unsigned width)
{
	char *plain = show_plain_text(name);
	size_t room = width > used + 30 ? width - used : 30, taken = strlen(plain);

	fputs(plain, out);
	free(plain);
	if (strncmp(name, "<native ", 8) == 0) /* it names its module */
		return;
	if (taken > 0 && file[0] != '\0')
		taken += (size_t)fprintf(out, "  ");
	report_table_put_path(out, file, room > taken + 18 ? room - taken - 6 : 18);
	if (line != 0)
		fprintf(out, ":%u", line);
}

static void report_table_put_source(FILE *out, const char *indent, const char *file, uint32_t line)
{
	const char *source = source_line(file, line);

	if (source == NULL)
		return;
	fprintf(out, "%s| ", indent);
	show_plain(out, source);
	fputc('\n', out);
}

void report_table_stack(FILE *out, const struct profile *profile, size_t frame, bool with_source,
			size_t depth)
{
	for (size_t done = 0; frame != 0; frame = profile->frames[frame].parent, done++) {
		if (depth > 0 && done == depth) {
			fputs("      ...\n", out);
			return;
		}

		const struct profile_frame *at = &profile->frames[frame];

		fputs("      ", out);
		report_table_place(out, at->name, at->file, at->line, 6, 200);
		fputc('\n', out);
		if (with_source)
			report_table_put_source(out, "          ", at->file, at->line);
	}
}

static void report_table_header(FILE *out, const struct rows *rows,
				const struct rows_choice *choice,
				const struct report_table *options, bool has_growth)
{
	static const char *const names[] = {"FUNCTION", "FILE", "LINE", "STACK", "TYPE", "MODULE"};

	fprintf(out, "%11s", choice->peak ? "PEAK" : "LIVE");
	if (!choice->peak)
		fprintf(out, " %11s", "+-95%");
	fprintf(out, " %6s", "SHARE");
	if (!choice->peak)
		fprintf(out, " %10s %10s", "BLOCKS", "AVERAGE");
	if (rows->has_totals)
		fprintf(out, " %6s", "KEPT");
	if (rows->has_totals && options->show_allocs)
		fprintf(out, " %11s %11s", "ALLOCATED", "ALLOCS");
	if (has_growth)
		fprintf(out, " %12s", "GROWTH");
	fprintf(out, "  %s\n", names[choice->by]);
}

/* Returns the columns used. */
static unsigned report_table_figures(FILE *out, const struct row *row, const struct rows *rows,
				     const struct rows_choice *choice,
				     const struct report_table *options, double all,
				     bool has_growth)
{
	const struct figures *figures = &row->figures;
	double bytes = rows_bytes(row, choice);
	char a[SHOW_WORD], b[SHOW_WORD];
	int used = fprintf(out, "%11s", show_size(a, bytes));

	if (!choice->peak)
		used += fprintf(out, " %11s",
				choice->by == ROWS_TYPE
					? "-"
					: show_size(a, REPORT_TABLE_Z * figures->live_bytes.se));
	used += fprintf(out, " %5.1f%%", all > 0 ? bytes * 100 / all : 0);
	if (!choice->peak && isnan(figures->live_count.value))
		used += fprintf(out, " %10s %10s", "-", "-");
	else if (!choice->peak)
		used += fprintf(out, " %10s %10s", show_count(a, figures->live_count.value),
				figures->live_count.value < 0.5
					? "-"
					: show_size(b, bytes / figures->live_count.value));
	if (rows->has_totals && isnan(figures->retention))
		used += fprintf(out, " %6s", "-");
	else if (rows->has_totals)
		used += fprintf(out, " %5.1f%%", figures->retention * 100);
	if (rows->has_totals && options->show_allocs)
		used += fprintf(out, " %11s %11s", show_size(a, figures->total_bytes.value),
				show_count(b, figures->count.value));
	if (has_growth && isnan(row->growth))
		used += fprintf(out, " %12s", "-");
	else if (has_growth)
		used += fprintf(out, " %+7.1f MB/h", row->growth);
	fputs("  ", out);
	return (unsigned)used + 2;
}

static void report_table_row(FILE *out, const struct profile *profile, const struct row *row,
			     const struct rows_choice *choice, const struct report_table *options,
			     unsigned used)
{
	const struct profile_function *function = row->function;
	char size[SHOW_WORD];

	report_table_place(out, row->name, row->file == row->name ? "" : row->file, row->line, used,
			   options->width);
	fputc('\n', out);
	if (function != NULL && function->verdict[0] != '\0' &&
	    profile_verdict_rank(function->verdict) >= profile_verdict_rank("growing")) {
		fprintf(out, "    %s: ", function->verdict);
		show_plain(out,
			   function->sentence[0] != '\0' ? function->sentence : function->name);
		fputc('\n', out);
	}
	if (options->show_source)
		report_table_put_source(out, "          ", row->file, row->line);
	if (row->uncertain_bytes > 0 && !choice->peak)
		fprintf(out, "    %s of it from CPython's free lists, maker unknown\n",
			show_size(size, row->uncertain_bytes));
	if (choice->by == ROWS_STACK)
		report_table_stack(out, profile, profile->frames[row->frame].parent,
				   options->show_source, options->depth);
}

void report_table(FILE *out, const struct profile *profile, const struct rows *rows,
		  const struct rows_choice *choice, const struct report_table *options)
{
	size_t count = report_table_count(rows, choice, options);
	double all = 0, rest = 0;
	bool has_growth = false;
	char size[SHOW_WORD];

	for (size_t i = 0; i < rows->count; i++) {
		all += rows_bytes(&rows->rows[i], choice);
		rest += i < count ? 0 : rows_bytes(&rows->rows[i], choice);
		has_growth |= !isnan(rows->rows[i].growth);
	}
	report_table_header(out, rows, choice, options, has_growth);
	for (size_t i = 0; i < count; i++) {
		unsigned used = report_table_figures(out, &rows->rows[i], rows, choice, options,
						     all, has_growth);

		report_table_row(out, profile, &rows->rows[i], choice, options, used);
	}
	if (count < rows->count)
		fprintf(out, "%11s in %zu more\n", show_size(size, rest), rows->count - count);
	fprintf(out, "%11s in all\n", show_size(size, all));
}
