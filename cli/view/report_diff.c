/* DESIGN: rows of two snapshots meet by their keys. The difference of two estimates has the error
 * hypot(se, se) if they are independent. Two snapshots of one process share the samples that lived
 * through both, so that error is too large there and never too small: what is called a growth is
 * one.
 */
#include "report_diff.h"

#include "../base/lookup.h"
#include "../base/region.h"
#include "../base/show.h"
#include "report_json.h"
#include "report_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_DIFF_Z 1.96

static struct estimate report_diff_less(struct estimate after, struct estimate before)
{
	return (struct estimate){after.value - before.value, hypot(after.se, before.se)};
}

void report_diff_judge(struct change *change)
{
	static const struct figures nothing;
	const struct figures *before = change->before != NULL ? &change->before->figures : &nothing;
	const struct figures *after = change->after != NULL ? &change->after->figures : &nothing;

	change->bytes = report_diff_less(after->live_bytes, before->live_bytes);
	change->count = report_diff_less(after->live_count, before->live_count);
	if (change->bytes.value == 0)
		change->word = "same";
	else if (fabs(change->bytes.value) < REPORT_DIFF_Z * change->bytes.se)
		change->word = "noise";
	else if (before->live_bytes.value == 0)
		change->word = "came";
	else if (after->live_bytes.value == 0)
		change->word = "went";
	else
		change->word = change->bytes.value > 0 ? "grew" : "shrank";
}

/* What has changed first, then what may be noise, then the rest. */
static unsigned report_diff_rank(const struct change *change)
{
	return strcmp(change->word, "same") == 0 ? 2 : strcmp(change->word, "noise") == 0;
}

static int report_diff_compare(const void *a, const void *b)
{
	const struct change *left = a, *right = b;
	double difference = fabs(left->bytes.value) - fabs(right->bytes.value);

	if (report_diff_rank(left) != report_diff_rank(right))
		return report_diff_rank(left) < report_diff_rank(right) ? -1 : 1;
	if (difference != 0)
		return difference > 0 ? -1 : 1;
	return strcmp((left->after != NULL ? left->after : left->before)->key,
		      (right->after != NULL ? right->after : right->before)->key);
}

struct changes report_diff_of(const struct rows *before, const struct rows *after)
{
	struct changes changes = {0};
	struct lookup lookup = {0};

	changes.changes = region_alloc(before->count + after->count, sizeof(struct change));
	for (size_t i = 0; i < before->count; i++) {
		lookup_put(&lookup, before->rows[i].key, changes.count);
		changes.changes[changes.count++].before = &before->rows[i];
	}
	for (size_t i = 0; i < after->count; i++) {
		size_t at = lookup_put(&lookup, after->rows[i].key, changes.count);

		changes.count += at == changes.count;
		changes.changes[at].after = &after->rows[i];
	}
	for (size_t i = 0; i < changes.count; i++) {
		report_diff_judge(&changes.changes[i]);
		changes.bytes = profile_add(changes.bytes, changes.changes[i].bytes);
	}
	if (changes.count > 0)
		qsort(changes.changes, changes.count, sizeof(struct change), report_diff_compare);
	return changes;
}

static void report_diff_head(FILE *out, const char *word, const struct profile *profile)
{
	char text[SHOW_WORD];

	fprintf(out, "%s ", word);
	show_plain(out, profile->path);
	if (profile->processes == 1)
		fprintf(out, ": pid %.0f", profile->pid);
	else
		fprintf(out, ": %zu processes", profile->processes);
	fprintf(out, ", %s", show_time(text, profile->time));
	fprintf(out, ", live %s", show_size(text, profile->live_bytes.value));
	if (!isnan(profile->rss_bytes))
		fprintf(out, ", RSS %s", show_size(text, profile->rss_bytes));
	fputc('\n', out);
}

void report_diff(FILE *out, const struct profile *before, const struct profile *after,
		 const struct changes *changes, enum rows_by by, size_t top, unsigned width)
{
	char a[SHOW_WORD], b[SHOW_WORD];
	size_t put = 0;

	report_diff_head(out, "from", before);
	report_diff_head(out, "to  ", after);
	fprintf(out, "\n%12s %11s %11s %11s %10s %10s  %-6s\n", "DIFFERENCE", "+-95%", "LIVE",
		"BLOCKS+-", "BLOCKS", "AVERAGE", "");
	for (; put < changes->count && put < top; put++) {
		const struct change *change = &changes->changes[put];
		const struct row *row = change->after != NULL ? change->after : change->before;
		double live = change->after != NULL ? row->figures.live_bytes.value : 0;
		double count = change->after != NULL ? row->figures.live_count.value : 0;
		unsigned used;

		if (strcmp(change->word, "same") == 0)
			break; /* nor has any of the rest changed */
		used = (unsigned)fprintf(out, "%12s", show_signed_size(a, change->bytes.value));
		used += (unsigned)fprintf(out, " %11s %11s",
					  show_size(a, REPORT_DIFF_Z * change->bytes.se),
					  show_size(b, live));
		used += (unsigned)fprintf(out, " %11s %10s",
					  isnan(count) ? "-"
						       : show_signed_count(a, change->count.value),
					  isnan(count) ? "-" : show_count(b, count));
		used += (unsigned)fprintf(out, " %10s  %-6s  ",
					  count >= 0.5 ? show_size(a, live / count) : "-",
					  change->word);
		report_table_place(out, row->name, row->file == row->name ? "" : row->file,
				   row->line, used, width);
		fputc('\n', out);
		if (by == ROWS_STACK) {
			const struct profile *of = change->after != NULL ? after : before;

			report_table_stack(out, of, of->frames[row->frame].parent, false, 0);
		}
	}
	fprintf(out, "%12s %11s in all%s\n", show_signed_size(a, changes->bytes.value),
		show_size(b, REPORT_DIFF_Z * changes->bytes.se),
		fabs(changes->bytes.value) < REPORT_DIFF_Z * changes->bytes.se
			? ", within the noise of sampling"
			: "");
	if (put < changes->count)
		fprintf(out, "%zu more %s\n", changes->count - put,
			put < top ? "have not changed" : "are not shown");
	fputs("noise: the difference is within the noise of sampling\n", out);
}

void report_diff_json(FILE *out, const struct profile *before, const struct profile *after,
		      const struct changes *changes, size_t top)
{
	fputc('{', out);
	report_json_number(out, "from_time", before->time);
	report_json_number(out, "to_time", after->time);
	report_json_number(out, "difference_bytes", changes->bytes.value);
	report_json_number(out, "difference_bytes_se", changes->bytes.se);
	fputs("\"rows\":[", out);
	for (size_t i = 0; i < changes->count && i < top; i++) {
		const struct change *change = &changes->changes[i];
		const struct row *row = change->after != NULL ? change->after : change->before;

		fputs(i > 0 ? ",\n{" : "\n{", out);
		report_json_string(out, "name", row->name);
		report_json_string(out, "file", row->file == row->name ? "" : row->file);
		report_json_number(out, "line", row->line);
		report_json_number(out, "difference_bytes", change->bytes.value);
		report_json_number(out, "difference_bytes_se", change->bytes.se);
		report_json_number(out, "difference_count", change->count.value);
		report_json_number(out, "live_bytes",
				   change->after != NULL ? change->after->figures.live_bytes.value
							 : 0);
		fprintf(out, "\"change\":\"%s\"}", change->word);
	}
	fputs("]}\n", out);
}
