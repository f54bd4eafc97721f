/* links: base/lock.c base/descriptor.c base/hash.c base/math.c base/random.c base/intern.c base/pages.c base/text.c base/thread.c process/modules.c profile/sampler.c profile/names.c profile/sites.c profile/live_blocks.c profile/frame_memo.c profile/tallies.c */
#include "profile/tallies.h"

#include "profile/names.h"
#include "profile/sites.h"
#include "profile_fixture.h"

#include <pthread.h>

TL_INTERNAL unsigned classes_of_block(const void *block, size_t size, bool is_python)
{
	(void)block;
	(void)size;
	(void)is_python;
	return PY_TYPE_OTHER;
}

#define PLACES 40 /* more than a tally has entries */
#define CROWD  300

static uint32_t lines[PLACES];

static int start(void **state)
{
	(void)state;
	return names_start() == TL_OK && sites_start() == TL_OK && tallies_start() == TL_OK ? 0
											    : -1;
}

static int forget(void **state)
{
	(void)state;
	sites_reset_in_child();
	names_reset_in_child();
	tallies_reset_in_child();
	for (uint32_t i = 0; i < PLACES; i++)
		lines[i] = sites_line(names_function_of_address(1000), i);
	return 0;
}

static struct py_frame_spot spot_of(uintptr_t place)
{
	return (struct py_frame_spot){.code = (const char *)0x10000, .at = (const char *)place};
}

/* As recorder does it. True: in the thread's own entry. */
static bool count(uintptr_t place, uint64_t size)
{
	struct tally_entry *entry = tallies_find(&thread_self, spot_of(place), size);

	if (entry != NULL) {
		tallies_add(entry, 1, size);
		return true;
	}
	sites_count(lines[place], size);
	tallies_remember(&thread_self, spot_of(place), TL_LOAD(frame_memo_generation), lines[place],
			 size);
	return false;
}

static uint64_t counted_in_all(uint64_t *bytes)
{
	uint64_t counted = 0;

	*bytes = 0;
	for (uint32_t i = 0; i < PLACES; i++) {
		counted += sites_copy_line(lines[i]).counted;
		*bytes += sites_copy_line(lines[i]).counted_bytes;
	}
	return counted;
}

static void what_a_thread_counts_is_told_once(void **state)
{
	(void)state;
	assert_false(count(0, 100));
	assert_false(count(0, 700)); /* the largest is sites' to know at once */
	assert_true(count(0, 700));
	assert_true(count(0, 300));
	assert_int_equal(sites_copy_line(lines[0]).counted, 2);

	tallies_collect();
	tallies_collect();

	assert_int_equal(sites_copy_line(lines[0]).counted, 4);
	assert_int_equal(sites_copy_line(lines[0]).counted_bytes, 1800);
	assert_int_equal(sites_copy_line(lines[0]).largest, 700);
}

static void a_place_is_found_by_code_and_instruction(void **state)
{
	struct py_frame_spot other = {.code = (const char *)0x20000, .at = spot_of(0).at};

	(void)state;
	count(0, 100);
	assert_non_null(tallies_find(&thread_self, spot_of(0), 100));
	assert_null(tallies_find(&thread_self, spot_of(1), 100));
	assert_null(tallies_find(&thread_self, other, 100));
	assert_null(tallies_find(&thread_self, (struct py_frame_spot){NULL, NULL}, 100));
}

static void places_that_fight_for_an_entry_lose_nothing(void **state)
{
	uint64_t bytes;

	(void)state;
	for (uint64_t i = 0; i < 100000; i++)
		count(i * 7919 % PLACES, i);
	tallies_collect();
	assert_int_equal(counted_in_all(&bytes), 100000);
	assert_int_equal(bytes, UINT64_C(99999) * 50000);
	assert_int_equal(sites_copy_line(lines[0]).counted, 100000 / PLACES);
}

static void a_place_that_comes_back_gets_the_entry_in_the_end(void **state)
{
	(void)state;
	for (uintptr_t place = 0; place < PLACES; place++)
		count(place, 1);
	for (uintptr_t place = 0; place < PLACES; place++) {
		for (int i = 0; i < 100; i++)
			count(place, 1);
		assert_true(count(place, 1));
	}
}

static void all_is_forgotten_but_what_was_counted(void **state)
{
	(void)state;
	count(0, 100);
	count(0, 100);
	frame_memo_forget_all();
	assert_null(tallies_find(&thread_self, spot_of(0), 100));
	assert_false(count(0, 100));
	assert_true(count(0, 100));
	tallies_collect();
	assert_int_equal(sites_copy_line(lines[0]).counted, 4);
}

