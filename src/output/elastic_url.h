/* elastic_url: where the bulk requests go, and as whom.
 *
 * Runs      anywhere. Pure; never allocates.
 * Promises  what is built holds no user, no password and no control character.
 */
#ifndef TL_OUTPUT_ELASTIC_URL_H
#define TL_OUTPUT_ELASTIC_URL_H

#include "../base/types.h"

struct text;

/* The bulk endpoint of a URL as people paste it: with or without `/_bulk`, with a path before it, a
 * query behind it, and credentials in it, which go into `user` and `password` (emptied otherwise).
 * Asks for a short reply (`filter_path`) unless the query has its own. TL_ERR_REFUSED: no http or
 * https URL; TL_ERR_FULL: it does not fit. */
TL_INTERNAL enum tl_err elastic_url_build(struct text *url, struct text *user,
					  struct text *password, const char *given);

/* The host and the port of what was built. False: the host is an address, or a name that is spelled
 * in a way that only libcurl knows. */
TL_INTERNAL bool elastic_url_put_host(struct text *host, unsigned *port, const char *url);

/* True: credentials sent there can be read on their way (http, and not to this machine). */
TL_INTERNAL bool elastic_url_is_open(const char *url);

/* `ApiKey ...` or `Basic ...`: the key as `id:key` or as its base64, else user and password;
 * nothing when all are empty. Blanks at the ends of key and password (a file's last newline) do not
 * count. TL_ERR_REFUSED: a control character is in it. */
TL_INTERNAL enum tl_err elastic_url_authorize(struct text *value, const char *api_key,
					      const char *user, const char *password);

/* Without credentials, query and fragment, to be shown. */
TL_INTERNAL void elastic_url_put_shown(struct text *text, const char *url);

#endif
