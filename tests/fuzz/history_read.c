/* links: ../cli/profile/reader.c ../cli/profile/profile.c ../cli/base/keep.c ../cli/base/region.c ../cli/base/lookup.c base/text.c */
/* history: whatever the JSON lines hold, what is made of them stays inside its arrays. The module
 * itself is included, since it reads from files only. */
#include "../../cli/profile/history.c"

#include "../../cli/base/fail.h"
#include "../../src/base/types.h"

#include <setjmp.h>
#include <stdarg.h>

#define FUZZ_TEXT 4096
#define FUZZ_MOST 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static jmp_buf fuzz_failed;

void fail(const char *format, ...)
{
	(void)format;
	longjmp(fuzz_failed, 1);
}

/* Each line of the input gets past what tells lines apart, which a fuzzer would take long to guess. */
static void fuzz_lines(const uint8_t *data, size_t size, history_visit *visit, void *context)
{
	static const char *const heads[] = {
		"{\"process.pid\":1,\"process.start\":\"2026-11-21T15:34:25.164Z\",\"dump\":1,"
		"\"@timestamp\":\"2026-11-21T15:34:26.164Z\",\"kind\":\"function\",",
		"{\"process.pid\":1,\"process.start\":\"2026-11-21T15:34:25.164Z\",\"dump\":1,"
		"\"@timestamp\":\"2026-11-21T15:34:26.164Z\",\"kind\":\"process\",",
		""};
	char text[FUZZ_TEXT];
	struct history_line line;

	for (size_t at = 0; at < size;) {
		const char *head = heads[data[at] % TL_COUNT_OF(heads)];
		const uint8_t *end = memchr(data + at + 1, '\n', size - at - 1);
		size_t length = (end != NULL ? (size_t)(end - data) : size) - at - 1;

		snprintf(text, sizeof(text), "%s%.*s", head, (int)length,
			 (const char *)data + at + 1);
		if (history_take_line(text, &line))
			visit(context, &line);
		at += length + 2;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct region *region = region_new();
	struct history history = {.path = "fuzz"};
	struct history_maker maker = {.history = &history, .most = FUZZ_MOST};

	if (size == 0 || size > FUZZ_TEXT / 2) {
		region_free(region);
		return 0;
	}
	region_use(region);
	if (setjmp(fuzz_failed) == 0) {
		fuzz_lines(data, size, history_note_process, &history);
		fuzz_lines(data, size, history_note_dump, &history);
		if (history.count > 0)
			qsort(history.dumps, history.count, sizeof(*history.dumps),
			      history_by_time);
		history_thin(&history, FUZZ_MOST);
		maker.count = history.count;
		maker.made = region_alloc(history.count, sizeof(*maker.made));
		for (size_t i = 0; i < history.count; i++)
			maker.made[i] = (struct history_made){
				&history.dumps[i], history_begin(&history, &history.dumps[i]), 0};
		fuzz_lines(data, size, history_add_line, &maker);
	}
	region_use(NULL);
	region_free(region);
	return 0;
}
