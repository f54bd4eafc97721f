/* links: base/lock.c base/hash.c base/intern.c base/pages.c profile/stacks.c */
#include "profile/stacks.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static int start(void **state)
{
	(void)state;
	return stacks_start(false) == TL_OK ? 0 : -1;
}

static int forget(void **state)
{
	(void)state;
	stacks_reset_in_child();
	return 0;
}

static uint32_t push_deep(uint32_t first_function, unsigned depth)
{
	uint32_t stack = STACKS_ROOT;

	for (unsigned i = 0; i < depth; i++)
		stack = stacks_push(stack, first_function + i, i);
	return stack;
}

static void the_same_frames_are_the_same_stack(void **state)
{
	uint32_t stack = push_deep(1, 300);

	(void)state;

	assert_int_not_equal(stack, STACKS_ROOT);
	assert_int_equal(push_deep(1, 300), stack);
}

static void a_stack_differs_by_caller_function_and_line(void **state)
{
	uint32_t outer = stacks_push(STACKS_ROOT, 1, 10);
	uint32_t stacks[] = {stacks_push(outer, 2, 20), stacks_push(outer, 2, 21),
			     stacks_push(outer, 3, 20), stacks_push(STACKS_ROOT, 2, 20), outer};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(stacks); i++) {
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(stacks[i], stacks[j]);
	}
}

static void of_native_frames_the_caller_with_a_function_is_to_blame(void **state)
{
	uint32_t outer = stacks_push(STACKS_ROOT, STACKS_NATIVE | 1, 0x1234);
	uint32_t python = stacks_push(outer, 7, 70);
	uint32_t inner = stacks_push(stacks_push(python, STACKS_NATIVE | 2, 5), STACKS_NATIVE | 1,
				     0xffffffff);
	struct stack_frame leaf = stacks_frame(inner);

	(void)state;

	assert_true(stacks_is_native(&leaf));
	assert_int_equal(leaf.line, 0xffffffff);
	assert_int_equal(stacks_blamed(inner), python);
	assert_int_equal(stacks_blamed(python), python);
	assert_int_equal(stacks_blamed(outer), STACKS_ROOT);
}

static void a_stack_leads_back_to_its_root(void **state)
{
	uint32_t stack = push_deep(500, 512);

	(void)state;
	for (unsigned i = 512; i-- > 0;) {
		struct stack_frame frame = stacks_frame(stack);

		assert_in_range(stack, 1, stacks_end() - 1);
		assert_int_equal(frame.function, 500 + i);
		assert_int_equal(frame.line, i);
		stack = frame.caller;
	}
	assert_int_equal(stack, STACKS_ROOT);
}

static void stacks_that_begin_alike_share_their_outer_frames(void **state)
{
	uint32_t outer = push_deep(1, 10);

	(void)state;
	for (uint32_t function = 100; function < 200; function++)
		assert_int_equal(stacks_frame(stacks_push(outer, function, 1)).caller, outer);
}

static void when_full_a_stack_ends_at_the_outermost_frames_that_are_known(void **state)
{
	uint32_t known = push_deep(1, 20), function = 1000;

	(void)state;
	while (stacks_refused() == 0)
		stacks_push(known, function++, 1);
	assert_true(function - 1000 > stacks_end() * 3 / 4);

	assert_int_equal(stacks_push(known, function, 1), known);
	assert_int_equal(stacks_push(STACKS_ROOT, function, 1), STACKS_ROOT);
	assert_int_equal(stacks_refused(), 3);
	assert_int_equal(push_deep(1, 20), known);
	assert_int_not_equal(stacks_push(known, 1000, 1), known);
}

static void a_forked_child_starts_empty(void **state)
{
	uint32_t function = 1;

	(void)state;
	while (stacks_refused() == 0)
		stacks_push(STACKS_ROOT, function++, 1);

	stacks_reset_in_child();

	assert_int_equal(stacks_refused(), 0);
	assert_int_not_equal(stacks_push(STACKS_ROOT, function, 1), STACKS_ROOT);
}

static void *push_and_look(void *unused)
{
	for (uint32_t i = 0; i < 5000; i++) {
		uint32_t stack = stacks_push(stacks_push(STACKS_ROOT, i % 700, 1), i, i);

		if (stacks_frame(stack).function != i || stacks_frame(stack).line != i ||
		    stacks_frame(stacks_frame(stack).caller).function != i % 700)
			return (void *)1;
	}
	return unused;
}

static void threads_agree_on_the_numbers(void **state)
{
	pthread_t threads[3];
	void *failed;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, push_and_look, NULL), 0);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(of_native_frames_the_caller_with_a_function_is_to_blame,
				       forget),
		cmocka_unit_test_setup(the_same_frames_are_the_same_stack, forget),
		cmocka_unit_test_setup(a_stack_differs_by_caller_function_and_line, forget),
		cmocka_unit_test_setup(a_stack_leads_back_to_its_root, forget),
		cmocka_unit_test_setup(stacks_that_begin_alike_share_their_outer_frames, forget),
		cmocka_unit_test_setup(
			when_full_a_stack_ends_at_the_outermost_frames_that_are_known, forget),
		cmocka_unit_test_setup(a_forked_child_starts_empty, forget),
		cmocka_unit_test_setup(threads_agree_on_the_numbers, forget),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
