/* links: base/text.c */
#include "base/text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define EXPANSION 1504 /* longer than any double at 1100 decimals */

static char buffer[4096];

static struct text fresh(void)
{
	memset(buffer, '#', sizeof(buffer));
	return text_over(buffer, sizeof(buffer));
}

static uint64_t random_state = 88172645463325252u;

static uint64_t random_bits(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* What text_put_fixed should say, from the exact decimal expansion that glibc prints, rounded by
 * hand. */
static void expected_fixed(char *result, double value, unsigned decimals)
{
	char exact[EXPANSION - 4];
	char *point, *start;
	bool is_zero = true, carry;

	snprintf(exact, sizeof(exact), "0%.1100f", fabs(value));
	point = strchr(exact, '.');
	carry = point[1 + decimals] >= '5';
	point[decimals == 0 ? 0 : 1 + decimals] = '\0';
	for (char *digit = exact + strlen(exact) - 1; carry; digit--) {
		if (*digit == '.')
			continue;
		carry = *digit == '9';
		*digit = carry ? '0' : (char)(*digit + 1);
	}
	start = exact[0] == '0' && exact[1] != '.' && exact[1] != '\0' ? exact + 1 : exact;
	for (const char *digit = start; *digit != '\0'; digit++)
		is_zero = is_zero && (*digit == '0' || *digit == '.');
	snprintf(result, EXPANSION, "%s%s", value < 0 && !is_zero ? "-" : "", start);
}

static void check_fixed(double value, unsigned decimals)
{
	char expected[EXPANSION];
	struct text text = fresh();

	expected_fixed(expected, value, decimals);
	text_put_fixed(&text, value, decimals);
	assert_string_equal(text_terminate(&text), expected);
	assert_false(text.cut);
}

static void prints_every_double_as_its_exact_value_rounds(void **state)
{
	static const double corners[] = {0,
					 -0.0,
					 0.5,
					 1.5,
					 2.5,
					 0.125,
					 0.375,
					 0.005,
					 1.005,
					 0.995,
					 9.995,
					 99.995,
					 0.9995,
					 999999.9999,
					 1e-9,
					 5e-10,
					 4.9e-10,
					 1e-300,
					 5e-324,
					 1e17,
					 1e18,
					 1e15 + 0.5,
					 4503599627370496.5,
					 9007199254740993.0,
					 0x1p-47,
					 0x1p-30,
					 0x1p63,
					 1844674407370955161.0};

	(void)state;
	for (unsigned decimals = 0; decimals <= 9; decimals++) {
		for (size_t i = 0; i < TL_COUNT_OF(corners); i++) {
			check_fixed(corners[i], decimals);
			check_fixed(-corners[i], decimals);
		}
	}
	for (unsigned i = 0; i < 20000; i++) {
		/* Any exponent from 2^-80 to 2^59, any mantissa. */
		double value =
			ldexp((double)(random_bits() >> 11), (int)(random_bits() % 140) - 53 - 80);

		check_fixed(random_bits() % 2 ? value : -value, (unsigned)(random_bits() % 10));
	}
	for (unsigned i = 0; i < 20000; i++) /* ties: a few binary digits behind the point */
		check_fixed((double)(random_bits() % 100000) / 1024,
			    (unsigned)(random_bits() % 10));
}

static void prints_what_is_no_number_as_null(void **state)
{
	struct text text = fresh();

	(void)state;
	text_put_fixed(&text, NAN, 2);
	text_put_char(&text, ' ');
	text_put_fixed(&text, INFINITY, 0);
	text_put_char(&text, ' ');
	text_put_fixed(&text, -INFINITY, 9);

	assert_string_equal(text_terminate(&text), "null null null");
}

static void prints_a_number_where_none_is_measured(void **state)
{
	struct text text = fresh();

	(void)state;
	text_put_fixed(&text, 1e300, 2);
	text_put_char(&text, ' ');
	text_put_fixed(&text, 0x1p64, 0);

	assert_string_equal(text_terminate(&text), "18446744073709551615.00 18446744073709551615");
}

static void prints_whole_numbers_to_their_ends(void **state)
{
	struct text text = fresh();

	(void)state;
	text_put_u64(&text, 0);
	text_put_char(&text, ' ');
	text_put_u64(&text, UINT64_MAX);
	text_put_char(&text, ' ');
	text_put_i64(&text, INT64_MIN);
	text_put_char(&text, ' ');
	text_put_i64(&text, -7);
	text_put_char(&text, ' ');
	text_put_i64(&text, INT64_MAX);
	text_put_char(&text, ' ');
	text_put_hex(&text, 0);
	text_put_char(&text, ' ');
	text_put_hex(&text, 0x55abc123);
	text_put_char(&text, ' ');
	text_put_hex(&text, UINT64_MAX);

	assert_string_equal(text_terminate(&text),
			    "0 18446744073709551615 -9223372036854775808 -7 9223372036854775807 "
			    "0 55abc123 ffffffffffffffff");
}

static void tells_the_time_as_libc_does(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		/* From year -2000 to 6000, and every day around the first leap years. */
		int64_t seconds = i < 10000 ? (int64_t)(random_bits() % 252000000000) - 125000000000
					    : 951000000 + (int64_t)i * 43200;
		time_t when = seconds;
		struct tm parts;
		char expected[64];
		struct text text = fresh();

		gmtime_r(&when, &parts);
		int year = parts.tm_year + 1900;
		snprintf(expected, sizeof(expected), "%s%04d-%02d-%02dT%02d:%02d:%02dZ",
			 year < 0 ? "-" : "", abs(year), parts.tm_mon + 1, parts.tm_mday,
			 parts.tm_hour, parts.tm_min, parts.tm_sec);
		text_put_iso_time(&text, seconds);

		assert_string_equal(text_terminate(&text), expected);
	}
}

