/* links: process/py_lines.c base/random.c base/math.c */
#include "process/py_lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/random.h"

typedef int32_t (*decoder)(const uint8_t *table, size_t length, int32_t first_line,
			   int32_t instruction);

static const decoder decoders[] = {py_line_from_lnotab, py_line_from_linetable,
				   py_line_from_locations};

/* Instructions before `end` are on `line`. */
struct run {
	int32_t end, line;
};

static void check_runs(decoder decode, const uint8_t *table, size_t length, const struct run *runs,
		       size_t count)
{
	int32_t instruction = 0;

	for (size_t i = 0; i < count; i++)
		for (; instruction < runs[i].end; instruction++)
			assert_int_equal(decode(table, length, 1, instruction), runs[i].line);
}

#define CHECK_RUNS(decode, table, runs)                                                            \
	check_runs(decode, table, sizeof(table), runs, sizeof(runs) / sizeof((runs)[0]))

/* The tables that CPython made of one function, of 12 lines and a gap of 200, and the lines that
 * its own co_lines or dis tell. */

static void lines_of_a_function_of_3_8(void **state)
{
	static const uint8_t table[] = {0, 2, 2, 1,  6, 254, 4, 127, 0, 76, 2,
					1, 8, 1, 22, 3, 6,   1, 2,   1, 2,  255};
	static const struct run runs[] = {{2, 3},    {8, 4},    {12, 2},   {14, 205}, {22, 206},
					  {44, 207}, {50, 210}, {52, 211}, {54, 212}, {58, 211}};

	(void)state;
	CHECK_RUNS(py_line_from_lnotab, table, runs);
}

static void lines_of_a_function_of_3_10(void **state)
{
	static const uint8_t table[] = {2,  128, 2, 2,   6, 1, 4, 254, 0, 127, 2, 76,  8, 1,
					18, 1,   2, 255, 4, 4, 2, 1,   2, 1,   4, 255, 6, 255};
	static const struct run runs[] = {{2, 0},    {4, 3},    {10, 4},   {14, 2},   {16, 205},
					  {24, 206}, {42, 207}, {44, 206}, {48, 210}, {50, 211},
					  {52, 212}, {56, 211}, {62, 210}};

	(void)state;
	CHECK_RUNS(py_line_from_linetable, table, runs);
}

static void lines_of_a_function_of_3_11(void **state)
{
	static const uint8_t table[] = {
		232, 0,   232, 0,   128, 0,   224, 8,   9,   221, 8,   9,   136, 33,  137, 4,   140,
		4,   240, 5,   2,   9,   14,  128, 65,  240, 86,  6,   5,   5,   17,  216, 17,  18,
		240, 0,   2,   9,   18,  240, 0,   2,   9,   18,  136, 65,  216, 18,  19,  144, 105,
		144, 105, 144, 105, 241, 0,   1,   22,  18,  244, 0,   1,   22,  18,  240, 0,   1,
		19,  18,  240, 0,   1,   13,  18,  240, 0,   1,   13,  18,  240, 0,   1,   13,  18,
		240, 0,   1,   13,  18,  240, 3,   2,   9,   18,  240, 8,   0,   13,  17,  136, 1,
		136, 1,   248, 136, 68,  136, 1,   136, 8,   136, 8,   136, 8,   136, 8,   216, 12,
		13,  216, 8,   9,   241, 3,   1,   13,  10,  240, 0,   1,   5,   11};
	static const struct run runs[] = {{6, 1},     {8, 3},     {36, 4},    {40, 2},   {42, 205},
					  {50, 206},  {82, 207},  {84, 206},  {90, 210}, {92, 0},
					  {104, 210}, {106, 211}, {108, 212}, {114, 211}};

	(void)state;
	CHECK_RUNS(py_line_from_locations, table, runs);
}

static void lines_of_a_function_of_3_13(void **state)
{
	static const uint8_t table[] = {
		233, 0,  128, 0,  224, 8,   9,   220, 8, 9,  136, 33,  139, 4,  240,
		5,   2,  9,   14, 128, 65,  240, 86,  6, 5,  5,   17,  219, 17, 18,
		136, 65, 216, 18, 19,  146, 105, 243, 0, 1,  22,  18,  240, 0,  1,
		19,  18, 244, 0,  1,   13,  18,  241, 3, 0,  18,  19,  240, 8,  0,
		13,  17, 136, 1,  216, 12,  13,  216, 8, 9,  241, 3,   1,   13, 10,
		240, 0,  1,   5,  11,  248, 240, 3,   0, 13, 17,  137, 1,   252};
	static const struct run runs[] = {{6, 1},    {8, 3},    {28, 4},   {32, 2},   {34, 205},
					  {44, 206}, {72, 207}, {76, 206}, {80, 210}, {82, 211},
					  {84, 212}, {90, 211}, {92, 0},   {98, 210}, {108, 0}};

	(void)state;
	CHECK_RUNS(py_line_from_locations, table, runs);
}

