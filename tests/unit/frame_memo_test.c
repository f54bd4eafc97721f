/* links: base/lock.c base/math.c base/pages.c base/random.c base/thread.c profile/sampler.c profile/live_blocks.c profile/frame_memo.c */
#include "profile/frame_memo.h"

#include "base/random.h"
#include "profile/live_blocks.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

TL_INTERNAL unsigned classes_of_block(const void *block, size_t size, bool is_python)
{
	(void)block;
	(void)size;
	(void)is_python;
	return PY_TYPE_OTHER;
}

#define CODES   8000
#define WATCHED 4096 /* at most */

static char codes[CODES][64] __attribute__((aligned(64))); /* stand for code objects */

static int start(void **state)
{
	(void)state;
	return live_blocks_start(200000) == TL_OK ? 0 : -1;
}

static int sound(void **state)
{
	(void)state;
	live_blocks_reset_in_child();
	frame_memo_reset_in_child();
	frame_memo_set_sound(false);
	frame_memo_set_sound(true);
	return 0;
}

static struct py_frame frame_of(size_t code, int32_t instruction)
{
	return (struct py_frame){.code = codes[code],
				 .instruction = instruction,
				 .at = (const char *)(intptr_t)instruction};
}

static void remember(size_t code, int32_t instruction, uint32_t line)
{
	struct py_frame frame = frame_of(code, instruction);

	frame_memo_remember(&frame, &(struct frame_place){.line = line});
}

/* 0: not known. */
static uint32_t find(size_t code, int32_t instruction)
{
	struct py_frame frame = frame_of(code, instruction);
	struct frame_place place;

	return frame_memo_find(&frame, &place) ? place.line : 0;
}

static void a_line_is_known_by_code_and_instruction(void **state)
{
	(void)state;
	assert_int_equal(find(1, 10), 0);
	remember(1, 10, 77);

	assert_int_equal(find(1, 10), 77);
	assert_int_equal(find(1, 12), 0);
	assert_int_equal(find(2, 10), 0);
}

static void all_of_a_place_comes_back(void **state)
{
	struct py_frame frame = frame_of(1, 10);
	struct frame_place place = {.function = 16384, .line = 0xfffffff0, .site_line = 8192},
			   found;

	(void)state;
	assert_true(frame_memo_remember(&frame, &place));
	assert_true(frame_memo_find(&frame, &found));
	assert_int_equal(found.function, place.function);
	assert_int_equal(found.line, place.line);
	assert_int_equal(found.site_line, place.site_line);
	assert_true(found.is_remembered);
}

/* On 3.8 to 3.10 the instruction is a small number, as a generation is. */
static void a_later_generation_is_not_mistaken_for_another_instruction(void **state)
{
	(void)state;
	for (uint32_t life = 1; life < 300; life++) {
		for (int32_t instruction = 0; instruction < 64; instruction += 2) {
			assert_int_equal(find(1, instruction), 0);
			remember(1, instruction, life);
		}
		frame_memo_freed(codes[1]);
	}
}

static void a_place_in_native_code_needs_no_watching(void **state)
{
	struct py_frame frame = {.code = codes[1], .instruction = FRAME_MEMO_NATIVE};
	struct frame_place place = {.function = 3}, found;

	(void)state;
	frame_memo_set_sound(false);
	frame_memo_remember(&frame, &place);
	assert_true(frame_memo_find(&frame, &found));
	assert_false(live_blocks_may_hold(codes[1]));
}

static void where_frees_may_go_unseen_nothing_is_watched(void **state)
{
	(void)state;
	remember(1, 10, 77);
	frame_memo_set_sound(false);
	assert_int_equal(find(1, 10), 0);
	remember(200, 10, 77); /* 10 is a stamp */
	assert_int_equal(find(200, 10), 77);
	assert_false(live_blocks_may_hold(codes[200]));

	frame_memo_set_sound(true);
	assert_int_equal(find(200, 10), 0);
	remember(200, 10, 78);
	assert_int_equal(find(200, 10), 78);
	assert_true(live_blocks_may_hold(codes[200]));
}

static void a_code_object_that_is_freed_takes_its_lines_along(void **state)
{
	(void)state;
	remember(1, 10, 77);
	assert_true(live_blocks_may_hold(codes[1]));
	frame_memo_freed(codes[1]);

	assert_int_equal(find(1, 10), 0);
	assert_false(live_blocks_may_hold(codes[1]));
	remember(1, 10, 5); /* another one at its address */
	assert_int_equal(find(1, 10), 5);
}

