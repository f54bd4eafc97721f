/* DESIGN: every put asks for room first. Numbers and escapes are put whole or not at all, so that a
 * full buffer never holds a wrong figure or half an escape; plain bytes are cut between characters.
 * A put after a cut still tries: the end of a line may fit where a long name did not. Who needs all
 * or nothing looks at `cut` and sets `length` back.
 *
 * Numbers are exact: a double is mantissa * 2^exponent, and its fraction times 10^9 fits 128 bits,
 * so the rounding is one integer addition. No printf: it follows the program's locale and may
 * allocate.
 */
#include "text.h"

#include <string.h>

/* What stands for bytes that are no UTF-8. */
#define TEXT_INVALID     UINT32_MAX
#define TEXT_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

TL_INTERNAL struct text text_over(char *buffer, size_t capacity)
{
	return (struct text){.data = buffer, .capacity = capacity};
}

TL_INTERNAL void text_clear(struct text *text)
{
	text->length = 0;
	text->cut = false;
}

/* Puts all of it or nothing. */
static void text_put_whole(struct text *text, const char *bytes, size_t length)
{
	if (length > text->capacity - text->length) {
		text->cut = true;
		return;
	}
	memcpy(text->data + text->length, bytes, length);
	text->length += length;
}

TL_INTERNAL void text_put_bytes(struct text *text, const char *bytes, size_t length)
{
	size_t room = text->capacity - text->length;
	size_t taken = text_utf8_prefix(bytes, length, room);

	if (taken < length)
		text->cut = true;
	if (taken > 0)
		memcpy(text->data + text->length, bytes, taken);
	text->length += taken;
}

TL_INTERNAL void text_put(struct text *text, const char *string)
{
	text_put_bytes(text, string, strlen(string));
}

TL_INTERNAL void text_put_char(struct text *text, char character)
{
	text_put_whole(text, &character, 1);
}

TL_INTERNAL void text_put_repeat(struct text *text, char character, size_t times)
{
	size_t room = text->capacity - text->length;

	if (times > room) {
		times = room;
		text->cut = true;
	}
	if (times > 0)
		memset(text->data + text->length, character, times);
	text->length += times;
}

/* Writes the digits so that they end before `end`, at least `least` of them; returns where they
 * start. */
static char *text_digits(char *end, uint64_t value, unsigned base, unsigned least)
{
	char *at = end;

	for (; value > 0; value /= base)
		*--at = "0123456789abcdef"[value % base];
	while (end - at < (ptrdiff_t)least)
		*--at = '0';
	return at;
}

TL_INTERNAL void text_put_u64(struct text *text, uint64_t value)
{
	char digits[20], *end = digits + sizeof(digits);
	char *start = text_digits(end, value, 10, 1);

	text_put_whole(text, start, (size_t)(end - start));
}

TL_INTERNAL void text_put_i64(struct text *text, int64_t value)
{
	char digits[21], *end = digits + sizeof(digits);
	char *start = text_digits(end, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, 1);

	if (value < 0)
		*--start = '-';
	text_put_whole(text, start, (size_t)(end - start));
}

TL_INTERNAL void text_put_hex(struct text *text, uint64_t value)
{
	char digits[16], *end = digits + sizeof(digits);
	char *start = text_digits(end, value, 16, 1);

	text_put_whole(text, start, (size_t)(end - start));
}

/* Splits |value| into its whole part and its fraction in units of 1/scale, rounded half up. From
 * 2^64 on the whole part is UINT64_MAX: nothing we measure gets there, and a number is still a
 * number. */
static void text_split(double value, uint64_t scale, uint64_t *whole, uint64_t *fraction)
{
	uint64_t bits, mantissa;
	int exponent;

	memcpy(&bits, &value, sizeof(bits));
	exponent = (int)(bits >> 52 & 0x7ff) - 1075;
	mantissa = bits & ((UINT64_C(1) << 52) - 1);
	if (exponent == -1075)
		exponent++; /* subnormal */
	else
		mantissa |= UINT64_C(1) << 52;

	*fraction = 0;
	if (exponent > 11) {
		*whole = UINT64_MAX;
	} else if (exponent >= 0) {
		*whole = mantissa << exponent;
	} else if (exponent < -100) {
		*whole = 0; /* below 2^-47, less than half of any unit we print */
	} else {
		unsigned shift = (unsigned)-exponent;
		unsigned __int128 one = (unsigned __int128)1 << shift;
		unsigned __int128 rest = mantissa & (one - 1);

		*whole = shift < 64 ? mantissa >> shift : 0;
		*fraction = (uint64_t)((rest * scale + one / 2) >> shift);
		if (*fraction >= scale) {
			*fraction = 0;
			++*whole;
		}
	}
}