struct pair {
	const char *name, *shown;
};

static void json_holds_any_name(void **state)
{
	static const struct pair pairs[] = {
		{"", "\"\""},
		{"plain", "\"plain\""},
		{"quo\"te \\ back", "\"quo\\\"te \\\\ back\""},
		{"a\nb\tc\rd\be\ff", "\"a\\nb\\tc\\rd\\be\\ff\""},
		{"\x1b[31m\x01\x1f\x7f", "\"\\u001b[31m\\u0001\\u001f\\u007f\""},
		{"gr\xc3\xbc\xc3\x9f \xe6\xbc\xa2 \xf0\x9f\x90\x8d",
		 "\"gr\xc3\xbc\xc3\x9f \xe6\xbc\xa2 \xf0\x9f\x90\x8d\""},
		{"\xe2\x80\xae"
		 "evil\xe2\x80\xa8",
		 "\"\\u202eevil\\u2028\""},
		{"\xc2\x9b"
		 "31m",
		 "\"\\u009b31m\""},
		{"a|b/c", "\"a|b/c\""},
	};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(pairs); i++) {
		struct text text = fresh();

		text_put_json(&text, pairs[i].name);

		assert_string_equal(text_terminate(&text), pairs[i].shown);
	}
}

#define R "\xef\xbf\xbd"

static void json_replaces_what_is_not_utf8_as_python_does(void **state)
{
	static const struct pair pairs[] = {
		{"\xff", R},                   /* never a lead */
		{"\x80\xbf", R R},             /* lone continuations */
		{"\xc0\xaf", R R},             /* overlong */
		{"\xe0\x80\xaf", R R R},       /* overlong */
		{"\xf0\x80\x80\xaf", R R R R}, /* overlong */
		{"\xed\xa0\x80", R R R},       /* surrogate */
		{"\xf4\x90\x80\x80", R R R R}, /* past U+10FFFF */
		{"\xe6\xbc", R},               /* cut short by the end */
		{"\xf0\x9f\x90"
		 "a",
		 R "a"}, /* cut short by a character */
		{"\xe6\xbc\xe6\xbc\xa2", R "\xe6\xbc\xa2"},
		{"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"}, /* the last character */
		{"\xed\x9f\xbf\xee\x80\x80", "\xed\x9f\xbf\xee\x80\x80"},
	};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(pairs); i++) {
		struct text text = fresh();
		char expected[64];

		text_put_json(&text, pairs[i].name);
		snprintf(expected, sizeof(expected), "\"%s\"", pairs[i].shown);

		assert_string_equal(text_terminate(&text), expected);
	}
}

