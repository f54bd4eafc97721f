/* DESIGN: lines become requests as they do in the agent, by the same code (elastic_bulk), so a
 * document that is sent again is the same to the byte and has the same id. What a request was
 * answered with is told apart document by document; those that are put off stay in it.
 *
 * A server that does not answer, or refuses whole requests, does so for all: the rest is then only
 * counted. Nothing has to be remembered between two runs.
 */
#include "verb.h"

#include "../../src/base/text.h"
#include "../../src/output/elastic_bulk.h"
#include "../base/fail.h"
#include "../base/keep.h"
#include "../base/lookup.h"
#include "../base/upload.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SHIP_BYTES     ((size_t)1024 * 1024) /* of a request: proxies take so much by default */
#define SHIP_DOCUMENTS 500
#define SHIP_TRIES     5 /* without any progress */
#define SHIP_FIRST_S   0.3
#define SHIP_LONGEST_S 60.0 /* of a Retry-After that are obeyed */
#define SHIP_DETAIL    300  /* bytes of what a server says that are shown */

static struct {
	const char *index;
	struct text batch;
	size_t batch_most; /* documents in a POST; fewer after a 413 */
	struct elastic_item items[SHIP_DOCUMENTS];

	unsigned long stored, there, refused, left; /* documents */
	bool is_over;             /* the server takes nothing: why has been said */
	struct lookup complaints; /* said already */

	bool shows_progress;
	double bytes_read, bytes_all;
} ship;

/* Takes the progress line away, so that something else can be said. */
static void ship_clear_progress(void)
{
	if (ship.shows_progress)
		fputs("\r\x1b[K", stderr);
}

static void ship_show_progress(void)
{
	if (ship.shows_progress)
		fprintf(stderr, "\r\x1b[K%3.0f %%  %lu stored, %lu there already, %lu refused",
			ship.bytes_all > 0 ? 100 * ship.bytes_read / ship.bytes_all : 100,
			ship.stored, ship.there, ship.refused);
}

/* Once for each kind. `detail` need not end. */
static void ship_complain(const char *kind, const char *detail, size_t length)
{
	size_t said;

	if (lookup_get(&ship.complaints, kind, &said))
		return;
	lookup_put(&ship.complaints, kind, 0);
	ship_clear_progress();
	fail_softly("%s%s%.*s", kind, length > 0 ? ": " : "",
		    (int)(length < SHIP_DETAIL ? length : SHIP_DETAIL), length > 0 ? detail : "");
}

static void ship_pause(double seconds)
{
	struct timespec pause = {(time_t)seconds,
				 (long)((seconds - (double)(time_t)seconds) * 1e9)};

	while (nanosleep(&pause, &pause) != 0 && errno == EINTR)
		continue;
}

/* What the server says to the first `count` documents; true: some of them are settled. */
static bool ship_settle(size_t count)
{
	size_t again = 0;

	for (size_t i = 0; i < count; i++) {
		const struct elastic_item *item = &ship.items[i];

		switch (elastic_bulk_item_fate(item->status)) {
		case ELASTIC_DELIVERED:
			ship.stored++;
			break;
		case ELASTIC_DUPLICATE:
			ship.there++;
			break;
		case ELASTIC_RETRY:
			again++;
			break;
		default:
			ship.refused++;
			ship_complain(keep_text("documents are refused: %d %.*s", item->status,
						(int)item->type_length,
						item->type != NULL ? item->type : ""),
				      item->reason, item->reason_length);
		}
	}
	ship.batch.length =
		elastic_bulk_keep(ship.batch.data, ship.batch.length, ship.items, count);
	if (again > 0)
		ship_complain("the server puts documents off: trying again", NULL, 0);
	return again < count;
}

/* The first document is too large by itself. */
static void ship_drop_first(void)
{
	size_t bytes = elastic_bulk_bytes(ship.batch.data, ship.batch.length, 1);

	memmove(ship.batch.data, ship.batch.data + bytes, ship.batch.length - bytes);
	ship.batch.length -= bytes;
	ship.refused++;
	ship_complain("a document is too large for the server (HTTP 413)", NULL, 0);
}

/* One POST of what the batch begins with. True: it has become less, or will be tried in pieces. */
static bool ship_try(struct upload_answer *answer)
{
	size_t bytes = elastic_bulk_bytes(ship.batch.data, ship.batch.length, ship.batch_most);
	size_t count = elastic_bulk_count(ship.batch.data, bytes);
	enum elastic_fate fate;

	upload_post(ship.batch.data, bytes, answer);
	if (answer->status == 0) {
		ship_complain("no answer, trying again", answer->error, strlen(answer->error));
		return false;
	}
	fate = elastic_bulk_request_fate((unsigned)answer->status);
	if (fate == ELASTIC_SPLIT || (answer->is_too_long && count > 1)) {
		if (count > 1)
			ship.batch_most = count / 2;
		else
			ship_drop_first();
		return true;
	}
	if (fate == ELASTIC_REJECTED) {
		ship_complain(keep_text("the server refuses the request: HTTP %ld", answer->status),
			      answer->reply, answer->length);
		ship.is_over = true;
		return false;
	}
	if (fate == ELASTIC_DELIVERED && !answer->is_too_long &&
	    elastic_bulk_read(answer->reply, answer->length, ship.items, count) == TL_OK)
		return ship_settle(count);
	ship_complain(keep_text("HTTP %ld is no answer to this: trying again", answer->status),
		      NULL, 0);
	return false;
}

