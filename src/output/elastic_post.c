/* DESIGN
 * A dump's documents are gathered in `building`, and queued as one request (elastic_queue).
 *
 * The thread takes a request and owns it until it is delivered or refused, or waits again. Documents
 * that are put off stay in their request, which waits for itself: what comes later need not. Only a
 * server that is away, or overloaded, stops all. The thread ends when the queue is empty: there is
 * no idle thread or connection in the program, and between dumps nothing to stop at a fork.
 */
#include "elastic_post.h"

#include "../base/clock.h"
#include "../base/descriptor.h"
#include "../base/diag.h"
#include "../base/pages.h"
#include "../base/random.h"
#include "../base/text.h"
#include "../base/thread.h"
#include "../process/config.h"
#include "elastic_bulk.h"
#include "elastic_http.h"
#include "elastic_notices.h"
#include "elastic_queue.h"
#include "elastic_url.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define ELASTIC_POST_STACK    ((size_t)512 * 1024)
#define ELASTIC_POST_LONGEST  60000u /* ms between two tries */
#define ELASTIC_POST_PATIENCE 3600u  /* s of a Retry-After that are obeyed */
#define ELASTIC_POST_SECRET   4096
#define ELASTIC_POST_STOP_MS  100 /* of a flush: to end the thread */

static struct {
	pthread_mutex_t lock; /* guards elastic_queue, counts and flags */
	pthread_cond_t changed;
	struct elastic_counts counts;
	uint64_t paused_until_ns; /* the server is away: nothing is sent before */
	unsigned failures;        /* pauses in a row */
	pthread_t thread;
	bool has_thread; /* not joined yet */
	bool is_running; /* it will look at the queue again */
	bool must_stop, is_joining;

	/* Of whoever dumps, one at a time. */
	char *building; /* ELASTIC_REQUEST_BYTES */
	struct text body;
	size_t body_documents;

	/* Of the thread, and of nobody while there is none. */
	size_t batch_most; /* documents in a POST; fewer after a 413 */
	uint64_t random[2];
	struct elastic_item items[ELASTIC_REQUEST_MOST];

	/* Constant after the start, but for the secret. */
	void (*before_cleanup)(void);
	bool is_missing; /* libcurl */
	char url[8192], user[1024], password[1024];
	char authorization[6144];
	const char *index;
} elastic_post = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* What came of a POST. */
enum elastic_outcome {
	ELASTIC_GO_ON,       /* it was answered: on with the rest */
	ELASTIC_PUT_OFF,     /* some documents, by a server that takes others */
	ELASTIC_AWAY,        /* the server, or its strength */
	ELASTIC_INTERRUPTED, /* nothing is known */
};

/* When the next try is: in 200 to 500 ms the first time, twice that the next, at most a minute;
 * later when the server asks for it. Jitter, because a hundred workers dump at the same moment. */
static uint64_t elastic_post_back_off(unsigned failures, uint64_t retry_after_s)
{
	unsigned doublings = failures < 10 ? failures : 10;
	uint64_t wait_ms = (uint64_t)(200 + 300 * random_unit(elastic_post.random)) << doublings;

	if (wait_ms > ELASTIC_POST_LONGEST)
		wait_ms = ELASTIC_POST_LONGEST;
	if (retry_after_s > ELASTIC_POST_PATIENCE)
		retry_after_s = ELASTIC_POST_PATIENCE;
	if (wait_ms < retry_after_s * 1000)
		wait_ms = retry_after_s * 1000;
	return clock_precise_ns() + wait_ms * 1000000;
}

/* The secret in a file, into `buffer`; the setting itself when no file is named. */
static const char *elastic_post_secret(const char *setting, const char *path, char *buffer)
{
	ssize_t length;
	int fd;

	if (*path == '\0' || *setting != '\0')
		return setting;
	fd = descriptor_open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	length = fd < 0 ? -1 : read(fd, buffer, ELASTIC_POST_SECRET);
	if (fd >= 0)
		close(fd);
	if (length < 0) {
		elastic_notices_unreadable(path, errno);
		length = 0;
	}
	buffer[length] = '\0';
	return buffer;
}

