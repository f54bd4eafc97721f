/* elastic_post: the dumps' way to Elasticsearch: a thread that empties the queue.
 *
 * Runs      adding, committing and flushing where a dump is written (worker, exit); one dump at a
 *           time. The thread is called `trackleak-post`, lives only while something waits to be
 *           sent, and has all signals blocked.
 * Promises  adding and committing never wait for the network. What waits has its bounds
 *           (elastic_queue). What is lost is counted and said, a kind of trouble once and not for
 *           each dump.
 * Gives up  at exit after the time that it is given.
 */
#ifndef TL_OUTPUT_ELASTIC_POST_H
#define TL_OUTPUT_ELASTIC_POST_H

#include "../base/types.h"

#define ELASTIC_REQUEST_BYTES ((size_t)1024 * 1024) /* proxies take 1 MB by default */
#define ELASTIC_REQUEST_MOST  1024                  /* documents */

/* Counts of documents since the start (of this process). */
struct elastic_counts {
	uint64_t queued, delivered, duplicates, rejected, lost;
};

/* Once, before the others; false, with one line unless `is_silent`: the settings cannot be used.
 * `before_cleanup` is called at exit, while TLS still works: the last dump's moment. */
TL_INTERNAL bool elastic_post_start(bool is_silent, void (*before_cleanup)(void));
/* What is added now will be sent, or counted as lost. */
TL_INTERNAL bool elastic_post_is_on(void);

/* Appends a line of JSON lines to the request of this dump, and sends it on its way. */
TL_INTERNAL void elastic_post_add(const char *line, size_t length);
TL_INTERNAL void elastic_post_commit(void);

/* From the worker: loads libcurl (or says, once, that there is none), and sees to it that what
 * waits is being sent. */
TL_INTERNAL void elastic_post_tick(void);

/* Sends what waits, and ends the thread, within `wait_ms`; what is not known to have arrived then
 * is lost, and said. */
TL_INTERNAL void elastic_post_flush(unsigned wait_ms);

/* Ends the thread, within `wait_ms`; what waits, waits on. False: it goes on. */
TL_INTERNAL bool elastic_post_stop(unsigned wait_ms);
TL_INTERNAL void elastic_post_fork_prepare(void);
TL_INTERNAL void elastic_post_fork_parent(void);
/* The child starts with an empty queue: what waits is its parent's to send. */
TL_INTERNAL void elastic_post_fork_child(void);
/* That alone: for a child that will not ship, forked with the lock in any state. */
TL_INTERNAL void elastic_post_renew_lock(void);

TL_INTERNAL struct elastic_counts elastic_post_counts(void);

#endif
