/* DESIGN: libcurl must not be linked: its thirty libraries would stand before the program's own in
 * the global scope, and a wheel with an OpenSSL inside would be bound to the system's. So it is
 * opened by name with RTLD_LOCAL, and its constants are written out below: they are its ABI and
 * have not changed since 7.28.
 *
 * The multi interface and not curl_easy_perform: its waits are ours, and short, so that whoever
 * forks or ends the process can interrupt a POST. (Waking it by a descriptor of ours was dropped:
 * a daemon closes all descriptors that it does not know, and ours would then be somebody else's.)
 *
 * What libcurl allocates comes by malloc through our hooks; the thread is busy, so it is not
 * profiled.
 *
 * Exit: OpenSSL takes itself down by atexit, and TLS after that fails; while it is being initialised,
 * it crashes (seen: a program that ended in the middle of our loading). So our own atexit function
 * is registered before libcurl is loaded, and waits for that; and an OpenSSL that we are the first
 * to need is told not to take itself down. One that the program needed before registered earlier
 * than we, so ours runs before.
 */
#include "elastic_http.h"

#include "../base/clock.h"
#include "../base/descriptor.h"
#include "../base/pages.h"
#include "../base/text.h"
#include "elastic_name.h"
#include "elastic_url.h"

#include <dlfcn.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ELASTIC_HTTP_CONNECT_MS 5000
#define ELASTIC_HTTP_TOTAL_MS   10000
#define ELASTIC_HTTP_WAIT_MS    20   /* how soon an interrupt is seen */
#define ELASTIC_HTTP_GZIP_FROM  1024 /* bytes; less is not worth it */

#define OPENSSL_NO_ATEXIT UINT64_C(0x80000) /* openssl/crypto.h, 1.1.1 and later */

/* curl/curl.h */
enum {
	CURL_GLOBAL_DEFAULT_FLAGS = 3,
	CURLOPT_POST_LONG = 47,
	CURLOPT_NETRC_LONG = 51,
	CURLOPT_FOLLOWLOCATION_LONG = 52,
	CURLOPT_POSTFIELDSIZE_LONG = 60,
	CURLOPT_SSL_VERIFYPEER_LONG = 64,
	CURLOPT_SSL_VERIFYHOST_LONG = 81,
	CURLOPT_HTTP_VERSION_LONG = 84,
	CURLOPT_NOSIGNAL_LONG = 99,
	CURLOPT_TIMEOUT_MS_LONG = 155,
	CURLOPT_CONNECTTIMEOUT_MS_LONG = 156,
	CURLOPT_PROTOCOLS_LONG = 181,
	CURLOPT_QUICK_EXIT_LONG = 322,
	CURLOPT_WRITEDATA_POINTER = 10001,
	CURLOPT_URL_POINTER = 10002,
	CURLOPT_PROXY_POINTER = 10004,
	CURLOPT_ERRORBUFFER_POINTER = 10010,
	CURLOPT_POSTFIELDS_POINTER = 10015,
	CURLOPT_USERAGENT_POINTER = 10018,
	CURLOPT_HTTPHEADER_POINTER = 10023,
	CURLOPT_SSLCERT_POINTER = 10025,
	CURLOPT_CAINFO_POINTER = 10065,
	CURLOPT_SSLKEY_POINTER = 10087,
	CURLOPT_RESOLVE_POINTER = 10203,
	CURLOPT_WRITEFUNCTION_POINTER = 20011,
	CURLOPT_OPENSOCKETFUNCTION_POINTER = 20163,
	CURLINFO_RESPONSE_CODE_LONG = 0x200002,
	CURLINFO_REDIRECT_URL_STRING = 0x10001f,
	CURLINFO_RETRY_AFTER_OFFSET = 0x600039,
	CURL_HTTP_1_1 = 2,
	CURL_HTTP_AND_HTTPS = 3,
};

struct elastic_http_header { /* struct curl_slist */
	char *data;
	struct elastic_http_header *next;
};

struct elastic_http_address { /* struct curl_sockaddr */
	int family, type, protocol;
	unsigned length;
	struct sockaddr address;
};

struct elastic_http_message { /* struct CURLMsg */
	int kind;
	void *easy;
	union {
		void *whatever;
		int result;
	} data;
};

