/* links: base/text.c base/pages.c output/elastic_bulk.c output/elastic_queue.c */
#include "base/pages.h"
#include "base/text.h"
#include "output/elastic_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1000u

/* A request of so many documents, the first of which has this number. */
static size_t put(unsigned number, unsigned documents)
{
	char body[4096];
	size_t length = 0;

	for (unsigned i = 0; i < documents; i++)
		length += (size_t)snprintf(body + length, sizeof(body) - length,
					   "{\"create\":{}}\n{\"n\":%u}\n", number + i);
	return elastic_queue_put(body, length);
}

/* A request of one document and so many bytes. */
static size_t put_bytes(size_t length)
{
	char *body = malloc(length);
	size_t lost;

	memset(body, 'x', length);
	memcpy(body, "{}\n", 3);
	body[length - 1] = '\n';
	lost = elastic_queue_put(body, length);
	free(body);
	return lost;
}

static unsigned number_of(const struct elastic_request *request)
{
	const char *at = memmem(request->pages, request->length, "\"n\":", 4);

	assert_non_null(at);
	return (unsigned)atoi(at + 4);
}

static int teardown(void **state)
{
	(void)state;
	elastic_queue_drop();
	return 0;
}

static void the_oldest_is_taken_first_and_stays_until_it_is_finished(void **state)
{
	(void)state;
	assert_true(elastic_queue_is_empty());
	assert_null(elastic_queue_take(NOW));
	put(1, 1);
	put(2, 1);

	assert_int_equal(number_of(elastic_queue_take(NOW)), 1);
	assert_int_equal(number_of(elastic_queue_take(NOW)), 1);
	elastic_queue_finish();
	assert_int_equal(number_of(elastic_queue_take(NOW)), 2);
	elastic_queue_finish();
	assert_true(elastic_queue_is_empty());
}

static void a_deferred_request_comes_after_those_that_were_deferred_less(void **state)
{
	(void)state;
	put(1, 1);
	put(2, 1);
	elastic_queue_take(NOW);
	elastic_queue_defer(0);
	put(3, 1);

	assert_int_equal(number_of(elastic_queue_take(NOW)), 2);
	elastic_queue_defer(0);
	assert_int_equal(number_of(elastic_queue_take(NOW)), 3);
	elastic_queue_finish();
	assert_int_equal(number_of(elastic_queue_take(NOW)), 1);
	elastic_queue_defer(0);
	assert_int_equal(number_of(elastic_queue_take(NOW)), 2);
}

static void what_is_not_due_waits_and_holds_up_nothing(void **state)
{
	(void)state;
	assert_true(elastic_queue_due_ns() == UINT64_MAX);
	put(1, 1);
	elastic_queue_take(NOW);
	elastic_queue_defer(NOW + 5);

	assert_int_equal(elastic_queue_due_ns(), NOW + 5);
	assert_null(elastic_queue_take(NOW + 4));
	put(2, 1);
	assert_int_equal(elastic_queue_due_ns(), 0);
	assert_int_equal(number_of(elastic_queue_take(NOW)), 2);
	elastic_queue_finish();
	assert_int_equal(number_of(elastic_queue_take(NOW + 5)), 1);
}

static void who_is_in_a_hurry_waits_for_nothing(void **state)
{
	static const unsigned expected[] = {3, 1, 2};

	(void)state;
	put(1, 1);
	put(2, 1);
	elastic_queue_take(NOW);
	elastic_queue_defer(NOW + 5);
	elastic_queue_take(NOW);
	elastic_queue_defer(NOW + 7);
	put(3, 1);
	elastic_queue_hurry();

	/* What was never tried comes first, then the oldest. */
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(number_of(elastic_queue_take(NOW)), expected[i]);
		elastic_queue_finish();
	}
}

static void of_more_than_100_the_oldest_goes(void **state)
{
	size_t lost = 0;

	(void)state;
	for (unsigned i = 0; i < ELASTIC_QUEUE; i++)
		lost += put(10 * i, 3);
	assert_int_equal(lost, 0);

	assert_int_equal(put(5000, 1), 3);
	assert_int_equal(number_of(elastic_queue_take(NOW)), 10);
}

static void what_is_on_the_wire_stays_and_counts_as_one_of_the_hundred(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ELASTIC_QUEUE; i++)
		put(i, 1);
	elastic_queue_take(NOW);

	assert_int_equal(put(1000, 1), 1);
	assert_int_equal(number_of(elastic_queue_take(NOW)), 0);
	elastic_queue_finish();
	assert_int_equal(number_of(elastic_queue_take(NOW)), 2); /* 1 was evicted */
}

static void what_comes_back_has_its_age_still(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ELASTIC_QUEUE; i++)
		put(i, 1 + (i == 1));
	elastic_queue_take(NOW);
	elastic_queue_defer(0);
	elastic_queue_take(NOW);
	elastic_queue_defer(0);

	assert_int_equal(put(1000, 1), 1);
	assert_int_equal(put(1001, 1), 2);
	assert_int_equal(number_of(elastic_queue_take(NOW)), 2);
}

static void the_bytes_have_their_bound(void **state)
{
	size_t lost = 0, empty = pages_resident_bytes();

	(void)state;
	for (unsigned i = 0; i < 3 * ELASTIC_QUEUE_BYTES / 1000000; i++) {
		lost += put_bytes(1000000);
		assert_true(pages_resident_bytes() - empty <= ELASTIC_QUEUE_BYTES);
	}

	assert_true(pages_resident_bytes() - empty > ELASTIC_QUEUE_BYTES - 1100000);
	assert_int_equal(lost, 3 * ELASTIC_QUEUE_BYTES / 1000000 - 8);
	assert_int_equal(elastic_queue_drop(), 8);
	assert_int_equal(pages_resident_bytes(), empty);
}

static void a_request_that_was_shortened_gives_all_its_memory_back(void **state)
{
	size_t empty = pages_resident_bytes();

	(void)state;
	put_bytes(100000);
	elastic_queue_take(NOW)->length = 0;
	elastic_queue_finish();

	assert_int_equal(pages_resident_bytes(), empty);
	assert_true(elastic_queue_is_empty());
}

static void all_of_it_can_be_dropped(void **state)
{
	(void)state;
	put(1, 2);
	put(5, 3);
	elastic_queue_take(NOW);

	assert_int_equal(elastic_queue_drop(), 5);
	assert_true(elastic_queue_is_empty());
	assert_int_equal(elastic_queue_drop(), 0);
}

#define QUEUE(test) cmocka_unit_test_teardown(test, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUE(the_oldest_is_taken_first_and_stays_until_it_is_finished),
		QUEUE(a_deferred_request_comes_after_those_that_were_deferred_less),
		QUEUE(what_is_not_due_waits_and_holds_up_nothing),
		QUEUE(who_is_in_a_hurry_waits_for_nothing),
		QUEUE(of_more_than_100_the_oldest_goes),
		QUEUE(what_is_on_the_wire_stays_and_counts_as_one_of_the_hundred),
		QUEUE(what_comes_back_has_its_age_still),
		QUEUE(the_bytes_have_their_bound),
		QUEUE(a_request_that_was_shortened_gives_all_its_memory_back),
		QUEUE(all_of_it_can_be_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