static void a_forked_child_has_counted_nothing(void **state)
{
	(void)state;
	count(0, 100);
	count(0, 100);
	sites_reset_in_child();
	tallies_reset_in_child();
	tallies_collect();
	assert_null(thread_self.tally);
	assert_int_equal(sites_copy_line(lines[0]).counted, 0);
}

static void *count_ten(void *is_quick)
{
	for (int i = 0; i < 10; i++)
		*(bool *)is_quick = count(0, 100);
	return NULL;
}

static void threads_that_come_and_go_share_the_tallies(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++) {
		bool is_quick = false;
		pthread_t thread;

		pthread_create(&thread, NULL, count_ten, &is_quick);
		pthread_join(thread, NULL);
		assert_true(is_quick);
	}
	tallies_collect();
	assert_int_equal(sites_copy_line(lines[0]).counted, 10000);
	assert_int_equal(sites_copy_line(lines[0]).counted_bytes, 1000000);
}

static pthread_barrier_t crowd_barrier;

static void *count_in_a_crowd(void *has_tally)
{
	count(0, 100);
	*(bool *)has_tally = count(0, 100);
	pthread_barrier_wait(&crowd_barrier);
	return NULL;
}

static void more_threads_than_tallies_count_all_the_same(void **state)
{
	static bool has_tally[CROWD];
	static pthread_t threads[CROWD];
	size_t with = 0;

	(void)state;
	pthread_barrier_init(&crowd_barrier, NULL, CROWD);
	for (int i = 0; i < CROWD; i++)
		pthread_create(&threads[i], NULL, count_in_a_crowd, &has_tally[i]);
	for (int i = 0; i < CROWD; i++) {
		pthread_join(threads[i], NULL);
		with += has_tally[i];
	}
	tallies_collect();
	assert_in_range(with, 64, CROWD - 64);
	assert_int_equal(sites_copy_line(lines[0]).counted, 2 * CROWD);
}

static void *count_everywhere(void *unused)
{
	for (uint64_t i = 0; i < 50000; i++) {
		count(i * 7919 % PLACES, 10);
		count(i / 1000 % PLACES, 10);
	}
	return unused;
}

static void collecting_while_threads_count_loses_nothing(void **state)
{
	pthread_t threads[4];
	uint64_t bytes, before = 0;

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(threads); i++)
		pthread_create(&threads[i], NULL, count_everywhere, NULL);
	for (int i = 0; i < 300; i++) {
		uint64_t now;

		tallies_collect();
		now = counted_in_all(&bytes);
		assert_in_range(now, before, 400000);
		before = now;
	}
	for (size_t i = 0; i < TL_COUNT_OF(threads); i++)
		pthread_join(threads[i], NULL);
	tallies_collect();
	assert_int_equal(counted_in_all(&bytes), 400000);
	assert_int_equal(bytes, 4000000);
}

static pthread_key_t late_key;
static bool late_was_quick;

/* Runs after the tally's own destructor, whose key is older, and so counts without one. */
static void count_late(void *unused)
{
	(void)unused;
	count(0, 100);
	late_was_quick = count(0, 100);
}

static void *end_late(void *unused)
{
	pthread_setspecific(late_key, &late_key);
	count(0, 100);
	return unused;
}

static void an_ending_thread_takes_no_tally_again(void **state)
{
	pthread_t thread;

	(void)state;
	late_was_quick = true;
	pthread_key_create(&late_key, count_late);
	pthread_create(&thread, NULL, end_late, NULL);
	pthread_join(thread, NULL);
	pthread_key_delete(late_key);
	tallies_collect();
	assert_false(late_was_quick);
	assert_int_equal(sites_copy_line(lines[0]).counted, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_a_thread_counts_is_told_once, forget),
		cmocka_unit_test_setup(a_place_is_found_by_code_and_instruction, forget),
		cmocka_unit_test_setup(places_that_fight_for_an_entry_lose_nothing, forget),
		cmocka_unit_test_setup(a_place_that_comes_back_gets_the_entry_in_the_end, forget),
		cmocka_unit_test_setup(all_is_forgotten_but_what_was_counted, forget),
		cmocka_unit_test_setup(a_forked_child_has_counted_nothing, forget),
		cmocka_unit_test_setup(threads_that_come_and_go_share_the_tallies, forget),
		cmocka_unit_test_setup(more_threads_than_tallies_count_all_the_same, forget),
		cmocka_unit_test_setup(collecting_while_threads_count_loses_nothing, forget),
		cmocka_unit_test_setup(an_ending_thread_takes_no_tally_again, forget),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
