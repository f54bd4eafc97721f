/* DESIGN: the action is always `create`, the only one that data streams take and the least right
 * that an API key can have; with an `_id` that is the same each time, a repeat after a lost answer
 * is a conflict (409), which means that the document is there. No `_type` (Elasticsearch 8 refuses
 * it), no versioned media type (OpenSearch refuses it): so nobody needs to ask which server it is.
 *
 * A line is cut at `,"_id":"`, which inside a JSON string would have its quotes escaped, so it can
 * only be the field.
 *
 * The reply is read by a small strict reader that walks over what it does not know, with a limit
 * on depth, and keeps nothing but places in the reply. The answer of a proxy, half an answer, or an
 * answer to something else is then no bulk reply, and nothing of it is believed: an `errors:false`
 * that is merely searched for as text is in many a web page.
 */
#include "elastic_bulk.h"

#include "../base/text.h"

#include <string.h>

#define ELASTIC_BULK_ID    32 /* hexadecimal digits */
#define ELASTIC_BULK_DEPTH 32 /* of nested values in a reply */

static const char elastic_bulk_id_field[] = ",\"_id\":\"";

static bool elastic_bulk_is_hex(const char *digits)
{
	for (size_t i = 0; i < ELASTIC_BULK_ID; i++) {
		if (!((digits[i] >= '0' && digits[i] <= '9') ||
		      (digits[i] >= 'a' && digits[i] <= 'f')))
			return false;
	}
	return true;
}

TL_INTERNAL bool elastic_bulk_put(struct text *body, const char *index, const char *line,
				  size_t length)
{
	const size_t field_length = sizeof(elastic_bulk_id_field) - 1;
	size_t before = body->length;
	const char *field, *id, *rest;

	if (length > 0 && line[length - 1] == '\n')
		length--;
	if (length < 2 || line[0] != '{' || line[length - 1] != '}' ||
	    memchr(line, '\n', length) != NULL)
		return false;
	field = memmem(line, length, elastic_bulk_id_field, field_length);
	if (field == NULL)
		return false;
	id = field + field_length;
	rest = id + ELASTIC_BULK_ID + 1;
	if (rest >= line + length || rest[-1] != '"' || !elastic_bulk_is_hex(id))
		return false;
	/* Asked first, because a text keeps what of a long string does fit. */
	if (body->capacity - body->length < length + 6 * strlen(index) + 64)
		return false;

	text_put(body, "{\"create\":{\"_index\":");
	text_put_json(body, index);
	text_put(body, ",\"_id\":\"");
	text_put_bytes(body, id, ELASTIC_BULK_ID);
	text_put(body, "\"}}\n");
	text_put_bytes(body, line, (size_t)(field - line));
	text_put_bytes(body, rest, (size_t)(line + length - rest));
	text_put_char(body, '\n');
	if (!body->cut)
		return true;
	body->length = before;
	return false;
}

TL_INTERNAL size_t elastic_bulk_bytes(const char *body, size_t length, size_t count)
{
	const char *at = body, *end = body + length;

	for (size_t lines = 0; lines < 2 * count && at < end; lines++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));

		at = newline == NULL ? end : newline + 1;
	}
	return (size_t)(at - body);
}

TL_INTERNAL size_t elastic_bulk_count(const char *body, size_t length)
{
	size_t count = 0;

	for (size_t done = 0; done < length; count++)
		done += elastic_bulk_bytes(body + done, length - done, 1);
	return count;
}

struct elastic_bulk_reader {
	const char *at, *end;
};

static void elastic_bulk_skip_space(struct elastic_bulk_reader *reader)
{
	while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t' ||
					    *reader->at == '\n' || *reader->at == '\r'))
		reader->at++;
}

/* The next character, after space, if it is this one. */
static bool elastic_bulk_take(struct elastic_bulk_reader *reader, char wanted)
{
	elastic_bulk_skip_space(reader);
	if (reader->at == reader->end || *reader->at != wanted)
		return false;
	reader->at++;
	return true;
}

static bool elastic_bulk_take_escape(struct elastic_bulk_reader *reader)
{
	char kind;

	if (reader->at == reader->end)
		return false;
	kind = *reader->at++;
	if (kind != 'u')
		return kind != '\0' && strchr("\"\\/bfnrt", kind) != NULL;
	for (unsigned i = 0; i < 4; i++, reader->at++) {
		if (reader->at == reader->end || *reader->at == '\0' ||
		    strchr("0123456789abcdefABCDEF", *reader->at) == NULL)
			return false;
	}
	return true;
}

/* A string; what stands between its quotes. */
static bool elastic_bulk_take_string(struct elastic_bulk_reader *reader, const char **string,
				     uint32_t *length)
{
	if (!elastic_bulk_take(reader, '"'))
		return false;
	*string = reader->at;
	while (reader->at < reader->end) {
		char character = *reader->at++;

		if (character == '"') {
			*length = (uint32_t)(reader->at - 1 - *string);
			return true;
		}
		if ((unsigned char)character < 0x20 ||
		    (character == '\\' && !elastic_bulk_take_escape(reader)))
			return false;
	}
	return false;
}

