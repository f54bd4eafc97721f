/* links: process/eh_frame.c */
/* Whatever a module's bytes are: no byte outside of it is asked for, and what is said is a rule that can be followed. */
#include "process/eh_frame.h"
#include "process/safe_read.h"

#include <stdlib.h>
#include <string.h>

#define START ((uintptr_t)0x10000)
#define MOST  4096

static uint8_t bytes[MOST];
static size_t bytes_count;

TL_INTERNAL bool safe_read(const void *from, void *to, size_t count)
{
	uintptr_t at = (uintptr_t)from;

	if (at < START || at - START > bytes_count || count > bytes_count - (at - START))
		abort();
	memcpy(to, bytes + (at - START), count);
	return true;
}

/* A header with up to four rows, so that what follows is read as entries: the first row's begins at
 * `entry`. */
static size_t put_header(uint8_t entry)
{
	const uint8_t header[] = {1, 0x1b, 3, 0x3b, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};

	memcpy(bytes, header, sizeof(header));
	bytes[8] = (uint8_t)(1 + entry / 64);
	bytes[16] = (uint8_t)(sizeof(header) + entry % 64);
	return sizeof(header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where the row's entry begins, 255: there is no header but in the bytes; the place, two bytes; the
 * module. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct eh_module module;
	struct eh_rule rule;

	if (size < 3 || size > MOST - 64)
		return 0;
	bytes_count = data[0] != 255 ? put_header(data[0]) : 0;
	memcpy(bytes + bytes_count, data + 3, size - 3);
	bytes_count += size - 3;
	module = (struct eh_module){START, START + bytes_count, START};
	rule = eh_frame_rule(&module, START + (uintptr_t)(data[1] | data[2] << 8));
	if (rule.is_known && rule.base > EH_RSP)
		abort();
	return 0;
}