static void a_name_is_one_word_of_one_line_on_a_terminal(void **state)
{
	static const struct pair pairs[] = {
		{"", ""},
		{"Class.method.<locals>.<lambda>", "Class.method.<locals>.<lambda>"},
		{"a\nb\tc", "a\\x0ab\\x09c"},
		{"\x1b]0;title\x07", "\\x1b]0;title\\x07"},
		{"evil | name", "evil \\x7c name"},
		{"gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x8d", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x8d"},
		{"\xe2\x80\xae"
		 "gnp.exe",
		 "\\u202egnp.exe"},
		{"\xe2\x81\xa6\xe2\x81\xa9\xe2\x80\x8f\xd8\x9c", "\\u2066\\u2069\\u200f\\u061c"},
		{"\xe2\x80\xa8\xe2\x80\xa9\xc2\x85", "\\u2028\\u2029\\u0085"},
		{"\xc2\x9b"
		 "31m\x7f",
		 "\\u009b31m\\x7f"},
		{"\xef\xbb\xbf\xe2\x80\x8b\xc2\xad", "\\ufeff\\u200b\\u00ad"},
		{"\xff\xc0\xaf\xe6\xbc", "\\xff\\xc0\\xaf\\xe6\\xbc"},
	};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(pairs); i++) {
		struct text text = fresh();

		text_put_plain(&text, pairs[i].name);

		assert_string_equal(text_terminate(&text), pairs[i].shown);
	}
}

static void no_bytes_at_all_give_a_control_character(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		char name[16];
		struct text text = fresh();

		for (size_t at = 0; at < sizeof(name); at++)
			name[at] = (char)(random_bits() % (at % 2 ? 256 : 64) + (at % 2 ? 0 : 128));
		name[sizeof(name) - 1] = '\0';
		text_put_plain(&text, name);
		text_put_json(&text, name);

		for (size_t at = 0; at < text.length; at++) {
			assert_true((uint8_t)buffer[at] >= 0x20 && buffer[at] != 0x7f);
			if ((uint8_t)buffer[at] ==
			    0xc2) /* lead of U+0080 to U+00BF: not the C1 controls */
				assert_true((uint8_t)buffer[at + 1] >= 0xa0);
		}
	}
}

static void a_full_buffer_is_never_overrun_and_says_so(void **state)
{
	(void)state;
	for (size_t capacity = 0; capacity < 60; capacity++) {
		struct text text = fresh();
		struct text all = text_over(buffer + 1000, 1000);

		text.capacity = capacity;
		for (struct text *put = &text; put != NULL; put = put == &text ? &all : NULL) {
			text_put(put, "gr\xc3\xbc\xc3\x9f");
			text_put_json(put, "\x1b\"\xf0\x9f\x90\x8d");
			text_put_u64(put, 123456);
			text_put_fixed(put, -1.25, 1);
			text_put_repeat(put, '-', 3);
			text_put_plain(put, "|");
			text_put_iso_time(put, 0);
		}

		assert_true(text.length <= capacity);
		assert_int_equal(text.cut, all.length > capacity);
		assert_int_equal(buffer[capacity], '#');
	}
}

