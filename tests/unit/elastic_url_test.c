/* links: base/text.c output/elastic_url.c */
#include "base/text.h"
#include "output/elastic_url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define FILTER "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason"

static char url_buffer[512], user_buffer[64], password_buffer[64];

static enum tl_err build(const char *given)
{
	struct text url = text_over(url_buffer, sizeof(url_buffer) - 1);
	struct text user = text_over(user_buffer, sizeof(user_buffer) - 1);
	struct text password = text_over(password_buffer, sizeof(password_buffer) - 1);
	enum tl_err error = elastic_url_build(&url, &user, &password, given);

	text_terminate(&url);
	text_terminate(&user);
	text_terminate(&password);
	return error;
}

static void every_form_leads_to_the_bulk_api(void **state)
{
	static const char *const forms[][2] = {
		{"https://h:9200", "https://h:9200/_bulk?" FILTER},
		{"https://h:9200/", "https://h:9200/_bulk?" FILTER},
		{"https://h:9200///", "https://h:9200/_bulk?" FILTER},
		{"https://h:9200/_bulk", "https://h:9200/_bulk?" FILTER},
		{"https://h:9200/_bulk/", "https://h:9200/_bulk?" FILTER},
		{"HTTPS://h", "HTTPS://h/_bulk?" FILTER},
		{"http://[::1]:9200/es", "http://[::1]:9200/es/_bulk?" FILTER},
		{"https://h/prefix/_bulk", "https://h/prefix/_bulk?" FILTER},
		{"https://h/my_bulk", "https://h/my_bulk/_bulk?" FILTER},
		{"https://h?pipeline=x", "https://h/_bulk?pipeline=x&" FILTER},
		{"https://h/_bulk?a=1&filter_path=x#top", "https://h/_bulk?a=1&filter_path=x"},
		{"https://h/?#", "https://h/_bulk?" FILTER},
	};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(forms); i++) {
		assert_int_equal(build(forms[i][0]), TL_OK);
		assert_string_equal(url_buffer, forms[i][1]);
		assert_string_equal(user_buffer, "");
	}
}

static void credentials_leave_the_url(void **state)
{
	(void)state;
	assert_int_equal(build("https://al%40ice:p%3Aw%zz@x@h:1/_bulk"), TL_OK);

	assert_string_equal(url_buffer, "https://h:1/_bulk?" FILTER);
	assert_string_equal(user_buffer, "al@ice");
	assert_string_equal(password_buffer, "p:w%zz@x");
	assert_int_equal(build("https://alice@h"), TL_OK);
	assert_string_equal(user_buffer, "alice");
	assert_string_equal(password_buffer, "");
}

static void what_is_no_url_is_refused(void **state)
{
	static const char *const bad[] = {
		"",           "h:9200",     "ftp://h",     "https://",    "https:///x",
		"https://u@", "https://:1", "https://h /", "https://h\n", "file:///etc"};
	char large[1000] = "https://h/";

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(bad); i++)
		assert_int_equal(build(bad[i]), TL_ERR_REFUSED);
	memset(large + 10, 'a', sizeof(large) - 11);
	assert_int_equal(build(large), TL_ERR_FULL);
}

static void only_plain_http_to_elsewhere_is_open(void **state)
{
	(void)state;
	assert_true(elastic_url_is_open("http://h:9200"));
	assert_false(elastic_url_is_open("http://127.0.0.1:9200"));
	assert_false(elastic_url_is_open("http://localhost"));
	assert_false(elastic_url_is_open("https://h"));
}

/* "name port", or "" where libcurl has to know it. */
static const char *host_of(const char *url)
{
	static char shown[128];
	char name[64];
	struct text host = text_over(name, sizeof(name) - 1);
	unsigned port;

	if (!elastic_url_put_host(&host, &port, url))
		return "";
	snprintf(shown, sizeof(shown), "%s %u", text_terminate(&host), port);
	return shown;
}

static void a_name_is_told_from_an_address(void **state)
{
	char large[100] = "http://";

	(void)state;
	assert_string_equal(host_of("https://es-1.my_net.example:9200/_bulk?x"),
			    "es-1.my_net.example 9200");
	assert_string_equal(host_of("HTTPS://h/_bulk"), "h 443");
	assert_string_equal(host_of("http://h:/_bulk"), "h 80");
	assert_string_equal(host_of("http://127.0.0.1:9200/_bulk"), "");
	assert_string_equal(host_of("http://127.1/_bulk"), "");
	assert_string_equal(host_of("http://[::1]:9200/_bulk"), "");
	assert_string_equal(host_of("http://b\xc3\xbc.example/_bulk"), "");
	assert_string_equal(host_of("http://a%62/_bulk"), "");
	assert_string_equal(host_of("http://h:65536/_bulk"), "");
	assert_string_equal(host_of("http://h:99999999999999/_bulk"), "");
	memset(large + 7, 'a', 80);
	assert_string_equal(host_of(large), "");
}

static const char *authorize(const char *key, const char *user, const char *password)
{
	static char buffer[256];
	struct text value = text_over(buffer, sizeof(buffer) - 1);
	enum tl_err error = elastic_url_authorize(&value, key, user, password);

	if (error != TL_OK)
		return error == TL_ERR_REFUSED ? "refused" : "full";
	return text_terminate(&value);
}

static void the_key_is_taken_raw_or_encoded_and_wins(void **state)
{
	(void)state;
	assert_string_equal(authorize("id:key", "", ""), "ApiKey aWQ6a2V5");
	assert_string_equal(authorize(" aWQ6a2V5\n", "user", "pw"), "ApiKey aWQ6a2V5");
	assert_string_equal(authorize("", "user", "pw\n"), "Basic dXNlcjpwdw==");
	assert_string_equal(authorize("", "user", "pwd"), "Basic dXNlcjpwd2Q=");
	assert_string_equal(authorize("", "user", ""), "Basic dXNlcjo=");
	assert_string_equal(authorize("", "user", "\xff\xfe"), "Basic dXNlcjr//g==");
	assert_string_equal(authorize("", "", "pw"), "");
}

static void a_header_cannot_be_forged(void **state)
{
	char large[300];

	(void)state;
	assert_string_equal(authorize("a\r\nX: y", "", ""), "refused");
	assert_string_equal(authorize("", "u\nX: y", "p"), "refused");
	assert_string_equal(authorize("", "u", "p\x01"), "refused");
	memset(large, 'k', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	assert_string_equal(authorize(large, "", ""), "full");
}

static void nothing_secret_is_shown(void **state)
{
	char buffer[128];
	struct text text = text_over(buffer, sizeof(buffer));

	(void)state;
	elastic_url_put_shown(&text, "https://u:p/w?x@h:9200/a?token=1#f");
	assert_string_equal(text_terminate(&text), "https://h:9200/a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_leads_to_the_bulk_api),
		cmocka_unit_test(credentials_leave_the_url),
		cmocka_unit_test(what_is_no_url_is_refused),
		cmocka_unit_test(only_plain_http_to_elsewhere_is_open),
		cmocka_unit_test(a_name_is_told_from_an_address),
		cmocka_unit_test(the_key_is_taken_raw_or_encoded_and_wins),
		cmocka_unit_test(a_header_cannot_be_forged),
		cmocka_unit_test(nothing_secret_is_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