struct elastic_http_stream { /* z_stream */
	const unsigned char *in;
	unsigned in_left;
	unsigned long in_total;
	unsigned char *out;
	unsigned out_left;
	unsigned long out_total;
	const char *message;
	void *state, *allocate, *release, *opaque;
	int data_type;
	unsigned long adler, reserved;
};

static struct {
	bool is_loaded, has_failed;
	int (*global_init)(long);
	void *(*easy_init)(void);
	void (*easy_reset)(void *);
	void (*easy_cleanup)(void *);
	int (*easy_setopt)(void *, int, ...);
	int (*easy_getinfo)(void *, int, ...);
	const char *(*easy_strerror)(int);
	void *(*multi_init)(void);
	int (*multi_cleanup)(void *);
	int (*multi_add_handle)(void *, void *);
	int (*multi_remove_handle)(void *, void *);
	int (*multi_perform)(void *, int *);
	int (*multi_wait)(void *, void *, unsigned, int, int *);
	struct elastic_http_message *(*multi_info_read)(void *, int *);
} elastic_curl;

/* Optional. */
static struct {
	int (*init)(struct elastic_http_stream *, int, int, int, int, int, const char *, int);
	int (*deflate)(struct elastic_http_stream *, int);
	int (*end)(struct elastic_http_stream *);
} elastic_zlib;

static struct {
	void *easy, *multi;
	char *reply; /* ELASTIC_HTTP_REPLY bytes, resident as they are used */
	size_t reply_length;
	bool reply_is_too_long;
	bool is_interrupted; /* atomic */
} elastic_http;

static void *elastic_http_symbol(void *library, const char *name, bool *is_missing)
{
	void *symbol = dlsym(library, name);

	*is_missing |= symbol == NULL;
	return symbol;
}

static void elastic_http_load_zlib(void)
{
	void *library = dlopen("libz.so.1", RTLD_NOW | RTLD_LOCAL);
	bool is_missing = false;

	if (library == NULL)
		return;
	*(void **)&elastic_zlib.init = elastic_http_symbol(library, "deflateInit2_", &is_missing);
	*(void **)&elastic_zlib.deflate = elastic_http_symbol(library, "deflate", &is_missing);
	*(void **)&elastic_zlib.end = elastic_http_symbol(library, "deflateEnd", &is_missing);
	if (is_missing)
		elastic_zlib.init = NULL;
}

/* Among what libcurl needs; with another TLS library there is none. */
static void elastic_http_keep_openssl(void *library)
{
	int (*init)(uint64_t, const void *);

	*(void **)&init = dlsym(library, "OPENSSL_init_crypto");
	if (init != NULL)
		(void)init(OPENSSL_NO_ATEXIT, NULL);
}

TL_INTERNAL enum tl_err elastic_http_load(void (*before_cleanup)(void))
{
	static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};
	static const struct {
		const char *name;
		void *place;
	} symbols[] = {
		{"curl_global_init", &elastic_curl.global_init},
		{"curl_easy_init", &elastic_curl.easy_init},
		{"curl_easy_reset", &elastic_curl.easy_reset},
		{"curl_easy_cleanup", &elastic_curl.easy_cleanup},
		{"curl_easy_setopt", &elastic_curl.easy_setopt},
		{"curl_easy_getinfo", &elastic_curl.easy_getinfo},
		{"curl_easy_strerror", &elastic_curl.easy_strerror},
		{"curl_multi_init", &elastic_curl.multi_init},
		{"curl_multi_cleanup", &elastic_curl.multi_cleanup},
		{"curl_multi_add_handle", &elastic_curl.multi_add_handle},
		{"curl_multi_remove_handle", &elastic_curl.multi_remove_handle},
		{"curl_multi_perform", &elastic_curl.multi_perform},
		{"curl_multi_wait", &elastic_curl.multi_wait},
		{"curl_multi_info_read", &elastic_curl.multi_info_read},
	};
	void *library = NULL;
	bool is_missing = false;

	if (elastic_curl.is_loaded || elastic_curl.has_failed)
		return elastic_curl.is_loaded ? TL_OK : TL_ERR_UNKNOWN;
	(void)atexit(before_cleanup); /* no room: exit's last dump comes too late for TLS */
	for (size_t i = 0; i < TL_COUNT_OF(names) && library == NULL; i++)
		library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	for (size_t i = 0; i < TL_COUNT_OF(symbols) && library != NULL; i++)
		*(void **)symbols[i].place =
			elastic_http_symbol(library, symbols[i].name, &is_missing);
	if (library != NULL)
		elastic_http_keep_openssl(library);
	if (library == NULL || is_missing ||
	    elastic_curl.global_init(CURL_GLOBAL_DEFAULT_FLAGS) != 0) {
		elastic_curl.has_failed = true;
		return TL_ERR_UNKNOWN;
	}
	elastic_http_load_zlib();
	elastic_curl.is_loaded = true;
	return TL_OK;
}

