/* links: process/eh_frame.c process/safe_read.c */
#include "process/eh_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A module made by hand: its header with one row, a CIE, the FDE of a function of 0x100 bytes at
 * FUNCTION. Real ones are asked of in native_stack_test.c. */
enum { HEADER = 0, CIE = 32, FDE = 96, FUNCTION = 512, SIZE = 1024 };

static uint8_t bytes[SIZE] __attribute__((aligned(16)));
static size_t end; /* of the FDE's instructions so far */

static void put4(size_t at, int64_t value)
{
	int32_t four = (int32_t)value;

	memcpy(bytes + at, &four, sizeof(four));
}

static void put_text(size_t at, const char *text, size_t length)
{
	memcpy(bytes + at, text, length);
}

/* More instructions of the FDE. */
#define RUN(text) run(text, sizeof(text) - 1)

static void run(const char *text, size_t length)
{
	put_text(end, text, length);
	end += length;
	put4(FDE, (int64_t)end - FDE - 4);
}

static int begin(void **state)
{
	static const char cie[] = "\0\0\0\0\x01zR\0\x01\x78\x10\x01\x1b\x0c\x07\x08\x90\x01\0\0";
	(void)state;

	memset(bytes, 0, sizeof(bytes));
	put_text(HEADER, "\x01\x1b\x03\x3b", 4);
	put4(HEADER + 8, 1);
	put4(HEADER + 12, FUNCTION - HEADER);
	put4(HEADER + 16, FDE - HEADER);
	put4(CIE, sizeof(cie) - 1);
	put_text(CIE + 4, cie, sizeof(cie) - 1);
	put4(FDE + 4, FDE + 4 - CIE);
	put4(FDE + 8, FUNCTION - (FDE + 8));
	put4(FDE + 12, 0x100);
	bytes[FDE + 16] = 0; /* no augmentation */
	end = FDE + 17;
	RUN("\0");
	return 0;
}

/* Of a call that returns to `place` bytes into the function. */
static struct eh_rule rule_at(size_t place)
{
	struct eh_module module = {(uintptr_t)bytes, (uintptr_t)bytes + SIZE,
				   (uintptr_t)bytes + HEADER};

	return eh_frame_rule(&module, (uintptr_t)bytes + FUNCTION + place);
}

static void a_function_that_does_nothing_is_as_its_cie_says(void **state)
{
	struct eh_rule rule = rule_at(5);
	(void)state;

	assert_true(rule.is_known);
	assert_int_equal(rule.base, EH_RSP);
	assert_int_equal(rule.offset, 8);
	for (size_t i = 0; i < EH_SAVED; i++)
		assert_int_equal(rule.saved[i], EH_KEPT);
}

static void instructions_count_from_their_place_on(void **state)
{
	(void)state;
	RUN("\x41\x0e\x10\x86\x02");     /* 1 byte further: offset 16, rbp at -16 */
	RUN("\x02\x03\x0d\x06");         /* 3 further: from rbp */
	RUN("\x0a\x03\x10\x00\x0c\x07"); /* remembered; 16 further: from rsp, 8; rbp kept */
	RUN("\x08\xc6");
	RUN("\x44\x0b"); /* 4 further: as it was */

	assert_int_equal(rule_at(1).offset, 8); /* the call stands before */
	assert_int_equal(rule_at(2).offset, 16);
	assert_int_equal(rule_at(2).saved[EH_RBP], -2);
	assert_int_equal(rule_at(2).base, EH_RSP);
	assert_int_equal(rule_at(5).base, EH_RBP);
	assert_int_equal(rule_at(21).base, EH_RSP);
	assert_int_equal(rule_at(21).saved[EH_RBP], EH_KEPT);
	assert_int_equal(rule_at(25).base, EH_RBP);
	assert_int_equal(rule_at(25).saved[EH_RBP], -2);
	assert_true(rule_at(0x100).is_known);
}

static void long_forms_say_the_same(void **state)
{
	(void)state;
	RUN("\x05\x03\x02");     /* offset_extended: rbx at 2 * -8 */
	RUN("\x11\x0c\x03");     /* offset_extended_sf: r12 at 3 * -8 */
	RUN("\x11\x0d\x7f");     /* r13 at -1 * -8 */
	RUN("\x12\x06\x7c");     /* def_cfa_sf: rbp + -4 * -8 */
	RUN("\x07\x0e");         /* undefined: r14 */
	RUN("\x09\x0f\x00");     /* register: r15 is in rax */
	RUN("\x2e\x10\x08\x06"); /* GNU_args_size; same_value: rbp */

	struct eh_rule rule = rule_at(1);

	assert_true(rule.is_known);
	assert_int_equal(rule.saved[EH_RBX], -2);
	assert_int_equal(rule.saved[EH_R12], -3);
	assert_int_equal(rule.saved[EH_R13], 1);
	assert_int_equal(rule.saved[EH_R14], EH_LOST);
	assert_int_equal(rule.saved[EH_R15], EH_LOST);
	assert_int_equal(rule.saved[EH_RBP], EH_KEPT);
	assert_int_equal(rule.base, EH_RBP);
	assert_int_equal(rule.offset, 32);
}

