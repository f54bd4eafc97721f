/* DESIGN
 * A ring of requests, each cut to its length and in pages of its own, which it gives back when it
 * leaves. So a queue costs what waits in it, and 8 MiB at most: 100 dumps of 20 functions are 2.5
 * MiB, so at defaults the number of requests is the limit, and with a large TRACKLEAK_TOP the bytes
 * are. The JSON lines on disk are the larger, lasting queue; they can be replayed, because ids do
 * not change.
 *
 * The current request stands beside the ring and counts as one of the hundred. It may be evicted
 * while it waits for its next try, and not while it is on the wire.
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
	bool current_waits;
} elastic_queue;

static struct elastic_request elastic_queue_pop(void)
{
	struct elastic_request request = elastic_queue.waiting[elastic_queue.first];

	elastic_queue.first = (elastic_queue.first + 1) % ELASTIC_QUEUE;
	elastic_queue.count--;
	return request;
}

static void elastic_queue_push(struct elastic_request request)
{
	unsigned at = (elastic_queue.first + elastic_queue.count) % ELASTIC_QUEUE;

	elastic_queue.waiting[at] = request;
	elastic_queue.count++;
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
	if (elastic_queue_has_current() && elastic_queue.current_waits)
		*documents += elastic_queue_release(elastic_queue_leave());
	else if (elastic_queue.count > 0)
		*documents += elastic_queue_release(elastic_queue_pop());
	else
		return false;
	return true;
}

static bool elastic_queue_has_room(size_t room)
{
	return elastic_queue.count + elastic_queue_has_current() < ELASTIC_QUEUE &&
	       elastic_queue.bytes + room <= ELASTIC_QUEUE_BYTES;
}

TL_INTERNAL size_t elastic_queue_put(const char *body, size_t length)
{
	struct elastic_request request = {.length = length};
	size_t lost = 0;

	request.room = (length + ELASTIC_QUEUE_PAGE - 1) & ~(ELASTIC_QUEUE_PAGE - 1);
	request.pages = pages_map(request.room);
	if (request.pages == NULL)
		return elastic_bulk_count(body, length);
	memcpy(request.pages, body, length);
	while (!elastic_queue_has_room(request.room) && elastic_queue_evict(&lost))
		continue;
	elastic_queue.bytes += request.room;
	elastic_queue_push(request);
	return lost;
}

TL_INTERNAL struct elastic_request *elastic_queue_take(void)
{
	if (!elastic_queue_has_current() && elastic_queue.count > 0)
		elastic_queue.current = elastic_queue_pop();
	return elastic_queue_has_current() ? &elastic_queue.current : NULL;
}

TL_INTERNAL void elastic_queue_set_waiting(bool is_waiting)
{
	elastic_queue.current_waits = is_waiting;
}

TL_INTERNAL void elastic_queue_finish(void)
{
	elastic_queue_release(elastic_queue_leave());
}

TL_INTERNAL void elastic_queue_defer(void)
{
	if (elastic_queue_has_current() && elastic_queue.count > 0)
		elastic_queue_push(elastic_queue_leave());
}

TL_INTERNAL bool elastic_queue_is_empty(void)
{
	return !elastic_queue_has_current() && elastic_queue.count == 0;
}

TL_INTERNAL size_t elastic_queue_drop(void)
{
	size_t documents = 0;

	elastic_queue.current_waits = true;
	while (elastic_queue_evict(&documents))
		continue;
	elastic_queue.current_waits = false;
	return documents;
}