static int elastic_http_open_socket(void *unused, int purpose, struct elastic_http_address *address)
{
	(void)unused;
	(void)purpose;
	return descriptor_raise(
		socket(address->family, address->type | SOCK_CLOEXEC, address->protocol));
}

static void elastic_http_drop(void)
{
	pages_unmap(elastic_http.reply, ELASTIC_HTTP_REPLY);
	elastic_http.easy = NULL;
	elastic_http.multi = NULL;
	elastic_http.reply = NULL;
}

TL_INTERNAL bool elastic_http_open(void)
{
	elastic_http.reply = pages_map(ELASTIC_HTTP_REPLY);
	elastic_http.multi = elastic_curl.multi_init();
	elastic_http.easy = elastic_curl.easy_init();
	if (elastic_http.reply != NULL && elastic_http.multi != NULL && elastic_http.easy != NULL)
		return true;
	elastic_http_close();
	return false;
}

TL_INTERNAL void elastic_http_close(void)
{
	if (elastic_http.easy != NULL)
		elastic_curl.easy_cleanup(elastic_http.easy);
	if (elastic_http.multi != NULL)
		elastic_curl.multi_cleanup(elastic_http.multi);
	elastic_http_drop();
}

TL_INTERNAL void elastic_http_forget(void)
{
	elastic_http_drop();
	elastic_name_forget();
}

TL_INTERNAL void elastic_http_interrupt(bool is_interrupted)
{
	TL_STORE(elastic_http.is_interrupted, is_interrupted);
}

static size_t elastic_http_take(const char *bytes, size_t size, size_t count, void *unused)
{
	size_t length = size * count;

	(void)unused;
	if (length > ELASTIC_HTTP_REPLY - elastic_http.reply_length) {
		elastic_http.reply_is_too_long = true;
		return 0; /* ends the transfer */
	}
	memcpy(elastic_http.reply + elastic_http.reply_length, bytes, length);
	elastic_http.reply_length += length;
	return length;
}

/* The bytes that it became in `out`; 0: it is to be sent as it is. */
static size_t elastic_http_gzip(const char *body, size_t length, char *out, size_t room)
{
	struct elastic_http_stream stream = {.in = (const unsigned char *)body,
					     .in_left = (unsigned)length,
					     .out = (unsigned char *)out,
					     .out_left = (unsigned)room};
	size_t written = 0;

	/* Level 1, gzip's frame (16) around a window of 2^15, memory level 8. */
	if (elastic_zlib.init(&stream, 1, 8, 15 + 16, 8, 0, "1.2.0", sizeof(stream)) != 0)
		return 0;
	if (elastic_zlib.deflate(&stream, 4 /* finish */) == 1 /* the end */)
		written = stream.out_total;
	elastic_zlib.end(&stream);
	return written;
}

static void elastic_http_set_options(const struct elastic_target *target,
				     struct elastic_answer *answer)
{
	void *easy = elastic_http.easy;
	int (*set)(void *, int, ...) = elastic_curl.easy_setopt;

