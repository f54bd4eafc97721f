/* export_stacks: the forms that are stacks with a number: folded, speedscope, gprof2dot; and CSV.
 * */
#include "export.h"

#include "../base/fail.h"
#include "../base/keep.h"
#include "../base/lookup.h"
#include "../base/show.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The places of a profile, each once: a function and a line. */
struct places {
	size_t *of_frame; /* by frame */
	size_t *frames;   /* by place: one frame that has it */
	size_t count, room;
};

static struct places export_places(const struct profile *profile)
{
	struct places places = {0};
	struct lookup lookup = {0};

	places.of_frame = keep_alloc(profile->frame_count, sizeof(size_t));
	for (size_t i = 0; i < profile->frame_count; i++) {
		const struct profile_frame *frame = &profile->frames[i];
		char *key = keep_text("%u\n%s\n%s", frame->line, frame->file, frame->name);

		places.of_frame[i] = lookup_put(&lookup, key, places.count);
		free(key);
		if (places.of_frame[i] < places.count)
			continue;
		places.frames =
			keep_grow(places.frames, places.count, &places.room, sizeof(size_t));
		places.frames[places.count++] = i;
	}
	return places;
}

/* The frames of a stack, innermost first; a stack without any has the root, `<unknown>`. */
static size_t *export_chain(const struct profile *profile, size_t frame, size_t *count)
{
	size_t depth = 0, *chain;

	for (size_t at = frame; at != 0; at = profile->frames[at].parent)
		depth++;
	chain = keep_alloc(depth + 1, sizeof(*chain));
	*count = 0;
	do {
		chain[(*count)++] = frame;
		frame = profile->frames[frame].parent;
	} while (frame != 0);
	return chain;
}

/* A word of a folded line: `;` parts frames, and a line break lines. */
static void export_folded_frame(FILE *out, const struct profile_frame *frame)
{
	char *name = keep_text(frame->line != 0         ? "%s (%s:%u)"
			       : frame->file[0] != '\0' ? "%s (%s)"
							: "%s",
			       frame->name, frame->file, frame->line);
	char *plain = show_plain_text(name);

	for (char *at = plain; *at != '\0'; at++)
		fputc(*at == ';' ? ',' : *at, out);
	free(plain);
	free(name);
}

void export_folded(FILE *out, const struct profile *profile)
{
	for (size_t i = 0; i < profile->stack_count; i++) {
		size_t count, *chain = export_chain(profile, profile->stacks[i].frame, &count);

		for (size_t at = count; at-- > 0;) {
			export_folded_frame(out, &profile->frames[chain[at]]);
			fputc(at > 0 ? ';' : ' ', out);
		}
		fprintf(out, "%.0f\n", profile->stacks[i].live_bytes.value);
		free(chain);
	}
}

/* Arrays of places; speedscope wants the outermost first, gprof2dot the innermost. */
static void export_put_chain(FILE *out, const struct profile *profile, const struct places *places,
			     size_t frame, bool is_outermost_first)
{
	size_t count, *chain = export_chain(profile, frame, &count);

	fputc('[', out);
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s%zu", i > 0 ? "," : "",
			places->of_frame[chain[is_outermost_first ? count - 1 - i : i]]);
	fputc(']', out);
	free(chain);
}

