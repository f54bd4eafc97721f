/* DESIGN: the header and the dashed line are the widths' only source of truth for readers, and
 * scripts cut the table at them, so they are literals here, and every cell names its width beside
 * them:
 *
 *   FUNCTION 30, COUNT 9, TOTAL_MB 13, SAMPLES 9, SAMPLE_MB 13, LINE 9, FREED_MB 10, (RET%) 8, FILE
 *
 * The first space of each width is a separator and stays when a figure is too wide.
 */
#include "table.h"

#include "../base/text.h"
#include "snapshot.h"

#include <string.h>

/* clang-format off */
static const char table_header[] =
	"FUNCTION                          COUNT     TOTAL_MB  SAMPLES    SAMPLE_MB     LINE     FREED_MB(RET%) | FILE\n"
	"------------------------------   --------  ---------- --------  ------------ --------  ---------------- | -----\n";
/* clang-format on */

/* Two names of 255 bytes, each byte at most `\xNN`, and seven figures; a trailer is shorter than
 * the header. */
#define TABLE_MIB      (1024.0 * 1024.0)
#define TABLE_ROW_ROOM (2 * 255 * 4 + 256)
#define TABLE_POOLS    ((size_t)4096) /* a line for each of a dozen types */
#define TABLE_MEMORY   ((size_t)2048) /* where RSS is: a dozen lines */
#define TABLE_ALARMS   ((size_t)20) /* of an alarm, twice as long; more than so many nobody reads */

TL_INTERNAL size_t table_room(uint64_t rows)
{
	return 2 * sizeof(table_header) + (size_t)rows * TABLE_ROW_ROOM +
	       TABLE_ALARMS * 2 * TABLE_ROW_ROOM + TABLE_POOLS + TABLE_MEMORY;
}

static void table_put_count(struct text *text, double count, size_t width)
{
	size_t start = text->length;

	text_put_char(text, ' ');
	text_put_fixed(text, count, 0);
	text_pad_right_aligned(text, start, width);
}

static void table_put_mib(struct text *text, double bytes, size_t width)
{
	size_t start = text->length;

	text_put_char(text, ' ');
	text_put_fixed(text, bytes / TABLE_MIB, 2);
	text_pad_right_aligned(text, start, width);
}

static void table_put_retention(struct text *text, double retention)
{
	size_t start = text->length;

	text_put_char(text, '(');
	if (__builtin_isnan(retention)) {
		text_put_char(text, '-');
	} else {
		text_put_fixed(text, retention * 100, 1);
		text_put_char(text, '%');
	}
	text_put_char(text, ')');
	text_pad_left_aligned(text, start, 8);
}

static void table_put_row(struct text *text, const struct snapshot_site *site)
{
	const struct site_figures *figures = &site->figures;
	size_t start = text->length;

	text_put_plain(text, site->function);
	text_pad_left_aligned(text, start, 30);
	table_put_count(text, figures->count.value, 9);
	table_put_mib(text, figures->total_bytes.value, 13);
	table_put_count(text, (double)figures->sample_count, 9);
	table_put_mib(text, (double)figures->sample_bytes, 13);
	table_put_count(text, site->line, 9);
	table_put_mib(text, (double)figures->freed_sample_bytes, 10);
	table_put_retention(text, figures->retention);
	text_put(text, "   | ");
	text_put_plain(text, site->file[0] == '\0' ? "-" : site->file);
	text_put_char(text, '\n');
}

/* WORD  function file:line  what stands behind it. Of a library's function: the program's own code
 * that called it, and behind it the function. */
static void table_put_alarm(struct text *text, const struct snapshot *snapshot,
			    const struct snapshot_alarm *alarm)
{
	const struct snapshot_site *site = &snapshot->sites[alarm->site];
	const struct snapshot_context *context = NULL;
	const struct verdict *verdict = &site->verdict;
	size_t start = text->length;

	if (alarm->context < snapshot->context_count) {
		context = &snapshot->contexts[alarm->context];
		verdict = &context->verdict;
	}
	text_put(text, verdict->kind == VERDICT_LEAKING ? "LEAKING" : "GROWING");
	text_pad_left_aligned(text, start, 9);
	text_put_plain(text, context != NULL ? context->via_function : site->function);
	text_put_char(text, ' ');
	text_put_plain(text, context != NULL ? context->via_file : site->file);
	text_put_char(text, ':');
	text_put_u64(text, context != NULL ? context->via_line : site->held_line);
	text_put(text, "  ");
	verdict_put_sentence(text, verdict);
	if (context != NULL) {
		text_put(text, ", in ");
		text_put_plain(text, site->function);
		text_put_char(text, ' ');
		text_put_plain(text, site->file);
		text_put_char(text, ':');
		text_put_u64(text, context->line);
	}
	text_put_char(text, '\n');
}

