/* DESIGN: every field is one call, in the order of CONTRACT 5, so that the two can be read side by
 * side. A field call writes the comma, the quoted name and the value; the first field of an object
 * is written by hand. The labels become fields of their own (`labels.KEY`), so a key that comes
 * twice is written once: Elasticsearch refuses a document with a doubled field.
 *
 * The fields of the verdict are there from the start, null until the analysis fills them: an index
 * template and a reader written today stay right.
 */
#include "documents.h"

#include "../base/hash.h"
#include "../base/sort.h"
#include "../base/text.h"
#include "snapshot.h"

#include <string.h>

#define DOCUMENTS_MIB   1048576.0
#define DOCUMENTS_LABEL 256 /* bytes of a key or value, with NUL */

static void documents_field(struct text *text, const char *name)
{
	text_put(text, ",\"");
	text_put(text, name);
	text_put(text, "\":");
}

static void documents_put_string(struct text *text, const char *name, const char *value)
{
	documents_field(text, name);
	text_put_json(text, value);
}

static void documents_put_u64(struct text *text, const char *name, uint64_t value)
{
	documents_field(text, name);
	text_put_u64(text, value);
}

static void documents_put_fixed(struct text *text, const char *name, double value,
				unsigned decimals)
{
	documents_field(text, name);
	text_put_fixed(text, value, decimals);
}

static void documents_put_bool(struct text *text, const char *name, bool value)
{
	documents_field(text, name);
	text_put(text, value ? "true" : "false");
}

static void documents_put_null(struct text *text, const char *name)
{
	documents_field(text, name);
	text_put(text, "null");
}

/* 2026-11-21T07:29:16.250Z */
static void documents_put_time(struct text *text, const char *name, double epoch_s)
{
	int64_t seconds = (int64_t)epoch_s;
	unsigned ms = (unsigned)((epoch_s - (double)seconds) * 1000);

	documents_field(text, name);
	text_put_char(text, '"');
	text_put_iso_time(text, seconds);
	if (!text->cut)
		text->length--; /* the Z comes last */
	text_put_char(text, '.');
	text_put_char(text, (char)('0' + ms / 100));
	text_put_char(text, (char)('0' + ms / 10 % 10));
	text_put_char(text, (char)('0' + ms % 10));
	text_put(text, "Z\"");
}

/* Takes the next `key=value` off the list. False at its end; *key is empty for an entry that is
 * none. */
static bool documents_next_label(const char **list, char *key, char *value)
{
	const char *entry = *list, *end = strchrnul(entry, ','), *equals;
	size_t length;

	if (*entry == '\0')
		return false;
	*list = *end == ',' ? end + 1 : end;
	while (entry < end && *entry == ' ')
		entry++;
	equals = memchr(entry, '=', (size_t)(end - entry));
	key[0] = '\0';
	if (equals == NULL)
		return true;

	length = text_utf8_prefix(entry, (size_t)(equals - entry), DOCUMENTS_LABEL - 1);
	memcpy(key, entry, length);
	key[length] = '\0';
	length = text_utf8_prefix(equals + 1, (size_t)(end - equals - 1), DOCUMENTS_LABEL - 1);
	memcpy(value, equals + 1, length);
	value[length] = '\0';
	return true;
}

static bool documents_has_label(const char *list, const char *wanted)
{
	char key[DOCUMENTS_LABEL], value[DOCUMENTS_LABEL];

	while (documents_next_label(&list, key, value)) {
		if (strcmp(key, wanted) == 0)
			return true;
	}
	return false;
}

static void documents_put_labels(struct text *text, const char *list)
{
	char key[DOCUMENTS_LABEL], value[DOCUMENTS_LABEL],
		name[sizeof("labels.") + DOCUMENTS_LABEL];

	while (documents_next_label(&list, key, value)) {
		if (key[0] == '\0' || documents_has_label(list, key)) /* the last of a key counts */
			continue;
		memcpy(name, "labels.", 7);
		memcpy(name + 7, key, strlen(key) + 1);
		text_put_char(text, ',');
		text_put_json(text, name);
		text_put_char(text, ':');
		text_put_json(text, value);
	}
}

/* 32 hexadecimal digits over all that tells this document from any other. `site` NULL: the
 * process; `context` NULL: none. */