/* Reads the secrets again. True: they are others than before. */
static bool elastic_post_authorize(void)
{
	char key[ELASTIC_POST_SECRET + 1], password[ELASTIC_POST_SECRET + 1];
	char buffer[sizeof(elastic_post.authorization)];
	struct text value = text_over(buffer, sizeof(buffer) - 1);
	bool is_url = *config.elasticsearch_username == '\0';
	const char *user = is_url ? elastic_post.user : config.elasticsearch_username;
	enum tl_err error = elastic_url_authorize(
		&value,
		elastic_post_secret(config.elasticsearch_api_key, config.elasticsearch_api_key_file,
				    key),
		user,
		is_url ? elastic_post.password
		       : elastic_post_secret(config.elasticsearch_password,
					     config.elasticsearch_password_file, password));
	bool is_new;

	if (error != TL_OK) {
		text_clear(&value);
		elastic_notices_bad_credentials();
	}
	text_terminate(&value);
	is_new = strcmp(elastic_post.authorization, buffer) != 0;
	memcpy(elastic_post.authorization, buffer, value.length + 1);
	explicit_bzero(buffer, sizeof(buffer));
	explicit_bzero(key, sizeof(key));
	explicit_bzero(password, sizeof(password));
	return is_new;
}

static void elastic_post_lose(size_t documents)
{
	pthread_mutex_lock(&elastic_post.lock);
	elastic_post.counts.lost += documents;
	pthread_mutex_unlock(&elastic_post.lock);
}

/* Tells the fates of the first `count` documents apart. */
static enum elastic_outcome elastic_post_settle(struct elastic_request *request, size_t count)
{
	struct elastic_counts found = {0};
	size_t again = 0;
	unsigned status = 0;

	for (size_t i = 0; i < count; i++) {
		const struct elastic_item *item = &elastic_post.items[i];

		switch (elastic_bulk_item_fate(item->status)) {
		case ELASTIC_DUPLICATE:
			found.duplicates++;
			break;
		case ELASTIC_RETRY:
			again++;
			status = item->status;
			break;
		case ELASTIC_REJECTED:
			found.rejected++;
			elastic_notices_refused_item(item);
			break;
		default:
			found.delivered++;
		}
	}
	request->length =
		elastic_bulk_keep(request->pages, request->length, elastic_post.items, count);
	pthread_mutex_lock(&elastic_post.lock);
	elastic_post.counts.delivered += found.delivered;
	elastic_post.counts.duplicates += found.duplicates;
	elastic_post.counts.rejected += found.rejected;
	elastic_post.counts.lost += found.rejected;
	pthread_mutex_unlock(&elastic_post.lock);
	if (again > 0) {
		elastic_notices_put_off(status);
		/* All of several: that is the server, and not the documents. */
		return again == count && count > 1 ? ELASTIC_AWAY : ELASTIC_PUT_OFF;
	}
	elastic_notices_up(elastic_post_counts().lost);
	if (elastic_post.batch_most < ELASTIC_REQUEST_MOST)
		elastic_post.batch_most *= 2;
	return ELASTIC_GO_ON;
}

/* The server takes only smaller requests, or one document is too large for it. */
static void elastic_post_split(struct elastic_request *request, size_t count, size_t bytes)
{
	if (count > 1) {
		elastic_post.batch_most = count / 2;
		return;
	}
	memmove(request->pages, request->pages + bytes, request->length - bytes);
	request->length -= bytes;
	elastic_post_lose(1);
	elastic_notices_too_large();
}

