/* links: process/eh_frame.c */
/* Whatever a module's bytes are: no byte outside of it is asked for, and what is said is a rule that can be followed. */
#include "process/eh_frame.h"
#include "process/safe_read.h"

#include <stdlib.h>
#include <string.h>

#define START ((uintptr_t)0x10000)

static const uint8_t *bytes;
static size_t bytes_count;

TL_INTERNAL bool safe_read(const void *from, void *to, size_t count)
{
	uintptr_t at = (uintptr_t)from;

	if (at < START || at - START > bytes_count || count > bytes_count - (at - START))
		abort();
	memcpy(to, bytes + (at - START), count);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Two bytes: the place; then the module, which begins with its header. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct eh_module module;
	struct eh_rule rule;

	if (size < 2)
		return 0;
	bytes = data + 2;
	bytes_count = size - 2;
	module = (struct eh_module){START, START + bytes_count, START};
	rule = eh_frame_rule(&module, START + (uintptr_t)(data[0] | data[1] << 8));
	if (rule.is_known && rule.base > EH_RSP)
		abort();
	return 0;
}
