/* DESIGN: a writer of three words: where the descriptor is, what is buffered, what failed first.
 * Values are put into the text, and the buffer is flushed between values whenever less than the
 * largest value's room is left, so that nothing is ever cut. A failure is remembered and makes the
 * rest a no-op: the file is judged once, at its end.
 *
 * Frames are short arrays and not objects: there may be a hundred thousand of them.
 */
#include "snapshot_json.h"

#include "../base/text.h"
#include "log_folder.h"
#include "snapshot.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The largest value: the labels, 4095 bytes of at most `\u001f` each. */
#define SNAPSHOT_JSON_VALUE ((size_t)26 * 1024)

struct snapshot_json {
	int fd;
	struct text text;
	int error;     /* errno of the first failure */
	bool is_first; /* of its object or array: no comma before it */
	bool has_baseline;
};

static void snapshot_json_flush(struct snapshot_json *json)
{
	size_t done = 0;

	while (json->error == 0 && done < json->text.length && !log_folder_is_shut) {
		ssize_t written = write(json->fd, json->text.data + done, json->text.length - done);

		if (written > 0)
			done += (size_t)written;
		else if (written == 0)
			json->error = ENOSPC;
		else if (errno != EINTR)
			json->error = errno;
	}
	text_clear(&json->text);
}

/* Before each value: room for it, and a comma unless it is the first. */
static struct text *snapshot_json_next(struct snapshot_json *json)
{
	if (json->text.capacity - json->text.length < SNAPSHOT_JSON_VALUE)
		snapshot_json_flush(json);
	if (!json->is_first)
		text_put_char(&json->text, ',');
	json->is_first = false;
	return &json->text;
}

static struct text *snapshot_json_key(struct snapshot_json *json, const char *key)
{
	struct text *text = snapshot_json_next(json);

	text_put_char(text, '"');
	text_put(text, key);
	text_put(text, "\":");
	return text;
}

/* `key` NULL: inside an array. */
static void snapshot_json_open(struct snapshot_json *json, const char *key, char bracket)
{
	struct text *text = key == NULL ? snapshot_json_next(json) : snapshot_json_key(json, key);

	text_put_char(text, bracket);
	json->is_first = true;
}

static void snapshot_json_close(struct snapshot_json *json, char bracket)
{
	text_put_char(&json->text, bracket);
	json->is_first = false;
}

static void snapshot_json_u64(struct snapshot_json *json, const char *key, uint64_t value)
{
	text_put_u64(snapshot_json_key(json, key), value);
}

static void snapshot_json_fixed(struct snapshot_json *json, const char *key, double value,
				unsigned decimals)
{
	text_put_fixed(snapshot_json_key(json, key), value, decimals);
}

static void snapshot_json_string(struct snapshot_json *json, const char *key, const char *value)
{
	text_put_json(snapshot_json_key(json, key), value);
}

static void snapshot_json_bool(struct snapshot_json *json, const char *key, bool value)
{
	text_put(snapshot_json_key(json, key), value ? "true" : "false");
}

/* [value, standard error] */
static void snapshot_json_estimate(struct snapshot_json *json, const char *key,
				   const struct estimate *estimate)
{
	struct text *text = snapshot_json_key(json, key);

	text_put_char(text, '[');
	text_put_fixed(text, estimate->value, 2);
	text_put_char(text, ',');
	text_put_fixed(text, estimate->se, 2);
	text_put_char(text, ']');
}

static void snapshot_json_put_process(struct snapshot_json *json, const struct snapshot *snapshot)
{
	snapshot_json_open(json, "process", '{');
	snapshot_json_u64(json, "pid", snapshot->pid);
	snapshot_json_bool(json, "forked", snapshot->is_forked_child);
	snapshot_json_fixed(json, "start", snapshot->process_start, 3);
	snapshot_json_string(json, "hostname", snapshot->hostname);
	snapshot_json_string(json, "job_name", snapshot->job_name);
	snapshot_json_string(json, "labels", snapshot->labels);
	snapshot_json_string(json, "program", snapshot->program);
	snapshot_json_string(json, "script", snapshot->script);
	snapshot_json_string(json, "python_version", snapshot->python_version);
	snapshot_json_close(json, '}');
}