static void documents_put_id(struct text *text, const struct snapshot *snapshot,
			     const struct snapshot_site *site,
			     const struct snapshot_context *context)
{
	char buffer[2048];
	struct text key = text_over(buffer, sizeof(buffer));

	text_put_bytes(&key, snapshot->hostname, strlen(snapshot->hostname) + 1);
	text_put_u64(&key, snapshot->pid);
	text_put_char(&key, ' ');
	text_put_fixed(&key, snapshot->process_start, 2);
	text_put_char(&key, ' ');
	text_put_u64(&key, snapshot->dump);
	text_put_char(&key, ' ');
	if (site != NULL) {
		text_put_bytes(&key, site->file, strlen(site->file) + 1);
		text_put_bytes(&key, site->function, strlen(site->function) + 1);
		text_put_u64(&key, site->first_line);
	}
	if (context != NULL) {
		text_put_char(&key, ' ');
		text_put_bytes(&key, context->via_file, strlen(context->via_file) + 1);
		text_put(&key, context->via_function);
	}
	documents_field(text, "_id");
	text_put_char(text, '"');
	for (uint64_t seed = 1; seed <= 2; seed++) {
		uint64_t half = hash_bytes(key.data, key.length, seed);

		for (int shift = 60; shift >= 0; shift -= 4)
			text_put_char(text, "0123456789abcdef"[half >> shift & 15]);
	}
	text_put_char(text, '"');
}

/* The fields that every document begins with. */
static void documents_begin(struct text *text, const struct snapshot *snapshot)
{
	text_put(text, "{\"timestamp\":");
	text_put_i64(text, (int64_t)snapshot->time);
	documents_field(text, "time");
	text_put_char(text, '"');
	text_put_iso_time(text, (int64_t)snapshot->time);
	text_put_char(text, '"');
	documents_put_string(text, "job_name", snapshot->job_name);
	documents_put_string(text, "hostname", snapshot->hostname);
}

/* Who wrote it, when, and as what. */
static void documents_put_origin(struct text *text, const struct snapshot *snapshot,
				 const struct snapshot_site *site,
				 const struct snapshot_context *context, bool is_queued)
{
	documents_put_fixed(text, "elapsed_seconds", snapshot->elapsed_s, 3);
	documents_put_time(text, "@timestamp", snapshot->time);
	documents_put_u64(text, "process.pid", snapshot->pid);
	documents_put_time(text, "process.start", snapshot->process_start);
	documents_put_u64(text, "dump", snapshot->dump);
	documents_put_string(text, "service.name", snapshot->job_name);
	documents_put_labels(text, snapshot->labels);
	documents_put_bool(text, "queued", is_queued);
	documents_put_id(text, snapshot, site, context);
	documents_put_string(text, "kind",
			     site == NULL      ? "process"
			     : context == NULL ? "function"
					       : "context");
}

static void documents_put_live(struct text *text, const struct estimate *bytes,
			       const struct estimate *count)
{
	documents_put_fixed(text, "live_bytes", bytes->value, 0);
	documents_put_fixed(text, "live_bytes_se", bytes->se, 0);
	documents_put_fixed(text, "live_count", count->value, 0);
	documents_put_fixed(text, "live_count_se", count->se, 2);
}

static void documents_put_rates(struct text *text, const struct snapshot *snapshot)
{
	documents_put_fixed(text, "sample_rate", snapshot->sample_rate, 0);
	documents_put_fixed(text, "sample_bytes", snapshot->sample_bytes, 0);
}

static void documents_put_usage(struct text *text, const struct snapshot_site *site)
{
	const struct site_figures *figures = &site->figures;

	documents_put_string(text, "function", site->function);
	documents_put_string(text, "file", site->file);
	documents_put_u64(text, "line", site->line);
	documents_put_fixed(text, "count", figures->count.value, 0);
	documents_put_fixed(text, "total_bytes", figures->total_bytes.value, 0);
	documents_put_fixed(text, "total_mb", figures->total_bytes.value / DOCUMENTS_MIB, 6);
	documents_put_u64(text, "sample_count", figures->sample_count);
	documents_put_u64(text, "sample_total_bytes", figures->sample_bytes);
	documents_put_fixed(text, "sample_total_mb", (double)figures->sample_bytes / DOCUMENTS_MIB,
			    6);
	documents_put_u64(text, "sample_free_bytes", figures->freed_sample_bytes);
	documents_put_fixed(text, "sample_free_mb",
			    (double)figures->freed_sample_bytes / DOCUMENTS_MIB, 6);
	documents_put_fixed(text, "retention_pct", figures->retention * 100, 2);
	documents_put_u64(text, "peak_single", figures->largest);
	documents_put_fixed(text, "avg_size", figures->total_bytes.value / figures->count.value, 2);
}