/* The batch, until nothing is left of it or the server has had its chances. */
static void ship_send(void)
{
	struct upload_answer answer;
	unsigned failures = 0;
	double pause_s = SHIP_FIRST_S;

	ship.batch_most = SHIP_DOCUMENTS;
	while (ship.batch.length > 0 && !ship.is_over) {
		ship_show_progress();
		if (ship_try(&answer)) {
			failures = 0;
			pause_s = SHIP_FIRST_S;
			continue;
		}
		if (ship.is_over || ++failures == SHIP_TRIES) {
			ship.is_over = true;
			break;
		}
		if (answer.retry_after_s > pause_s)
			pause_s = answer.retry_after_s < SHIP_LONGEST_S ? answer.retry_after_s
									: SHIP_LONGEST_S;
		ship_pause(pause_s);
		pause_s *= 2;
	}
	ship.left += elastic_bulk_count(ship.batch.data, ship.batch.length);
	text_clear(&ship.batch);
}

/* A line of a file; true if it is a document of ours, queued or not. */
static bool ship_take_line(const char *line, size_t length, size_t *in_batch)
{
	json_t *document = json_loadb(line, length, 0, NULL);
	bool is_ours = json_is_string(json_object_get(document, "_id"));
	bool is_queued = is_ours && json_is_true(json_object_get(document, "queued"));

	json_decref(document);
	if (!is_queued)
		return is_ours;
	if (*in_batch == SHIP_DOCUMENTS ||
	    !elastic_bulk_put(&ship.batch, ship.index, line, length)) {
		ship_send();
		*in_batch = 0;
		if (!elastic_bulk_put(&ship.batch, ship.index, line, length))
			return false;
	}
	++*in_batch;
	return true;
}

/* True: it could be read, and was what it should be. */
static bool ship_file(const char *path, size_t *in_batch)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t room = 0, lines = 0, foreign = 0;
	ssize_t length;

	if (file == NULL) {
		fail_softly("%s: %s", path, strerror(errno));
		return false;
	}
	while ((length = getline(&line, &room, file)) > 0) {
		lines++;
		foreign += !ship_take_line(line, (size_t)length, in_batch);
		ship.bytes_read += (double)length;
	}
	free(line);
	ship_clear_progress();
	if (ferror(file))
		fail_softly("%s: %s", path, strerror(errno));
	else if (foreign > 0)
		fail_softly("%s: %zu of %zu lines are no documents of ours%s", path, foreign, lines,
			    foreign == lines ? ": is it the .jsonl file?" : "");
	lines = ferror(file) ? 0 : lines;
	fclose(file);
	return lines > foreign;
}

/* Before anything is sent: do all of them exist, and how much is it? */
static void ship_measure(const char *const *paths)
{
	struct stat status;

	for (; *paths != NULL; paths++) {
		if (stat(*paths, &status) != 0)
			fail("%s: %s", *paths, strerror(errno));
		if (!S_ISREG(status.st_mode))
			fail("%s: not a file", *paths);
		if (access(*paths, R_OK) != 0)
			fail("%s: %s", *paths, strerror(errno));
		ship.bytes_all += (double)status.st_size;
	}
}

static int verb_ship_run(const struct verb *verb, int argc, const char **argv)
{
	const struct poptOption options[] = {POPT_TABLEEND};
	const char **paths = verb_options(verb, options, argc, argv, 1, SIZE_MAX);
	size_t in_batch = 0;
	bool is_good = true;

	ship_measure(paths);
	ship.index = upload_start();
	ship.batch = text_over(keep_alloc(SHIP_BYTES, 1), SHIP_BYTES);
	ship.shows_progress = isatty(STDERR_FILENO);
	for (; *paths != NULL; paths++)
		is_good &= ship_file(*paths, &in_batch);
	ship_send();
	ship_clear_progress();
	printf("%lu documents stored, %lu were there already, %lu refused, %lu not delivered\n",
	       ship.stored, ship.there, ship.refused, ship.left);
	if (ship.left > 0)
		fail_softly("run it again when the server takes documents: it is safe to repeat");
	if (!is_good)
		return FAIL_STATUS;
	return ship.refused > 0 || ship.left > 0;
}

const struct verb verb_ship = {
	"ship", "FILE ...",
	"Sends what was queued for Elasticsearch, of JSON lines, again; safe to repeat.",
	"ELASTICSEARCH_URL=https://h:9200 trackleak ship /var/log/memory-profiler/profiler.jsonl",
	verb_ship_run};
