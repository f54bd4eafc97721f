/* links: base/text.c base/math.c analysis/growth.c analysis/survival.c analysis/verdict.c output/table.c */
#include "output/table.h"

#include "output_fixture.h"

#define ROOM ((size_t)128 * 1024)

static char buffer[ROOM];

static const char *table_of(const struct snapshot *snapshot, uint64_t top)
{
	struct text text = text_over(buffer, ROOM);

	table_build(&text, snapshot, top);
	assert_false(text.cut);
	return text_terminate(&text);
}

static const struct snapshot_pool pools[] = {
	{.type = "tuple",
	 .held_count = 39999.7,
	 .verdict = {.kind = VERDICT_LEAKING,
		     .growth = {10485.76, 5242.88, 15728.64},
		     .survival = {NAN, NAN, NAN, 0, 0},
		     .generations = 6,
		     .held = 12.0 * MIB}},
	{.type = "dict keys",
	 .held_count = 999,
	 .verdict = {.kind = VERDICT_GROWING,
		     .growth = {100, 10, 200},
		     .survival = {NAN, NAN, NAN, 0, 0},
		     .generations = 3,
		     .held = 0.3 * MIB}},
	{.type = "float", .held_count = 1e6, .verdict = {.kind = VERDICT_PLATEAU}},
};

/* As while it runs: what libc keeps is not known. */
static struct snapshot with_memory(void)
{
	struct snapshot snapshot = fixture_snapshot;

	snapshot.rss_bytes = 412 * MIB;
	snapshot.rss = (struct rss_breakdown){
		.python_live = 100 * MIB,
		.python_slack = 7 * MIB,
		.libc_live = 200 * MIB,
		.maps = 30 * MIB,
		.files_and_stacks = 20 * MIB,
		.agent = 5 * MIB,
		.rest = 50 * MIB,
	};
	return snapshot;
}

/* TRACKLEAK_REWRITE_GOLDEN=1 writes it anew. The working folder is the checkout. */
static void is_the_golden_table(void **state)
{
	const char *path = "tests/golden/table.txt";
	struct snapshot snapshot = with_memory();
	const char *table;

	(void)state;
	snapshot.pools = pools;
	snapshot.pool_count = TL_COUNT_OF(pools);
	snapshot.rss_growth = (struct rss_growth){600.4, 120.0 * MIB, -2.0 * MIB, "trim"};
	snapshot.rss.remedy = "trim";
	snapshot.is_forked_child = true;
	snapshot.lost_samples = 17;
	table = table_of(&snapshot, 20);
	if (getenv("TRACKLEAK_REWRITE_GOLDEN") != NULL)
		write_file(path, table);

	assert_file_is(path, table);
}

static void is_the_sample_of_the_manual_to_the_letter(void **state)
{
	struct snapshot snapshot = fixture_snapshot;

	(void)state;
	snapshot.site_count = 3;
	snapshot.alarm_count = 1;
	snapshot.rss_bytes = 0; /* without /proc there are no lines of it */

	/* clang-format off */
	assert_string_equal(
		table_of(&snapshot, 1),
		"FUNCTION                          COUNT     TOTAL_MB  SAMPLES    SAMPLE_MB     LINE     FREED_MB(RET%) | FILE\n"
		"------------------------------   --------  ---------- --------  ------------ --------  ---------------- | -----\n"
		"leaky_cache                       10000         5.29      200         0.10       38      0.00(100.0%)   | test_leaks.py\n"
		"LEAKING  leaky_cache test_leaks.py:40  +36.0 MB/h (18.0 to 54.0), 98 % alive after 4 min, 6 generations\n"
		"--- dump at 1771567369 (3 functions, hash 300/200000) ---\n");
	/* clang-format on */
}

static void the_parts_shown_add_up_to_the_rss(void **state)
{
	struct snapshot snapshot = with_memory();
	double mb, sum = 0;

	(void)state;
	for (unsigned has_libc = 0; has_libc < 2; has_libc++, sum = 0) {
		const char *line = table_of(&snapshot, 0);
		unsigned lines = 0;

		while ((line = strstr(line, "MEMORY ")) != NULL) {
			assert_int_equal(sscanf(line, "MEMORY %lf MB", &mb), 1);
			sum += lines++ == 0 ? -mb : mb;
			line++;
		}
		assert_int_equal(lines, 8 + has_libc);
		assert_true(fabs(sum) < 0.01);
		assert_int_equal(strstr(buffer, "the rest, and what libc keeps") != NULL,
				 !has_libc);
		snapshot.rss.has_libc = true;
		snapshot.rss.libc_free = 10 * MIB;
		snapshot.rss.rest -= 10 * MIB;
	}
}