/* One POST of what the request begins with. */
static enum elastic_outcome elastic_post_send(struct elastic_request *request,
					      uint64_t *retry_after_s)
{
	const struct elastic_target target = {
		.url = elastic_post.url,
		.authorization = elastic_post.authorization,
		.ca_file = config.elasticsearch_ca_file,
		.client_cert = config.elasticsearch_client_cert,
		.client_key = config.elasticsearch_client_key,
		.verifies = config.elasticsearch_ssl_verify,
	};
	struct elastic_answer answer;
	size_t bytes = elastic_bulk_bytes(request->pages, request->length, elastic_post.batch_most);
	size_t count = elastic_bulk_count(request->pages, bytes);

	elastic_http_post(&target, request->pages, bytes, &answer);
	*retry_after_s = answer.status != 0 ? answer.retry_after_s : 0;
	if (answer.is_interrupted)
		return ELASTIC_INTERRUPTED;
	if (answer.status == 0) {
		elastic_notices_no_answer(answer.error);
		return ELASTIC_AWAY;
	}
	switch (elastic_bulk_request_fate(answer.status)) {
	case ELASTIC_SPLIT:
		elastic_post_split(request, count, bytes);
		return ELASTIC_GO_ON;
	case ELASTIC_REJECTED:
		if (answer.status == 401 && elastic_post_authorize())
			return ELASTIC_GO_ON; /* the secret was renewed in its file */
		elastic_post_lose(elastic_bulk_count(request->pages, request->length));
		request->length = 0;
		elastic_notices_refused(&answer);
		return ELASTIC_GO_ON;
	case ELASTIC_RETRY:
		elastic_notices_not_now(answer.status);
		return ELASTIC_AWAY;
	default:
		break;
	}
	if (!answer.is_too_long &&
	    elastic_bulk_read(answer.body, answer.length, elastic_post.items, count) == TL_OK)
		return elastic_post_settle(request, count);
	if (answer.is_too_long && count > 1)
		elastic_post.batch_most = count / 2;
	elastic_notices_no_bulk_api(answer.status);
	return ELASTIC_AWAY;
}

/* As elastic_post.changed has it, whose clock is the monotonic one. */
static struct timespec elastic_post_deadline(uint64_t until_ns)
{
	return (struct timespec){.tv_sec = (time_t)(until_ns / 1000000000u),
				 .tv_nsec = (long)(until_ns % 1000000000u)};
}

/* Under the lock: one request's turn. */
static void elastic_post_serve(struct elastic_request *request)
{
	uint64_t retry_after_s, due_ns = 0;
	enum elastic_outcome outcome;

	pthread_mutex_unlock(&elastic_post.lock);
	outcome = elastic_post_send(request, &retry_after_s);
	pthread_mutex_lock(&elastic_post.lock);
	if (outcome == ELASTIC_AWAY)
		elastic_post.paused_until_ns =
			elastic_post_back_off(elastic_post.failures++, retry_after_s);
	else if (outcome != ELASTIC_INTERRUPTED)
		elastic_post.failures = 0;
	if (outcome == ELASTIC_PUT_OFF)
		due_ns = elastic_post_back_off(request->deferred, retry_after_s);
	if (request->length == 0)
		elastic_queue_finish();
	else if (outcome == ELASTIC_AWAY || outcome == ELASTIC_PUT_OFF)
		elastic_queue_defer(due_ns);
}

/* Under the lock: sends what is due, or sleeps until something is, or something changes. */
static void elastic_post_go_on(void)
{
	uint64_t due_ns = elastic_queue_due_ns(), now_ns = clock_precise_ns();
	struct timespec until;

	if (due_ns < elastic_post.paused_until_ns)
		due_ns = elastic_post.paused_until_ns;
	until = elastic_post_deadline(due_ns);
	if (due_ns > now_ns)
		pthread_cond_timedwait(&elastic_post.changed, &elastic_post.lock, &until);
	else
		elastic_post_serve(elastic_queue_take(now_ns));
}