static bool elastic_bulk_take_digits(struct elastic_bulk_reader *reader)
{
	const char *start = reader->at;

	while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
		reader->at++;
	return reader->at > start;
}

static bool elastic_bulk_take_number(struct elastic_bulk_reader *reader)
{
	const char *digits;

	if (reader->at < reader->end && *reader->at == '-')
		reader->at++;
	digits = reader->at;
	if (!elastic_bulk_take_digits(reader) || (*digits == '0' && reader->at - digits > 1))
		return false;
	if (reader->at < reader->end && *reader->at == '.') {
		reader->at++;
		if (!elastic_bulk_take_digits(reader))
			return false;
	}
	if (reader->at < reader->end && (*reader->at == 'e' || *reader->at == 'E')) {
		reader->at++;
		if (reader->at < reader->end && (*reader->at == '+' || *reader->at == '-'))
			reader->at++;
		return elastic_bulk_take_digits(reader);
	}
	return true;
}

static bool elastic_bulk_take_word(struct elastic_bulk_reader *reader, const char *word)
{
	size_t length = strlen(word);

	if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0)
		return false;
	reader->at += length;
	return true;
}

/* Members of an object and elements of an array: is there another one? `is_first` starts as true.
 * *is_bad: neither another one nor the end. */
static bool elastic_bulk_next(struct elastic_bulk_reader *reader, char end, bool *is_first,
			      bool *is_bad)
{
	bool had_first = !*is_first;

	*is_first = false;
	if (elastic_bulk_take(reader, end))
		return false;
	if (had_first && !elastic_bulk_take(reader, ','))
		*is_bad = true;
	return !*is_bad;
}

/* The next member's name; its value is what comes then. */
static bool elastic_bulk_next_member(struct elastic_bulk_reader *reader, const char **name,
				     uint32_t *length, bool *is_first, bool *is_bad)
{
	if (!elastic_bulk_next(reader, '}', is_first, is_bad))
		return false;
	*is_bad =
		!elastic_bulk_take_string(reader, name, length) || !elastic_bulk_take(reader, ':');
	return !*is_bad;
}

static bool elastic_bulk_skip_value(struct elastic_bulk_reader *reader, unsigned depth)
{
	const char *name;
	uint32_t length;
	bool is_first = true, is_bad = false;

	elastic_bulk_skip_space(reader);
	if (reader->at == reader->end || depth == 0)
		return false;
	switch (*reader->at) {
	case '"':
		return elastic_bulk_take_string(reader, &name, &length);
	case '{':
		reader->at++;
		while (elastic_bulk_next_member(reader, &name, &length, &is_first, &is_bad))
			is_bad = !elastic_bulk_skip_value(reader, depth - 1);
		return !is_bad;
	case '[':
		reader->at++;
		while (elastic_bulk_next(reader, ']', &is_first, &is_bad))
			is_bad = !elastic_bulk_skip_value(reader, depth - 1);
		return !is_bad;
	case 't':
		return elastic_bulk_take_word(reader, "true");
	case 'f':
		return elastic_bulk_take_word(reader, "false");
	case 'n':
		return elastic_bulk_take_word(reader, "null");
	default:
		return elastic_bulk_take_number(reader);
	}
}

static bool elastic_bulk_is(const char *name, uint32_t length, const char *wanted)
{
	return length == strlen(wanted) && memcmp(name, wanted, length) == 0;
}

/* Goes to the start of the next value, to see what it is. */
static bool elastic_bulk_starts_with(struct elastic_bulk_reader *reader, char character)
{
	elastic_bulk_skip_space(reader);
	return reader->at < reader->end && *reader->at == character;
}

/* A string, an object with type and reason, or null, as servers of all ages have it. */
static bool elastic_bulk_read_error(struct elastic_bulk_reader *reader, struct elastic_item *item)
{
	const char *name;
	uint32_t length;
	bool is_first = true, is_bad = false;

	if (elastic_bulk_starts_with(reader, '"'))
		return elastic_bulk_take_string(reader, &item->reason, &item->reason_length);
	if (!elastic_bulk_starts_with(reader, '{'))
		return elastic_bulk_skip_value(reader, ELASTIC_BULK_DEPTH);
	reader->at++;
	while (elastic_bulk_next_member(reader, &name, &length, &is_first, &is_bad)) {
		if (elastic_bulk_is(name, length, "type") && elastic_bulk_starts_with(reader, '"'))
			is_bad = !elastic_bulk_take_string(reader, &item->type, &item->type_length);
		else if (elastic_bulk_is(name, length, "reason") &&
			 elastic_bulk_starts_with(reader, '"'))
			is_bad = !elastic_bulk_take_string(reader, &item->reason,
							   &item->reason_length);
		else
			is_bad = !elastic_bulk_skip_value(reader, ELASTIC_BULK_DEPTH);
	}
	return !is_bad;
}

