/* elastic_bulk: the bodies of Elasticsearch's bulk API, and what a server says to them.
 *
 * Runs      anywhere. Pure: text in, text and numbers out; never allocates.
 * Promises  a body is pairs of lines, action and document, whatever names hold; a reply is read as
 *           JSON, to its end, and believed only if it speaks of each document that was sent.
 *           Works for Elasticsearch 7 to 9 and OpenSearch 1 to 3, data streams and plain indices.
 */
#ifndef TL_OUTPUT_ELASTIC_BULK_H
#define TL_OUTPUT_ELASTIC_BULK_H

#include "../base/types.h"

struct text;

/* What becomes of a document, or of a whole request. */
enum elastic_fate {
	ELASTIC_DELIVERED, /* of a request: its documents have their own fates */
	ELASTIC_DUPLICATE, /* it was there already: as good as delivered */
	ELASTIC_RETRY,     /* not now: later */
	ELASTIC_SPLIT,     /* too large: in smaller requests, at once */
	ELASTIC_REJECTED,  /* never */
};

/* What the server says of one document. The strings point into the reply, are JSON (escapes and
 * all) and not NUL-terminated; NULL: not said. */
struct elastic_item {
	const char *type, *reason;
	uint32_t type_length, reason_length;
	uint16_t status;
};

/* Appends the pair for a line of JSON lines as src/output/documents writes them: its `_id` moves
 * into the action. False, and nothing is appended: it does not fit, or is no such line. */
TL_INTERNAL bool elastic_bulk_put(struct text *body, const char *index, const char *line,
				  size_t length);

/* How many documents these pairs are. */
TL_INTERNAL size_t elastic_bulk_count(const char *body, size_t length);
/* The bytes of the first `count` pairs. */
TL_INTERNAL size_t elastic_bulk_bytes(const char *body, size_t length, size_t count);

/* Fills `items` with what the reply says of the `count` documents sent. TL_ERR_REFUSED: this is no
 * reply to such a request. */
TL_INTERNAL enum tl_err elastic_bulk_read(const char *reply, size_t length,
					  struct elastic_item *items, size_t count);

/* By HTTP status, of one document and of a whole request. */
TL_INTERNAL enum elastic_fate elastic_bulk_item_fate(unsigned status);
TL_INTERNAL enum elastic_fate elastic_bulk_request_fate(unsigned status);

/* Of the first `count` pairs keeps those that are to be sent again, and all behind them. Returns
 * the new length. */
TL_INTERNAL size_t elastic_bulk_keep(char *body, size_t length, const struct elastic_item *items,
				     size_t count);

/* A name that an index or data stream may have. */
TL_INTERNAL bool elastic_bulk_index_is_valid(const char *index);

#endif