TL_INTERNAL void text_put_fixed(struct text *text, double value, unsigned decimals)
{
	char digits[32], *end = digits + sizeof(digits), *start = end;
	uint64_t scale = 1, whole, fraction;

	if (!__builtin_isfinite(value)) {
		text_put_whole(text, "null", 4);
		return;
	}
	for (unsigned i = 0; i < decimals; i++)
		scale *= 10;
	text_split(value, scale, &whole, &fraction);
	if (decimals > 0) {
		start = text_digits(start, fraction, 10, decimals);
		*--start = '.';
	}
	start = text_digits(start, whole, 10, 1);
	if (value < 0 && (whole > 0 || fraction > 0)) /* no -0.00 */
		*--start = '-';
	text_put_whole(text, start, (size_t)(end - start));
}

TL_INTERNAL void text_put_iso_time(struct text *text, int64_t epoch_seconds)
{
	/* Proleptic Gregorian calendar in eras of 400 years whose years start on 1 March, so
	 * that the leap day is the last of its year (after Howard Hinnant's chrono-compatible
	 * date algorithms). */
	int64_t days = epoch_seconds / 86400, second = epoch_seconds % 86400;
	char buffer[40], *end = buffer + sizeof(buffer), *start = end;

	if (second < 0) {
		second += 86400;
		days--;
	}
	days += 719468; /* from 0000-03-01 to 1970-01-01 */
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	int64_t day_of_era = days - era * 146097;
	int64_t year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t shifted_month = (5 * day_of_year + 2) / 153; /* 0 = March */
	int64_t day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
	int64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
	int64_t year = year_of_era + era * 400 + (month <= 2);

	*--start = 'Z';
	start = text_digits(start, (uint64_t)(second % 60), 10, 2);
	*--start = ':';
	start = text_digits(start, (uint64_t)(second / 60 % 60), 10, 2);
	*--start = ':';
	start = text_digits(start, (uint64_t)(second / 3600), 10, 2);
	*--start = 'T';
	start = text_digits(start, (uint64_t)day, 10, 2);
	*--start = '-';
	start = text_digits(start, (uint64_t)month, 10, 2);
	*--start = '-';
	start = text_digits(start, (uint64_t)(year < 0 ? -year : year), 10, 4);
	if (year < 0)
		*--start = '-';
	text_put_whole(text, start, (size_t)(end - start));
}

/* Decodes one character of a NUL-terminated string. Returns the bytes it takes, at least 1;
 * *character is TEXT_INVALID for what is not UTF-8 (overlong, surrogate, past U+10FFFF, cut short),
 * of which as many bytes are taken as could have begun a character, which is how Python's `replace`
 * and browsers count. */
static size_t text_decode(const char *string, uint32_t *character)
{
	const uint8_t *bytes = (const uint8_t *)string;
	uint8_t lead = bytes[0], lowest = 0x80, highest = 0xbf;
	size_t more;
	uint32_t value;

	*character = TEXT_INVALID;
	if (lead < 0x80) {
		*character = lead;
		return 1;
	}
	if (lead >= 0xc2 && lead <= 0xdf) {
		more = 1;
		value = lead & 0x1fU;
	} else if (lead >= 0xe0 && lead <= 0xef) {
		more = 2;
		value = lead & 0x0fU;
		if (lead == 0xe0)
			lowest = 0xa0;
		if (lead == 0xed)
			highest = 0x9f;
	} else if (lead >= 0xf0 && lead <= 0xf4) {
		more = 3;
		value = lead & 0x07U;
		if (lead == 0xf0)
			lowest = 0x90;
		if (lead == 0xf4)
			highest = 0x8f;
	} else {
		return 1;
	}
	for (size_t i = 1; i <= more; i++) {
		if (bytes[i] < lowest ||
		    bytes[i] > highest) /* the NUL at the end is never in range */
			return i;
		value = value << 6 | (bytes[i] & 0x3fU);
		lowest = 0x80;
		highest = 0xbf;
	}
	*character = value;
	return more + 1;
}

