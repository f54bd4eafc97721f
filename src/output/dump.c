/* DESIGN: one scratch mapping for all three writers, sized for the largest of them, used in turn
 * and given back. The table may have many rows (TRACKLEAK_TOP) and leaves in one write all the
 * same, so that processes never mix their tables: its rows decide the size of the mapping, of which
 * only what is used becomes resident.
 */
#include "dump.h"

#include "../base/diag.h"
#include "../base/pages.h"
#include "../base/text.h"
#include "../process/config.h"
#include "documents.h"
#include "elastic_post.h"
#include "log_file.h"
#include "snapshot.h"
#include "snapshot_file.h"
#include "snapshot_json.h"
#include "table.h"

#include <errno.h>
#include <string.h>

#define DUMP_LINES ((size_t)64 * 1024) /* of one write of JSON lines */
#define DUMP_NAME  4096

static struct log_file dump_table_file, dump_lines_file;

static void dump_write_table(const struct snapshot *snapshot, char *scratch, size_t room)
{
	struct text text = text_over(scratch, room);

	table_build(&text, snapshot, config.top);
	dump_table_file.name = config.json_log;
	log_file_append(&dump_table_file, text.data, text.length);
}

/* `profiler.json` -> `profiler.jsonl`. A table on stderr has its lines in the folder, under the
 * usual name. */
static const char *dump_lines_name(struct text *name)
{
	const char *table = strcmp(config.json_log, "-") == 0 ? "profiler" : config.json_log;
	const char *slash = strrchr(table, '/'), *leaf = slash == NULL ? table : slash + 1;
	const char *dot = strrchr(leaf, '.');

	/* Without an extension, hidden, or already .jsonl: one is added, lest both be one file. */
	if (dot == NULL || dot == leaf || strcmp(dot, ".jsonl") == 0)
		text_put(name, table);
	else
		text_put_bytes(name, table, (size_t)(dot - table));
	text_put(name, ".jsonl");
	return text_terminate(name);
}

static void dump_flush_lines(struct text *text)
{
	if (text->length > 0)
		log_file_append(&dump_lines_file, text->data, text->length);
	text_clear(text);
}

enum dump_kind { DUMP_FUNCTION, DUMP_CONTEXT, DUMP_PROCESS };

/* One document: of which kind, and the number of its row. */
struct dump_item {
	enum dump_kind kind;
	size_t row;
};

/* Shipped are the functions of the table, whatever a person should look at, and the process. */
static bool dump_is_queued(const struct snapshot *snapshot, struct dump_item item)
{
	if (!elastic_post_is_on())
		return false;
	switch (item.kind) {
	case DUMP_FUNCTION:
		return item.row < config.top ||
		       verdict_is_alarm(snapshot->sites[item.row].verdict.kind);
	case DUMP_CONTEXT:
		return verdict_is_alarm(snapshot->contexts[item.row].verdict.kind);
	default:
		return true;
	}
}

static void dump_put_document(struct text *text, const struct snapshot *snapshot,
			      struct dump_item item)
{
	bool is_queued = dump_is_queued(snapshot, item);
	size_t start = text->length;

	switch (item.kind) {
	case DUMP_FUNCTION:
		documents_function(text, snapshot, item.row, is_queued);
		break;
	case DUMP_CONTEXT:
		documents_context(text, snapshot, item.row, is_queued);
		break;
	case DUMP_PROCESS:
		documents_process(text, snapshot, is_queued);
		break;
	}
	if (!text->cut && is_queued)
		elastic_post_add(text->data + start, text->length - start);
}

static void dump_write_document(struct text *text, const struct snapshot *snapshot,
				enum dump_kind kind, size_t row)
{
	struct dump_item item = {kind, row};

	dump_put_document(text, snapshot, item);
	if (text->cut) {
		dump_flush_lines(text);
		dump_put_document(text, snapshot, item);
	}
}

/* The ranking: a key and an index for each site. */
static size_t dump_ranking_bytes(const struct snapshot *snapshot)
{
	return snapshot->site_count * (sizeof(double) + sizeof(uint32_t));
}

/* The functions by live bytes; those of the table's rows that have too little alive for that; the
 * process. The scratch holds the ranking first, then a buffer of lines. */
static void dump_write_lines(const struct snapshot *snapshot, char *scratch)
{
	char name_buffer[DUMP_NAME];
	struct text name = text_over(name_buffer, sizeof(name_buffer));
	double *keys = (void *)scratch;
	uint32_t *order = (void *)(keys + snapshot->site_count);
	struct text text = text_over(scratch + dump_ranking_bytes(snapshot), DUMP_LINES);
	size_t count = documents_rank(snapshot, order, keys);

	dump_lines_file.name = dump_lines_name(&name);
	for (size_t i = 0; i < count; i++) {
		dump_write_document(&text, snapshot, DUMP_FUNCTION, order[i]);
		keys[order[i]] = -1; /* written: the ranking is over */
	}
	for (size_t row = 0; row < snapshot->site_count; row++) {
		if (keys[row] >= 0 &&
		    dump_is_queued(snapshot, (struct dump_item){DUMP_FUNCTION, row}))
			dump_write_document(&text, snapshot, DUMP_FUNCTION, row);
	}
	for (size_t row = 0; row < snapshot->context_count && row < DOCUMENTS_MOST; row++) {
		if (snapshot->contexts[row].verdict.kind != VERDICT_CHURN)
			dump_write_document(&text, snapshot, DUMP_CONTEXT, row);
	}
	dump_write_document(&text, snapshot, DUMP_PROCESS, 0);
	dump_flush_lines(&text);
	if (elastic_post_is_on())
		elastic_post_commit();
	dump_lines_file.name = NULL;
}

/* False without memory for the scratch. */
static bool dump_write_all(const struct snapshot *snapshot)
{
	size_t rows = snapshot->site_count < config.top ? snapshot->site_count : (size_t)config.top;
	size_t room = dump_ranking_bytes(snapshot) + DUMP_LINES;
	char *scratch;

	_Static_assert(SNAPSHOT_JSON_BUFFER <= DUMP_LINES, "one scratch for all");
	if (room < table_room(rows))
		room = table_room(rows);
	scratch = pages_map(room);
	if (scratch == NULL)
		return false;
	dump_write_table(snapshot, scratch, room);
	dump_write_lines(snapshot, scratch);
	snapshot_file_write(snapshot, scratch);
	pages_unmap(scratch, room);
	return true;
}

TL_INTERNAL void dump_write(const struct snapshot *snapshot)
{
	static bool has_complained;
	int saved_errno = errno;

	if ((snapshot == NULL || !dump_write_all(snapshot)) && !has_complained) {
		has_complained = true;
		diag_say("no memory for a dump: it is not written", NULL);
	}
	errno = saved_errno;
}

TL_INTERNAL void dump_reset_in_child(void)
{
	log_file_reset_in_child(&dump_table_file);
	log_file_reset_in_child(&dump_lines_file);
}