static void a_function_that_has_not_begun_is_on_its_first_line(void **state)
{
	static const uint8_t lnotab[] = {0, 5, 4, 1}, linetable[] = {8, 5},
			     locations[] = {0xe8, 10};

	(void)state;
	assert_int_equal(py_line_from_lnotab(lnotab, sizeof(lnotab), 40, -1), 40);
	assert_int_equal(py_line_from_linetable(linetable, sizeof(linetable), 40, -1), 40);
	assert_int_equal(py_line_from_locations(locations, sizeof(locations), 40, -1), 40);
	assert_int_equal(py_line_from_lnotab(lnotab, sizeof(lnotab), 40, 0), 45);
	assert_int_equal(py_line_from_linetable(linetable, sizeof(linetable), 40, 0), 45);
	assert_int_equal(py_line_from_locations(locations, sizeof(locations), 40, 0), 45);
}

static void an_empty_table_has_only_the_first_line_or_none(void **state)
{
	(void)state;
	assert_int_equal(py_line_from_lnotab((const uint8_t *)"", 0, 7, 100), 7);
	assert_int_equal(py_line_from_linetable((const uint8_t *)"", 0, 7, 0), 0);
	assert_int_equal(py_line_from_locations((const uint8_t *)"", 0, 7, 0), 0);
}

static void an_instruction_behind_the_table_has_no_line(void **state)
{
	static const uint8_t linetable[] = {8, 5}, locations[] = {0xe8, 10};

	(void)state;
	assert_int_equal(py_line_from_linetable(linetable, sizeof(linetable), 1, 8), 0);
	assert_int_equal(py_line_from_locations(locations, sizeof(locations), 1, 2), 0);
	assert_int_equal(py_line_from_locations(locations, sizeof(locations), 1, INT32_MAX), 0);
}

static void a_location_may_step_by_numbers_of_many_bytes(void **state)
{
	/* Code 13 and the signed varint of +100000, then code 14 with one of -99999 and three
	 * varints more. */
	static const uint8_t table[] = {0xe8, 0x40, 0x75, 0x30, 0xf0, 0x7f, 0x74, 0x30, 0, 1, 1};

	(void)state;
	assert_int_equal(py_line_from_locations(table, sizeof(table), 5, 0), 100005);
	assert_int_equal(py_line_from_locations(table, sizeof(table), 5, 2), 6);
}

/* `length` bytes that end where the readable memory ends, and begin where the unreadable begins if
 * they fill it. */
static uint8_t *guarded_bytes(size_t length)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *area = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(area != MAP_FAILED);
	assert_true(length <= page);
	assert_int_equal(mprotect(area + page, page, PROT_READ | PROT_WRITE), 0);
	return area + 2 * page - length;
}

static void free_guarded_bytes(uint8_t *bytes, size_t length)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	munmap(bytes + length - 2 * page, 3 * page);
}

static void a_table_that_is_cut_anywhere_is_not_read_beyond_its_end(void **state)
{
	/* All that can be cut: an odd pair, varints that promise more, entries that never end. */
	static const uint8_t tables[][6] = {
		{2, 1, 2, 1, 2, 1},
		{0xe8, 0xff, 0xff, 0xff, 0xff, 0xff},
		{0xf0, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f},
		{0xe8, 0x7f, 0xe8, 0x7f, 0xe8, 0x7f},
		{0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f},
		{0, 0, 0, 0, 0, 0},
		{0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8},
	};

	(void)state;
	for (size_t length = 0; length <= 6; length++) {
		uint8_t *table = guarded_bytes(length);

		for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
			memcpy(table, tables[i], length);
			for (size_t d = 0; d < TL_COUNT_OF(decoders); d++)
				for (int32_t instruction = -2; instruction < 40; instruction++)
					decoders[d](table, length, 1, instruction);
		}
		free_guarded_bytes(table, length);
	}
}

static void tables_of_noise_are_not_read_beyond_their_ends(void **state)
{
	size_t length = 4096;
	uint8_t *table = guarded_bytes(length);
	uint64_t chance[2];

	(void)state;
	random_seed(chance, 4, 0);
	for (int round = 0; round < 200; round++) {
		size_t shorter = random_bits(chance) % length + 1;
		uint8_t *start = table + length - shorter;

		for (size_t i = 0; i < shorter; i++)
			start[i] = (uint8_t)random_bits(chance);
		for (size_t d = 0; d < TL_COUNT_OF(decoders); d++) {
			decoders[d](start, shorter, INT32_MAX, INT32_MAX);
			decoders[d](start, shorter, INT32_MIN,
				    (int32_t)(random_bits(chance) >> 33));
		}
	}
	free_guarded_bytes(table, length);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_a_function_of_3_8),
		cmocka_unit_test(lines_of_a_function_of_3_10),
		cmocka_unit_test(lines_of_a_function_of_3_11),
		cmocka_unit_test(lines_of_a_function_of_3_13),
		cmocka_unit_test(a_function_that_has_not_begun_is_on_its_first_line),
		cmocka_unit_test(an_empty_table_has_only_the_first_line_or_none),
		cmocka_unit_test(an_instruction_behind_the_table_has_no_line),
		cmocka_unit_test(a_location_may_step_by_numbers_of_many_bytes),
		cmocka_unit_test(a_table_that_is_cut_anywhere_is_not_read_beyond_its_end),
		cmocka_unit_test(tables_of_noise_are_not_read_beyond_their_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
