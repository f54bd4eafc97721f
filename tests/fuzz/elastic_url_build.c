/* links: base/text.c output/elastic_url.c */
#include "base/text.h"
#include "output/elastic_url.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A URL that is accepted names a host and ends in the bulk API, and no form lets a line through. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *given = malloc(size + 1), *room = malloc(3 * (size + 256));
	struct text url = text_over(room, size + 199);
	struct text user = text_over(room + size + 200, size + 1);
	struct text password = text_over(room + 2 * size + 201, size + 1);
	char value_buffer[256];
	struct text value = text_over(value_buffer, sizeof(value_buffer));
	unsigned port;

	memcpy(given, data, size);
	given[size] = '\0';
	if (elastic_url_build(&url, &user, &password, given) == TL_OK &&
	    (memchr(url.data, '\n', url.length) != NULL ||
	     memmem(url.data, url.length, "/_bulk?", 7) == NULL))
		__builtin_trap();
	text_terminate(&url);
	if (!url.cut && url.length > 0 && elastic_url_put_host(&value, &port, url.data) &&
	    (value.length == 0 || port > 65535))
		__builtin_trap();
	for (unsigned i = 0; i < 2; i++) {
		if (elastic_url_authorize(&value, i == 0 ? given : "", given, given) == TL_OK &&
		    memchr(value.data, '\n', value.length) != NULL)
			__builtin_trap();
	}
	text_clear(&value);
	elastic_url_put_shown(&value, given);
	free(given);
	free(room);
	return 0;
}
