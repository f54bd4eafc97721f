/* elastic_queue: the requests that wait for Elasticsearch, oldest first, and the one whose turn it
 * is.
 *
 * Runs      under its caller's lock, but for the current request between elastic_queue_take and the
 *           next call about it: that belongs to whoever took it. Knows neither thread nor network.
 * Promises  at most ELASTIC_QUEUE requests in ELASTIC_QUEUE_BYTES bytes, or one that is larger;
 *           what a request took is given back when it leaves.
 * Gives up  the oldest, for a newer one. What is on the wire is never taken away.
 */
#ifndef TL_OUTPUT_ELASTIC_QUEUE_H
#define TL_OUTPUT_ELASTIC_QUEUE_H

#include "../base/types.h"

#define ELASTIC_QUEUE       100
#define ELASTIC_QUEUE_BYTES ((size_t)8 * 1024 * 1024)

/* A body of the bulk API, in pages of its own. Who has taken it may shorten it. */
struct elastic_request {
	char *pages;
	size_t room, length;
	uint64_t number;   /* in order of age */
	uint64_t due_ns;   /* not to be sent before; 0: at once */
	unsigned deferred; /* how often */
};

/* Queues a copy. Returns how many documents that has cost: those of evicted requests, or its own
 * when there is no memory. */
TL_INTERNAL size_t elastic_queue_put(const char *body, size_t length);

/* The current request, or else, of those that are due, the one that was deferred the least, and of
 * these the oldest: others may be luckier. It then is the current one: on the wire. NULL: none. */
TL_INTERNAL struct elastic_request *elastic_queue_take(uint64_t now_ns);
/* The current request is done: its memory is given back. */
TL_INTERNAL void elastic_queue_finish(void);
/* The current request waits again, and is not due before. */
TL_INTERNAL void elastic_queue_defer(uint64_t due_ns);
/* When the next request is due; UINT64_MAX when there is none. */
TL_INTERNAL uint64_t elastic_queue_due_ns(void);
/* All are due at once, and as if they had been deferred once at most. */
TL_INTERNAL void elastic_queue_hurry(void);

TL_INTERNAL bool elastic_queue_is_empty(void);
/* Empties it, the current request too. Returns how many documents were in it. */
TL_INTERNAL size_t elastic_queue_drop(void);

#endif
