/* links: process/script_name.c base/text.c */
#include "process/script_name.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Of a command line written with `|` for the NULs between its words. */
static const char *named(const char *line)
{
	static char name[64];
	size_t length = strlen(line) + 1;
	/* A sanitizer sees each byte that is read behind them. */
	char *words = malloc(length + 1);
	struct text text = text_over(name, sizeof(name));
	bool is_named;

	memcpy(words, line, length);
	words[length] = '\0';
	for (char *at = words; *at != '\0'; at++) {
		if (*at == '|')
			*at = '\0';
	}
	is_named = script_name_put(&text, words, length);
	free(words);
	return is_named ? text_terminate(&text) : NULL;
}

static void the_script_is_the_first_word_that_is_no_option(void **state)
{
	(void)state;
	assert_string_equal(named("python3|app.py|--password|hunter2"), "app.py");
	assert_string_equal(named("python3|-Bu|-OO|/srv/app/run|x"), "/srv/app/run");
	assert_string_equal(named("python3|-W|ignore|-X|dev|app.py"), "app.py");
	assert_string_equal(named("python3|-Wignore|-uXdev|app.py"), "app.py");
	assert_string_equal(named("python3|-uW|ignore|app.py"), "app.py");
	assert_string_equal(named("python3|--check-hash-based-pycs|always|app.py"), "app.py");
	assert_string_equal(named("python3|--|app.py"), "app.py");
	assert_string_equal(named("python3|-|x"), "-");
}

static void a_module_is_named_and_code_is_not(void **state)
{
	(void)state;
	assert_string_equal(named("python3|-m|http.server|8000"), "-m http.server");
	assert_string_equal(named("python3|-Immhttp|8000"), "-m mhttp");
	assert_string_equal(named("python3|-c|password = 1|x"), "-c");
	assert_string_equal(named("python3|-cpassword|x"), "-c");
}

static void without_a_script_there_is_no_name(void **state)
{
	(void)state;
	assert_string_equal(named("python3"), "");
	assert_string_equal(named("python3|-i"), "");
	assert_string_equal(named("python3|-m"), "");
	assert_string_equal(named("python3|-X"), "");
	assert_string_equal(named("python3|--check-hash-based-pycs"), "");
	assert_string_equal(named("python3|--version"), "");
}

static void a_helper_of_multiprocessing_is_its_parents(void **state)
{
	(void)state;
	assert_null(named("python3|-c|from multiprocessing.spawn import spawn_main; x|y"));
	assert_string_equal(named("python3|-c|import multiprocessing"), "-c");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_script_is_the_first_word_that_is_no_option),
		cmocka_unit_test(a_module_is_named_and_code_is_not),
		cmocka_unit_test(without_a_script_there_is_no_name),
		cmocka_unit_test(a_helper_of_multiprocessing_is_its_parents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
