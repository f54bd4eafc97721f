/* elastic_notices: what is said on stderr about shipping.
 *
 * Runs      in the thread that ships, and where it is flushed once that thread has ended.
 * Promises  a trouble is said when it begins and when it is over, not for each dump; a kind of
 *           refusal once. No secret is said, and no query of a URL.
 * Gives up  after ELASTIC_NOTICES_KINDS kinds of refusal: the others are only counted.
 */
#ifndef TL_OUTPUT_ELASTIC_NOTICES_H
#define TL_OUTPUT_ELASTIC_NOTICES_H

#include "../base/types.h"

#define ELASTIC_NOTICES_KINDS 16

struct elastic_answer;
struct elastic_item;

/* Dumps cannot be delivered now. */
TL_INTERNAL void elastic_notices_no_answer(const char *error);
TL_INTERNAL void elastic_notices_no_bulk_api(unsigned status);
TL_INTERNAL void elastic_notices_not_now(unsigned status);
TL_INTERNAL void elastic_notices_put_off(unsigned status);
/* They can again. `lost`: documents since the start. */
TL_INTERNAL void elastic_notices_up(uint64_t lost);

/* For good: a document, a request, a document that is a request too large by itself. */
TL_INTERNAL void elastic_notices_refused_item(const struct elastic_item *item);
TL_INTERNAL void elastic_notices_refused(const struct elastic_answer *answer);
TL_INTERNAL void elastic_notices_too_large(void);

TL_INTERNAL void elastic_notices_unreadable(const char *path, int error);
TL_INTERNAL void elastic_notices_bad_credentials(void);

/* At the end, unless it has been said. */
TL_INTERNAL void elastic_notices_lost(uint64_t lost, uint64_t queued);

TL_INTERNAL void elastic_notices_reset_in_child(void);

#endif