static void snapshot_json_put_dump(struct snapshot_json *json, const struct snapshot *snapshot)
{
	snapshot_json_open(json, "dump", '{');
	snapshot_json_u64(json, "number", snapshot->dump);
	snapshot_json_fixed(json, "time", snapshot->time, 3);
	snapshot_json_fixed(json, "elapsed_seconds", snapshot->elapsed_s, 3);
	snapshot_json_bool(json, "final", snapshot->is_final);
	if (json->has_baseline)
		snapshot_json_fixed(json, "baseline_time", snapshot->baseline_time, 3);
	else
		text_put(snapshot_json_key(json, "baseline_time"), "null");
	snapshot_json_close(json, '}');

	snapshot_json_open(json, "settings", '{');
	snapshot_json_fixed(json, "sample_rate", snapshot->sample_rate, 0);
	snapshot_json_fixed(json, "sample_bytes", snapshot->sample_bytes, 0);
	snapshot_json_u64(json, "min_size", snapshot->min_size);
	snapshot_json_close(json, '}');
}

/* The parts add up to rss_bytes. */
static void snapshot_json_put_rss(struct snapshot_json *json, const struct rss_breakdown *rss)
{
	snapshot_json_open(json, "rss", '{');
	snapshot_json_u64(json, "python_live_bytes", rss->python_live);
	snapshot_json_u64(json, "python_slack_bytes", rss->python_slack);
	snapshot_json_u64(json, "libc_live_bytes", rss->libc_live);
	snapshot_json_u64(json, "libc_free_bytes", rss->libc_free);
	snapshot_json_u64(json, "maps_bytes", rss->maps);
	snapshot_json_u64(json, "files_and_stacks_bytes", rss->files_and_stacks);
	snapshot_json_u64(json, "agent_bytes", rss->agent);
	snapshot_json_u64(json, "rest_bytes", rss->rest);
	if (rss->remedy != NULL)
		snapshot_json_string(json, "remedy", rss->remedy);
	else
		text_put(snapshot_json_key(json, "remedy"), "null");
	snapshot_json_close(json, '}');
}

static void snapshot_json_put_totals(struct snapshot_json *json, const struct snapshot *snapshot)
{
	snapshot_json_open(json, "table", '{');
	snapshot_json_u64(json, "live_samples", snapshot->live_samples);
	snapshot_json_u64(json, "live_capacity", snapshot->live_capacity);
	snapshot_json_u64(json, "lost_samples", snapshot->lost_samples);
	snapshot_json_u64(json, "thinned", snapshot->thinned);
	snapshot_json_u64(json, "other_functions", snapshot->other_sites);
	snapshot_json_close(json, '}');

	snapshot_json_open(json, "memory", '{');
	snapshot_json_u64(json, "rss_bytes", snapshot->rss_bytes);
	snapshot_json_u64(json, "peak_rss_bytes", snapshot->peak_rss_bytes);
	snapshot_json_estimate(json, "live_bytes", &snapshot->live_bytes);
	snapshot_json_estimate(json, "live_count", &snapshot->live_count);
	snapshot_json_fixed(json, "peak_live_bytes", snapshot->peak_live_bytes, 0);
	snapshot_json_fixed(json, "peak_live_time", snapshot->peak_live_time, 3);
	snapshot_json_u64(json, "agent_bytes", snapshot->agent_bytes);
	snapshot_json_fixed(json, "agent_cpu_seconds", snapshot->agent_cpu_s, 3);
	snapshot_json_fixed(json, "sampling_cpu_seconds", snapshot->sampling_cpu_s, 3);
	snapshot_json_put_rss(json, &snapshot->rss);
	snapshot_json_close(json, '}');
}

/* What of it was born since the baseline, where there is one. */
static void snapshot_json_put_since(struct snapshot_json *json, const struct estimate *bytes,
				    const struct estimate *count)
{
	if (!json->has_baseline)
		return;
	snapshot_json_estimate(json, "since_bytes", bytes);
	snapshot_json_estimate(json, "since_count", count);
}

static void snapshot_json_put_figures(struct snapshot_json *json,
				      const struct site_figures *figures)
{
	snapshot_json_u64(json, "counted", figures->counted);
	snapshot_json_u64(json, "counted_bytes", figures->counted_bytes);
	snapshot_json_estimate(json, "count", &figures->count);
	snapshot_json_estimate(json, "total_bytes", &figures->total_bytes);
	snapshot_json_u64(json, "largest", figures->largest);
	snapshot_json_u64(json, "sample_count", figures->sample_count);
	snapshot_json_u64(json, "sample_bytes", figures->sample_bytes);
	snapshot_json_u64(json, "freed_samples", figures->freed_samples);
	snapshot_json_u64(json, "freed_sample_bytes", figures->freed_sample_bytes);
	snapshot_json_fixed(json, "retention", figures->retention, 6);
	snapshot_json_estimate(json, "live_bytes", &figures->live_bytes);
	snapshot_json_estimate(json, "live_count", &figures->live_count);
	snapshot_json_put_since(json, &figures->since_bytes, &figures->since_count);
}

