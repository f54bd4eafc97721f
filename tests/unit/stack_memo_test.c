/* links: base/pages.c base/thread.c profile/stack_memo.c */
#include "profile/stack_memo.h"

#include "profile/frame_memo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

TL_INTERNAL uint32_t frame_memo_generation = 1;

#define DEEPEST 600

static char codes[DEEPEST]; /* stand for code objects */

/* A stack of `depth` frames, innermost first; the frame with `outer` frames outside of it runs
 * codes[outer] at `at`. */
static struct py_frame frames[DEEPEST];

static void build(size_t depth, uintptr_t at)
{
	for (size_t outer = 0; outer < depth; outer++)
		frames[depth - 1 - outer] =
			(struct py_frame){.code = &codes[outer], .at = (const char *)at};
}

static struct py_frame *frame_at(size_t depth, size_t outer)
{
	return &frames[depth - 1 - outer];
}

/* Adds those that are not known, with a stack and a line that count up. How many were known. */
static size_t go(struct stack_memo *memo, size_t depth, struct stack_memo_place *place)
{
	size_t known = stack_memo_match(memo, frames, depth, place);

	for (size_t outer = known; outer < depth; outer++) {
		*place = (struct stack_memo_place){.stack = (uint32_t)outer + 1,
						   .line = (uint32_t)outer + 1001};
		stack_memo_add(memo, outer, frame_at(depth, outer), place);
	}
	return known;
}

static struct stack_memo *memo;

static int start(void **state)
{
	(void)state;
	return stack_memo_start() == TL_OK ? 0 : -1;
}

static int fresh(void **state)
{
	(void)state;
	stack_memo_reset_in_child();
	memo = stack_memo_borrow(&thread_self);
	return memo != NULL ? 0 : -1;
}

static void what_two_stacks_share_is_known(void **state)
{
	struct stack_memo_place place = {.stack = 7, .line = 8};

	(void)state;
	build(5, 1);
	assert_int_equal(stack_memo_match(memo, frames, 5, &place), 0);
	assert_int_equal(place.stack, 7);
	assert_int_equal(go(memo, 5, &place), 0);
	assert_int_equal(go(memo, 5, &place), 5);
	assert_int_equal(place.stack, 5);
	assert_int_equal(place.line, 1005);

	frame_at(5, 3)->at = (const char *)2; /* the same function, further on */
	assert_int_equal(go(memo, 5, &place), 3);
	frame_at(5, 4)->code = &codes[200]; /* another function */
	assert_int_equal(stack_memo_match(memo, frames, 5, &place), 4);
	assert_int_equal(place.stack, 4);

	build(3, 1); /* it has returned */
	assert_int_equal(stack_memo_match(memo, frames, 3, &place), 3);
	assert_int_equal(place.stack, 3);
	assert_int_equal(place.line, 1003);
	build(5, 1); /* what was further inward was forgotten */
	assert_int_equal(stack_memo_match(memo, frames, 5, &place), 3);
}

static void a_gap_ends_what_is_kept(void **state)
{
	struct stack_memo_place place = {.stack = 1};

	(void)state;
	build(4, 1);
	stack_memo_match(memo, frames, 4, &place);
	for (size_t outer = 0; outer < 4; outer++) {
		if (outer != 2)
			stack_memo_add(memo, outer, frame_at(4, outer), &place);
	}
	assert_int_equal(stack_memo_match(memo, frames, 4, &place), 2);
}

static void what_a_code_objects_death_has_changed_is_forgotten(void **state)
{
	struct stack_memo_place place;

	(void)state;
	build(5, 1);
	go(memo, 5, &place);
	frame_memo_generation++;
	assert_int_equal(go(memo, 5, &place), 0);
	assert_int_equal(go(memo, 5, &place), 5);
}

static void a_stack_deeper_than_the_memo_is_known_as_far_as_it_goes(void **state)
{
	struct stack_memo_place place;
	size_t known;

	(void)state;
	build(DEEPEST, 1);
	go(memo, DEEPEST, &place);
	known = go(memo, DEEPEST, &place);
	assert_in_range(known, 32, DEEPEST - 1);
	assert_int_equal(place.stack, DEEPEST);
	assert_int_equal(stack_memo_match(memo, frames, DEEPEST, &place), known);
	assert_int_equal(place.stack, known);
}

static void a_memo_in_use_is_not_waited_for(void **state)
{
	(void)state;
	assert_null(stack_memo_borrow(&thread_self));
	stack_memo_return(memo);
	assert_ptr_equal(stack_memo_borrow(&thread_self), memo);
}

static void threads_have_memos_of_their_own(void **state)
{
	static struct thread threads[8];
	size_t lent = 0;

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(threads); i++)
		lent += stack_memo_borrow(&threads[i]) != NULL;
	assert_true(lent > 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_two_stacks_share_is_known, fresh),
		cmocka_unit_test_setup(a_gap_ends_what_is_kept, fresh),
		cmocka_unit_test_setup(what_a_code_objects_death_has_changed_is_forgotten, fresh),
		cmocka_unit_test_setup(a_stack_deeper_than_the_memo_is_known_as_far_as_it_goes,
				       fresh),
		cmocka_unit_test_setup(a_memo_in_use_is_not_waited_for, fresh),
		cmocka_unit_test_setup(threads_have_memos_of_their_own, fresh),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