static void a_stack_that_was_aligned_is_found_by_what_is_stored(void **state)
{
	struct eh_rule rule;
	(void)state;

	RUN("\x0f\x03\x76\x78\x06"); /* the frame: what stands at rbp - 8 */
	RUN("\x10\x06\x02\x76\x00"); /* rbp: at rbp */
	RUN("\x10\x03\x02\x76\x70"); /* rbx: at rbp - 16 */
	rule = rule_at(1);

	assert_true(rule.is_known && rule.is_stored);
	assert_int_equal(rule.base, EH_RBP);
	assert_int_equal(rule.offset, -8);
	assert_int_equal(rule.by_rbp, 1 << EH_RBP | 1 << EH_RBX);
	assert_int_equal(rule.saved[EH_RBP], 0);
	assert_int_equal(rule.saved[EH_RBX], -2);
}

static void what_is_not_known_is_an_end(void **state)
{
	static const struct {
		const char *why, *text;
		size_t length;
	} cases[] = {
		{"no return address: the first function of a thread", "\x07\x10", 2},
		{"a return address that stands elsewhere", "\x90\x02", 2},
		{"another expression: a PLT's", "\x0f\x03\x77\x08\x80", 5},
		{"a frame in a register that is not followed", "\x0c\x0a\x00", 3},
		{"an unknown instruction", "\x3f", 1},
		{"a row that was never remembered", "\x0b", 1},
		{"a number that does not end", "\x0e\x80", 2},
		{"an expression that does not end", "\x0f\x7f\x76", 3},
	};
	(void)state;

	for (size_t i = 0; i < TL_COUNT_OF(cases); i++) {
		begin(NULL);
		assert_true(rule_at(1).is_known);
		run(cases[i].text, cases[i].length);
		if (rule_at(1).is_known)
			fail_msg("%s", cases[i].why);
	}
}

static void tables_of_another_shape_are_an_end(void **state)
{
	static const struct {
		const char *why;
		size_t at;
		uint8_t byte;
	} cases[] = {
		{"version of the header", HEADER, 2},
		{"encoding of the rows", HEADER + 3, 0x1b},
		{"no rows", HEADER + 8, 0},
		{"more rows than there is room for", HEADER + 11, 0x7f},
		{"an entry before the module", HEADER + 19, 0x80},
		{"an entry behind it", HEADER + 18, 1},
		{"version of the CIE", CIE + 8, 4},
		{"an augmentation that is not known", CIE + 10, 'Q'},
		{"another column for the return address", CIE + 14, 8},
		{"a CIE that is none", CIE + 4, 1},
		{"a CIE elsewhere", FDE + 6, 1},
		{"a length beyond the module", FDE + 1, 0x7f},
		{"a function somewhere else", FDE + 9, 9},
	};
	(void)state;

	for (size_t i = 0; i < TL_COUNT_OF(cases); i++) {
		begin(NULL);
		bytes[cases[i].at] = cases[i].byte;
		if (rule_at(1).is_known)
			fail_msg("%s", cases[i].why);
	}
}

static void a_signals_frame_is_an_end(void **state)
{
	(void)state;
	put_text(CIE + 4, "\0\0\0\0\x01zRS\0\x01\x78\x10\x01\x1b\x0c\x07\x08\x90\x01\0", 20);

	assert_false(rule_at(1).is_known);
}

static void places_outside_of_any_function_are_an_end(void **state)
{
	(void)state;
	assert_false(rule_at(0).is_known); /* the call before it is another function's */
	assert_false(rule_at(0x101).is_known);
	assert_false(rule_at((size_t)-FUNCTION).is_known);
}

static void memory_that_is_gone_is_an_end(void **state)
{
	struct eh_module module = {0x1000, 0x9000, 0x1000};
	(void)state;

	assert_false(eh_frame_rule(&module, 0x2000).is_known);
	module.header = 0; /* a file without tables */
	assert_false(eh_frame_rule(&module, 0x2000).is_known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_function_that_does_nothing_is_as_its_cie_says, begin),
		cmocka_unit_test_setup(instructions_count_from_their_place_on, begin),
		cmocka_unit_test_setup(long_forms_say_the_same, begin),
		cmocka_unit_test_setup(a_stack_that_was_aligned_is_found_by_what_is_stored, begin),
		cmocka_unit_test_setup(what_is_not_known_is_an_end, begin),
		cmocka_unit_test_setup(tables_of_another_shape_are_an_end, begin),
		cmocka_unit_test_setup(a_signals_frame_is_an_end, begin),
		cmocka_unit_test_setup(places_outside_of_any_function_are_an_end, begin),
		cmocka_unit_test_setup(memory_that_is_gone_is_an_end, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
