/* DESIGN: the page is a file of its own (page.html) that the compiler puts into the command; the
 * profile stands in it as JSON, where the page says so. In a script element only `<` could end it,
 * and it is only found inside strings, so it is written \u003c.
 */
#include "export.h"

#include "../base/fail.h"
#include "../base/keep.h"
#include "../base/lookup.h"
#include "../base/show.h"
#include "report_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT_HTML_MARK "@PROFILE@"

__asm__(".pushsection .rodata\n"
	"export_html_page:\n"
	".incbin \"cli/view/page.html\"\n"
	".byte 0\n"
	".popsection\n");
extern const char export_html_page[] __attribute__((visibility("hidden")));

static void export_html_functions(FILE *out, const struct profile *profile)
{
	fputs("\"functions\":[", out);
	for (size_t i = 0; i < profile->function_count; i++) {
		const struct profile_function *function = &profile->functions[i];

		fputs(i > 0 ? ",\n{" : "\n{", out);
		report_json_string(out, "name", function->name);
		report_json_string(out, "file", function->file);
		report_json_number(out, "line", function->line);
		report_json_number(out, "live", function->figures.live_bytes.value);
		report_json_number(out, "se", function->figures.live_bytes.se);
		report_json_number(out, "uncertain", function->uncertain_bytes);
		report_json_number(out, "blocks", function->figures.live_count.value);
		report_json_number(out, "peak", function->peak_live_bytes);
		report_json_number(out, "allocated", function->figures.total_bytes.value);
		report_json_number(out, "kept", function->figures.retention);
		report_json_number(out, "growth", function->growth);
		report_json_string(out, "sentence", function->sentence);
		fputs("\"verdict\":", out);
		show_json(out, function->verdict);
		fputc('}', out);
	}
	fputs("],", out);
}

/* [parent, function, line] or [parent, -1, line, name, file], as in the snapshot. */
static void export_html_stacks(FILE *out, const struct profile *profile)
{
	fputs("\"frames\":[null", out);
	for (size_t i = 1; i < profile->frame_count; i++) {
		const struct profile_frame *frame = &profile->frames[i];

		fprintf(out, ",[%zu,%zd,%u", frame->parent,
			frame->function == PROFILE_NO_FUNCTION ? -1 : (ssize_t)frame->function,
			frame->line);
		if (frame->function == PROFILE_NO_FUNCTION) {
			fputc(',', out);
			show_json(out, frame->name);
			fputc(',', out);
			show_json(out, frame->file);
		}
		fputc(']', out);
	}
	fputs("],\"stacks\":[", out);
	for (size_t i = 0; i < profile->stack_count; i++)
		fprintf(out, "%s[%zu,%.0f,%.0f]", i > 0 ? "," : "", profile->stacks[i].frame,
			profile->stacks[i].live_bytes.value, profile->stacks[i].live_count.value);
	fputs("],", out);
}

static size_t export_html_name(struct lookup *names, const struct profile_function *function)
{
	char *key = keep_text("%s\n%s", function->name, function->file);
	size_t number = lookup_put(names, key, names->used);

	free(key);
	return number;
}

static void export_html_put_names(FILE *out, const struct profile *dump, struct lookup *names)
{
	for (size_t i = 0; i < dump->function_count; i++) {
		const struct profile_function *function = &dump->functions[i];
		size_t known = names->used;

		export_html_name(names, function);
		if (names->used == known)
			continue;
		fputs(known > 0 ? ",\n[" : "\n[", out);
		show_json(out, function->name);
		fputc(',', out);
		show_json(out, function->file);
		fputc(']', out);
	}
}

static void export_html_put(FILE *out, double number, double steps_of_1)
{
	show_json_number(out, round(number * steps_of_1) / steps_of_1);
	fputc(',', out);
}

/* [name, line, live, its error, uncertain, blocks, allocated, kept, growth, verdict] */
static void export_html_row(FILE *out, const struct profile_function *function, size_t name)
{
	const struct figures *figures = &function->figures;

	fprintf(out, "[%zu,%u,", name, function->line);
	export_html_put(out, figures->live_bytes.value, 1);
	export_html_put(out, figures->live_bytes.se, 1);
	export_html_put(out, function->uncertain_bytes, 1);
	export_html_put(out, figures->live_count.value, 1);
	export_html_put(out, figures->total_bytes.value, 1);
	export_html_put(out, figures->retention, 1000);
	export_html_put(out, function->growth, 10);
	show_json(out, function->verdict);
	fputc(']', out);
}

/* [number, time, RSS, live, [row, ...]] */
static void export_html_dump(FILE *out, const struct profile *dump, struct lookup *names)
{
	fputc('[', out);
	export_html_put(out, dump->dump, 1);
	export_html_put(out, dump->time, 1000);
	export_html_put(out, dump->rss_bytes, 1);
	export_html_put(out, dump->live_bytes.value, 1);
	fputc('[', out);
	for (size_t i = 0; i < dump->function_count; i++) {
		if (i > 0)
			fputc(',', out);
		export_html_row(out, &dump->functions[i],
				export_html_name(names, &dump->functions[i]));
	}
	fputs("]]", out);
}

/* The functions of all dumps by number, and then the dumps. */
static void export_html_history(FILE *out, const struct history *history)
{
	struct lookup names = {0};

	fprintf(out, "\"history\":{\"pid\":%.0f,\"kept\":%zu,\"names\":[", history->pid,
		history->kept);
	for (size_t i = 0; i < history->count; i++)
		export_html_put_names(out, history->profiles[i], &names);
	fputs("],\"dumps\":[", out);
	for (size_t i = 0; i < history->count; i++) {
		fputs(i > 0 ? ",\n" : "\n", out);
		export_html_dump(out, history->profiles[i], &names);
	}
	fputs("]},", out);
}

static char *export_html_data(const struct profile *profile, const struct session *session,
			      const struct history *history)
{
	size_t length;
	char *data = NULL;
	FILE *out = open_memstream(&data, &length);

	if (out == NULL)
		fail("there is not enough memory");
	fputc('{', out);
	report_json_head(out, profile);
	export_html_functions(out, profile);
	export_html_stacks(out, profile);
	if (history != NULL)
		export_html_history(out, history);
	if (session != NULL)
		report_json_number(out, "session_start", session->start);
	fputs("\"rss_over_time\":[", out);
	for (size_t i = 0; session != NULL && i < session->sample_count; i++)
		fprintf(out, "%s[%.2f,%.0f]", i > 0 ? "," : "", session->samples[i].time_s,
			session->samples[i].rss_bytes);
	fputs("]}", out);
	if (fclose(out) != 0)
		fail("there is not enough memory");
	return data;
}

void export_html(FILE *out, const struct profile *profile, const struct session *session,
		 const struct history *history)
{
	const char *mark = strstr(export_html_page, EXPORT_HTML_MARK);
	char *data = export_html_data(profile, session, history);

	fwrite(export_html_page, 1, (size_t)(mark - export_html_page), out);
	for (const char *at = data; *at != '\0'; at++) {
		if (*at == '<')
			fputs("\\u003c", out);
		else
			fputc(*at, out);
	}
	fputs(mark + strlen(EXPORT_HTML_MARK), out);
	free(data);
}