static void a_number_that_does_not_fit_is_left_out_whole(void **state)
{
	struct text text = fresh();

	(void)state;
	text.capacity = 5;
	text_put_u64(&text, 123456);
	text_put_u64(&text, 12345);

	assert_true(text.cut);
	assert_int_equal(text.length, 5);
	assert_memory_equal(buffer, "12345#", 6);
}

static void a_name_is_cut_between_characters(void **state)
{
	static const char name[] =
		"a\xc3\xbc\xe6\xbc\xa2\xf0\x9f\x90\x8d"; /* ends at 1, 3, 6, 10 */
	static const size_t whole[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};

	(void)state;
	for (size_t limit = 0; limit < TL_COUNT_OF(whole); limit++) {
		struct text text = fresh();

		text.capacity = limit;
		text_put(&text, name);

		assert_int_equal(text_utf8_prefix(name, sizeof(name) - 1, limit), whole[limit]);
		assert_int_equal(text.length, whole[limit]);
		assert_int_equal(text.cut, limit < 10);
	}
	/* No character is that long: cut anywhere rather than lose all. */
	assert_int_equal(text_utf8_prefix("\x80\x80\x80\x80\x80\x80\x80\x80", 8, 6), 6);
}

static void pads_by_characters_not_bytes(void **state)
{
	struct text text = fresh();
	size_t start;

	(void)state;
	text_put(&text, "[");
	start = text.length;
	text_put(&text, "gr\xc3\xbc\xc3\x9f");
	text_pad_left_aligned(&text, start, 6);
	text_put(&text, "][");
	start = text.length;
	text_put(&text, "\xc3\xbc");
	text_pad_right_aligned(&text, start, 4);
	text_put(&text, "][");
	start = text.length;
	text_put(&text, "toolong");
	text_pad_right_aligned(&text, start, 4);
	text_pad_left_aligned(&text, start, 4);
	text_put(&text, "]");

	assert_string_equal(text_terminate(&text), "[gr\xc3\xbc\xc3\x9f  ][   \xc3\xbc][toolong]");
	assert_false(text.cut);
}

static void padding_stops_at_the_end_of_the_buffer(void **state)
{
	struct text text = fresh();

	(void)state;
	text.capacity = 6;
	text_put(&text, "abc");
	text_pad_right_aligned(&text, 0, 100);

	assert_true(text.cut);
	assert_int_equal(text.length, 6);
	assert_memory_equal(buffer, "   abc#", 7);
}

static void terminates_a_full_buffer_between_characters(void **state)
{
	struct text text = fresh();

	(void)state;
	text.capacity = 5;
	text_put(&text, "abc\xc3\xbc");

	assert_string_equal(text_terminate(&text), "abc");
	assert_true(text.cut);

	text_clear(&text);
	text_put(&text, "abcd");
	assert_string_equal(text_terminate(&text), "abcd");
	assert_false(text.cut);

	text = text_over(NULL, 0);
	assert_string_equal(text_terminate(&text), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prints_every_double_as_its_exact_value_rounds),
		cmocka_unit_test(prints_what_is_no_number_as_null),
		cmocka_unit_test(prints_a_number_where_none_is_measured),
		cmocka_unit_test(prints_whole_numbers_to_their_ends),
		cmocka_unit_test(tells_the_time_as_libc_does),
		cmocka_unit_test(json_holds_any_name),
		cmocka_unit_test(json_replaces_what_is_not_utf8_as_python_does),
		cmocka_unit_test(a_name_is_one_word_of_one_line_on_a_terminal),
		cmocka_unit_test(no_bytes_at_all_give_a_control_character),
		cmocka_unit_test(a_full_buffer_is_never_overrun_and_says_so),
		cmocka_unit_test(a_number_that_does_not_fit_is_left_out_whole),
		cmocka_unit_test(a_name_is_cut_between_characters),
		cmocka_unit_test(pads_by_characters_not_bytes),
		cmocka_unit_test(padding_stops_at_the_end_of_the_buffer),
		cmocka_unit_test(terminates_a_full_buffer_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
