/* links: base/text.c agent/control_request.c */
#include "agent/control_request.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever a peer sends: what is accepted is a verb with values within their limits, and what is not
 * has a reason. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = malloc(size + 1), why_buffer[64];
	struct text why = text_over(why_buffer, sizeof(why_buffer));
	struct control_request request;

	memcpy(line, data, size);
	line[size] = '\0';
	if (control_request_read(line, &request, &why) != TL_OK) {
		if (why.length == 0)
			__builtin_trap();
	} else if (request.verb > CONTROL_SET ||
		   (request.has[CONTROL_SAMPLE_RATE] &&
		    !(request.values[CONTROL_SAMPLE_RATE] >= 1)) ||
		   (request.has[CONTROL_SAMPLE_BYTES] &&
		    !(request.values[CONTROL_SAMPLE_BYTES] >= 1)) ||
		   (request.has[CONTROL_MAX_OVERHEAD] &&
		    !(request.values[CONTROL_MAX_OVERHEAD] <= 100)) ||
		   (request.has[CONTROL_DUMP_INTERVAL] &&
		    !(request.values[CONTROL_DUMP_INTERVAL] <= UINT32_MAX))) {
		__builtin_trap();
	}
	free(line);
	return 0;
}