/* Puts the lines of one site; `at` is where they begin. Returns where the next site's begin. */
static size_t snapshot_json_put_lines(struct snapshot_json *json, const struct snapshot *snapshot,
				      size_t site, size_t at)
{
	snapshot_json_open(json, "lines", '[');
	for (; at < snapshot->line_count && snapshot->lines[at].site == site; at++) {
		snapshot_json_open(json, NULL, '{');
		snapshot_json_u64(json, "line", snapshot->lines[at].line);
		snapshot_json_put_figures(json, &snapshot->lines[at].figures);
		snapshot_json_close(json, '}');
	}
	snapshot_json_close(json, ']');
	return at;
}

/* `verdict`: the word and what stands behind it. */
static void snapshot_json_put_verdict(struct snapshot_json *json, const struct verdict *verdict)
{
	double nan = (double)__builtin_nanf("");
	bool is_said = verdict->kind != VERDICT_UNCLEAR;
	bool has_survival = verdict->survival.at_risk > 0;
	char sentence_buffer[256];
	struct text sentence = text_over(sentence_buffer, sizeof(sentence_buffer));

	verdict_put_sentence(&sentence, verdict);
	snapshot_json_open(json, "verdict", '{');
	snapshot_json_string(json, "word", verdict_word(verdict->kind));
	snapshot_json_string(json, "sentence", text_terminate(&sentence));
	snapshot_json_fixed(json, "bytes_per_second", is_said ? verdict->growth.rate : nan, 3);
	snapshot_json_fixed(json, "low", is_said ? verdict->growth.low : nan, 3);
	snapshot_json_fixed(json, "high", is_said ? verdict->growth.high : nan, 3);
	snapshot_json_fixed(json, "survival", has_survival ? verdict->survival.share : nan, 6);
	snapshot_json_fixed(json, "survival_low", has_survival ? verdict->survival.low : nan, 6);
	snapshot_json_fixed(json, "survival_high", has_survival ? verdict->survival.high : nan, 6);
	snapshot_json_fixed(json, "survival_seconds", has_survival ? verdict->survival.units : nan,
			    2);
	snapshot_json_close(json, '}');
}

/* An index, or null where there is none. */
static void snapshot_json_index(struct snapshot_json *json, const char *key, uint32_t index,
				size_t count)
{
	if (index < count)
		snapshot_json_u64(json, key, index);
	else
		text_put(snapshot_json_key(json, key), "null");
}

static void snapshot_json_put_types(struct snapshot_json *json, const struct snapshot_type *types,
				    size_t count)
{
	snapshot_json_open(json, "types", '[');
	for (size_t i = 0; i < count && types[i].type != NULL; i++) {
		snapshot_json_open(json, NULL, '{');
		snapshot_json_string(json, "type", types[i].type);
		snapshot_json_fixed(json, "bytes", types[i].bytes, 0);
		snapshot_json_fixed(json, "count", types[i].count, 0);
		snapshot_json_close(json, '}');
	}
	snapshot_json_close(json, ']');
}

static void snapshot_json_put_functions(struct snapshot_json *json, const struct snapshot *snapshot)
{
	static const char *const kinds[] = {
		[SITE_PYTHON] = "python", [SITE_NATIVE] = "native", [SITE_OTHERS] = "others"};
	size_t next_line = 0;

	snapshot_json_open(json, "functions", '[');
	for (size_t i = 0; i < snapshot->site_count; i++) {
		const struct snapshot_site *site = &snapshot->sites[i];

		snapshot_json_open(json, NULL, '{');
		snapshot_json_string(json, "function", site->function);
		snapshot_json_string(json, "file", site->file);
		snapshot_json_string(json, "kind", kinds[site->kind]);
		snapshot_json_u64(json, "first_line", site->first_line);
		snapshot_json_u64(json, "line", site->line);
		snapshot_json_put_figures(json, &site->figures);
		snapshot_json_fixed(json, "peak_live_bytes", site->peak_live_bytes, 2);
		snapshot_json_u64(json, "held_line", site->held_line);
		snapshot_json_put_verdict(json, &site->verdict);
		snapshot_json_index(json, "context", site->context, snapshot->context_count);
		snapshot_json_fixed(json, "uncertain_bytes", site->uncertain_bytes, 0);
		snapshot_json_put_types(json, site->types, SNAPSHOT_TYPES);
		snapshot_json_u64(json, "generations", site->generations);
		snapshot_json_fixed(json, "last_free_seconds", site->last_free_s, 2);
		snapshot_json_open(json, "lifetimes", '[');
		for (size_t bucket = 0; bucket < SNAPSHOT_LIFETIMES; bucket++)
			text_put_u64(snapshot_json_next(json), site->lifetimes[bucket]);
		snapshot_json_close(json, ']');
		next_line = snapshot_json_put_lines(json, snapshot, i, next_line);
		snapshot_json_close(json, '}');
	}
	snapshot_json_close(json, ']');
}

