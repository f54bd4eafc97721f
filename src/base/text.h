/* text: builds text in a buffer that the caller owns, and copies names safely into it.
 *
 * Runs      anywhere. Never allocates, never fails: what does not fit is left out and `cut` is set.
 * Promises  the data is never written past `capacity`; a name that is cut is cut between
 *           characters.
 */
#ifndef TL_BASE_TEXT_H
#define TL_BASE_TEXT_H

#include "types.h"

struct text {
	char *data; /* not NUL-terminated unless text_terminate is called */
	size_t length;
	size_t capacity;
	bool cut; /* something did not fit; stays set until text_clear */
};

TL_INTERNAL struct text text_over(char *buffer, size_t capacity);
TL_INTERNAL void text_clear(struct text *text);

TL_INTERNAL void text_put(struct text *text, const char *string);
TL_INTERNAL void text_put_bytes(struct text *text, const char *bytes, size_t length);
TL_INTERNAL void text_put_char(struct text *text, char character);
TL_INTERNAL void text_put_repeat(struct text *text, char character, size_t times);
TL_INTERNAL void text_put_u64(struct text *text, uint64_t value);
TL_INTERNAL void text_put_i64(struct text *text, int64_t value);
TL_INTERNAL void text_put_hex(struct text *text, uint64_t value); /* lower case, no 0x */
/* Fixed-point with `decimals` (0 to 9) digits, correctly rounded half away from zero. NaN and
 * infinities print as `null`, so that a JSON document stays valid. */
TL_INTERNAL void text_put_fixed(struct text *text, double value, unsigned decimals);
/* Seconds since 1970 as 2026-11-21T07:29:16Z (UTC, own arithmetic: libc's takes locks). */
TL_INTERNAL void text_put_iso_time(struct text *text, int64_t epoch_seconds);
/* A JSON string with its quotes: RFC 8259 escapes, invalid UTF-8 becomes U+FFFD. `string` is
 * NUL-terminated. */
TL_INTERNAL void text_put_json(struct text *text, const char *string);
/* A name for a terminal: control characters, bidi marks, `|`, and invalid UTF-8 are made visible as
 * \xNN or \uNNNN, so that one name is one word of one line. */
TL_INTERNAL void text_put_plain(struct text *text, const char *string);
/* Pads with spaces since `start` (a former text->length) to `width` columns (UTF-8 characters, not
 * bytes). */
TL_INTERNAL void text_pad_left_aligned(struct text *text, size_t start, size_t width);
TL_INTERNAL void text_pad_right_aligned(struct text *text, size_t start, size_t width);
/* Ends the text with NUL; returns data. Overwrites the last byte if the buffer is full. */
TL_INTERNAL const char *text_terminate(struct text *text);

/* The length of the longest prefix of `length` bytes of UTF-8 that is at most `limit` bytes and
 * ends between characters. */
TL_INTERNAL size_t text_utf8_prefix(const char *bytes, size_t length, size_t limit);

#endif
