/* links: base/descriptor.c process/native_stack.c process/native_modules.c process/eh_frame.c process/safe_read.c process/modules.c base/pages.c base/thread.c */
#include "process/native_stack.h"

#include <execinfo.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <cmocka.h>

/* Each walks from where it stands; what libgcc's unwinder says of the same place is the truth. */
static struct native_frame walked[NATIVE_STACK_DEEPEST];
static size_t walked_depth;
static void *expected[NATIVE_STACK_DEEPEST];
static size_t expected_depth;
static uintptr_t look_caller;
static struct native_range range;
static uintptr_t until = UINTPTR_MAX;

#define APART __attribute__((noinline, noclone))

static APART void look(void)
{
	walked_depth = 0;
	if (native_stack_range(&thread_self, &range))
		walked_depth = native_stack_walk(&range, until, walked, NATIVE_STACK_DEEPEST);
	expected_depth = (size_t)backtrace(expected, NATIVE_STACK_DEEPEST);
	look_caller = (uintptr_t)__builtin_return_address(0);
}

/* From the caller of look() on; before it, a sanitizer may have frames of its own. */
static void assert_same(size_t least)
{
	size_t ours = 0, theirs = 0, same = 0;

	while (ours < walked_depth && walked[ours].pc != look_caller)
		ours++;
	while (theirs < expected_depth && (uintptr_t)expected[theirs] != look_caller)
		theirs++;
	while (ours + same < walked_depth && theirs + same < expected_depth) {
		assert_int_equal(walked[ours + same].pc, (uintptr_t)expected[theirs + same]);
		same++;
	}
	assert_true(same >= least);
	/* Both end where the stack does, or at their limit. */
	assert_true(ours + same == walked_depth);
	assert_true(theirs + same == expected_depth || walked_depth == NATIVE_STACK_DEEPEST);
}

static volatile int sink;

#define COMPILED(options) APART __attribute__((optimize(options)))

COMPILED("O2,omit-frame-pointer") static void small(int depth)
{
	char bytes[200];

	memset(bytes, depth, sizeof(bytes));
	look();
	sink += bytes[depth];
}

COMPILED("O2,no-omit-frame-pointer") static void with_frame_pointer(int depth)
{
	small(depth);
	sink++;
}

/* Aligns its stack, and so finds its frame by what it has stored. */
COMPILED("O2,omit-frame-pointer") static void aligned(int depth)
{
	char bytes[256] __attribute__((aligned(64)));
	char *more = __builtin_alloca((size_t)depth * 16 + 1);

	memset(bytes, depth, sizeof(bytes));
	memset(more, depth, (size_t)depth * 16 + 1);
	with_frame_pointer(depth);
	sink += bytes[depth] + more[depth];
}

/* Its frame is found only if the one that it calls has told its RBP right. */
COMPILED("O2,no-omit-frame-pointer") static void around(int depth)
{
	aligned(depth);
	sink++;
}

COMPILED("O2,omit-frame-pointer") static void large(int depth)
{
	char bytes[100000];

	memset(bytes, depth, sizeof(bytes));
	around(depth);
	sink += bytes[depth];
}

static int compare(const void *a, const void *b)
{
	if (sink++ == 0)
		large(3);
	return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

static void the_frames_of_every_shape_are_those_that_libgcc_finds(void **state)
{
	int numbers[] = {3, 1, 2};
	(void)state;

	sink = 0;
	qsort(numbers, 3, sizeof(numbers[0]), compare); /* frames of libc's between ours */

	assert_same(10);
}

static void a_second_walk_finds_what_it_remembers(void **state)
{
	(void)state;

	for (int i = 0; i < 3; i++) {
		large(i);
		assert_same(5);
	}
}

static APART void sink_down(int depth)
{
	if (depth > 0)
		sink_down(depth - 1);
	else
		small(1);
	sink++;
}

static void a_deep_stack_is_cut_at_the_limit(void **state)
{
	(void)state;

	sink_down(2000);

	assert_int_equal(walked_depth, NATIVE_STACK_DEEPEST);
	assert_same(NATIVE_STACK_DEEPEST - 5);
}

static void each_frame_has_its_part_of_the_stack(void **state)
{
	(void)state;

	large(1);

	for (size_t i = 1; i + 1 < walked_depth; i++)
		assert_true(walked[i].end > walked[i - 1].end);
	assert_true(walked[4].end - walked[3].end >= 256);    /* aligned */
	assert_true(walked[6].end - walked[5].end >= 100000); /* large */
	assert_true(walked[walked_depth - 1].end <= range.high);
}

static void a_walk_ends_where_it_is_told_to(void **state)
{
	size_t whole;

	(void)state;
	large(1);
	whole = walked_depth;
	until = walked[4].end - 8; /* inside of the fifth */
	large(1);
	until = UINTPTR_MAX;

	assert_true(whole > 7);
	assert_int_equal(walked_depth, 5);
}

static void *walk_in_thread(void *unused)
{
	large(2);
	return unused;
}

static void a_thread_is_walked_to_its_start(void **state)
{
	pthread_t thread;
	(void)state;

	pthread_create(&thread, NULL, walk_in_thread, NULL);
	pthread_join(thread, NULL);

	assert_same(6);
}

static void places_are_told_by_file(void **state)
{
	const struct native_module *mine, *libcs;
	int numbers[] = {2, 1};
	size_t from_libc = 0;
	(void)state;

	sink = 0;
	qsort(numbers, 2, sizeof(numbers[0]), compare);
	native_modules_name_all();
	mine = native_modules_at(native_stack_own_module());
	libcs = native_modules_at(walked[walked_depth - 1].module == native_stack_own_module()
					  ? walked[walked_depth - 2].module
					  : walked[walked_depth - 1].module);

	assert_non_null(strstr(mine->path, "native_stack_test"));
	assert_non_null(strstr(libcs->path, "libc"));
	assert_true(libcs->build_id_length >= 16);
	assert_int_equal(mine->bias + walked[2].offset, walked[2].pc);
	for (size_t i = 0; i < walked_depth; i++)
		from_libc += native_modules_at(walked[i].module) == libcs;
	assert_true(from_libc >= 2);
}

static ucontext_t main_context, other_context;

static void run_on_another_stack(void)
{
	large(1);
}

static void another_stack_is_left_alone(void **state)
{
	static char stack[512 * 1024];
	(void)state;

	getcontext(&other_context);
	other_context.uc_stack.ss_sp = stack;
	other_context.uc_stack.ss_size = sizeof(stack);
	other_context.uc_link = &main_context;
	makecontext(&other_context, run_on_another_stack, 0);
	swapcontext(&main_context, &other_context);

	assert_int_equal(walked_depth, 0);
	large(1);
	assert_same(5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_frames_of_every_shape_are_those_that_libgcc_finds),
		cmocka_unit_test(a_second_walk_finds_what_it_remembers),
		cmocka_unit_test(a_deep_stack_is_cut_at_the_limit),
		cmocka_unit_test(each_frame_has_its_part_of_the_stack),
		cmocka_unit_test(a_walk_ends_where_it_is_told_to),
		cmocka_unit_test(a_thread_is_walked_to_its_start),
		cmocka_unit_test(places_are_told_by_file),
		cmocka_unit_test(another_stack_is_left_alone),
	};

	if (!native_stack_start())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
