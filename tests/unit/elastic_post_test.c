/* links: base/descriptor.c base/text.c base/hash.c base/pages.c base/math.c base/random.c base/clock.c base/thread.c output/elastic_bulk.c output/elastic_url.c output/elastic_notices.c output/elastic_queue.c output/elastic_post.c */
#include "base/pages.h"
#include "output/elastic_http.h"
#include "output/elastic_post.h"
#include "output/elastic_queue.h"

#include "output_fixture.h"

#include <pthread.h>
#include <sys/wait.h>

/* In place of the network: a server that counts documents, and answers as it is told. */
static pthread_mutex_t server_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	unsigned statuses[8]; /* of the requests to come; 0 ends the list, then 200 */
	unsigned at, posts;
	unsigned hangs;   /* until interrupted */
	unsigned is_deaf; /* hangs all the same */
	size_t arrived;
	bool is_missing, is_interrupted;
	char last[200000];
} server;

static char reply[200000];

enum tl_err elastic_http_load(void (*before_cleanup)(void))
{
	(void)before_cleanup;
	return server.is_missing ? TL_ERR_UNKNOWN : TL_OK;
}

bool elastic_http_open(void)
{
	return true;
}

static void (*while_it_closes)(void);

void elastic_http_close(void)
{
	void (*run)(void) = while_it_closes;

	while_it_closes = NULL;
	if (run != NULL)
		run();
}

void elastic_http_forget(void)
{
}

void elastic_http_interrupt(bool is_interrupted)
{
	__atomic_store_n(&server.is_interrupted, is_interrupted, __ATOMIC_SEQ_CST);
}

void elastic_http_post(const struct elastic_target *target, const char *body, size_t length,
		       struct elastic_answer *answer)
{
	size_t documents = 0;

	(void)target;
	*answer = (struct elastic_answer){.body = reply};
	while (__atomic_load_n(&server.hangs, __ATOMIC_SEQ_CST) > 0 &&
	       !__atomic_load_n(&server.is_interrupted, __ATOMIC_SEQ_CST))
		usleep(1000);
	while (__atomic_load_n(&server.is_deaf, __ATOMIC_SEQ_CST))
		usleep(1000);
	if (__atomic_load_n(&server.is_interrupted, __ATOMIC_SEQ_CST)) {
		answer->is_interrupted = true;
		return;
	}
	pthread_mutex_lock(&server_lock);
	server.posts++;
	memcpy(server.last, body, length < sizeof(server.last) ? length : sizeof(server.last));
	answer->status = server.statuses[server.at] != 0 ? server.statuses[server.at++] : 200;
	for (size_t i = 0; i < length; i++)
		documents += body[i] == '\n';
	documents /= 2;
	if (answer->status == 200) {
		struct text text = text_over(reply, sizeof(reply));

		server.arrived += documents;
		text_put(&text, "{\"items\":[");
		for (size_t i = 0; i < documents; i++)
			text_put(&text, i == 0 ? "{\"create\":{\"status\":201}}"
					       : ",{\"create\":{\"status\":201}}");
		text_put(&text, "]}");
		answer->length = text.length;
	}
	pthread_mutex_unlock(&server_lock);
}

static void add(unsigned number)
{
	char line[100];

	snprintf(line, sizeof(line), "{\"n\":%u,\"_id\":\"%032x\"}\n", number, number);
	elastic_post_add(line, strlen(line));
}

static void dump(unsigned documents)
{
	for (unsigned i = 0; i < documents; i++)
		add(i);
	elastic_post_commit();
}

/* The module has one state: each test starts it anew, as a forked child does. */
static int setup(void **state)
{
	int result = make_folder(state);

	config.elasticsearch = true;
	config.elasticsearch_url = "http://h:9200";
	config.elasticsearch_index = "index";
	config.elasticsearch_username = config.elasticsearch_password = "";
	config.elasticsearch_api_key = config.elasticsearch_api_key_file = "";
	config.elasticsearch_password_file = "";
	memset(&server, 0, sizeof(server));
	assert_true(elastic_post_start(false, NULL));
	return result;
}

static int teardown(void **state)
{
	__atomic_store_n(&server.hangs, 0, __ATOMIC_SEQ_CST);
	elastic_post_stop(5000);
	elastic_post_fork_prepare();
	elastic_post_fork_child();
	return remove_folder(state);
}

