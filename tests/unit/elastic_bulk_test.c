/* links: base/text.c output/elastic_bulk.c */
#include "base/text.h"
#include "output/elastic_bulk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef"

static char buffer[4096];

static enum tl_err read_reply(const char *reply, struct elastic_item *items, size_t count)
{
	/* Exactly so long, so that AddressSanitizer sees a byte too much. */
	size_t length = strlen(reply);
	char *copy = malloc(length + (length == 0));
	enum tl_err error;

	memcpy(copy, reply, length);
	error = elastic_bulk_read(copy, length, items, count);
	free(copy);
	return error;
}

static void a_line_becomes_action_and_document(void **state)
{
	struct text body = text_over(buffer, sizeof(buffer));
	const char *line = "{\"a\":1,\"_id\":\"" ID "\",\"kind\":\"function\"}\n";

	(void)state;
	assert_true(elastic_bulk_put(&body, "my-\"index", line, strlen(line)));

	assert_string_equal(text_terminate(&body),
			    "{\"create\":{\"_index\":\"my-\\\"index\",\"_id\":\"" ID "\"}}\n"
			    "{\"a\":1,\"kind\":\"function\"}\n");
}

static void a_name_that_looks_like_the_id_is_left_alone(void **state)
{
	struct text body = text_over(buffer, sizeof(buffer));
	const char *line = "{\"function\":\"f,\\\"_id\\\":\\\"" ID "\",\"_id\":\"" ID "\",\"b\":2}";

	(void)state;
	assert_true(elastic_bulk_put(&body, "i", line, strlen(line)));

	assert_non_null(strstr(text_terminate(&body),
			       "\n{\"function\":\"f,\\\"_id\\\":\\\"" ID "\",\"b\":2}\n"));
}

static void what_is_no_line_of_ours_is_refused(void **state)
{
	static const char *const lines[] = {
		"",
		"{",
		"{}",
		"[1,\"_id\":\"" ID "\"]",
		"{\"a\":1}",
		"{\"a\":1,\"_id\":\"" ID,
		"{\"a\":1,\"_id\":\"short\"}",
		"{\"a\":1,\"_id\":\"0123456789ABCDEF0123456789abcdef\"}",
		"{\"a\":1,\"_id\":\"" ID "0\"}",
		"{\"a\":1,\n\"_id\":\"" ID "\"}",
	};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(lines); i++) {
		struct text body = text_over(buffer, sizeof(buffer));

		assert_false(elastic_bulk_put(&body, "i", lines[i], strlen(lines[i])));
		assert_int_equal(body.length, 0);
	}
}

static void a_pair_is_put_whole_or_not_at_all(void **state)
{
	const char *line = "{\"a\":1,\"_id\":\"" ID "\",\"b\":\"gr\xc3\xbc\xc3\x9f\"}";

	(void)state;
	for (size_t capacity = 0; capacity < 300; capacity++) {
		char *room = malloc(capacity + 1);
		struct text body = text_over(room, capacity);

		if (!elastic_bulk_put(&body, "index", line, strlen(line)))
			assert_int_equal(body.length, 0);
		else
			assert_int_equal(elastic_bulk_count(room, body.length), 1);
		free(room);
	}
}

static void replies_are_read_item_by_item(void **state)
{
	struct elastic_item items[3];
	const char *reply =
		" {\"errors\" : true, \"took\":1.5e+2,\"items\":[{\"create\":{\"status\":201}},\n"
		"{\"create\":{\"_id\":null,\"error\":{\"type\":\"mapper_parsing_exception\","
		"\"caused_by\":{\"a\":[1,{}]},\"reason\":\"bad \\\"x\\\"\"},\"status\":400}},"
		"{\"index\":{\"status\":429,\"error\":\"queue "
		"full\",\"failure_store\":\"used\"}}]} ";

	(void)state;
	assert_int_equal(elastic_bulk_read(reply, strlen(reply), items, 3), TL_OK);

	assert_int_equal(items[0].status, 201);
	assert_null(items[0].reason);
	assert_int_equal(items[1].status, 400);
	assert_memory_equal(items[1].type, "mapper_parsing_exception", items[1].type_length);
	assert_int_equal(items[1].type_length, 24);
	assert_memory_equal(items[1].reason, "bad \\\"x\\\"", items[1].reason_length);
	assert_int_equal(items[2].status, 429);
	assert_memory_equal(items[2].reason, "queue full", items[2].reason_length);
}

