/* links: base/text.c output/elastic_bulk.c */
#include "base/text.h"
#include "output/elastic_bulk.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte is how many documents were sent; the rest is the reply, then a line, then a body
 * of such lines. What the reader keeps must lie in the reply. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elastic_item items[16];
	size_t count;
	const char *reply;
	char *body;

	if (size < 1)
		return 0;
	count = data[0] % 17;
	reply = (const char *)data + 1;
	size--;
	if (elastic_bulk_read(reply, size, items, count) == TL_OK) {
		for (size_t i = 0; i < count; i++) {
			if (items[i].status < 100 || items[i].status > 999)
				__builtin_trap();
			if (items[i].reason != NULL &&
			    (items[i].reason < reply ||
			     items[i].reason + items[i].reason_length > reply + size))
				__builtin_trap();
		}
	}

	body = malloc(2 * size + 256);
	struct text text = text_over(body, 2 * size + 256);

	if (elastic_bulk_put(&text, "index", reply, size) &&
	    elastic_bulk_count(text.data, text.length) != 1)
		__builtin_trap();
	memcpy(body, reply, size);
	for (size_t i = 0; i < TL_COUNT_OF(items); i++)
		items[i].status = (uint16_t)(i % 3 == 0 ? 429 : 201);
	if (elastic_bulk_keep(body, size, items, count > 16 ? 16 : count) > size)
		__builtin_trap();
	free(body);
	return 0;
}