/* A native frame that is no site has no name yet. */
static void snapshot_json_put_frame_name(struct text *text, const struct snapshot_frame *frame)
{
	char buffer[300];
	struct text name = text_over(buffer, sizeof(buffer));
	const char *slash = strrchr(frame->file, '/');

	if (frame->module == UINT32_MAX || frame->site != UINT32_MAX) {
		text_put_json(text, frame->function);
		return;
	}
	text_put(&name, "<native ");
	text_put(&name, slash != NULL ? slash + 1 : frame->file);
	text_put(&name, "+0x");
	text_put_hex(&name, frame->offset);
	text_put(&name, ">");
	text_put_json(text, text_terminate(&name));
}

/* [parent, site, line], or [parent, -1, line, function, file], or with the place in native code
 * [parent, site or -1, 0, function, file, module, offset]; the root, at index 0, is null. */
static void snapshot_json_put_frames(struct snapshot_json *json, const struct snapshot *snapshot)
{
	snapshot_json_open(json, "frames", '[');
	for (size_t i = 0; i < snapshot->frame_count; i++) {
		const struct snapshot_frame *frame = &snapshot->frames[i];
		struct text *text = snapshot_json_next(json);

		if (i == 0) {
			text_put(text, "null");
			continue;
		}
		text_put_char(text, '[');
		text_put_u64(text, frame->parent);
		text_put_char(text, ',');
		text_put_i64(text, frame->site == UINT32_MAX ? -1 : (int64_t)frame->site);
		text_put_char(text, ',');
		text_put_u64(text, frame->line);
		if (frame->site == UINT32_MAX || frame->module != UINT32_MAX) {
			text_put_char(text, ',');
			snapshot_json_put_frame_name(text, frame);
			text_put_char(text, ',');
			text_put_json(text, frame->file);
		}
		if (frame->module != UINT32_MAX) {
			text_put_char(text, ',');
			text_put_u64(text, frame->module);
			text_put_char(text, ',');
			text_put_u64(text, frame->offset);
		}
		text_put_char(text, ']');
	}
	snapshot_json_close(json, ']');
}

/* The files of native frames. */
static void snapshot_json_put_modules(struct snapshot_json *json, const struct snapshot *snapshot)
{
	snapshot_json_open(json, "modules", '[');
	for (size_t i = 0; i < snapshot->module_count; i++) {
		const struct snapshot_module *module = &snapshot->modules[i];
		char digits[2 * 64 + 1];
		struct text id = text_over(digits, sizeof(digits));

		for (size_t byte = 0; byte < module->build_id_length; byte++) {
			text_put_char(&id, "0123456789abcdef"[module->build_id[byte] >> 4]);
			text_put_char(&id, "0123456789abcdef"[module->build_id[byte] & 15]);
		}
		snapshot_json_open(json, NULL, '{');
		snapshot_json_string(json, "path", module->path);
		snapshot_json_string(json, "build_id", text_terminate(&id));
		snapshot_json_close(json, '}');
	}
	snapshot_json_close(json, ']');
}

static void snapshot_json_put_stacks(struct snapshot_json *json, const struct snapshot *snapshot)
{
	snapshot_json_open(json, "stacks", '[');
	for (size_t i = 0; i < snapshot->stack_count; i++) {
		const struct snapshot_stack *stack = &snapshot->stacks[i];

		snapshot_json_open(json, NULL, '{');
		snapshot_json_u64(json, "frame", stack->frame);
		snapshot_json_index(json, "context", stack->context, snapshot->context_count);
		snapshot_json_estimate(json, "live_bytes", &stack->live_bytes);
		snapshot_json_estimate(json, "live_count", &stack->live_count);
		snapshot_json_put_since(json, &stack->since_bytes, &stack->since_count);
		snapshot_json_u64(json, "live_samples", stack->live_samples);
		snapshot_json_fixed(json, "oldest_seconds", stack->oldest_s, 2);
		snapshot_json_fixed(json, "youngest_seconds", stack->youngest_s, 2);
		snapshot_json_close(json, '}');
	}
	snapshot_json_close(json, ']');
}