static void what_is_no_reply_to_what_was_sent_is_refused(void **state)
{
	static const char *const replies[] = {
		"",
		"<html>\"errors\":false</html>",
		"{}",
		"{\"errors\":false}",
		"{\"items\":[]}",
		"{\"items\":[{\"create\":{\"status\":201}},{\"create\":{\"status\":201}}]}",
		"{\"items\":[{\"create\":{}}]}",
		"{\"items\":[{\"create\":{\"status\":\"201\"}}]}",
		"{\"items\":[{\"create\":{\"status\":20}}]}",
		"{\"items\":[{\"create\":{\"status\":2e1}}]}",
		"{\"items\":[{\"create\":{\"status\":-20}}]}",
		"{\"items\":[{\"create\":{\"status\":2010}}]}",
		"{\"items\":[{\"create\":{\"status\":201}}",
		"{\"items\":[{\"create\":{\"status\":201}}]",
		"{\"items\":[{\"create\":{\"status\":201}}]} x",
		"{\"items\":[{\"create\":{\"status\":201}},]}",
		"{\"items\":[{\"create\":{\"status\":201},}]}",
		"{\"items\":[{\"create\":{\"status\":201}}],}",
		"{\"items\":[{\"create\":{\"status\":201}}],\"a\":tru}",
		"{\"items\":[{\"create\":{\"status\":201}}],\"a\":\"\\x\"}",
		"{\"items\":[{\"create\":{\"status\":201}}],\"a\":\"\n\"}",
		"{\"items\":[{\"create\":{\"status\":201}}],\"a\":\"\\u12g4\"}",
		"{\"items\":[{\"create\":{\"status\":201}}],\"a\":01}",
		"{\"items\":[{\"create\":{\"status\":201}}],\"a\":1.}",
		"{\"items\":[{\"create\":{\"status\":201}}],\"a\":-}",
		"{\"items\":[{\"create\":{\"status\":201}}] \"a\":1}",
		"{\"items\":[{\"create\":{\"status\":201}}],\"items\":[}",
	};
	struct elastic_item items[1];

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(replies); i++) {
		if (read_reply(replies[i], items, 1) != TL_ERR_REFUSED)
			fail_msg("believed: %s", replies[i]);
	}
	assert_int_equal(
		read_reply("{\"items\":[{\"create\":{\"status\":201}}],\"a\":-0.5}", items, 1),
		TL_OK);
}

static void nesting_has_a_limit(void **state)
{
	static char deep[200000];
	struct elastic_item items[1];

	(void)state;
	memset(deep, '[', sizeof(deep));
	memcpy(deep, "{\"a\":", 5);

	assert_int_equal(elastic_bulk_read(deep, sizeof(deep), items, 1), TL_ERR_REFUSED);
}

static void each_status_has_its_fate(void **state)
{
	static const struct {
		unsigned status;
		enum elastic_fate item, request;
	} fates[] = {
		{200, ELASTIC_DELIVERED, ELASTIC_DELIVERED},
		{201, ELASTIC_DELIVERED, ELASTIC_DELIVERED},
		{301, ELASTIC_REJECTED, ELASTIC_REJECTED},
		{400, ELASTIC_REJECTED, ELASTIC_REJECTED},
		{401, ELASTIC_REJECTED, ELASTIC_REJECTED},
		{403, ELASTIC_REJECTED, ELASTIC_REJECTED},
		{404, ELASTIC_REJECTED, ELASTIC_REJECTED},
		{408, ELASTIC_REJECTED, ELASTIC_RETRY},
		{409, ELASTIC_DUPLICATE, ELASTIC_REJECTED},
		{413, ELASTIC_REJECTED, ELASTIC_SPLIT},
		{429, ELASTIC_RETRY, ELASTIC_RETRY},
		{500, ELASTIC_RETRY, ELASTIC_RETRY},
		{501, ELASTIC_RETRY, ELASTIC_REJECTED},
		{503, ELASTIC_RETRY, ELASTIC_RETRY},
	};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(fates); i++) {
		assert_int_equal(elastic_bulk_item_fate(fates[i].status), fates[i].item);
		assert_int_equal(elastic_bulk_request_fate(fates[i].status), fates[i].request);
	}
}

static void only_what_is_put_off_is_kept(void **state)
{
	char body[] = "{a1}\n{d1}\n{a2}\n{d2}\n{a3}\n{d3}\n{a4}\n{d4}\n";
	const struct elastic_item items[] = {{.status = 429}, {.status = 201}, {.status = 503}};
	size_t length;

	(void)state;
	assert_int_equal(elastic_bulk_count(body, strlen(body)), 4);
	assert_int_equal(elastic_bulk_bytes(body, strlen(body), 3), 30);

	length = elastic_bulk_keep(body, strlen(body), items, 3);
	body[length] = '\0';

	assert_string_equal(body, "{a1}\n{d1}\n{a3}\n{d3}\n{a4}\n{d4}\n");
}

static void an_index_has_a_proper_name(void **state)
{
	static const char *const good[] = {"trackleak-memory", "metrics-trackleak.x-default", "a_b",
					   ".hidden"};
	static const char *const bad[] = {"",    "-a",  "_a", "+a", "A",   "a b", "a\"",
					  "a\n", "a/b", "a*", "..", "a,b", "a#",  "a:b"};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(good); i++)
		assert_true(elastic_bulk_index_is_valid(good[i]));
	for (size_t i = 0; i < TL_COUNT_OF(bad); i++)
		assert_false(elastic_bulk_index_is_valid(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_becomes_action_and_document),
		cmocka_unit_test(a_name_that_looks_like_the_id_is_left_alone),
		cmocka_unit_test(what_is_no_line_of_ours_is_refused),
		cmocka_unit_test(a_pair_is_put_whole_or_not_at_all),
		cmocka_unit_test(replies_are_read_item_by_item),
		cmocka_unit_test(what_is_no_reply_to_what_was_sent_is_refused),
		cmocka_unit_test(nesting_has_a_limit),
		cmocka_unit_test(each_status_has_its_fate),
		cmocka_unit_test(only_what_is_put_off_is_kept),
		cmocka_unit_test(an_index_has_a_proper_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