/* Characters that a terminal obeys instead of showing, or that reorder or hide what stands
 * beside them. */
static bool text_is_unprintable(uint32_t character)
{
	return character < 0x20 || (character >= 0x7f && character <= 0x9f) || character == 0xad ||
	       character == 0x61c || character == 0x180e ||
	       (character >= 0x200b && character <= 0x200f) ||
	       (character >= 0x2028 && character <= 0x202e) ||
	       (character >= 0x2060 && character <= 0x206f) || character == 0xfeff ||
	       (character >= 0xfff9 && character <= 0xfffb);
}

/* `\x1b` or `\u202e`. */
static void text_put_escape(struct text *text, char kind, uint32_t value, unsigned digits)
{
	char escape[8], *end = escape + sizeof(escape);
	char *start = text_digits(end, value, 16, digits);

	*--start = kind;
	*--start = '\\';
	text_put_whole(text, start, (size_t)(end - start));
}

TL_INTERNAL void text_put_json(struct text *text, const char *string)
{
	static const char shorthands[][3] = {
		['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f",
		['\r'] = "\\r", ['"'] = "\\\"", ['\\'] = "\\\\"};
	uint32_t character;

	text_put_char(text, '"');
	for (size_t length; *string != '\0'; string += length) {
		length = text_decode(string, &character);
		if (character == TEXT_INVALID)
			text_put_whole(text, TEXT_REPLACEMENT, 3);
		else if (character < TL_COUNT_OF(shorthands) && shorthands[character][0] != '\0')
			text_put_whole(text, shorthands[character], 2);
		else if (text_is_unprintable(
				 character)) /* JSON asks it below U+0020 only; people tail -f */
			text_put_escape(text, 'u', character, 4);
		else
			text_put_whole(text, string, length);
	}
	text_put_char(text, '"');
}

TL_INTERNAL void text_put_plain(struct text *text, const char *string)
{
	uint32_t character;

	for (size_t length; *string != '\0'; string += length) {
		length = text_decode(string, &character);
		if (character == TEXT_INVALID) {
			for (size_t i = 0; i < length; i++)
				text_put_escape(text, 'x', (uint8_t)string[i], 2);
		} else if (character < 0x20 || character == 0x7f || character == '|') {
			text_put_escape(text, 'x', character, 2);
		} else if (text_is_unprintable(character)) {
			text_put_escape(text, 'u', character, 4);
		} else {
			text_put_whole(text, string, length);
		}
	}
}

/* How many spaces bring what was put since `start` to `width` columns, and fit. */
static size_t text_padding(struct text *text, size_t start, size_t width)
{
	size_t columns = 0, room = text->capacity - text->length;

	for (size_t i = start; i < text->length; i++)
		columns += ((uint8_t)text->data[i] & 0xc0) != 0x80;
	if (columns >= width)
		return 0;
	if (width - columns > room) {
		text->cut = true;
		return room;
	}
	return width - columns;
}

TL_INTERNAL void text_pad_left_aligned(struct text *text, size_t start, size_t width)
{
	text_put_repeat(text, ' ', text_padding(text, start, width));
}

TL_INTERNAL void text_pad_right_aligned(struct text *text, size_t start, size_t width)
{
	size_t padding = text_padding(text, start, width);

	if (padding == 0)
		return;
	memmove(text->data + start + padding, text->data + start, text->length - start);
	memset(text->data + start, ' ', padding);
	text->length += padding;
}

TL_INTERNAL const char *text_terminate(struct text *text)
{
	if (text->length == text->capacity) {
		text->cut = true;
		if (text->capacity == 0)
			return "";
		text->length = text_utf8_prefix(text->data, text->length, text->capacity - 1);
	}
	text->data[text->length] = '\0';
	return text->data;
}

TL_INTERNAL size_t text_utf8_prefix(const char *bytes, size_t length, size_t limit)
{
	size_t cut = limit;

	if (length <= limit)
		return length;
	/* Back to a lead byte, at most 3 steps: more continuation bytes than that are no
	 * character. */
	while (cut > 0 && limit - cut < 3 && ((uint8_t)bytes[cut] & 0xc0) == 0x80)
		cut--;
	return ((uint8_t)bytes[cut] & 0xc0) == 0x80 ? limit : cut;
}
