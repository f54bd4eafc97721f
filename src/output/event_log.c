/* DESIGN: one buffer, one mutex. A line is put behind the others; when it does not fit, the buffer
 * is written and it is put again. The mutex is held over the write, so lines keep their order; that
 * makes threads wait for the disk, which a debugging aid may.
 */
#include "event_log.h"

#include "../base/pages.h"
#include "../base/text.h"
#include "../process/config.h"
#include "log_file.h"

#include <errno.h>
#include <pthread.h>

#define EVENT_LOG_BUFFER ((size_t)64 * 1024)

/* Guards all below. */
static pthread_mutex_t event_log_lock = PTHREAD_MUTEX_INITIALIZER;
static struct text event_log_text; /* its memory comes with the first event */
static struct log_file event_log_file;

static void event_log_write_locked(void)
{
	if (event_log_text.length == 0)
		return;
	event_log_file.name = config.event_log;
	log_file_append(&event_log_file, event_log_text.data, event_log_text.length);
	text_clear(&event_log_text);
}

struct event_log_event {
	const void *block;
	const char *function, *file; /* function NULL: a free */
	size_t size;
	int64_t epoch_s;
	uint32_t line;
};

static void event_log_put(struct text *text, const struct event_log_event *event)
{
	text_put(text, event->function == NULL ? "{\"event_type\":2,\"ptr\":\"0x"
					       : "{\"event_type\":1,\"ptr\":\"0x");
	text_put_hex(text, (uintptr_t)event->block);
	text_put_char(text, '"');
	if (event->function != NULL) {
		text_put(text, ",\"size\":");
		text_put_u64(text, event->size);
		text_put(text, ",\"function\":");
		text_put_json(text, event->function);
		text_put(text, ",\"file\":");
		text_put_json(text, event->file);
		text_put(text, ",\"line\":");
		text_put_u64(text, event->line);
	}
	text_put(text, ",\"timestamp\":\"");
	text_put_i64(text, event->epoch_s);
	text_put(text, "\"}\n");
}

static void event_log_add(const struct event_log_event *event)
{
	int saved_errno = errno;
	size_t start;

	pthread_mutex_lock(&event_log_lock);
	if (event_log_text.data == NULL) {
		void *buffer = pages_map(EVENT_LOG_BUFFER);

		if (buffer == NULL)
			goto out;
		event_log_text = text_over(buffer, EVENT_LOG_BUFFER);
	}
	start = event_log_text.length;
	event_log_put(&event_log_text, event);
	if (event_log_text.cut) {
		event_log_text.length = start;
		event_log_write_locked();
		event_log_put(&event_log_text, event);
	}
out:
	pthread_mutex_unlock(&event_log_lock);
	errno = saved_errno;
}

TL_INTERNAL void event_log_alloc(const void *block, size_t size, const char *function,
				 const char *file, uint32_t line, int64_t epoch_s)
{
	event_log_add(&(struct event_log_event){.block = block,
						.size = size,
						.function = function,
						.file = file,
						.line = line,
						.epoch_s = epoch_s});
}

TL_INTERNAL void event_log_free(const void *block, int64_t epoch_s)
{
	event_log_add(&(struct event_log_event){.block = block, .epoch_s = epoch_s});
}

TL_INTERNAL void event_log_flush(void)
{
	int saved_errno = errno;

	pthread_mutex_lock(&event_log_lock);
	event_log_write_locked();
	pthread_mutex_unlock(&event_log_lock);
	errno = saved_errno;
}

TL_INTERNAL void event_log_fork_child(void)
{
	text_clear(&event_log_text);
	pthread_mutex_init(&event_log_lock, NULL);
	log_file_reset_in_child(&event_log_file);
}