static void documents_put_judged(struct text *text, const struct verdict *verdict)
{
	double nan = (double)__builtin_nanf("");
	double mib_per_h =
		verdict->kind == VERDICT_UNCLEAR ? nan : 3600 / DOCUMENTS_MIB; /* not yet said */
	bool has_survival = verdict->survival.at_risk > 0;

	documents_put_fixed(text, "growth_mb_per_hour", verdict->growth.rate * mib_per_h, 3);
	documents_put_fixed(text, "growth_low", verdict->growth.low * mib_per_h, 3);
	documents_put_fixed(text, "growth_high", verdict->growth.high * mib_per_h, 3);
	documents_put_fixed(text, "survival_pct",
			    has_survival ? verdict->survival.share * 100 : nan, 2);
	documents_put_fixed(text, "survival_seconds", has_survival ? verdict->survival.units : nan,
			    2);
}

static void documents_put_via(struct text *text, const struct snapshot_context *context)
{
	if (context == NULL) {
		documents_put_null(text, "via_function");
		documents_put_null(text, "via_file");
		documents_put_null(text, "via_line");
		return;
	}
	documents_put_string(text, "via_function", context->via_function);
	documents_put_string(text, "via_file", context->via_file);
	documents_put_u64(text, "via_line", context->via_line);
}

/* The context that holds most of it; NULL: it is the program's own code, or holds nothing. */
static const struct snapshot_context *documents_main_context(const struct snapshot *snapshot,
							     const struct snapshot_site *site)
{
	return site->context < snapshot->context_count ? &snapshot->contexts[site->context] : NULL;
}

static void documents_put_types(struct text *text, const struct snapshot_site *site)
{
	documents_field(text, "types");
	text_put_char(text, '[');
	for (size_t i = 0; i < SNAPSHOT_TYPES && site->types[i].type != NULL; i++) {
		text_put(text, i == 0 ? "{\"type\":" : ",{\"type\":");
		text_put_json(text, site->types[i].type);
		text_put(text, ",\"bytes\":");
		text_put_fixed(text, site->types[i].bytes, 0);
		text_put_char(text, '}');
	}
	text_put_char(text, ']');
}

static void documents_put_verdict(struct text *text, const struct snapshot *snapshot,
				  const struct snapshot_site *site)
{
	documents_put_u64(text, "counted", site->figures.counted);
	documents_put_u64(text, "counted_bytes", site->figures.counted_bytes);
	documents_put_string(text, "verdict", verdict_word(site->verdict.kind));
	documents_put_live(text, &site->figures.live_bytes, &site->figures.live_count);
	documents_put_judged(text, &site->verdict);
	documents_put_u64(text, "generations", site->generations);
	documents_put_fixed(text, "last_free_seconds", site->last_free_s, 2);
	documents_put_fixed(text, "uncertain_bytes", site->uncertain_bytes, 0);
	documents_put_types(text, site);
	documents_put_via(text, documents_main_context(snapshot, site));
}

/* Ends the document that began at `start`, or takes all of it back. */
static void documents_end(struct text *text, size_t start)
{
	text_put(text, "}\n");
	if (text->cut)
		text->length = start;
}

TL_INTERNAL void documents_function(struct text *text, const struct snapshot *snapshot, size_t site,
				    bool is_queued)
{
	const struct snapshot_site *row = &snapshot->sites[site];
	size_t start = text->length;

	documents_begin(text, snapshot);
	documents_put_usage(text, row);
	documents_put_origin(text, snapshot, row, NULL, is_queued);
	documents_put_verdict(text, snapshot, row);
	documents_put_rates(text, snapshot);
	documents_end(text, start);
}

TL_INTERNAL void documents_context(struct text *text, const struct snapshot *snapshot,
				   size_t context, bool is_queued)
{
	const struct snapshot_context *row = &snapshot->contexts[context];
	const struct snapshot_site *site = &snapshot->sites[row->site];
	size_t start = text->length;

	documents_begin(text, snapshot);
	documents_put_string(text, "function", site->function);
	documents_put_string(text, "file", site->file);
	documents_put_u64(text, "line", row->line);
	documents_put_origin(text, snapshot, site, row, is_queued);
	documents_put_string(text, "verdict", verdict_word(row->verdict.kind));
	documents_put_live(text, &row->live_bytes, &row->live_count);
	documents_put_judged(text, &row->verdict);
	documents_put_u64(text, "generations", row->verdict.generations);
	documents_put_via(text, row);
	documents_put_rates(text, snapshot);
	documents_end(text, start);
}

