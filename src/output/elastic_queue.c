/* DESIGN
 * A ring of requests, each cut to its length and in pages of its own, which it gives back when it
 * leaves. So a queue costs what waits in it, and 8 MiB at most: 100 dumps of 20 functions are 2.5
 * MiB, so at defaults the number of requests is the limit, and with a large TRACKLEAK_TOP the bytes
 * are. The JSON lines on disk are the larger, lasting queue; they can be replayed, because ids do
 * not change.
 *
 * The current request stands beside the ring, counts as one of the hundred, and is never evicted.
 */
#include "elastic_queue.h"

#include "../base/pages.h"
#include "elastic_bulk.h"

#include <string.h>

#define ELASTIC_QUEUE_PAGE ((size_t)4096)

static struct {
	struct elastic_request waiting[ELASTIC_QUEUE];
	unsigned first, count;
	size_t bytes; /* pages of all, the current one's too */
	struct elastic_request current;
	uint64_t last_number;
} elastic_queue;

static struct elastic_request *elastic_queue_at(unsigned number)
{
	return &elastic_queue.waiting[(elastic_queue.first + number) % ELASTIC_QUEUE];
}

/* Takes that one out; those before it move up. */
static struct elastic_request elastic_queue_pull(unsigned number)
{
	struct elastic_request request = *elastic_queue_at(number);

	for (; number > 0; number--)
		*elastic_queue_at(number) = *elastic_queue_at(number - 1);
	elastic_queue.first = (elastic_queue.first + 1) % ELASTIC_QUEUE;
	elastic_queue.count--;
	return request;
}

/* To its place in order of age: most often the last, or the first when it comes back. */
static void elastic_queue_insert(struct elastic_request request)
{
	unsigned at = 0;

	elastic_queue.first = (elastic_queue.first + ELASTIC_QUEUE - 1) % ELASTIC_QUEUE;
	elastic_queue.count++;
	for (; at + 1 < elastic_queue.count && elastic_queue_at(at + 1)->number < request.number;
	     at++)
		*elastic_queue_at(at) = *elastic_queue_at(at + 1);
	*elastic_queue_at(at) = request;
}

static size_t elastic_queue_release(struct elastic_request request)
{
	size_t documents = elastic_bulk_count(request.pages, request.length);

	elastic_queue.bytes -= request.room;
	pages_unmap(request.pages, request.room);
	return documents;
}

static bool elastic_queue_has_current(void)
{
	return elastic_queue.current.pages != NULL;
}

static struct elastic_request elastic_queue_leave(void)
{
	struct elastic_request request = elastic_queue.current;

	elastic_queue.current = (struct elastic_request){0};
	return request;
}

/* The oldest that is not on the wire. False: there is none. */
static bool elastic_queue_evict(size_t *documents)
{
	if (elastic_queue.count == 0)
		return false;
	*documents += elastic_queue_release(elastic_queue_pull(0));
	return true;
}

static bool elastic_queue_has_room(size_t room)
{
	return elastic_queue.count + elastic_queue_has_current() < ELASTIC_QUEUE &&
	       elastic_queue.bytes + room <= ELASTIC_QUEUE_BYTES;
}

TL_INTERNAL size_t elastic_queue_put(const char *body, size_t length)
{
	struct elastic_request request = {.length = length, .number = ++elastic_queue.last_number};
	size_t lost = 0;

	request.room = (length + ELASTIC_QUEUE_PAGE - 1) & ~(ELASTIC_QUEUE_PAGE - 1);
	request.pages = pages_map(request.room);
	if (request.pages == NULL)
		return elastic_bulk_count(body, length);
	memcpy(request.pages, body, length);
	while (!elastic_queue_has_room(request.room) && elastic_queue_evict(&lost))
		continue;
	elastic_queue.bytes += request.room;
	elastic_queue_insert(request);
	return lost;
}

TL_INTERNAL struct elastic_request *elastic_queue_take(uint64_t now_ns)
{
	unsigned best = ELASTIC_QUEUE;

	if (elastic_queue_has_current())
		return &elastic_queue.current;
	for (unsigned i = 0; i < elastic_queue.count; i++)
		if (elastic_queue_at(i)->due_ns <= now_ns &&
		    (best == ELASTIC_QUEUE ||
		     elastic_queue_at(i)->deferred < elastic_queue_at(best)->deferred))
			best = i;
	if (best == ELASTIC_QUEUE)
		return NULL;
	elastic_queue.current = elastic_queue_pull(best);
	return &elastic_queue.current;
}

TL_INTERNAL void elastic_queue_finish(void)
{
	elastic_queue_release(elastic_queue_leave());
}

TL_INTERNAL void elastic_queue_defer(uint64_t due_ns)
{
	elastic_queue.current.due_ns = due_ns;
	elastic_queue.current.deferred++;
	elastic_queue_insert(elastic_queue_leave());
}

TL_INTERNAL uint64_t elastic_queue_due_ns(void)
{
	uint64_t first = UINT64_MAX;

	if (elastic_queue_has_current())
		return 0;
	for (unsigned i = 0; i < elastic_queue.count; i++)
		if (elastic_queue_at(i)->due_ns < first)
			first = elastic_queue_at(i)->due_ns;
	return first;
}

TL_INTERNAL void elastic_queue_hurry(void)
{
	for (unsigned i = 0; i < elastic_queue.count; i++) {
		elastic_queue_at(i)->due_ns = 0;
		elastic_queue_at(i)->deferred = elastic_queue_at(i)->deferred > 0;
	}
	elastic_queue.current.deferred = elastic_queue.current.deferred > 0;
}

TL_INTERNAL bool elastic_queue_is_empty(void)
{
	return !elastic_queue_has_current() && elastic_queue.count == 0;
}

TL_INTERNAL size_t elastic_queue_drop(void)
{
	size_t documents = 0;

	if (elastic_queue_has_current())
		documents += elastic_queue_release(elastic_queue_leave());
	while (elastic_queue_evict(&documents))
		continue;
	return documents;
}
