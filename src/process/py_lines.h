/* py_lines: the line of an instruction, from CPython's line tables.
 *
 * Runs      anywhere; pure.
 * Promises  the line that CPython's own PyCode_Addr2Line tells, 0 where that tells none. Whatever
 *           the table holds, nothing outside [table, table + length) is read.
 *
 * `instruction` is in bytes; a negative one (not started) is on the first line. Linear in the
 * length.
 */
#ifndef TL_PROCESS_PY_LINES_H
#define TL_PROCESS_PY_LINES_H

#include "../base/types.h"

/* 3.8, 3.9: co_lnotab. */
TL_INTERNAL int32_t py_line_from_lnotab(const uint8_t *table, size_t length, int32_t first_line,
					int32_t instruction);
/* 3.10: co_linetable, PEP 626. */
TL_INTERNAL int32_t py_line_from_linetable(const uint8_t *table, size_t length, int32_t first_line,
					   int32_t instruction);
/* 3.11 and later: co_linetable, PEP 657 (Objects/locations.md in CPython's sources). */
TL_INTERNAL int32_t py_line_from_locations(const uint8_t *table, size_t length, int32_t first_line,
					   int32_t instruction);

#endif
