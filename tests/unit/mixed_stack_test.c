/* links: profile/mixed_stack.c */
#include "profile/mixed_stack.h"
#include "process/py_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Modules: 0 the agent, 1 the interpreter, 2 an extension. C frames are 0x100 bytes each, from 0x1000
 * on. The code of the loop is 0x5000 to 0x6000. */
enum { OWN, INTERPRETER, EXTENSION };
#define LOOP 0x5800

static struct native_frame natives[32];
static uintptr_t loops[32];
static struct mixed_parts parts;

/* What reads a real stack is not asked here. */
TL_INTERNAL struct py_layout py_layout;

TL_INTERNAL void py_frame_find_loops(const void *thread_state, uintptr_t low, uintptr_t high,
				     uintptr_t *found, size_t depth)
{
	(void)thread_state;
	assert_true(low == 0 && high == 0);
	memset(found, 0, depth * sizeof(*found));
}

TL_INTERNAL bool native_stack_range(struct thread *thread, struct native_range *range)
{
	(void)thread;
	(void)range;
	return false;
}

TL_INTERNAL size_t native_stack_walk(const struct native_range *range, uintptr_t until,
				     struct native_frame *frames, size_t limit)
{
	(void)range;
	(void)until;
	(void)frames;
	(void)limit;
	fail();
	return 0;
}

TL_INTERNAL uint16_t native_stack_own_module(void)
{
	return OWN;
}

static int begin(void **state)
{
	(void)state;
	memset(natives, 0, sizeof(natives));
	memset(loops, 0, sizeof(loops));
	parts = (struct mixed_parts){.natives = natives,
				     .loops = loops,
				     .loop_start = 0x5000,
				     .loop_end = 0x6000,
				     .own_module = OWN};
	return 0;
}

static void add_native(uint16_t module, uintptr_t pc)
{
	natives[parts.native_count] = (struct native_frame){
		.pc = pc, .end = 0x1100 + parts.native_count * 0x100, .module = module};
	parts.native_count++;
}

/* A Python frame whose loop is the C frame that was added last. */
static void add_python(bool is_told)
{
	loops[parts.depth++] = is_told ? natives[parts.native_count - 1].end - 0x40 : 0;
}

/* As "n3 p0 ...", innermost first. */
static void assert_merged(const char *expected)
{
	struct mixed_frame mixed[64];
	char text[512] = "";
	size_t count = mixed_stack_merge(&parts, mixed);

	for (size_t i = 0; i < count; i++)
		sprintf(text + strlen(text), "%s%c%u", i > 0 ? " " : "",
			mixed[i].is_native ? 'n' : 'p', mixed[i].index);
	assert_string_equal(text, expected);
}

/* What an extension that calls back looks like: two loops, the outer one running two frames. */
static void call_back(bool is_told)
{
	add_native(OWN, 1);
	add_native(OWN, 2);
	add_native(INTERPRETER, 0x7000);
	add_native(INTERPRETER, LOOP);
	add_python(is_told);
	add_native(INTERPRETER, 0x7100);
	add_native(EXTENSION, 0x10);
	add_native(EXTENSION, 0x20);
	add_native(INTERPRETER, 0x7200);
	add_native(INTERPRETER, LOOP + 8);
	add_python(is_told);
}

static void c_frames_stand_between_the_python_frames_that_they_lead_from_and_to(void **state)
{
	(void)state;
	call_back(true);
	add_python(true); /* of the same loop */
	add_native(INTERPRETER, 0x7300);
	add_native(EXTENSION, 0x30);

	assert_merged("n2 p0 n5 n6 p1 p2");
}

static void a_record_tells_the_loop_whatever_its_code(void **state)
{
	(void)state;
	call_back(true);
	natives[3].pc = natives[8].pc = 0x9999; /* put out of line by the compiler */

	assert_merged("n2 p0 n5 n6 p1");
}

static void without_records_loops_are_known_by_their_code(void **state)
{
	(void)state;
	call_back(false);
	parts.has_loop_each = true;

	assert_merged("n2 p0 n5 n6 p1");
}

static void a_loop_that_is_missed_leaves_the_innermost_c_frames_only(void **state)
{
	(void)state;
	call_back(false);
	parts.has_loop_each = true;
	natives[8].pc = 0x9999;

	assert_merged("n2 p0 p1");
}

static void loops_that_are_not_told_leave_the_innermost_c_frames_only(void **state)
{
	(void)state;
	call_back(false);

	assert_merged("n2 p0 p1");
}

static void a_walk_that_ended_early_loses_no_python_frame(void **state)
{
	(void)state;
	call_back(true);
	parts.native_count = 6;

	assert_merged("n2 p0 n5 p1");
	parts.native_count = 0;
	assert_merged("p0 p1");
}

static void on_a_stack_that_is_not_known_there_are_python_frames_alone(void **state)
{
	struct mixed_frame mixed[MIXED_STACK_MOST];
	(void)state;

	assert_int_equal(mixed_stack_read(NULL, NULL, 3, natives, mixed), 3);
	for (uint16_t i = 0; i < 3; i++)
		assert_true(!mixed[i].is_native && mixed[i].index == i);
}

static void without_python_every_c_frame_is_there_but_our_own(void **state)
{
	(void)state;
	call_back(true);
	parts.depth = 0;

	assert_merged("n2 n3 n4 n5 n6 n7 n8");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
			c_frames_stand_between_the_python_frames_that_they_lead_from_and_to, begin),
		cmocka_unit_test_setup(a_record_tells_the_loop_whatever_its_code, begin),
		cmocka_unit_test_setup(without_records_loops_are_known_by_their_code, begin),
		cmocka_unit_test_setup(a_loop_that_is_missed_leaves_the_innermost_c_frames_only,
				       begin),
		cmocka_unit_test_setup(loops_that_are_not_told_leave_the_innermost_c_frames_only,
				       begin),
		cmocka_unit_test_setup(a_walk_that_ended_early_loses_no_python_frame, begin),
		cmocka_unit_test_setup(on_a_stack_that_is_not_known_there_are_python_frames_alone,
				       begin),
		cmocka_unit_test_setup(without_python_every_c_frame_is_there_but_our_own, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