static void what_is_committed_arrives(void **state)
{
	struct elastic_counts counts;

	(void)state;
	dump(3);
	dump(2);
	elastic_post_flush(5000);
	counts = elastic_post_counts();

	assert_int_equal(server.arrived, 5);
	assert_int_equal(counts.queued, 5);
	assert_int_equal(counts.delivered, 5);
	assert_int_equal(counts.lost, 0);
	assert_string_equal(said, "");
}

static void dump_more(void)
{
	dump(2);
}

/* It was left to a thread that had looked at the queue for the last time. */
static void what_comes_while_the_connection_is_closed_is_sent_too(void **state)
{
	(void)state;
	while_it_closes = dump_more;
	dump(3);
	for (unsigned i = 0; i < 5000 && elastic_post_counts().delivered < 5; i++)
		usleep(1000);

	assert_int_equal(elastic_post_counts().delivered, 5);
}

static void a_dump_without_documents_posts_nothing(void **state)
{
	(void)state;
	elastic_post_commit();
	elastic_post_flush(5000);

	assert_int_equal(server.posts, 0);
}

static void a_large_dump_is_more_than_one_request(void **state)
{
	(void)state;
	dump(ELASTIC_REQUEST_MOST + 1);
	elastic_post_flush(5000);

	assert_int_equal(server.posts, 2);
	assert_int_equal(server.arrived, ELASTIC_REQUEST_MOST + 1);
}

static void the_oldest_of_more_than_100_goes_and_is_counted(void **state)
{
	struct elastic_counts counts;

	(void)state;
	__atomic_store_n(&server.hangs, 1,
			 __ATOMIC_SEQ_CST); /* the first is on the wire and cannot be evicted */
	dump(1);
	usleep(20000);
	for (unsigned i = 0; i < ELASTIC_QUEUE + 4; i++)
		dump(2);
	__atomic_store_n(&server.hangs, 0, __ATOMIC_SEQ_CST);
	elastic_post_flush(5000);
	counts = elastic_post_counts();

	assert_int_equal(counts.queued, 1 + 2 * (ELASTIC_QUEUE + 4));
	assert_int_equal(counts.lost, 2 * 5);
	assert_int_equal(server.arrived, counts.queued - counts.lost);
	assert_non_null(strstr(said, "documents lost: 10 of 209"));
}

static void what_cannot_be_queued_is_queued_and_lost(void **state)
{
	(void)state;
	elastic_post_add("no line", 7);
	dump(2);
	elastic_post_flush(5000);

	assert_int_equal(server.arrived, 2);
	assert_int_equal(elastic_post_counts().queued, 3);
	assert_int_equal(elastic_post_counts().lost, 1);
	assert_non_null(strstr(said, "documents lost: 1 of 3"));
}

static void a_413_halves_until_it_fits(void **state)
{
	(void)state;
	server.statuses[0] = server.statuses[1] = 413;
	dump(8);
	elastic_post_flush(5000);

	assert_int_equal(server.arrived, 8);
	assert_true(server.posts >= 4);
	assert_string_equal(said, "");
}

static void the_flush_is_bounded_and_what_is_left_is_lost(void **state)
{
	struct timespec before, after;
	struct elastic_counts counts;

	(void)state;
	__atomic_store_n(&server.hangs, 1, __ATOMIC_SEQ_CST);
	dump(3);
	dump(4);
	clock_gettime(CLOCK_MONOTONIC, &before);
	elastic_post_flush(200);
	clock_gettime(CLOCK_MONOTONIC, &after);
	counts = elastic_post_counts();

	assert_true(after.tv_sec - before.tv_sec < 2);
	assert_int_equal(counts.lost, 7);
	assert_non_null(strstr(said, "documents lost: 7 of 7"));
}

/* A POST that sees no interrupt: in a libcurl that resolves names by itself, for instance. */
static void what_a_thread_that_cannot_be_ended_holds_is_lost_and_said(void **state)
{
	struct elastic_counts counts;

	(void)state;
	__atomic_store_n(&server.is_deaf, 1, __ATOMIC_SEQ_CST);
	dump(3);
	dump(4);
	elastic_post_flush(200);
	counts = elastic_post_counts();
	__atomic_store_n(&server.is_deaf, 0, __ATOMIC_SEQ_CST);

	assert_int_equal(counts.lost, 7);
	assert_non_null(strstr(said, "documents lost: 7 of 7"));
}