static bool elastic_post_load(void)
{
	if (!TL_LOAD(elastic_post.is_missing) &&
	    elastic_http_load(elastic_post.before_cleanup) != TL_OK) {
		TL_STORE(elastic_post.is_missing, true);
		diag_say("Elasticsearch: libcurl is missing (package libcurl4, or libcurl): "
			 "nothing is shipped; the JSON lines have it all",
			 NULL);
	}
	return !TL_LOAD(elastic_post.is_missing);
}

/* Under the lock: sends until the queue is empty. False: there is no way to the server. */
static bool elastic_post_talk(void)
{
	bool is_open;

	pthread_mutex_unlock(&elastic_post.lock);
	is_open = elastic_http_open();
	pthread_mutex_lock(&elastic_post.lock);
	while (is_open && !elastic_post.must_stop && !elastic_queue_is_empty())
		elastic_post_go_on();
	pthread_mutex_unlock(&elastic_post.lock);
	if (is_open)
		elastic_http_close();
	pthread_mutex_lock(&elastic_post.lock);
	return is_open;
}

static void *elastic_post_main(void *unused)
{
	bool is_loaded;

	thread_self.busy = true; /* never profile ourselves */
	prctl(PR_SET_NAME, "trackleak-post");
	elastic_post_authorize();
	is_loaded = elastic_post_load();
	pthread_mutex_lock(&elastic_post.lock);
	/* Again, for what was queued while it closed the connection: no other thread is started. */
	while (is_loaded && !elastic_post.must_stop && !elastic_queue_is_empty() &&
	       elastic_post_talk())
		continue;
	elastic_post.is_running = false;
	pthread_cond_broadcast(&elastic_post.changed);
	pthread_mutex_unlock(&elastic_post.lock);
	return unused;
}

/* Under the lock. The thread that was there has ended, or is just about to. */
static void elastic_post_run(void)
{
	pthread_attr_t attributes;
	sigset_t all, before;

	if (elastic_post.is_running || elastic_queue_is_empty() || TL_LOAD(elastic_post.is_missing))
		return;
	if (elastic_post.has_thread)
		pthread_join(elastic_post.thread, NULL);
	elastic_http_interrupt(false);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, ELASTIC_POST_STACK);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	elastic_post.has_thread =
		pthread_create(&elastic_post.thread, &attributes, elastic_post_main, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	elastic_post.is_running = elastic_post.has_thread;
}

TL_INTERNAL bool elastic_post_start(bool is_silent, void (*before_cleanup)(void))
{
	struct text url = text_over(elastic_post.url, sizeof(elastic_post.url) - 1);
	struct text user = text_over(elastic_post.user, sizeof(elastic_post.user) - 1);
	struct text password = text_over(elastic_post.password, sizeof(elastic_post.password) - 1);
	pthread_condattr_t monotonic;

	if (elastic_url_build(&url, &user, &password, config.elasticsearch_url) != TL_OK) {
		if (!is_silent)
			diag_say("ELASTICSEARCH_URL is no http or https URL: nothing is shipped",
				 NULL);
		return false;
	}
	text_terminate(&url);
	text_terminate(&user);
	text_terminate(&password);
	if (elastic_url_is_open(elastic_post.url) && !is_silent &&
	    (*config.elasticsearch_username || *config.elasticsearch_api_key || user.length > 0 ||
	     *config.elasticsearch_api_key_file))
		diag_say("warning: ELASTICSEARCH_URL is http: the credentials can be read on "
			 "their way",
			 NULL);
	elastic_post.index = config.elasticsearch_index;
	if (!elastic_bulk_index_is_valid(elastic_post.index)) {
		elastic_post.index = "trackleak-memory";
		if (!is_silent)
			diag_say("ELASTICSEARCH_INDEX=", config.elasticsearch_index,
				 " is no index name: using ", elastic_post.index, NULL);
	}
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&elastic_post.changed, &monotonic);
	elastic_post.before_cleanup = before_cleanup;
	elastic_post.batch_most = ELASTIC_REQUEST_MOST;
	random_seed(elastic_post.random, clock_precise_ns(), (uint64_t)getpid());
	return true;
}

