/* links: base/lock.c base/intern.c base/random.c base/math.c */
#include "base/intern.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SLOTS 1000u
#define ROOM  (SLOTS - SLOTS / 8)

static struct intern set;
static uint64_t keys[SLOTS + 1];
static uint64_t meanings[SLOTS + 1]; /* what the owner keeps beside the set */

static int start(void **state)
{
	(void)state;
	memset(keys, 0, sizeof(keys));
	memset(meanings, 0, sizeof(meanings));
	intern_start(&set, keys, SLOTS);
	return 0;
}

/* As an owner does it. */
static uint32_t add(uint64_t key)
{
	uint32_t number;

	intern_lock(&set);
	number = intern_find(&set, key);
	if (number == INTERN_NONE) {
		number = intern_reserve(&set, key);
		if (number != INTERN_NONE) {
			__atomic_store_n(&meanings[number], key * 3, __ATOMIC_RELAXED);
			intern_publish(&set, number, key);
		}
	}
	intern_unlock(&set);
	return number;
}

static void asks_for_room_for_its_numbers_which_start_at_1(void **state)
{
	(void)state;

	assert_int_equal(intern_bytes(SLOTS), (SLOTS + 1) * 8);
}

static void finds_nothing_in_an_empty_set(void **state)
{
	(void)state;
	for (uint64_t key = 1; key < 5000; key++)
		assert_int_equal(intern_find(&set, key), INTERN_NONE);
	for (uint32_t number = 1; number <= SLOTS; number++)
		assert_false(intern_is_used(&set, number));
}

static void knows_which_numbers_are_used(void **state)
{
	uint32_t number = add(7), used = 0;

	(void)state;
	assert_true(intern_is_used(&set, number));
	for (uint32_t other = 1; other <= SLOTS; other++)
		used += intern_is_used(&set, other);
	assert_int_equal(used, 1);
}

static void gives_every_key_a_number_of_its_own_and_keeps_it(void **state)
{
	uint32_t numbers[ROOM];
	uint64_t random[2], drawn[ROOM];
	bool taken[SLOTS + 1] = {false};

	(void)state;
	random_seed(random, 1, 1);
	for (uint32_t i = 0; i < ROOM; i++) {
		drawn[i] = random_bits(random) | 1;
		numbers[i] = add(drawn[i]);

		assert_in_range(numbers[i], 1, SLOTS);
		assert_false(taken[numbers[i]]);
		taken[numbers[i]] = true;
	}

	for (uint32_t i = 0; i < ROOM; i++) {
		assert_int_equal(intern_find(&set, drawn[i]), numbers[i]);
		assert_int_equal(add(drawn[i]), numbers[i]);
	}
	assert_int_equal(set.used, ROOM);
}

static void is_full_at_seven_eighths_and_still_finds_what_it_has(void **state)
{
	(void)state;
	for (uint64_t key = 1; key <= ROOM; key++)
		assert_int_not_equal(add(key), INTERN_NONE);

	assert_int_equal(add(ROOM + 1), INTERN_NONE);
	assert_int_equal(intern_find(&set, ROOM + 1), INTERN_NONE);
	assert_int_not_equal(intern_find(&set, ROOM), INTERN_NONE);
	assert_int_equal(set.used, ROOM);
}

/* Keys that want the last place: the run goes on from the first. */
static void lets_a_run_go_on_from_the_start(void **state)
{
	uint64_t random[2], last[50];
	size_t count = 0;
	uint32_t beyond = 0;

	(void)state;
	random_seed(random, 2, 1);
	while (count < TL_COUNT_OF(last)) {
		uint64_t key = random_bits(random) | 1;

		if (intern_reserve(&set, key) == SLOTS) /* empty: where the key would like to be */
			last[count++] = key;
	}
	for (size_t i = 0; i < count; i++)
		beyond += add(last[i]) < count;

	assert_int_equal(beyond, count - 1);
	for (size_t i = 0; i < count; i++)
		assert_int_not_equal(intern_find(&set, last[i]), INTERN_NONE);
}

static void spreads_keys_that_follow_each_other(void **state)
{
	uint32_t in_first_half = 0;

	(void)state;
	for (uint64_t key = 1; key <= ROOM; key++)
		in_first_half += add(key << 32 | 7) <= SLOTS / 2;

	assert_in_range(in_first_half, ROOM / 2 - ROOM / 8, ROOM / 2 + ROOM / 8);
}

static void is_empty_after_a_reset(void **state)
{
	(void)state;
	for (uint64_t key = 1; key <= ROOM; key++)
		add(key);
	memset(keys, 0, sizeof(keys));

	intern_reset(&set);

	assert_int_equal(intern_find(&set, 1), INTERN_NONE);
	assert_int_not_equal(add(ROOM + 1), INTERN_NONE);
	assert_int_equal(set.used, 1);
}

static void *add_many(void *from)
{
	uint64_t first = *(uint64_t *)from;

	for (uint64_t key = first; key < first + 500; key++)
		add(key);
	return NULL;
}

/* Each thread adds what others add too; who finds a number finds what belongs to it. */
static void shows_a_number_only_with_what_belongs_to_it(void **state)
{
	uint64_t firsts[3] = {1, 201, 301};
	pthread_t threads[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, &firsts[i]), 0);
	for (int round = 0; round < 300; round++) {
		for (uint64_t key = 1; key <= 800; key++) {
			uint32_t number = intern_find(&set, key);

			if (number != INTERN_NONE)
				assert_int_equal(
					__atomic_load_n(&meanings[number], __ATOMIC_RELAXED),
					key * 3);
		}
	}
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);

	assert_int_equal(set.used, 800);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(asks_for_room_for_its_numbers_which_start_at_1, start),
		cmocka_unit_test_setup(finds_nothing_in_an_empty_set, start),
		cmocka_unit_test_setup(knows_which_numbers_are_used, start),
		cmocka_unit_test_setup(gives_every_key_a_number_of_its_own_and_keeps_it, start),
		cmocka_unit_test_setup(is_full_at_seven_eighths_and_still_finds_what_it_has, start),
		cmocka_unit_test_setup(lets_a_run_go_on_from_the_start, start),
		cmocka_unit_test_setup(spreads_keys_that_follow_each_other, start),
		cmocka_unit_test_setup(is_empty_after_a_reset, start),
		cmocka_unit_test_setup(shows_a_number_only_with_what_belongs_to_it, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
