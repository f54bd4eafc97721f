#include "report_json.h"

#include "../base/show.h"

#include <math.h>

void report_json_number(FILE *out, const char *key, double number)
{
	fprintf(out, "\"%s\":", key);
	show_json_number(out, number);
	fputc(',', out);
}

void report_json_string(FILE *out, const char *key, const char *string)
{
	fprintf(out, "\"%s\":", key);
	show_json(out, string);
	fputc(',', out);
}

static void report_json_stack(FILE *out, const struct profile *profile, size_t frame)
{
	const char *comma = "";

	fputs("\"stack\":[", out);
	for (; frame != 0; frame = profile->frames[frame].parent) {
		const struct profile_frame *at = &profile->frames[frame];

		fprintf(out, "%s{", comma);
		report_json_string(out, "function", at->name);
		report_json_string(out, "file", at->file);
		fprintf(out, "\"line\":%u}", at->line);
		comma = ",";
	}
	fputs("],", out);
}

static void report_json_row(FILE *out, const struct profile *profile, const struct rows *rows,
			    const struct row *row, enum rows_by by)
{
	const struct figures *figures = &row->figures;

	fputc('{', out);
	report_json_string(out, "name", row->name);
	report_json_string(out, "file", row->file == row->name ? "" : row->file);
	report_json_number(out, "line", row->line);
	report_json_number(out, "live_bytes", figures->live_bytes.value);
	report_json_number(out, "live_bytes_se", figures->live_bytes.se);
	report_json_number(out, "live_count", figures->live_count.value);
	report_json_number(out, "live_count_se", figures->live_count.se);
	if (rows->has_totals) {
		report_json_number(out, "peak_live_bytes", row->peak_live_bytes);
		if (by != ROWS_LINE)
			report_json_number(out, "uncertain_bytes", row->uncertain_bytes);
		report_json_number(out, "count", figures->count.value);
		report_json_number(out, "total_bytes", figures->total_bytes.value);
		report_json_number(out, "retention", figures->retention);
		report_json_number(out, "growth_mb_per_hour", row->growth);
		report_json_number(out, "growth_low", row->growth_low);
		report_json_number(out, "growth_high", row->growth_high);
	} else if (by != ROWS_TYPE) {
		report_json_number(out, "oldest_seconds", row->oldest_s);
		report_json_number(out, "youngest_seconds", row->youngest_s);
	}
	if (by == ROWS_STACK)
		report_json_stack(out, profile, row->frame);
	report_json_string(out, "sentence", row->function != NULL ? row->function->sentence : "");
	fputs("\"verdict\":", out);
	show_json(out, row->function != NULL ? row->function->verdict : "");
	fputc('}', out);
}

void report_json_head(FILE *out, const struct profile *profile)
{
	report_json_string(out, "program", profile->program);
	report_json_string(out, "script", profile->script);
	report_json_string(out, "hostname", profile->hostname);
	report_json_string(out, "job_name", profile->job_name);
	report_json_string(out, "python_version", profile->python_version);
	report_json_number(out, "processes", (double)profile->processes);
	report_json_number(out, "ended", (double)profile->ended);
	report_json_number(out, "pid", profile->pid);
	report_json_number(out, "time", profile->time);
	report_json_number(out, "elapsed_seconds", profile->elapsed_s);
	report_json_number(out, "rss_bytes", profile->rss_bytes);
	report_json_number(out, "peak_rss_bytes", profile->peak_rss_bytes);
	report_json_number(out, "live_bytes", profile->live_bytes.value);
	report_json_number(out, "live_bytes_se", profile->live_bytes.se);
	report_json_number(out, "live_count", profile->live_count.value);
	report_json_number(out, "peak_live_bytes", profile->peak_live_bytes);
	report_json_number(out, "lost_samples", profile->lost_samples);
}

static void report_json_pools(FILE *out, const struct profile *profile)
{
	fputs("\"uncertain\":[", out);
	for (size_t i = 0; i < profile->pool_count; i++) {
		const struct profile_pool *pool = &profile->pools[i];

		fputs(i > 0 ? ",{" : "{", out);
		report_json_string(out, "type", pool->type);
		report_json_number(out, "bytes", pool->bytes);
		report_json_number(out, "count", pool->count);
		report_json_string(out, "sentence", pool->sentence);
		fputs("\"verdict\":", out);
		show_json(out, pool->verdict);
		fputc('}', out);
	}
	fputs("],", out);
}

void report_json(FILE *out, const struct profile *profile, const struct rows *rows, size_t count,
		 const struct rows_choice *choice)
{
	static const char *const names[] = {"function", "file", "line", "stack", "type", "module"};
	double all = 0;

	for (size_t i = 0; i < rows->count; i++)
		all += rows->rows[i].figures.live_bytes.value;
	fputc('{', out);
	report_json_head(out, profile);
	report_json_pools(out, profile);
	report_json_string(out, "by", names[choice->by]);
	report_json_number(out, "rows_bytes", all);
	report_json_number(out, "rows_count", (double)rows->count);
	fputs("\"rows\":[", out);
	for (size_t i = 0; i < count; i++) {
		fputs(i > 0 ? ",\n" : "\n", out);
		report_json_row(out, profile, rows, &rows->rows[i], choice->by);
	}
	fputs("]}\n", out);
}