/* 40,000 */
static void table_put_grouped(struct text *text, uint64_t count)
{
	char digits[24];
	struct text plain = text_over(digits, sizeof(digits));

	text_put_u64(&plain, count);
	for (size_t i = 0; i < plain.length; i++) {
		if (i > 0 && (plain.length - i) % 3 == 0)
			text_put_char(text, ',');
		text_put_char(text, digits[i]);
	}
}

static void table_put_mb(struct text *text, double bytes)
{
	text_put_fixed(text, bytes / TABLE_MIB, 1);
	text_put(text, " MB");
}

/* WORD  12.0 MB in 40,000 tuples, maker unknown on this Python  what stands behind it. Below all
 *       that is certain. */
static void table_put_pool(struct text *text, const struct snapshot_pool *pool)
{
	size_t start = text->length;

	if (!verdict_is_alarm(pool->verdict.kind))
		return;
	text_put(text, pool->verdict.kind == VERDICT_LEAKING ? "LEAKING" : "GROWING");
	text_pad_left_aligned(text, start, 9);
	table_put_mb(text, pool->verdict.held);
	text_put(text, " in ");
	table_put_grouped(text, (uint64_t)(pool->held_count + 0.5));
	text_put_char(text, ' ');
	text_put(text, pool->type);
	if (pool->type[strlen(pool->type) - 1] != 's') /* dict keys */
		text_put_char(text, 's');
	text_put(text, ", maker unknown on this Python (free list)  ");
	verdict_put_sentence(text, &pool->verdict);
	text_put_char(text, '\n');
}

static void table_put_part(struct text *text, double bytes, const char *name)
{
	text_put(text, "MEMORY   ");
	table_put_mib(text, bytes, 11);
	text_put(text, " MB  ");
	text_put(text, name);
	text_put_char(text, '\n');
}

static void table_put_change(struct text *text, double bytes)
{
	text_put_char(text, bytes < 0 ? '-' : '+');
	table_put_mb(text, bytes < 0 ? -bytes : bytes);
}

/* Where RSS is: parts that add up to it, and what to do where it is no leak. */
static void table_put_memory(struct text *text, const struct snapshot *snapshot)
{
	const struct rss_breakdown *parts = &snapshot->rss;
	const struct rss_growth *growth = &snapshot->rss_growth;

	if (snapshot->rss_bytes == 0)
		return;
	table_put_part(text, (double)snapshot->rss_bytes, "resident (RSS), of it:");
	table_put_part(text, (double)parts->python_live, "small objects of Python");
	table_put_part(text, (double)parts->python_slack, "free in Python's arenas");
	table_put_part(text, (double)parts->libc_live, "allocated from libc");
	if (parts->has_libc)
		table_put_part(text, (double)parts->libc_free, "freed, and kept by libc");
	table_put_part(text, (double)parts->maps, "mapped past the allocators");
	table_put_part(text, (double)parts->files_and_stacks, "files, shared memory, stack");
	table_put_part(text, (double)parts->agent, "TrackLeak itself");
	table_put_part(text, (double)parts->rest,
		       parts->has_libc ? "the rest" : "the rest, and what libc keeps");
	if (parts->remedy == NULL)
		return;
	text_put(text, "MEMORY   ");
	if (growth->cause != NULL) {
		text_put(text, "RSS ");
		table_put_change(text, growth->rss);
		text_put(text, " in ");
		text_put_fixed(text, growth->seconds, 0);
		text_put(text, " s, live bytes ");
		table_put_change(text, growth->live);
		text_put(text, ": ");
	}
	text_put(text, parts->remedy);
	text_put_char(text, '\n');
}

static void table_put_trailer(struct text *text, const struct snapshot *snapshot)
{
	text_put(text, "--- dump at ");
	text_put_i64(text, (int64_t)snapshot->time);
	text_put(text, " (");
	text_put_u64(text, snapshot->site_count);
	text_put(text, " functions, hash ");
	text_put_u64(text, snapshot->live_samples);
	text_put_char(text, '/');
	text_put_u64(text, snapshot->live_capacity);
	if (snapshot->is_forked_child) {
		text_put(text, ", pid ");
		text_put_u64(text, snapshot->pid);
	}
	if (snapshot->lost_samples > 0) {
		text_put(text, ", lost ");
		text_put_u64(text, snapshot->lost_samples);
	}
	text_put(text, ") ---\n");
}

TL_INTERNAL void table_build(struct text *text, const struct snapshot *snapshot, uint64_t top)
{
	text_put(text, table_header);
	for (size_t i = 0; i < snapshot->site_count && i < top; i++)
		table_put_row(text, &snapshot->sites[i]);
	for (size_t i = 0; i < snapshot->alarm_count && i < TABLE_ALARMS; i++)
		table_put_alarm(text, snapshot, &snapshot->alarms[i]);
	for (size_t i = 0; i < snapshot->pool_count; i++)
		table_put_pool(text, &snapshot->pools[i]);
	table_put_memory(text, snapshot);
	table_put_trailer(text, snapshot);
}