static void the_free_of_any_other_block_changes_nothing(void **state)
{
	(void)state;
	remember(1, 10, 77);
	frame_memo_freed(codes[2]);
	frame_memo_freed(codes[1] + 16);

	assert_int_equal(find(1, 10), 77);
}

/* Which code objects are watched, against a list; the page of each that is watched must be too. */
static void watches_what_it_remembers_and_lets_go_of_what_is_freed(void **state)
{
	bool is_watched[CODES] = {false};
	uint64_t random[2];
	unsigned count = 0;

	(void)state;
	random_seed(random, 1, 1);
	for (int step = 0; step < 80000; step++) {
		size_t code = random_bits(random) % (step < 40000 ? 1000 : CODES);

		if (random_bits(random) % 3 != 0) {
			remember(code, 4, (uint32_t)code + 1);
			count += !is_watched[code] && count < WATCHED;
			is_watched[code] = is_watched[code] || find(code, 4) != 0;
		} else {
			uint32_t before = find(code, 4);

			frame_memo_freed(codes[code]);
			assert_true(before == 0 || is_watched[code]);
			count -= is_watched[code];
			is_watched[code] = false;
		}
		assert_true(find(code, 4) == 0 || find(code, 4) == code + 1);
		assert_true(!is_watched[code] || live_blocks_may_hold(codes[code]));
	}
	assert_true(count > 500);
	for (size_t code = 0; code < CODES; code++)
		frame_memo_freed(codes[code]);
	for (size_t code = 0; code < CODES; code++)
		assert_int_equal(find(code, 4), 0);
}

static void when_it_is_full_more_code_objects_are_not_remembered(void **state)
{
	unsigned known = 0;

	(void)state;
	for (size_t code = 0; code < CODES; code++) {
		remember(code, 4, 9);
		known += find(code, 4) != 0;
	}
	assert_int_equal(known, WATCHED);

	frame_memo_freed(codes[0]);
	remember(CODES - 1, 4, 9);
	assert_int_equal(find(CODES - 1, 4), 9);
}

static void a_forked_child_knows_nothing(void **state)
{
	(void)state;
	for (size_t code = 0; code < 2000; code++)
		remember(code, 4, 9);
	frame_memo_reset_in_child();

	for (size_t code = 0; code < 2000; code++)
		assert_int_equal(find(code, 4), 0);
	remember(1999, 4, 9);
	assert_int_equal(find(1999, 4), 9);
}

/* Makes a code object, runs it, frees it, and makes another at its address. */
static void *make_and_free(void *number)
{
	size_t mine = *(size_t *)number;

	for (uint32_t life = 1; life <= 3000; life++) {
		for (int32_t call = 0; call < 3; call++) {
			uint32_t known = find(mine, 4);

			if (known != 0 && known != life)
				return "a line of a code object that is gone";
			remember(mine, 4, life);
		}
		frame_memo_freed(codes[mine]);
	}
	return NULL;
}

static void threads_never_see_a_line_of_what_is_gone(void **state)
{
	size_t numbers[3] = {1, 2, 3};
	pthread_t threads[3];
	void *failed;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, make_and_free, &numbers[i]), 0);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], &failed);
		if (failed != NULL)
			fail_msg("%s", (char *)failed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_line_is_known_by_code_and_instruction, sound),
		cmocka_unit_test_setup(all_of_a_place_comes_back, sound),
		cmocka_unit_test_setup(a_later_generation_is_not_mistaken_for_another_instruction,
				       sound),
		cmocka_unit_test_setup(a_place_in_native_code_needs_no_watching, sound),
		cmocka_unit_test_setup(where_frees_may_go_unseen_nothing_is_watched, sound),
		cmocka_unit_test_setup(a_code_object_that_is_freed_takes_its_lines_along, sound),
		cmocka_unit_test_setup(the_free_of_any_other_block_changes_nothing, sound),
		cmocka_unit_test_setup(watches_what_it_remembers_and_lets_go_of_what_is_freed,
				       sound),
		cmocka_unit_test_setup(when_it_is_full_more_code_objects_are_not_remembered, sound),
		cmocka_unit_test_setup(a_forked_child_knows_nothing, sound),
		cmocka_unit_test_setup(threads_never_see_a_line_of_what_is_gone, sound),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
