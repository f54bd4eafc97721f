/* links: base/hash.c */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void is_the_same_wherever_the_bytes_stand(void **state)
{
	static const char name[] = "a function of some length, module.Class.method.<locals>.inner";
	char buffer[sizeof(name) + 8];

	(void)state;
	for (size_t shift = 0; shift < 8; shift++) {
		for (size_t length = 0; length < sizeof(name); length++) {
			memset(buffer, (int)shift, sizeof(buffer));
			memcpy(buffer + shift, name, length);
			assert_int_equal(hash_bytes(buffer + shift, length, 7),
					 hash_bytes(name, length, 7));
		}
	}
}

static void keeps_its_values_from_version_to_version(void **state)
{
	(void)state;

	assert_int_equal(hash_bytes("", 0, 0), UINT64_C(0x3767a49c5e2bd281));
	assert_int_equal(hash_bytes("trackleak", 9, 0), UINT64_C(0x7668930547e4530b));
	assert_int_equal(hash_bytes("trackleak trackleak trackleak trackleak", 39, 1),
			 UINT64_C(0x2f9b517738014365));
}

static void never_reads_outside_its_bytes(void **state)
{
	(void)state;
	for (size_t length = 0; length < 70;
	     length++) { /* AddressSanitizer is the judge; without it, the padding */
		char *exact = malloc(length + 1);
		uint64_t first, second;

		memset(exact, 'x', length + 1);
		first = hash_bytes(exact, length, 0);
		exact[length] = 'y';
		second = hash_bytes(exact, length, 0);

		assert_int_equal(first, second);
		free(exact);
	}
}

static void every_bit_of_input_changes_about_half_of_the_result(void **state)
{
	(void)state;
	for (size_t length = 1; length <= 48; length++) {
		uint8_t bytes[48] = {1, 2, 3};
		uint64_t base = hash_bytes(bytes, length, 0);
		unsigned changed = 0;

		for (size_t bit = 0; bit < 8 * length; bit++) {
			bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
			unsigned now =
				(unsigned)__builtin_popcountll(base ^ hash_bytes(bytes, length, 0));
			bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_in_range(now, 8, 56);
			changed += now;
		}

		assert_in_range(changed / (8 * length), 26, 38);
	}
}

static void a_zero_length_or_a_zero_tail_still_counts(void **state)
{
	static const char zeros[64];
	uint64_t seen[64];

	(void)state;
	for (size_t length = 0; length < 64; length++) {
		seen[length] = hash_bytes(zeros, length, 0);
		for (size_t other = 0; other < length; other++)
			assert_true(seen[length] != seen[other]);
	}
}

static int compare(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

static void names_that_differ_in_a_digit_do_not_collide(void **state)
{
	enum { NAMES = 200000, BUCKETS = 1024 };
	uint64_t *values = malloc(NAMES * sizeof(*values));
	unsigned low[BUCKETS] = {0}, high[BUCKETS] = {0};
	char name[] = "app/service/handlers.py:handler_000000";

	(void)state;
	for (unsigned i = 0; i < NAMES; i++) {
		unsigned rest = i;

		for (size_t digit = 0; digit < 6; digit++, rest /= 10)
			name[sizeof(name) - 2 - digit] = (char)('0' + rest % 10);
		values[i] = hash_bytes(name, sizeof(name) - 1, 0);
		low[values[i] % BUCKETS]++;
		high[values[i] >> 54]++;
	}
	qsort(values, NAMES, sizeof(*values), compare);

	for (unsigned i = 1; i < NAMES; i++)
		assert_true(values[i] != values[i - 1]);
	for (unsigned i = 0; i < BUCKETS; i++) { /* 195 expected, standard deviation 14 */
		assert_in_range(low[i], 195 - 6 * 14, 195 + 6 * 14);
		assert_in_range(high[i], 195 - 6 * 14, 195 + 6 * 14);
	}
	free(values);
}

static void the_seed_makes_another_function(void **state)
{
	(void)state;

	assert_true(hash_bytes("name", 4, 1) != hash_bytes("name", 4, 2));
	assert_true(hash_bytes("", 0, 1) != hash_bytes("", 0, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_the_same_wherever_the_bytes_stand),
		cmocka_unit_test(keeps_its_values_from_version_to_version),
		cmocka_unit_test(never_reads_outside_its_bytes),
		cmocka_unit_test(every_bit_of_input_changes_about_half_of_the_result),
		cmocka_unit_test(a_zero_length_or_a_zero_tail_still_counts),
		cmocka_unit_test(names_that_differ_in_a_digit_do_not_collide),
		cmocka_unit_test(the_seed_makes_another_function),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
