/* links: base/text.c base/hash.c output/elastic_url.c output/elastic_notices.c */
#include "base/clock.h"
#include "output/elastic_bulk.h"
#include "output/elastic_http.h"
#include "output/elastic_notices.h"

#include "output_fixture.h"

static uint64_t now = 1;

uint64_t clock_precise_ns(void)
{
	return now;
}

/* The module has one state: each test is an hour after the one before, with nothing wrong. */
static int setup(void **state)
{
	now += UINT64_C(3600000000000);
	elastic_notices_reset_in_child();
	return make_folder(state);
}

static void a_trouble_is_said_once_until_it_is_over(void **state)
{
	(void)state;
	elastic_notices_no_answer("connection refused");
	elastic_notices_no_answer("connection refused");
	assert_int_equal(lines_said, 1);
	elastic_notices_up(0);
	elastic_notices_up(0);

	assert_string_equal(said, "Elasticsearch: no answer: connection refused; up to 100 dumps "
				  "wait for the next try\nElasticsearch: dumps arrive again\n");
}

static void two_troubles_in_a_minute_are_one_line(void **state)
{
	(void)state;
	elastic_notices_not_now(503);
	elastic_notices_put_off(429);
	assert_int_equal(lines_said, 1);
	now += UINT64_C(61000000000);
	elastic_notices_not_now(503); /* the same as was said */
	assert_int_equal(lines_said, 1);
	elastic_notices_put_off(429);

	assert_int_equal(lines_said, 2);
	assert_non_null(strstr(said, "not now, HTTP 503;"));
	assert_non_null(strstr(said, "documents are put off, status 429;"));
}

static void what_was_lost_meanwhile_is_said_once(void **state)
{
	(void)state;
	elastic_notices_no_bulk_api(200);
	elastic_notices_up(7);
	elastic_notices_lost(7, 20);
	assert_int_equal(lines_said, 2);
	assert_non_null(strstr(said, "arrive again; documents lost: 7 "));
	elastic_notices_lost(9, 20);

	assert_non_null(strstr(said, "documents lost: 9 of 20;"));
}

static void a_reason_of_the_server_is_cut_on_a_character(void **state)
{
	char reason[400];
	struct elastic_item item = {.type = "mapper", .type_length = 6, .status = 400};

	(void)state;
	for (size_t i = 0; i < sizeof(reason); i += 2)
		memcpy(reason + i, "\xc3\xbc", 2);
	item.reason = reason;
	item.reason_length = sizeof(reason);
	elastic_notices_refused_item(&item);
	elastic_notices_refused_item(&item);

	assert_int_equal(lines_said, 1);
	assert_non_null(strstr(said, "refused (400 mapper): \xc3\xbc"));
	assert_non_null(strstr(said, "\xc3\xbc\n"));
	assert_true(strlen(said) < 300);
}

static void a_redirect_is_shown_without_its_query(void **state)
{
	const struct elastic_answer answer = {.status = 302,
					      .redirect = "https://bob:pw@h/login?token=secret"};

	(void)state;
	elastic_notices_refused(&answer);
	elastic_notices_refused(&answer);

	assert_string_equal(said, "Elasticsearch: ELASTICSEARCH_URL is redirected, which is not "
				  "followed, to https://h/login (HTTP 302)\n");
}

static void no_more_kinds_are_said_than_can_be_remembered(void **state)
{
	(void)state;
	for (unsigned status = 410; status < 500; status++)
		elastic_notices_refused(&(struct elastic_answer){.status = status});

	assert_true(lines_said > 0 && lines_said <= ELASTIC_NOTICES_KINDS);
}

#define NOTICES(test) cmocka_unit_test_setup_teardown(test, setup, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		NOTICES(a_trouble_is_said_once_until_it_is_over),
		NOTICES(two_troubles_in_a_minute_are_one_line),
		NOTICES(what_was_lost_meanwhile_is_said_once),
		NOTICES(a_reason_of_the_server_is_cut_on_a_character),
		NOTICES(a_redirect_is_shown_without_its_query),
		NOTICES(no_more_kinds_are_said_than_can_be_remembered), /* the last: it is full */
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
