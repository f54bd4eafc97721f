/* links: base/text.c agent/control_request.c */
#include "agent/control_request.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct control_request request;
static char why_buffer[512];

static enum tl_err read_line(const char *line)
{
	static char copy[512];
	struct text why = text_over(why_buffer, sizeof(why_buffer));
	enum tl_err error;

	snprintf(copy, sizeof(copy), "%s", line);
	error = control_request_read(copy, &request, &why);
	text_terminate(&why);
	return error;
}

static void each_verb_is_known_with_blanks_around_it(void **state)
{
	static const char *const lines[] = {"status", "\tsnapshot ", "pause\r", " resume",
					    "baseline"};
	static const enum control_verb verbs[] = {CONTROL_STATUS, CONTROL_SNAPSHOT, CONTROL_PAUSE,
						  CONTROL_RESUME, CONTROL_BASELINE};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(lines); i++) {
		assert_int_equal(read_line(lines[i]), TL_OK);
		assert_int_equal(request.verb, verbs[i]);
	}
}

static void settings_are_read_with_their_limits(void **state)
{
	(void)state;

	assert_int_equal(read_line("set sample_rate=1 sample_bytes=1099511627776 dump_interval=0 "
				   "max_overhead=2.25"),
			 TL_OK);

	assert_int_equal(request.verb, CONTROL_SET);
	assert_true(request.values[CONTROL_SAMPLE_RATE] == 1);
	assert_true(request.values[CONTROL_SAMPLE_BYTES] == 1099511627776.0);
	assert_true(request.values[CONTROL_DUMP_INTERVAL] == 0);
	assert_true(request.values[CONTROL_MAX_OVERHEAD] == 2.25);
	assert_int_equal(read_line("set max_overhead=0"), TL_OK);
	assert_true(request.has[CONTROL_MAX_OVERHEAD]);
	assert_false(request.has[CONTROL_SAMPLE_RATE]);
}

static void what_is_wrong_is_said(void **state)
{
	static const struct {
		const char *line, *says;
	} bad[] = {
		{"", "an empty request"},
		{" \t ", "an empty request"},
		{"snap", "snap: no such request"},
		{"STATUS", "no such request"},
		{"pause now", "now: one word too many"},
		{"set", "set: what?"},
		{"set sample_rate", "sample_rate: not of the form name=value"},
		{"set =5", ": no such setting"},
		{"set nope=1", "nope: no such setting"},
		{"set precise=1", "precise: can only be set when the program is started"},
		{"set table_size=5000", "table_size: can only be set when"},
		{"set enable_elasticsearch=1", "can only be set when"},
		{"set sample_rate=0", "sample_rate=0 is not a whole number from 1 to 4294967295"},
		{"set sample_rate=4294967296", "is not a whole number"},
		{"set sample_rate=1.5", "sample_rate=1.5 is not a whole number"},
		{"set sample_rate=-1", "is not a whole number"},
		{"set sample_rate=1e3", "is not a whole number"},
		{"set sample_rate=", "sample_rate= is not a whole number"},
		{"set sample_bytes=0x10", "is not a whole number from 1 to 1099511627776"},
		{"set max_overhead=100.1", "is not a number from 0 to 100"},
		{"set max_overhead=.5", "is not a number"},
		{"set max_overhead=nan", "is not a number"},
		{"set dump_interval=5 nope=1", "nope: no such setting"},
	};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(bad); i++) {
		assert_int_equal(read_line(bad[i].line), TL_ERR_REFUSED);
		if (strstr(why_buffer, bad[i].says) == NULL)
			fail_msg("%s: %s", bad[i].line, why_buffer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_verb_is_known_with_blanks_around_it),
		cmocka_unit_test(settings_are_read_with_their_limits),
		cmocka_unit_test(what_is_wrong_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