static void snapshot_json_put_contexts(struct snapshot_json *json, const struct snapshot *snapshot)
{
	snapshot_json_open(json, "contexts", '[');
	for (size_t i = 0; i < snapshot->context_count; i++) {
		const struct snapshot_context *context = &snapshot->contexts[i];

		snapshot_json_open(json, NULL, '{');
		snapshot_json_u64(json, "function", context->site);
		snapshot_json_u64(json, "line", context->line);
		snapshot_json_u64(json, "stack", context->stack);
		snapshot_json_string(json, "via_function", context->via_function);
		snapshot_json_string(json, "via_file", context->via_file);
		snapshot_json_u64(json, "via_line", context->via_line);
		snapshot_json_estimate(json, "live_bytes", &context->live_bytes);
		snapshot_json_estimate(json, "live_count", &context->live_count);
		snapshot_json_put_verdict(json, &context->verdict);
		snapshot_json_close(json, '}');
	}
	snapshot_json_close(json, ']');
}

/* What a person should read first. */
static void snapshot_json_put_alarms(struct snapshot_json *json, const struct snapshot *snapshot)
{
	snapshot_json_open(json, "alarms", '[');
	for (size_t i = 0; i < snapshot->alarm_count; i++) {
		const struct snapshot_alarm *alarm = &snapshot->alarms[i];

		snapshot_json_open(json, NULL, '{');
		snapshot_json_u64(json, "function", alarm->site);
		snapshot_json_index(json, "context", alarm->context, snapshot->context_count);
		snapshot_json_close(json, '}');
	}
	snapshot_json_close(json, ']');
}

/* What comes from free lists: known by its type only. */
static void snapshot_json_put_pools(struct snapshot_json *json, const struct snapshot *snapshot)
{
	snapshot_json_open(json, "uncertain", '[');
	for (size_t i = 0; i < snapshot->pool_count; i++) {
		const struct snapshot_pool *pool = &snapshot->pools[i];

		snapshot_json_open(json, NULL, '{');
		snapshot_json_string(json, "type", pool->type);
		snapshot_json_fixed(json, "bytes", pool->verdict.held, 0);
		snapshot_json_fixed(json, "count", pool->held_count, 0);
		snapshot_json_put_verdict(json, &pool->verdict);
		snapshot_json_close(json, '}');
	}
	snapshot_json_close(json, ']');
}

static void snapshot_json_put_maps(struct snapshot_json *json, const struct snapshot *snapshot)
{
	snapshot_json_open(json, "maps", '[');
	for (size_t i = 0; i < snapshot->map_count; i++) {
		snapshot_json_open(json, NULL, '{');
		snapshot_json_string(json, "owner", snapshot->maps[i].owner);
		snapshot_json_u64(json, "bytes", snapshot->maps[i].bytes);
		snapshot_json_u64(json, "count", snapshot->maps[i].count);
		snapshot_json_close(json, '}');
	}
	snapshot_json_close(json, ']');
}

static void snapshot_json_put_all(struct snapshot_json *json, const struct snapshot *snapshot)
{
	snapshot_json_open(json, NULL, '{');
	snapshot_json_string(json, "format", "trackleak-snapshot");
	snapshot_json_u64(json, "version", SNAPSHOT_FORMAT);
	snapshot_json_string(json, "trackleak", TL_VERSION);
	snapshot_json_put_process(json, snapshot);
	snapshot_json_put_dump(json, snapshot);
	snapshot_json_put_totals(json, snapshot);
	snapshot_json_put_functions(json, snapshot);
	snapshot_json_put_frames(json, snapshot);
	snapshot_json_put_modules(json, snapshot);
	snapshot_json_put_stacks(json, snapshot);
	snapshot_json_put_contexts(json, snapshot);
	snapshot_json_put_alarms(json, snapshot);
	snapshot_json_put_types(json, snapshot->types, snapshot->type_count);
	snapshot_json_put_pools(json, snapshot);
	snapshot_json_put_maps(json, snapshot);
	snapshot_json_close(json, '}');
	text_put_char(&json->text, '\n');
	snapshot_json_flush(json);
}

TL_INTERNAL int snapshot_json_put(int fd, const struct snapshot *snapshot, char *buffer)
{
	struct snapshot_json json = {.fd = fd,
				     .text = text_over(buffer, SNAPSHOT_JSON_BUFFER),
				     .is_first = true,
				     .has_baseline = snapshot->baseline_time > 0};

	snapshot_json_put_all(&json, snapshot);
	return json.error;
}
