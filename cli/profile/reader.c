/* DESIGN: a tree of a whole document would take ten times its room, and most of the time. So the
 * text is skimmed first: where does each of the document's own fields begin and end? The JSON
 * library then makes trees of the small fields, and of one element at a time of the arrays.
 */
#include "reader.h"

#include "../base/region.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Fields that are wanted as trees are far below; a larger one is one that we do not know. */
#define READER_SMALL (1 << 20)

void reader_complain(struct reader *reader, const char *key, const char *wanted)
{
	if (reader->why[0] == '\0')
		snprintf(reader->why, READER_WHY, "its `%s` is not %s", key, wanted);
}

static const char *reader_skip_blanks(const char *at)
{
	return at + strspn(at, " \t\r\n");
}

double reader_value(struct reader *reader, const json_t *value, const char *key)
{
	if (value == NULL)
		return 0;
	if (json_is_null(value))
		return NAN;
	if (!json_is_number(value)) {
		reader_complain(reader, key, "a number");
		return 0;
	}
	return json_number_value(value);
}

double reader_number(struct reader *reader, const json_t *object, const char *key)
{
	double number = reader_value(reader, json_object_get(object, key), key);

	if (number < 0)
		reader_complain(reader, key, "a number from 0 up");
	return number;
}

double reader_number_or_nan(struct reader *reader, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return value == NULL ? NAN : reader_value(reader, value, key);
}

uint32_t reader_line(struct reader *reader, const json_t *value, const char *key)
{
	double number = reader_value(reader, value, key);

	if (number >= 0 && number <= UINT32_MAX)
		return (uint32_t)number;
	reader_complain(reader, key, "a line number");
	return 0;
}

bool reader_flag(struct reader *reader, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (value != NULL && !json_is_boolean(value))
		reader_complain(reader, key, "true or false");
	return json_is_true(value);
}

const char *reader_string(struct reader *reader, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (value == NULL || json_is_null(value))
		return "";
	if (!json_is_string(value)) {
		reader_complain(reader, key, "a string");
		return "";
	}
	return region_copy(json_string_value(value));
}

struct estimate reader_estimate(struct reader *reader, const json_t *object, const char *key)
{
	const json_t *pair = json_object_get(object, key);
	struct estimate estimate;

	if (pair == NULL)
		return (struct estimate){0, 0};
	if (!json_is_array(pair) || json_array_size(pair) != 2) {
		reader_complain(reader, key, "[value, standard error]");
		return (struct estimate){0, 0};
	}
	estimate.value = reader_value(reader, json_array_get(pair, 0), key);
	estimate.se = reader_value(reader, json_array_get(pair, 1), key);
	/* A standard error that cannot be said is none that could be summed. */
	if (isnan(estimate.se))
		estimate.se = 0;
	if (!(estimate.value >= 0) || estimate.se < 0) {
		reader_complain(reader, key, "an estimate from 0 up");
		return (struct estimate){0, 0};
	}
	return estimate;
}

const json_t *reader_array(struct reader *reader, const json_t *object, const char *key,
			   size_t *count)
{
	const json_t *array = json_object_get(object, key);

	if (array != NULL && !json_is_array(array))
		reader_complain(reader, key, "an array");
	*count = json_array_size(array);
	return array;
}

const json_t *reader_element(struct reader *reader, const json_t *array, size_t index,
			     const char *key)
{
	const json_t *element = json_array_get(array, index);

	if (!json_is_object(element))
		reader_complain(reader, key, "an array of objects");
	return element;
}

void reader_numbers(struct reader *reader, const json_t *object, const struct reader_place *places,
		    size_t count, void *into)
{
	for (size_t i = 0; i < count; i++) {
		double *place = (void *)((char *)into + places[i].offset);

		*place = reader_number(reader, object, places[i].key);
	}
}

json_t *reader_next(struct reader *reader, size_t which)
{
	struct reader_array *array = &reader->arrays[which];
	json_error_t error;
	json_t *element;

	if (array->count == 0 || reader->why[0] != '\0')
		return NULL;
	array->count--;
	array->at++; /* past [ or a comma */
	element = json_loadb(array->at, (size_t)(array->end - array->at),
			     JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY, &error);
	if (element != NULL)
		array->at += error.position;
	array->at = reader_skip_blanks(array->at);
	if (element == NULL || *array->at != (array->count > 0 ? ',' : ']')) {
		reader_complain(reader, reader->names[which], "an array");
		json_decref(element);
		return NULL;
	}
	return element;
}

static const char *reader_skip_string(const char *at)
{
	for (at++; *at != '\0' && *at != '"'; at++)
		at += at[0] == '\\' && at[1] != '\0';
	return at;
}

/* Past a value that is judged by its brackets only, or to the end of the text. `commas`: between
 * the elements of an array. */
static const char *reader_skip(const char *at, size_t *commas)
{
	size_t depth = 0;

	*commas = 0;
	for (; *at != '\0'; at++) {
		switch (*at) {
		case '"':
			at = reader_skip_string(at);
			if (*at == '\0')
				return at;
			break;
		case '[':
		case '{':
			depth++;
			break;
		case ']':
		case '}':
			if (depth <= 1)
				return at + depth;
			depth--;
			break;
		case ',':
			if (depth == 0)
				return at;
			*commas += depth == 1;
			break;
		}
	}
	return at;
}

/* Takes one field, from its name on; returns what stands behind it, or NULL and `*bad`. */
static const char *reader_field(struct reader *reader, const char *at, const char *end,
				const char **bad)
{
	json_error_t error;
	json_t *key = json_loadb(at, (size_t)(end - at), JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY,
				 &error),
	       *value = NULL;
	const char *name = json_string_value(key), *from;
	size_t commas, which = 0;

	at += error.position;
	from = reader_skip_blanks(at);
	*bad = from;
	if (name == NULL || *from != ':') {
		json_decref(key);
		return NULL;
	}
	from = reader_skip_blanks(from + 1);
	at = reader_skip(from, &commas);
	while (which < READER_ARRAYS && strcmp(reader->names[which], name) != 0)
		which++;
	*bad = at;
	if (*at == '\0') {
		at = NULL; /* cut short */
	} else if (*from == '[' && which < READER_ARRAYS) {
		reader->arrays[which] = (struct reader_array){
			from, at, *reader_skip_blanks(from + 1) == ']' ? 0 : commas + 1};
	} else if (at - from < READER_SMALL) {
		value = json_loadb(from, (size_t)(at - from), JSON_DECODE_ANY, &error);
		if (value == NULL)
			*bad = from + error.position;
		at = value != NULL ? at : NULL;
		json_object_set_new(reader->root, name, value);
	}
	json_decref(key);
	return at;
}

const char *reader_skim(struct reader *reader, const char *text, const char *end)
{
	const char *at = reader_skip_blanks(text), *bad;

	reader->root = json_object();
	do {
		at = reader_skip_blanks(at + 1);
		if (*at == '}')
			break;
		at = reader_field(reader, at, end, &bad);
		if (at == NULL)
			return bad;
		at = reader_skip_blanks(at);
	} while (*at == ',');
	if (*at != '}')
		return at;
	at = reader_skip_blanks(at + 1);
	return at == end ? NULL : at;
}
