/* DESIGN: two memories. One trouble at a time keeps dumps from arriving (`down`); the same one is
 * not said again until dumps have arrived, and no two within a minute. Refusals are for good, so
 * each kind is remembered for ever, by its hash.
 */
#include "elastic_notices.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/hash.h"
#include "../base/text.h"
#include "elastic_bulk.h"
#include "elastic_http.h"
#include "elastic_url.h"

#include <string.h>

#define ELASTIC_NOTICES_AGAIN_NS 60000000000u /* between two lines about a trouble */

/* HTTP statuses are kinds too. */
enum { ELASTIC_DOWN_NO_ANSWER, ELASTIC_DOWN_NO_BULK_API };

/* Even: hashes and statuses are made odd. */
enum { ELASTIC_NEWS_CREDENTIALS = 2, ELASTIC_NEWS_TOO_LARGE = 4 };

static struct {
	bool has_said_down;
	uint64_t down_kind, down_said_ns;
	uint64_t kinds_said[ELASTIC_NOTICES_KINDS];
	uint64_t lost_said; /* documents lost when it was last said */
} elastic_notices;

static const char *elastic_notices_number(char buffer[24], uint64_t number)
{
	struct text text = text_over(buffer, 24);

	text_put_u64(&text, number);
	return text_terminate(&text);
}

static void elastic_notices_down(uint64_t kind, const char *reason, const char *detail)
{
	uint64_t now = clock_precise_ns();

	if (elastic_notices.has_said_down && kind == elastic_notices.down_kind)
		return;
	if (elastic_notices.down_said_ns != 0 &&
	    now - elastic_notices.down_said_ns < ELASTIC_NOTICES_AGAIN_NS)
		return;
	elastic_notices.has_said_down = true;
	elastic_notices.down_kind = kind;
	elastic_notices.down_said_ns = now;
	diag_say("Elasticsearch: ", reason, detail, "; up to 100 dumps wait for the next try",
		 NULL);
}

TL_INTERNAL void elastic_notices_no_answer(const char *error)
{
	elastic_notices_down(ELASTIC_DOWN_NO_ANSWER, "no answer: ", error);
}

TL_INTERNAL void elastic_notices_no_bulk_api(unsigned status)
{
	char buffer[24];

	elastic_notices_down(ELASTIC_DOWN_NO_BULK_API, "what answers is not a bulk API, HTTP ",
			     elastic_notices_number(buffer, status));
}

TL_INTERNAL void elastic_notices_not_now(unsigned status)
{
	char buffer[24];

	elastic_notices_down(status, "not now, HTTP ", elastic_notices_number(buffer, status));
}

TL_INTERNAL void elastic_notices_put_off(unsigned status)
{
	char buffer[24];

	elastic_notices_down(status, "documents are put off, status ",
			     elastic_notices_number(buffer, status));
}

TL_INTERNAL void elastic_notices_up(uint64_t lost)
{
	char buffer[24];

	if (!elastic_notices.has_said_down)
		return;
	elastic_notices.has_said_down = false;
	if (lost == elastic_notices.lost_said) {
		diag_say("Elasticsearch: dumps arrive again", NULL);
		return;
	}
	diag_say("Elasticsearch: dumps arrive again; documents lost: ",
		 elastic_notices_number(buffer, lost), " (the JSON lines have them)", NULL);
	elastic_notices.lost_said = lost;
}

/* True the first time. */
static bool elastic_notices_is_news(uint64_t kind)
{
	for (size_t i = 0; i < ELASTIC_NOTICES_KINDS; i++) {
		if (elastic_notices.kinds_said[i] == kind)
			return false;
		if (elastic_notices.kinds_said[i] == 0) {
			elastic_notices.kinds_said[i] = kind;
			return true;
		}
	}
	return false;
}

/* Copies a piece of a reply, cut short. */
static const char *elastic_notices_piece(char *buffer, size_t room, const char *piece,
					 size_t length)
{
	size_t kept = text_utf8_prefix(piece, length, room - 1);

	if (kept > 0)
		memcpy(buffer, piece, kept);
	buffer[kept] = '\0';
	return buffer;
}

TL_INTERNAL void elastic_notices_refused_item(const struct elastic_item *item)
{
	char status[24], type[80], reason[240];

	if (!elastic_notices_is_news(hash_bytes(item->type, item->type_length, item->status) | 1))
		return;
	diag_say("Elasticsearch: documents are refused (",
		 elastic_notices_number(status, item->status), " ",
		 elastic_notices_piece(type, sizeof(type), item->type, item->type_length), "): ",
		 elastic_notices_piece(reason, sizeof(reason), item->reason, item->reason_length),
		 NULL);
}

TL_INTERNAL void elastic_notices_refused(const struct elastic_answer *answer)
{
	static const struct {
		unsigned status;
		const char *means;
	} meanings[] = {
		{400, "the server does not understand the request"},
		{401, "the credentials are not accepted"},
		{403, "the credentials have no right to write there"},
		{404, "there is no bulk API at ELASTICSEARCH_URL"},
		{405, "there is no bulk API at ELASTICSEARCH_URL"},
	};
	char status[24], shown[ELASTIC_HTTP_ERROR + 1];
	struct text redirect = text_over(shown, sizeof(shown));
	const char *means = "a dump is refused";

	if (!elastic_notices_is_news((uint64_t)answer->status << 1 | 1))
		return;
	for (size_t i = 0; i < TL_COUNT_OF(meanings); i++) {
		if (meanings[i].status == answer->status)
			means = meanings[i].means;
	}
	if (answer->redirect[0] != '\0') {
		means = "ELASTICSEARCH_URL is redirected, which is not followed, to ";
		elastic_url_put_shown(&redirect, answer->redirect);
	}
	diag_say("Elasticsearch: ", means, text_terminate(&redirect), " (HTTP ",
		 elastic_notices_number(status, answer->status), ")", NULL);
}

TL_INTERNAL void elastic_notices_too_large(void)
{
	if (elastic_notices_is_news(ELASTIC_NEWS_TOO_LARGE))
		diag_say("Elasticsearch: a document is too large for the server (413): it is "
			 "dropped",
			 NULL);
}

TL_INTERNAL void elastic_notices_unreadable(const char *path, int error)
{
	if (elastic_notices_is_news(hash_bytes(path, strlen(path), 1) | 1))
		diag_say("Elasticsearch: cannot read the secret in ", path, ": ",
			 diag_reason(error), NULL);
}

TL_INTERNAL void elastic_notices_bad_credentials(void)
{
	if (elastic_notices_is_news(ELASTIC_NEWS_CREDENTIALS))
		diag_say("Elasticsearch: the credentials hold a control character, or are too "
			 "long: none are sent",
			 NULL);
}

TL_INTERNAL void elastic_notices_lost(uint64_t lost, uint64_t queued)
{
	char of_them[24], of_all[24];

	if (lost != elastic_notices.lost_said)
		diag_say("Elasticsearch: documents lost: ", elastic_notices_number(of_them, lost),
			 " of ", elastic_notices_number(of_all, queued),
			 "; the JSON lines have them, and can be sent again", NULL);
	elastic_notices.lost_said = lost;
}

TL_INTERNAL void elastic_notices_reset_in_child(void)
{
	elastic_notices.lost_said = 0;
	elastic_notices.has_said_down = false;
}
