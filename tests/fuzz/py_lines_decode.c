/* links: process/py_lines.c */
#include "process/py_lines.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first bytes are the first line and the instruction, the rest is the table: AddressSanitizer
 * sees each byte that is read behind it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int32_t first_line, instruction;

	if (size < 8)
		return 0;
	memcpy(&first_line, data, 4);
	memcpy(&instruction, data + 4, 4);
	/* Large numbers seldom say more than small ones do. */
	if (first_line % 2 == 0)
		instruction %= 1024;

	data += 8;
	size -= 8;
	py_line_from_lnotab(data, size, first_line, instruction);
	py_line_from_linetable(data, size, first_line, instruction);
	py_line_from_locations(data, size, first_line, instruction);
	return 0;
}