	elastic_curl.easy_reset(easy);
	set(easy, CURLOPT_URL_POINTER, target->url);
	set(easy, CURLOPT_PROTOCOLS_LONG, (long)CURL_HTTP_AND_HTTPS);
	set(easy, CURLOPT_HTTP_VERSION_LONG, (long)CURL_HTTP_1_1);
	set(easy, CURLOPT_PROXY_POINTER, ""); /* none, whatever the environment says */
	set(easy, CURLOPT_NETRC_LONG, 0L);
	set(easy, CURLOPT_FOLLOWLOCATION_LONG, 0L);
	set(easy, CURLOPT_NOSIGNAL_LONG, 1L);
	/* Since 7.87: a resolver of libcurl's own that hangs is left behind, not waited for. */
	set(easy, CURLOPT_QUICK_EXIT_LONG, 1L);
	set(easy, CURLOPT_SSL_VERIFYPEER_LONG, target->verifies ? 1L : 0L);
	set(easy, CURLOPT_SSL_VERIFYHOST_LONG, target->verifies ? 2L : 0L);
	if (*target->ca_file != '\0')
		set(easy, CURLOPT_CAINFO_POINTER, target->ca_file);
	if (*target->client_cert != '\0')
		set(easy, CURLOPT_SSLCERT_POINTER, target->client_cert);
	if (*target->client_key != '\0')
		set(easy, CURLOPT_SSLKEY_POINTER, target->client_key);
	set(easy, CURLOPT_USERAGENT_POINTER, "trackleak/" TL_VERSION);
	set(easy, CURLOPT_ERRORBUFFER_POINTER, answer->error);
	set(easy, CURLOPT_OPENSOCKETFUNCTION_POINTER, elastic_http_open_socket);
	set(easy, CURLOPT_WRITEFUNCTION_POINTER, elastic_http_take);
}

/* Until the transfer has ended: libcurl's code for how, or -1 when it was interrupted. */
static int elastic_http_transfer(void)
{
	struct elastic_http_message *message;
	int running, waiting;

	while (!TL_LOAD(elastic_http.is_interrupted)) {
		if (elastic_curl.multi_perform(elastic_http.multi, &running) != 0)
			break;
		message = elastic_curl.multi_info_read(elastic_http.multi, &waiting);
		if (message != NULL)
			return message->data.result;
		if (elastic_curl.multi_wait(elastic_http.multi, NULL, 0, ELASTIC_HTTP_WAIT_MS,
					    &waiting) != 0)
			break;
		if (waiting == 0)
			poll(NULL, 0, 5); /* a name is being looked up: nothing to wait on */
	}
	return -1;
}

static void elastic_http_read_answer(struct elastic_answer *answer, int result)
{
	long status = 0;
	int64_t retry_after = 0;
	const char *redirect = NULL;
	struct text shown = text_over(answer->redirect, sizeof(answer->redirect));

	answer->is_interrupted = result < 0;
	answer->is_too_long = elastic_http.reply_is_too_long;
	answer->body = elastic_http.reply;
	answer->length = elastic_http.reply_length;
	elastic_curl.easy_getinfo(elastic_http.easy, CURLINFO_RESPONSE_CODE_LONG, &status);
	if (result != 0 && !answer->is_too_long) {
		answer->status = 0; /* half an answer is none */
		if (answer->error[0] == '\0' && result > 0) {
			struct text error = text_over(answer->error, sizeof(answer->error));

			text_put(&error, elastic_curl.easy_strerror(result));
			text_terminate(&error);
		}
		return;
	}
	answer->status = (unsigned)status;
	elastic_curl.easy_getinfo(elastic_http.easy, CURLINFO_RETRY_AFTER_OFFSET, &retry_after);
	answer->retry_after_s = retry_after > 0 ? (uint64_t)retry_after : 0;
	elastic_curl.easy_getinfo(elastic_http.easy, CURLINFO_REDIRECT_URL_STRING, &redirect);
	if (redirect != NULL)
		text_put(&shown, redirect);
	text_terminate(&shown);
}

/* How the server's name is to be resolved, as libcurl wants it: `name:port:address,address`; empty
 * when it needs no help. False: there is no address by then, or an interrupt. */
static bool elastic_http_resolve(struct text *entry, const char *url, uint64_t until_ns,
				 struct elastic_answer *answer)
{
	char name[256];
	struct text host = text_over(name, sizeof(name) - 1);
	struct text error = text_over(answer->error, sizeof(answer->error));
	enum elastic_name_state state;
	unsigned port;