/* Queues what was built, if anything, and starts anew. */
static void elastic_post_enqueue(void)
{
	struct text *body = &elastic_post.body;

	if (body->length == 0)
		return;
	pthread_mutex_lock(&elastic_post.lock);
	elastic_post.counts.queued += elastic_post.body_documents;
	elastic_post.counts.lost += elastic_queue_put(body->data, body->length);
	pthread_mutex_unlock(&elastic_post.lock);
	text_clear(body);
	elastic_post.body_documents = 0;
}

/* A document that cannot be queued counts all the same: the lost are a part of the queued. */
static void elastic_post_lose_unqueued(void)
{
	pthread_mutex_lock(&elastic_post.lock);
	elastic_post.counts.queued++;
	elastic_post.counts.lost++;
	pthread_mutex_unlock(&elastic_post.lock);
}

TL_INTERNAL void elastic_post_add(const char *line, size_t length)
{
	if (elastic_post.building == NULL) {
		elastic_post.building = pages_map(ELASTIC_REQUEST_BYTES);
		if (elastic_post.building == NULL)
			return elastic_post_lose_unqueued();
		elastic_post.body = text_over(elastic_post.building, ELASTIC_REQUEST_BYTES);
	}
	if (elastic_post.body_documents == ELASTIC_REQUEST_MOST)
		elastic_post_enqueue();
	if (!elastic_bulk_put(&elastic_post.body, elastic_post.index, line, length)) {
		elastic_post_enqueue();
		if (!elastic_bulk_put(&elastic_post.body, elastic_post.index, line, length))
			return elastic_post_lose_unqueued();
	}
	elastic_post.body_documents++;
}

TL_INTERNAL void elastic_post_commit(void)
{
	elastic_post_enqueue();
	pages_unmap(elastic_post.building, ELASTIC_REQUEST_BYTES);
	elastic_post.building = NULL;
	elastic_post.body = (struct text){0};
	pthread_mutex_lock(&elastic_post.lock);
	elastic_post_run();
	pthread_cond_broadcast(&elastic_post.changed); /* it is due, whatever else waits */
	pthread_mutex_unlock(&elastic_post.lock);
}

TL_INTERNAL bool elastic_post_is_on(void)
{
	return config.elasticsearch && !TL_LOAD(elastic_post.is_missing);
}

TL_INTERNAL void elastic_post_tick(void)
{
	pthread_mutex_lock(&elastic_post.lock);
	if (!elastic_post.is_running && elastic_post_load())
		elastic_post_run();
	pthread_mutex_unlock(&elastic_post.lock);
}

/* Joins the thread, by then. */
static bool elastic_post_join(uint64_t until_ns)
{
	uint64_t now = clock_precise_ns(), left = until_ns > now ? until_ns - now : 0;
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (time_t)(((uint64_t)until.tv_nsec + left) / 1000000000u);
	until.tv_nsec = (long)(((uint64_t)until.tv_nsec + left) % 1000000000u);
	return pthread_timedjoin_np(elastic_post.thread, NULL, &until) == 0;
}

static bool elastic_post_stop_by(uint64_t until_ns)
{
	struct timespec until = elastic_post_deadline(until_ns);
	bool has_ended;

	pthread_mutex_lock(&elastic_post.lock);
	if (elastic_post.has_thread && !elastic_post.is_joining) {
		elastic_post.is_joining = elastic_post.must_stop = true;
		elastic_http_interrupt(true);
		pthread_cond_broadcast(&elastic_post.changed);
		pthread_mutex_unlock(&elastic_post.lock);
		has_ended = elastic_post_join(until_ns);
		pthread_mutex_lock(&elastic_post.lock);
		elastic_post.has_thread = !has_ended;
		elastic_post.is_joining = elastic_post.must_stop = false;
		elastic_http_interrupt(false);
		pthread_cond_broadcast(&elastic_post.changed);
	}
	/* Two threads may fork at once, and a thread is joined once. */
	while (elastic_post.is_joining &&
	       pthread_cond_timedwait(&elastic_post.changed, &elastic_post.lock, &until) !=
		       ETIMEDOUT)
		continue;
	has_ended = !elastic_post.has_thread;
	pthread_mutex_unlock(&elastic_post.lock);
	return has_ended;
}

