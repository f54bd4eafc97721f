/* reader: a JSON document of which no tree is made as a whole: its small fields as trees, its
 * arrays an element at a time.
 *
 * Promises  the first thing that is wrong is noted in `why`; the getters then still give something.
 *           Strings lie in the region in use.
 */
#ifndef TL_CLI_PROFILE_READER_H
#define TL_CLI_PROFILE_READER_H

#include "profile.h"

#include <jansson.h>

#define READER_WHY    256
#define READER_ARRAYS 6

/* A field of the document that is an array, from its `[` to its `]`. */
struct reader_array {
	const char *at, *end;
	size_t count;
};

struct reader {
	char *why;                /* READER_WHY bytes; "": nothing is wrong so far */
	const char *const *names; /* READER_ARRAYS of them: the arrays to be read by element */
	json_t *root;             /* the other fields */
	struct reader_array arrays[READER_ARRAYS];
};

/* A number from 0 up of an object, and where it goes in what is made of it. */
struct reader_place {
	const char *key;
	size_t offset;
};

/* Takes a document apart; the text has a NUL at `end`. Returns NULL, or where it is none. The
 * caller gives the root back. */
const char *reader_skim(struct reader *reader, const char *text, const char *end);
/* The next element of that array; NULL when there are no more. The caller gives it back. */
json_t *reader_next(struct reader *reader, size_t which);

void reader_complain(struct reader *reader, const char *key, const char *wanted);
/* A number that may be below 0, or NaN for null. */
double reader_value(struct reader *reader, const json_t *value, const char *key);
double reader_number(struct reader *reader, const json_t *object, const char *key);
void reader_numbers(struct reader *reader, const json_t *object, const struct reader_place *places,
		    size_t count, void *into);
double reader_number_or_nan(struct reader *reader, const json_t *object, const char *key);
uint32_t reader_line(struct reader *reader, const json_t *value, const char *key);
bool reader_flag(struct reader *reader, const json_t *object, const char *key);
const char *reader_string(struct reader *reader, const json_t *object, const char *key);
struct estimate reader_estimate(struct reader *reader, const json_t *object, const char *key);
/* The array of that name inside an object, NULL and 0 when there is none. */
const json_t *reader_array(struct reader *reader, const json_t *object, const char *key,
			   size_t *count);
const json_t *reader_element(struct reader *reader, const json_t *array, size_t index,
			     const char *key);

#endif