static void a_remedy_without_growth_stands_alone(void **state)
{
	struct snapshot snapshot = with_memory();

	(void)state;
	assert_null(strstr(table_of(&snapshot, 0), "live bytes"));
	snapshot.rss.remedy = "call malloc_trim(0)";
	assert_non_null(strstr(table_of(&snapshot, 0), "MEMORY   call malloc_trim(0)\n"));
}

static void every_row_is_one_line_and_has_one_bar(void **state)
{
	const char *line = table_of(&fixture_snapshot, 20);
	unsigned lines = 0, memory = 0, bars;

	(void)state;
	for (; *line != '\0'; line = strchr(line, '\n') + 1, lines++) {
		bars = 0;
		memory += strncmp(line, "MEMORY   ", 9) == 0;
		for (const char *at = line; *at != '\n'; at++) {
			bars += *at == '|';
			assert_true((unsigned char)*at >= 0x20);
		}
		assert_int_equal(bars, lines < 2 + fixture_snapshot.site_count ? 1 : 0);
	}
	assert_int_equal(memory, 9); /* the fixture has a remedy */
	assert_int_equal(lines, 2 + fixture_snapshot.site_count + fixture_snapshot.alarm_count +
					memory + 1);
}

static void columns_stay_in_place_after_any_name_that_fits(void **state)
{
	struct snapshot_site site = fixture_sites[0];
	struct snapshot snapshot = fixture_snapshot;
	const char *table, *row;

	(void)state;
	snapshot.sites = &site;
	snapshot.site_count = 1;
	snapshot.alarm_count = 0;
	site.function = "gr\xc3\xbc\xc3\x9f_\xe6\xbc\xa2"; /* 7 characters, 11 bytes */
	table = table_of(&snapshot, 1);
	row = strchr(strchr(table, '\n') + 1, '\n') + 1;

	assert_int_equal(strchr(row, '|') - row, 104 + 4);
}

static void top_limits_the_rows_and_0_means_none(void **state)
{
	struct snapshot snapshot = fixture_snapshot;

	(void)state;
	snapshot.alarm_count = 0;
	table_of(&snapshot, 2);
	assert_null(strstr(buffer, "<native"));
	assert_non_null(strstr(buffer, "(4 functions,"));

	table_of(&snapshot, 0);
	assert_null(strstr(buffer, "leaky_cache"));
	assert_non_null(strstr(buffer, "(4 functions,"));
}

static void the_promised_room_holds_the_worst_names(void **state)
{
	struct snapshot_site sites[8];
	struct snapshot snapshot = fixture_snapshot;
	char name[256];
	struct text text;

	(void)state;
	memset(name, '|', 255);
	name[255] = '\0';
	for (size_t i = 0; i < TL_COUNT_OF(sites); i++) {
		sites[i] = fixture_sites[3];
		sites[i].function = sites[i].file = name;
		sites[i].figures.count.value = 1e18;
		sites[i].figures.total_bytes.value = 1e18;
		sites[i].figures.sample_count = sites[i].figures.sample_bytes = UINT64_MAX;
		sites[i].figures.freed_sample_bytes = UINT64_MAX;
	}
	snapshot.sites = sites;
	snapshot.site_count = TL_COUNT_OF(sites);
	snapshot.is_forked_child = true;
	snapshot.lost_samples = snapshot.live_capacity = snapshot.live_samples = UINT64_MAX;
	assert_in_range(table_room(TL_COUNT_OF(sites)), 1, ROOM);
	text = text_over(buffer, table_room(TL_COUNT_OF(sites)));
	table_build(&text, &snapshot, 20);

	assert_false(text.cut);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_the_golden_table),
		cmocka_unit_test(is_the_sample_of_the_manual_to_the_letter),
		cmocka_unit_test(the_parts_shown_add_up_to_the_rss),
		cmocka_unit_test(a_remedy_without_growth_stands_alone),
		cmocka_unit_test(every_row_is_one_line_and_has_one_bar),
		cmocka_unit_test(columns_stay_in_place_after_any_name_that_fits),
		cmocka_unit_test(top_limits_the_rows_and_0_means_none),
		cmocka_unit_test(the_promised_room_holds_the_worst_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