TL_INTERNAL bool elastic_post_stop(unsigned wait_ms)
{
	return elastic_post_stop_by(clock_precise_ns() + wait_ms * UINT64_C(1000000));
}

TL_INTERNAL void elastic_post_flush(unsigned wait_ms)
{
	unsigned stop_ms = wait_ms < ELASTIC_POST_STOP_MS ? wait_ms : ELASTIC_POST_STOP_MS;
	uint64_t end_ns = clock_precise_ns() + wait_ms * UINT64_C(1000000);
	struct timespec until = elastic_post_deadline(end_ns - stop_ms * UINT64_C(1000000));
	struct elastic_counts *counts = &elastic_post.counts;
	bool has_ended;

	pthread_mutex_lock(&elastic_post.lock);
	/* Whoever waits for a next try has it now, and as if it were the first. */
	elastic_post.paused_until_ns = elastic_post.failures = 0;
	elastic_queue_hurry();
	pthread_cond_broadcast(&elastic_post.changed);
	elastic_post_run();
	while (elastic_post.is_running && !elastic_queue_is_empty() &&
	       pthread_cond_timedwait(&elastic_post.changed, &elastic_post.lock, &until) !=
		       ETIMEDOUT)
		continue;
	pthread_mutex_unlock(&elastic_post.lock);
	/* All that is left: a thread inside libcurl must not meet the end of its TLS library. */
	has_ended = elastic_post_stop_by(end_ns);
	pthread_mutex_lock(&elastic_post.lock);
	if (has_ended)
		elastic_queue_drop();
	/* Whatever is not known to be there, also what a thread that hangs may still hold. */
	counts->lost = counts->queued - counts->delivered - counts->duplicates;
	pthread_mutex_unlock(&elastic_post.lock);
	elastic_notices_lost(counts->lost, counts->queued);
}

TL_INTERNAL void elastic_post_fork_prepare(void)
{
	pthread_mutex_lock(&elastic_post.lock);
}

TL_INTERNAL void elastic_post_fork_parent(void)
{
	pthread_mutex_unlock(&elastic_post.lock);
}

TL_INTERNAL void elastic_post_renew_lock(void)
{
	pthread_mutex_init(&elastic_post.lock, NULL);
}

TL_INTERNAL void elastic_post_fork_child(void)
{
	pthread_condattr_t monotonic;

	elastic_queue_drop();
	pages_unmap(elastic_post.building, ELASTIC_REQUEST_BYTES);
	elastic_post.building = NULL;
	elastic_post.body = (struct text){0};
	elastic_post.body_documents = 0;
	elastic_http_forget();
	elastic_post.counts = (struct elastic_counts){0};
	elastic_notices_reset_in_child();
	elastic_post.has_thread = elastic_post.is_running = false;
	elastic_post.must_stop = elastic_post.is_joining = false;
	elastic_post.paused_until_ns = elastic_post.failures = 0;
	random_seed(elastic_post.random, clock_precise_ns(), (uint64_t)getpid());
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&elastic_post.changed, &monotonic);
	elastic_post_fork_parent(); /* unlocks: it is this thread that has locked */
}

TL_INTERNAL struct elastic_counts elastic_post_counts(void)
{
	struct elastic_counts counts;

	pthread_mutex_lock(&elastic_post.lock);
	counts = elastic_post.counts;
	pthread_mutex_unlock(&elastic_post.lock);
	return counts;
}
