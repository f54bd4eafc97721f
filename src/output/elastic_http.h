/* elastic_http: one POST at a time, by libcurl, which is loaded only when something is to be
 * shipped.
 *
 * Runs      in the thread that ships; loading and interrupting in any thread but not in a hook.
 * Promises  libcurl and zlib stay out of the process's global symbols (RTLD_LOCAL); no redirect is
 *           followed, no proxy of the environment asked, TLS is verified unless the settings say
 *           otherwise; 5 s to connect, 10 s in all, and an interrupt ends a POST at once. Sockets
 *           are closed on exec.
 * Gives up  gzip when there is no zlib; a reply beyond ELASTIC_HTTP_REPLY bytes.
 */
#ifndef TL_OUTPUT_ELASTIC_HTTP_H
#define TL_OUTPUT_ELASTIC_HTTP_H

#include "../base/types.h"

#define ELASTIC_HTTP_REPLY ((size_t)1024 * 1024) /* bytes of a reply that are read */
#define ELASTIC_HTTP_ERROR 256                   /* with NUL */

struct elastic_target {
	const char *url, *authorization; /* the header's value; empty: none */
	const char *ca_file, *client_cert, *client_key;
	bool verifies;
};

struct elastic_answer {
	unsigned status; /* of HTTP; 0: there was no answer, `error` says why */
	bool is_interrupted, is_too_long;
	const char *body; /* until the next POST, or the close */
	size_t length;
	uint64_t retry_after_s; /* 0: not said */
	char error[ELASTIC_HTTP_ERROR];
	char redirect[ELASTIC_HTTP_ERROR]; /* where a redirect points; empty: none */
};

/* Loads the libraries. `before_cleanup` is called at exit, before a TLS library that libcurl has
 * brought is taken down. TL_ERR_UNKNOWN: there is no libcurl. */
TL_INTERNAL enum tl_err elastic_http_load(void (*before_cleanup)(void));

/* Opens what a series of POSTs shares (the connection, the reply's memory), and closes it. */
TL_INTERNAL bool elastic_http_open(void);
TL_INTERNAL void elastic_http_close(void);

TL_INTERNAL void elastic_http_post(const struct elastic_target *target, const char *body,
				   size_t length, struct elastic_answer *answer);

/* True: ends the POST that is under way, and each later one, until it is false again. */
TL_INTERNAL void elastic_http_interrupt(bool is_interrupted);
/* In a forked child, without closing: it has no business with its parent's connection. */
TL_INTERNAL void elastic_http_forget(void);

#endif