/* Three digits. */
static bool elastic_bulk_read_status(struct elastic_bulk_reader *reader, uint16_t *status)
{
	const char *digits;

	elastic_bulk_skip_space(reader);
	digits = reader->at;
	if (!elastic_bulk_take_number(reader) || reader->at - digits != 3 || *digits < '1')
		return false;
	*status = 0;
	for (; digits < reader->at; digits++) {
		if (*digits < '0' || *digits > '9')
			return false;
		*status = (uint16_t)(*status * 10 + (*digits - '0'));
	}
	return true;
}

/* `{"create":{"status":201,...}}` */
static bool elastic_bulk_read_item(struct elastic_bulk_reader *reader, struct elastic_item *item)
{
	const char *name;
	uint32_t length;
	bool is_first = true, is_bad = false;

	*item = (struct elastic_item){0};
	if (!elastic_bulk_take(reader, '{') || !elastic_bulk_take_string(reader, &name, &length) ||
	    !elastic_bulk_take(reader, ':') || !elastic_bulk_take(reader, '{'))
		return false;
	while (elastic_bulk_next_member(reader, &name, &length, &is_first, &is_bad)) {
		if (elastic_bulk_is(name, length, "status"))
			is_bad = !elastic_bulk_read_status(reader, &item->status);
		else if (elastic_bulk_is(name, length, "error"))
			is_bad = !elastic_bulk_read_error(reader, item);
		else
			is_bad = !elastic_bulk_skip_value(reader, ELASTIC_BULK_DEPTH);
	}
	return !is_bad && item->status != 0 && elastic_bulk_take(reader, '}');
}

/* False also when there are more or fewer than were sent. */
static bool elastic_bulk_read_items(struct elastic_bulk_reader *reader, struct elastic_item *items,
				    size_t count)
{
	bool is_first = true, is_bad = false;
	size_t found = 0;

	if (!elastic_bulk_take(reader, '['))
		return false;
	while (elastic_bulk_next(reader, ']', &is_first, &is_bad)) {
		is_bad = found == count || !elastic_bulk_read_item(reader, &items[found]);
		found++;
		if (is_bad)
			return false;
	}
	return !is_bad && found == count;
}

TL_INTERNAL enum tl_err elastic_bulk_read(const char *reply, size_t length,
					  struct elastic_item *items, size_t count)
{
	struct elastic_bulk_reader reader = {reply, reply + length};
	const char *name;
	uint32_t name_length;
	bool is_first = true, is_bad = false, has_items = false;

	if (!elastic_bulk_take(&reader, '{'))
		return TL_ERR_REFUSED;
	while (elastic_bulk_next_member(&reader, &name, &name_length, &is_first, &is_bad)) {
		if (elastic_bulk_is(name, name_length, "items") && !has_items)
			is_bad = !(has_items = elastic_bulk_read_items(&reader, items, count));
		else
			is_bad = !elastic_bulk_skip_value(&reader, ELASTIC_BULK_DEPTH);
		if (is_bad)
			break;
	}
	elastic_bulk_skip_space(&reader);
	return !is_bad && has_items && reader.at == reader.end ? TL_OK : TL_ERR_REFUSED;
}

TL_INTERNAL enum elastic_fate elastic_bulk_item_fate(unsigned status)
{
	if (status >= 200 && status < 300)
		return ELASTIC_DELIVERED;
	if (status == 409)
		return ELASTIC_DUPLICATE;
	return status == 429 || status >= 500 ? ELASTIC_RETRY : ELASTIC_REJECTED;
}

TL_INTERNAL enum elastic_fate elastic_bulk_request_fate(unsigned status)
{
	if (status >= 200 && status < 300)
		return ELASTIC_DELIVERED;
	if (status == 413)
		return ELASTIC_SPLIT;
	/* 408: a proxy's patience. 501: this server will never do it. */
	return status == 429 || status == 408 || (status >= 500 && status != 501)
		       ? ELASTIC_RETRY
		       : ELASTIC_REJECTED;
}

TL_INTERNAL size_t elastic_bulk_keep(char *body, size_t length, const struct elastic_item *items,
				     size_t count)
{
	size_t kept = 0, done = 0;

	for (size_t i = 0; i < count && done < length; i++) {
		size_t bytes = elastic_bulk_bytes(body + done, length - done, 1);

		if (elastic_bulk_item_fate(items[i].status) == ELASTIC_RETRY) {
			memmove(body + kept, body + done, bytes);
			kept += bytes;
		}
		done += bytes;
	}
	memmove(body + kept, body + done, length - done);
	return kept + length - done;
}

TL_INTERNAL bool elastic_bulk_index_is_valid(const char *index)
{
	size_t length = strlen(index);

	if (length == 0 || length > 255 || strchr("-_+", index[0]) != NULL ||
	    strcmp(index, ".") == 0 || strcmp(index, "..") == 0)
		return false;
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)index[i] <= ' ' || (index[i] >= 'A' && index[i] <= 'Z') ||
		    index[i] == 0x7f || strchr("\\/*?\"<>|,#:", index[i]) != NULL)
			return false;
	}
	return true;
}