static void a_stop_keeps_what_waits(void **state)
{
	(void)state;
	__atomic_store_n(&server.hangs, 1, __ATOMIC_SEQ_CST);
	dump(3);
	usleep(20000);
	assert_true(elastic_post_stop(1000));
	assert_int_equal(server.posts, 0);
	__atomic_store_n(&server.hangs, 0, __ATOMIC_SEQ_CST);
	elastic_post_tick();
	elastic_post_flush(5000);

	assert_int_equal(server.arrived, 3);
	assert_int_equal(elastic_post_counts().lost, 0);
}

static void *stop(void *has_ended)
{
	*(bool *)has_ended = elastic_post_stop(5000);
	return NULL;
}

/* As two threads do that fork at once. */
static void two_stops_at_once_join_the_thread_once(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		pthread_t other;
		bool has_ended = false;

		__atomic_store_n(&server.hangs, 1, __ATOMIC_SEQ_CST);
		dump(1);
		pthread_create(&other, NULL, stop, &has_ended);
		assert_true(elastic_post_stop(5000));
		pthread_join(other, NULL);
		assert_true(has_ended);
		__atomic_store_n(&server.hangs, 0, __ATOMIC_SEQ_CST);
	}
	elastic_post_tick();
	elastic_post_flush(5000);

	assert_int_equal(server.arrived, 50);
}

static void a_child_has_an_empty_queue_and_the_parent_its_own(void **state)
{
	int status;

	(void)state;
	__atomic_store_n(&server.hangs, 1, __ATOMIC_SEQ_CST);
	dump(3);
	usleep(20000);
	assert_true(elastic_post_stop(1000));
	elastic_post_fork_prepare();
	__atomic_store_n(&server.hangs, 0, __ATOMIC_SEQ_CST);
	if (fork() == 0) {
		elastic_post_fork_child();
		dump(2);
		elastic_post_flush(5000);
		_exit(server.arrived == 2 && elastic_post_counts().queued == 2 ? 0 : 1);
	}
	elastic_post_fork_parent();
	wait(&status);
	elastic_post_tick();
	elastic_post_flush(5000);

	assert_int_equal(status, 0);
	assert_int_equal(server.arrived, 3);
}

static void a_request_that_is_refused_is_said_once(void **state)
{
	(void)state;
	server.statuses[0] = server.statuses[1] = 403;
	dump(2);
	dump(3);
	dump(4);
	elastic_post_flush(5000);

	assert_int_equal(server.arrived, 4);
	assert_int_equal(elastic_post_counts().lost, 5);
	assert_int_equal(lines_said, 2); /* why, and how many */
}

static void without_libcurl_nothing_waits(void **state)
{
	(void)state;
	server.is_missing = true;
	elastic_post_tick();
	elastic_post_tick();

	assert_false(elastic_post_is_on());
	assert_int_equal(lines_said, 1);
}

static void the_memory_of_the_queue_has_its_bound(void **state)
{
	static char line[40000];
	size_t most = 0;

	(void)state;
	memset(line, 'x', sizeof(line));
	memcpy(line, "{\"a\":\"", 6);
	snprintf(line + sizeof(line) - 60, 60, "\",\"_id\":\"%032d\"}", 7);
	__atomic_store_n(&server.hangs, 1, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < 400; i++) {
		elastic_post_add(line, strlen(line));
		elastic_post_commit();
		if (pages_resident_bytes() > most)
			most = pages_resident_bytes();
	}

	assert_true(most > ELASTIC_QUEUE_BYTES / 4);
	assert_true(most < ELASTIC_QUEUE_BYTES + ELASTIC_REQUEST_BYTES);
}

#define SHIPPING(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SHIPPING(what_is_committed_arrives),
		SHIPPING(what_comes_while_the_connection_is_closed_is_sent_too),
		SHIPPING(a_dump_without_documents_posts_nothing),
		SHIPPING(a_large_dump_is_more_than_one_request),
		SHIPPING(the_oldest_of_more_than_100_goes_and_is_counted),
		SHIPPING(what_cannot_be_queued_is_queued_and_lost),
		SHIPPING(a_413_halves_until_it_fits),
		SHIPPING(the_flush_is_bounded_and_what_is_left_is_lost),
		SHIPPING(what_a_thread_that_cannot_be_ended_holds_is_lost_and_said),
		SHIPPING(a_stop_keeps_what_waits),
		SHIPPING(two_stops_at_once_join_the_thread_once),
		SHIPPING(a_child_has_an_empty_queue_and_the_parent_its_own),
		SHIPPING(a_request_that_is_refused_is_said_once),
		SHIPPING(the_memory_of_the_queue_has_its_bound),
		SHIPPING(without_libcurl_nothing_waits), /* the last: it stays so */
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
