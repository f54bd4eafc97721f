/* upload: POSTs to Elasticsearch, as the settings of the environment have it.
 *
 * Promises  as the agent: no redirect is followed, no proxy of the environment asked, TLS is
 *           verified unless ELASTICSEARCH_SSL_VERIFY says otherwise; no secret is shown.
 */
#ifndef TL_CLI_BASE_UPLOAD_H
#define TL_CLI_BASE_UPLOAD_H

#include <stdbool.h>
#include <stddef.h>

#define UPLOAD_REPLY ((size_t)4 * 1024 * 1024) /* bytes of a reply that are read */

struct upload_answer {
	long status;       /* of HTTP; 0: there was no answer, `error` says why */
	const char *reply; /* until the next POST */
	size_t length;
	bool is_too_long;
	double retry_after_s; /* 0: not said */
	char error[512];
};

/* Reads the settings; fails with one line when one is missing or cannot be used. Returns the index.
 * */
const char *upload_start(void);
void upload_post(const char *body, size_t length, struct upload_answer *answer);

#endif
