/* links: process/own_code.c */
#include "process/own_code.h"

#include "process/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct config config;

static void a_program_is_its_own_and_libraries_are_not(void **state)
{
	(void)state;
	config.app = "";
	assert_true(own_code_is("/srv/shop/app.py"));
	assert_true(own_code_is("app.py"));
	assert_true(own_code_is("<string>"));
	assert_true(own_code_is("/home/python3/app.py"));
	assert_true(own_code_is("/srv/python3.11/app.py"));
	assert_false(own_code_is(""));
	assert_false(own_code_is("<frozen importlib._bootstrap>"));
	assert_false(own_code_is("/usr/lib/python3.11/json/decoder.py"));
	assert_false(own_code_is("/usr/lib64/python3.9/json/decoder.py"));
	assert_false(own_code_is("/opt/py/lib/python3.13t/json/decoder.py"));
	assert_false(own_code_is("/usr/lib/python311.zip/json/decoder.py"));
	assert_false(own_code_is("/srv/venv/lib/python3.11/site-packages/requests/api.py"));
	assert_false(own_code_is("/usr/lib/python3/dist-packages/yaml/loader.py"));
}

static void what_the_setting_names_is_its_own_too(void **state)
{
	static const char requests[] = "/v/lib/python3.11/site-packages/requests/api.py";

	(void)state;
	config.app = "yaml,requests";
	assert_true(own_code_is(requests));
	assert_false(own_code_is("/v/lib/python3.11/site-packages/requests_toolbelt/api.py"));
	assert_true(own_code_is("/usr/lib/python3/dist-packages/yaml/loader.py"));

	config.app = "six";
	assert_true(own_code_is("/v/lib/python3.11/site-packages/six.py"));

	config.app = "/v/lib/python3.11/site-packages/";
	assert_true(own_code_is(requests));

	config.app = ",,/usr/lib/python3.11/json";
	assert_true(own_code_is("/usr/lib/python3.11/json/decoder.py"));
	assert_false(own_code_is("/usr/lib/python3.11/logging/handlers.py"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_is_its_own_and_libraries_are_not),
		cmocka_unit_test(what_the_setting_names_is_its_own_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