void export_speedscope(FILE *out, const struct profile *profile)
{
	struct places places = export_places(profile);
	double all = 0;

	fputs("{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\","
	      "\"exporter\":\"trackleak\",\"name\":",
	      out);
	show_json(out, profile->program);
	fputs(",\"shared\":{\"frames\":[", out);
	for (size_t i = 0; i < places.count; i++) {
		const struct profile_frame *frame = &profile->frames[places.frames[i]];

		fputs(i > 0 ? ",\n{\"name\":" : "\n{\"name\":", out);
		show_json(out, frame->name);
		fputs(",\"file\":", out);
		show_json(out, frame->file);
		if (frame->line != 0)
			fprintf(out, ",\"line\":%u", frame->line);
		fputc('}', out);
	}
	fputs("]},\"profiles\":[{\"type\":\"sampled\",\"name\":\"live bytes\",\"unit\":\"bytes\","
	      "\"samples\":[",
	      out);
	for (size_t i = 0; i < profile->stack_count; i++) {
		fputs(i > 0 ? ",\n" : "\n", out);
		export_put_chain(out, profile, &places, profile->stacks[i].frame, true);
		all += profile->stacks[i].live_bytes.value;
	}
	fputs("],\"weights\":[", out);
	for (size_t i = 0; i < profile->stack_count; i++)
		fprintf(out, "%s%.2f", i > 0 ? "," : "", profile->stacks[i].live_bytes.value);
	fprintf(out, "],\"startValue\":0,\"endValue\":%.2f}]}\n", all);
}

void export_gprof2dot(FILE *out, const struct profile *profile)
{
	struct places places = export_places(profile);

	fputs("{\"version\":0,\"costs\":[{\"description\":\"Live memory\",\"unit\":\"bytes\"},"
	      "{\"description\":\"Live blocks\",\"unit\":\"blocks\"}],\"functions\":[",
	      out);
	for (size_t i = 0; i < places.count; i++) {
		const struct profile_frame *frame = &profile->frames[places.frames[i]];
		char *name = keep_text(frame->line != 0 ? "%s:%u" : "%s", frame->name, frame->line);

		fputs(i > 0 ? ",\n{\"name\":" : "\n{\"name\":", out);
		show_json(out, name);
		fputs(",\"module\":", out);
		show_json(out, frame->file);
		fputc('}', out);
	}
	fputs("],\"events\":[", out);
	for (size_t i = 0; i < profile->stack_count; i++) {
		fputs(i > 0 ? ",\n{\"callchain\":" : "\n{\"callchain\":", out);
		export_put_chain(out, profile, &places, profile->stacks[i].frame, false);
		fprintf(out, ",\"cost\":[%.2f,%.2f]}", profile->stacks[i].live_bytes.value,
			profile->stacks[i].live_count.value);
	}
	fputs("]}\n", out);
}

/* RFC 4180. A cell that begins like a formula would be run by a spreadsheet. */
static void export_csv_text(FILE *out, const char *text)
{
	fputc('"', out);
	if (text[0] != '\0' && strchr("=+-@\t\r", text[0]) != NULL)
		fputc('\'', out);
	for (; *text != '\0'; text++) {
		if (*text == '"')
			fputc('"', out);
		fputc(*text, out);
	}
	fputs("\",", out);
}

static void export_csv_row(FILE *out, const struct profile_function *function, uint32_t line,
			   const struct figures *figures)
{
	export_csv_text(out, function->name);
	export_csv_text(out, function->file);
	fprintf(out, "%u,%.0f,%.0f,%.0f,%.0f,%.0f,%.0f,", line, figures->live_bytes.value,
		figures->live_bytes.se, figures->live_count.value, figures->live_count.se,
		figures->count.value, figures->total_bytes.value);
	if (!isnan(figures->retention))
		fprintf(out, "%.6f", figures->retention);
	fputc(',', out);
	if (!isnan(function->growth))
		fprintf(out, "%.6g", function->growth);
	fprintf(out, ",%s\n", function->verdict);
}

void export_csv(FILE *out, const struct profile *profile)
{
	fputs("function,file,line,live_bytes,live_bytes_se,live_count,live_count_se,count,total_"
	      "bytes,"
	      "retention,function_growth_mb_per_hour,function_verdict\n",
	      out);
	for (size_t i = 0; i < profile->function_count; i++) {
		const struct profile_function *function = &profile->functions[i];

		for (size_t l = 0; l < function->line_count; l++)
			export_csv_row(out, function, function->lines[l].line,
				       &function->lines[l].figures);
		if (function->line_count == 0)
			export_csv_row(out, function, function->line, &function->figures);
	}
}