/* The most worrying of all. */
static enum verdict_kind documents_worst(const struct snapshot *snapshot)
{
	enum verdict_kind worst = VERDICT_UNCLEAR;

	for (size_t i = 0; i < snapshot->site_count; i++) {
		if (snapshot->sites[i].verdict.kind > worst)
			worst = snapshot->sites[i].verdict.kind;
	}
	for (size_t i = 0; i < snapshot->context_count; i++) {
		if (snapshot->contexts[i].verdict.kind > worst)
			worst = snapshot->contexts[i].verdict.kind;
	}
	return worst;
}

/* The parts add up to rss_bytes. */
static void documents_put_rss(struct text *text, const struct rss_breakdown *rss)
{
	documents_put_u64(text, "rss_python_live_bytes", rss->python_live);
	documents_put_u64(text, "rss_python_slack_bytes", rss->python_slack);
	documents_put_u64(text, "rss_libc_live_bytes", rss->libc_live);
	documents_put_u64(text, "rss_libc_free_bytes", rss->libc_free);
	documents_put_u64(text, "rss_maps_bytes", rss->maps);
	documents_put_u64(text, "rss_files_and_stacks_bytes", rss->files_and_stacks);
	documents_put_u64(text, "rss_agent_bytes", rss->agent);
	documents_put_u64(text, "rss_rest_bytes", rss->rest);
	if (rss->remedy != NULL)
		documents_put_string(text, "rss_remedy", rss->remedy);
}

TL_INTERNAL void documents_process(struct text *text, const struct snapshot *snapshot,
				   bool is_queued)
{
	size_t start = text->length;

	documents_begin(text, snapshot);
	documents_put_origin(text, snapshot, NULL, NULL, is_queued);
	documents_put_string(text, "verdict", verdict_word(documents_worst(snapshot)));
	documents_put_bool(text, "final", snapshot->is_final);
	documents_put_string(text, "program", snapshot->program);
	documents_put_string(text, "python_version", snapshot->python_version);
	documents_put_u64(text, "rss_bytes", snapshot->rss_bytes);
	documents_put_u64(text, "peak_rss_bytes", snapshot->peak_rss_bytes);
	documents_put_live(text, &snapshot->live_bytes, &snapshot->live_count);
	documents_put_fixed(text, "peak_live_bytes", snapshot->peak_live_bytes, 0);
	documents_put_fixed(text, "peak_live_time", snapshot->peak_live_time, 3);
	documents_put_u64(text, "functions", snapshot->site_count);
	documents_put_u64(text, "other_functions", snapshot->other_sites);
	documents_put_u64(text, "live_samples", snapshot->live_samples);
	documents_put_u64(text, "live_capacity", snapshot->live_capacity);
	documents_put_u64(text, "lost_samples", snapshot->lost_samples);
	documents_put_u64(text, "thinned", snapshot->thinned);
	documents_put_u64(text, "documents_queued", snapshot->documents_queued);
	documents_put_u64(text, "documents_delivered", snapshot->documents_delivered);
	documents_put_u64(text, "documents_lost", snapshot->documents_lost);
	documents_put_u64(text, "agent_bytes", snapshot->agent_bytes);
	documents_put_fixed(text, "agent_cpu_seconds", snapshot->agent_cpu_s, 3);
	documents_put_fixed(text, "sampling_cpu_seconds", snapshot->sampling_cpu_s, 3);
	documents_put_u64(text, "min_size", snapshot->min_size);
	documents_put_rss(text, &snapshot->rss);
	documents_put_rates(text, snapshot);
	documents_end(text, start);
}

TL_INTERNAL size_t documents_rank(const struct snapshot *snapshot, uint32_t *order, double *keys)
{
	size_t count = snapshot->site_count;

	for (size_t i = 0; i < count; i++) {
		order[i] = (uint32_t)i;
		keys[i] = snapshot->sites[i].figures.live_bytes.value;
	}
	sort_descending(order, count, keys);
	return count < DOCUMENTS_MOST ? count : DOCUMENTS_MOST;
}
