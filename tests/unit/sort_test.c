/* links: base/sort.c base/random.c base/math.c */
#include "base/sort.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MOST 1000

static double keys[MOST];
static uint32_t order[MOST];

/* A permutation, keys descending, equal keys by ascending index. */
static void check_order(size_t count)
{
	bool seen[MOST] = {false};

	for (size_t i = 0; i < count; i++) {
		assert_true(order[i] < count && !seen[order[i]]);
		seen[order[i]] = true;
		if (i > 0) {
			double before = keys[order[i - 1]], now = keys[order[i]];

			assert_true(before > now || (before == now && order[i - 1] < order[i]));
		}
	}
}

static void start_with(size_t count)
{
	for (size_t i = 0; i < count; i++)
		order[i] = (uint32_t)i;
}

static void puts_any_number_of_keys_in_descending_order(void **state)
{
	uint64_t random[2];

	(void)state;
	random_seed(random, 1, 0);
	for (size_t count = 0; count < 300; count++) {
		for (size_t i = 0; i < count; i++)
			keys[i] = random_unit(random) - 0.5;
		start_with(count);

		sort_descending(order, count, keys);

		check_order(count);
	}
}

static void keeps_equal_keys_in_the_order_of_their_index_wherever_they_stood(void **state)
{
	uint64_t random[2];

	(void)state;
	random_seed(random, 2, 0);
	for (size_t count = 1; count < 300; count++) {
		for (size_t i = 0; i < count; i++)
			keys[i] = (double)(random_bits(random) % 4);
		start_with(count);
		for (size_t i = count; i-- > 1;) {
			size_t other = random_bits(random) % (i + 1);
			uint32_t moved = order[i];

			order[i] = order[other];
			order[other] = moved;
		}

		sort_descending(order, count, keys);

		check_order(count);
	}
}

static void sorts_what_is_sorted_either_way(void **state)
{
	(void)state;
	for (int direction = -1; direction <= 1; direction++) {
		for (size_t i = 0; i < MOST; i++)
			keys[i] = direction * (double)i;
		start_with(MOST);

		sort_descending(order, MOST, keys);

		check_order(MOST);
	}
}

static void ends_with_not_a_numbers_and_infinities_too(void **state)
{
	double strange[] = {1,  (double)__builtin_nanf(""), (double)__builtin_inff(),
			    -5, (double)-__builtin_inff(),  (double)__builtin_nanf(""),
			    0};
	uint32_t index[TL_COUNT_OF(strange)], seen = 0;

	(void)state;
	for (uint32_t i = 0; i < TL_COUNT_OF(strange); i++)
		index[i] = i;

	sort_descending(index, TL_COUNT_OF(strange), strange);

	for (size_t i = 0; i < TL_COUNT_OF(strange); i++)
		seen |= 1u << index[i];
	assert_int_equal(seen, (1u << TL_COUNT_OF(strange)) - 1);
}

static void sorts_a_selection_of_the_keys(void **state)
{
	double all[] = {5, 100, 3, 100, 9};
	uint32_t some[] = {4, 2, 0};

	(void)state;

	sort_descending(some, 3, all);

	assert_int_equal(some[0], 4);
	assert_int_equal(some[1], 0);
	assert_int_equal(some[2], 2);
}

static void rows_of_any_size_are_put_into_an_order_in_place(void **state)
{
	static char rows[200][SORT_LARGEST_ROW];
	uint64_t random[2];

	(void)state;
	random_seed(random, 3, 0);
	for (size_t count = 0; count <= 200; count += 7) {
		size_t row_bytes = count % 2 == 0 ? SORT_LARGEST_ROW : 3;
		uint32_t wanted[200];

		for (size_t i = 0; i < count; i++) {
			keys[i] = random_unit(random);
			memset((char *)rows + i * row_bytes, (int)i, row_bytes);
		}
		start_with(count);
		sort_descending(order, count, keys);
		memcpy(wanted, order, sizeof(wanted));

		sort_apply(order, count, rows, row_bytes);

		for (size_t i = 0; i < count; i++) {
			for (size_t byte = 0; byte < row_bytes; byte++)
				assert_int_equal(((uint8_t *)rows)[i * row_bytes + byte],
						 wanted[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(puts_any_number_of_keys_in_descending_order),
		cmocka_unit_test(keeps_equal_keys_in_the_order_of_their_index_wherever_they_stood),
		cmocka_unit_test(sorts_what_is_sorted_either_way),
		cmocka_unit_test(ends_with_not_a_numbers_and_infinities_too),
		cmocka_unit_test(sorts_a_selection_of_the_keys),
		cmocka_unit_test(rows_of_any_size_are_put_into_an_order_in_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
