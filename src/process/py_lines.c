/* DESIGN
 *
 * All three formats are lists of (length in bytes of code, step in lines) to be summed up until the
 * instruction is passed. They differ in how the two are packed, and in whether a range may have no
 * line at all. Sums are unsigned: a malformed table wraps around, which is harmless, where signed
 * overflow is not.
 */
#include "py_lines.h"

enum {
	PY_LINES_NO_LINE_STEP = -128, /* linetable: this range has no line, and steps by none */
	PY_LINES_ENTRY =
		0x80, /* locations: the first byte of each entry has this bit, the others do not */
	PY_LINES_NONE = 15, /* locations: codes of entries */
	PY_LINES_LONG = 14,
	PY_LINES_NO_COLUMN = 13,
	PY_LINES_ONE_LINE = 10, /* 10, 11, 12: a step of 0, 1, 2 */
};

TL_INTERNAL int32_t py_line_from_lnotab(const uint8_t *table, size_t length, int32_t first_line,
					int32_t instruction)
{
	uint32_t line = (uint32_t)first_line;
	int64_t address = 0;

	for (size_t i = 0; i + 1 < length; i += 2) {
		int32_t step = (int8_t)table[i + 1];

		address += table[i];
		if (address > instruction)
			break;
		line += (uint32_t)step;
	}
	return (int32_t)line;
}

TL_INTERNAL int32_t py_line_from_linetable(const uint8_t *table, size_t length, int32_t first_line,
					   int32_t instruction)
{
	uint32_t line = (uint32_t)first_line;
	int64_t end = 0;

	if (instruction < 0)
		return first_line;
	for (size_t i = 0; i + 1 < length; i += 2) {
		int32_t step = (int8_t)table[i + 1];

		end += table[i];
		if (step != PY_LINES_NO_LINE_STEP)
			line += (uint32_t)step;
		if (end > instruction)
			return step != PY_LINES_NO_LINE_STEP ? (int32_t)line : 0;
	}
	return 0;
}

/* A signed number in groups of 6 bits, lowest first, the sign in its lowest bit. */
static uint32_t py_lines_signed_varint(const uint8_t *table, size_t length, size_t at)
{
	uint32_t value = 0;

	for (unsigned shift = 0; at < length && shift < 32; at++, shift += 6) {
		value |= (uint32_t)(table[at] & 0x3f) << shift;
		if (!(table[at] & 0x40))
			break;
	}
	return value & 1 ? 0 - (value >> 1) : value >> 1;
}

TL_INTERNAL int32_t py_line_from_locations(const uint8_t *table, size_t length, int32_t first_line,
					   int32_t instruction)
{
	uint32_t line = (uint32_t)first_line;
	int64_t end = 0;
	size_t at = 0;

	if (instruction < 0)
		return first_line;
	while (at < length) {
		unsigned code = table[at] >> 3 & 15;

		if (code == PY_LINES_LONG || code == PY_LINES_NO_COLUMN)
			line += py_lines_signed_varint(table, length, at + 1);
		else if (code >= PY_LINES_ONE_LINE && code != PY_LINES_NONE)
			line += code - PY_LINES_ONE_LINE;
		end += 2 * ((table[at] & 7) + 1);
		if (end > instruction)
			return code != PY_LINES_NONE ? (int32_t)line : 0;
		do
			at++;
		while (at < length && !(table[at] & PY_LINES_ENTRY));
	}
	return 0;
}