	if (!elastic_url_put_host(&host, &port, url))
		return true;
	text_terminate(&host);
	text_put(entry, name);
	text_put_char(entry, ':');
	text_put_u64(entry, port);
	text_put_char(entry, ':');
	while ((state = elastic_name_look_up(entry, name)) == ELASTIC_NAME_ASKING &&
	       clock_precise_ns() < until_ns && !TL_LOAD(elastic_http.is_interrupted))
		poll(NULL, 0, 5);
	answer->is_interrupted = TL_LOAD(elastic_http.is_interrupted);
	if (state == ELASTIC_NAME_FOUND && !answer->is_interrupted)
		return true;
	text_put(&error, state == ELASTIC_NAME_ASKING ? "the name servers do not answer for "
						      : "could not resolve host: ");
	text_put(&error, name);
	text_terminate(&error);
	return false;
}

TL_INTERNAL void elastic_http_post(const struct elastic_target *target, const char *body,
				   size_t length, struct elastic_answer *answer)
{
	char authorization[8192], resolve[1536];
	struct text value = text_over(authorization, sizeof(authorization));
	struct text entry = text_over(resolve, sizeof(resolve));
	struct elastic_http_header headers[] = {
		{(char[]){"Content-Type: application/x-ndjson"}, &headers[1]},
		{(char[]){"Expect:"}, NULL}, /* no 100-continue, which costs a second */
		{authorization, NULL},
		{(char[]){"Content-Encoding: gzip"}, NULL},
	};
	struct elastic_http_header *last = &headers[1], addresses = {resolve, NULL};
	uint64_t start_ns = clock_precise_ns();
	long spent_ms;
	char *packed = NULL;
	size_t packed_length = 0;
	int result;

	*answer = (struct elastic_answer){0};
	if (!elastic_http_resolve(&entry, target->url,
				  start_ns + ELASTIC_HTTP_CONNECT_MS * UINT64_C(1000000), answer))
		return;
	text_terminate(&entry);
	spent_ms = (long)((clock_precise_ns() - start_ns) / 1000000u);
	elastic_http.reply_length = 0;
	elastic_http.reply_is_too_long = false;
	elastic_http_set_options(target, answer);
	elastic_curl.easy_setopt(
		elastic_http.easy, CURLOPT_CONNECTTIMEOUT_MS_LONG,
		spent_ms < ELASTIC_HTTP_CONNECT_MS ? ELASTIC_HTTP_CONNECT_MS - spent_ms : 1L);
	elastic_curl.easy_setopt(elastic_http.easy, CURLOPT_TIMEOUT_MS_LONG,
				 ELASTIC_HTTP_TOTAL_MS - spent_ms);
	if (entry.length > 0)
		elastic_curl.easy_setopt(elastic_http.easy, CURLOPT_RESOLVE_POINTER, &addresses);

	if (*target->authorization != '\0') {
		text_put(&value, "Authorization: ");
		text_put(&value, target->authorization);
		text_terminate(&value);
		last = last->next = &headers[2];
	}
	if (elastic_zlib.init != NULL && length >= ELASTIC_HTTP_GZIP_FROM)
		packed = pages_map(length);
	if (packed != NULL)
		packed_length = elastic_http_gzip(body, length, packed, length);
	if (packed_length > 0)
		last = last->next = &headers[3];
	elastic_curl.easy_setopt(elastic_http.easy, CURLOPT_HTTPHEADER_POINTER, headers);
	elastic_curl.easy_setopt(elastic_http.easy, CURLOPT_POST_LONG, 1L);
	elastic_curl.easy_setopt(elastic_http.easy, CURLOPT_POSTFIELDSIZE_LONG,
				 (long)(packed_length > 0 ? packed_length : length));
	elastic_curl.easy_setopt(elastic_http.easy, CURLOPT_POSTFIELDS_POINTER,
				 packed_length > 0 ? packed : body);

	elastic_curl.multi_add_handle(elastic_http.multi, elastic_http.easy);
	result = elastic_http_transfer();
	elastic_http_read_answer(answer, result);
	elastic_curl.multi_remove_handle(elastic_http.multi, elastic_http.easy);
	/* What points into this frame does not outlive it. */
	elastic_curl.easy_reset(elastic_http.easy);
	pages_unmap(packed, length);
	explicit_bzero(authorization, sizeof(authorization));
}
