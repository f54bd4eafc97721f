/* links: base/pages.c */
#include "base/pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PAGE ((size_t)4096)

static void memory_is_zero_and_not_resident_until_it_is_touched(void **state)
{
	size_t before = pages_resident_bytes();
	char *pages = pages_map(1000 * PAGE);

	(void)state;
	assert_non_null(pages);
	assert_int_equal(pages_resident_bytes(), before);

	for (size_t page = 0; page < 10; page++)
		pages[page * 100 * PAGE] = 1;

	assert_int_equal(pages_resident_bytes(), before + 10 * PAGE);
	assert_int_equal(pages[PAGE + 17], 0);
	pages_unmap(pages, 1000 * PAGE);
	assert_int_equal(pages_resident_bytes(), before);
}

static void clearing_makes_zeros_and_gives_the_memory_back(void **state)
{
	size_t before = pages_resident_bytes();
	char *pages = pages_map(64 * PAGE);

	(void)state;
	memset(pages, 'x', 64 * PAGE);
	assert_int_equal(pages_resident_bytes(), before + 64 * PAGE);

	pages_clear(pages, 64 * PAGE);

	assert_int_equal(pages_resident_bytes(), before);
	for (size_t i = 0; i < 64 * PAGE; i++)
		assert_int_equal(pages[i], 0);
	pages_unmap(pages, 64 * PAGE);
}

/* The kernel is asked in pieces of 1,024 pages. */
static void counts_mappings_of_any_size(void **state)
{
	static const size_t pages_of[] = {1, 1023, 1024, 1025, 2048, 5000};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(pages_of); i++) {
		size_t bytes = pages_of[i] * PAGE, before = pages_resident_bytes();
		char *pages = pages_map(bytes);

		pages[0] = pages[bytes - 1] = 1;

		assert_int_equal(pages_resident_bytes() - before,
				 pages_of[i] == 1 ? PAGE : 2 * PAGE);
		pages_unmap(pages, bytes);
	}
}

static void a_part_of_a_page_is_a_page(void **state)
{
	size_t before = pages_resident_bytes();
	char *pages = pages_map(PAGE + 1);

	(void)state;
	pages[2 * PAGE - 1] = 1;

	assert_int_equal(pages_resident_bytes(), before + PAGE);
	pages_unmap(pages, PAGE + 1);
	assert_int_equal(pages_resident_bytes(), before);
}

static void gives_null_when_the_kernel_refuses(void **state)
{
	(void)state;

	assert_null(pages_map((size_t)1 << 60));
}

static void null_may_be_given_back(void **state)
{
	(void)state;

	pages_unmap(NULL, PAGE);
	pages_clear(NULL, PAGE);
}

static void more_mappings_than_are_known_work_but_are_not_counted(void **state)
{
	size_t before = pages_resident_bytes();
	char *pages[PAGES_MAPPINGS + 8];

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(pages); i++) {
		pages[i] = pages_map(PAGE);
		assert_non_null(pages[i]);
		pages[i][0] = 1;
	}

	assert_int_equal(pages_resident_bytes(), before + PAGES_MAPPINGS * PAGE);
	for (size_t i = 0; i < TL_COUNT_OF(pages); i++)
		pages_unmap(pages[i], PAGE);
	assert_int_equal(pages_resident_bytes(), before);

	pages[0] = pages_map(PAGE); /* there is room again */
	pages[0][0] = 1;
	assert_int_equal(pages_resident_bytes(), before + PAGE);
	pages_unmap(pages[0], PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zero_and_not_resident_until_it_is_touched),
		cmocka_unit_test(clearing_makes_zeros_and_gives_the_memory_back),
		cmocka_unit_test(counts_mappings_of_any_size),
		cmocka_unit_test(a_part_of_a_page_is_a_page),
		cmocka_unit_test(gives_null_when_the_kernel_refuses),
		cmocka_unit_test(null_may_be_given_back),
		cmocka_unit_test(more_mappings_than_are_known_work_but_are_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
