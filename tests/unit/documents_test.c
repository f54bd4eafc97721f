/* links: base/text.c base/hash.c base/sort.c base/math.c analysis/growth.c analysis/survival.c analysis/verdict.c output/documents.c */
#include "output/documents.h"

#include "output_fixture.h"

static char buffer[200000];
static struct text text;

static int setup(void **state)
{
	text = text_over(buffer, sizeof(buffer) - 1);
	return make_folder(state);
}

static bool is_queued;

static const char *document(const struct snapshot *snapshot, size_t site)
{
	text_clear(&text);
	if (site == SIZE_MAX)
		documents_process(&text, snapshot, is_queued);
	else
		documents_function(&text, snapshot, site, is_queued);
	assert_int_equal(assert_json_lines(text_terminate(&text)), 1);
	return buffer;
}

static const char *id_of(const struct snapshot *snapshot, size_t site)
{
	static char ids[2][33];
	static unsigned next;
	char *id = ids[next++ % 2];

	memcpy(id, strstr(document(snapshot, site), "\"_id\":\"") + 7, 32);
	assert_int_equal(strspn(id, "0123456789abcdef"), 32);
	return id;
}

/* Known: a line that ended where the buffer did lost its newline to the next one's time. */
static void a_buffer_of_any_size_keeps_what_was_there_before(void **state)
{
	size_t whole;

	(void)state;
	document(&fixture_snapshot, 0);
	whole = text.length;
	for (size_t room = 0; room <= whole; room++) {
		text = text_over(buffer, 2 + room);
		text_put(&text, "}\n");
		documents_function(&text, &fixture_snapshot, 0, false);
		assert_memory_equal(buffer, "}\n", 2);
		assert_int_equal(text.cut, room < whole);
	}
}

static void a_function_has_the_promised_fields_in_the_promised_order(void **state)
{
	(void)state;
	document(&fixture_snapshot, 0);
	memcpy(strstr(buffer, "\"_id\":\"") + 7, "0123456789abcdef0123456789abcdef", 32);

	assert_string_equal(
		buffer,
		"{\"timestamp\":1771567369,\"time\":\"2026-02-20T06:02:49Z\",\"job_name\":\"job\","
		"\"hostname\":\"host\\\"1\",\"function\":\"leaky_cache\",\"file\":\"test_leaks."
		"py\",\"line\":38,"
		"\"count\":10000,\"total_bytes\":5546967,\"total_mb\":5.290000,\"sample_count\":"
		"200,"
		"\"sample_total_bytes\":104858,\"sample_total_mb\":0.100000,\"sample_free_bytes\":"
		"0,"
		"\"sample_free_mb\":0.000000,\"retention_pct\":100.00,\"peak_single\":1024,\"avg_"
		"size\":554.70,"
		"\"elapsed_seconds\":359.500,\"@timestamp\":\"2026-02-20T06:02:49.750Z\",\"process."
		"pid\":4242,"
		"\"process.start\":\"2026-02-20T05:56:40.250Z\",\"dump\":2,\"service.name\":"
		"\"job\","
		"\"labels.tier\":\"we\\\"b\",\"labels.team\":\"last\",\"queued\":false,"
		"\"_id\":\"0123456789abcdef0123456789abcdef\",\"kind\":\"function\",\"counted\":"
		"10000,"
		"\"counted_bytes\":5546967,\"verdict\":\"leaking\",\"live_bytes\":5400000,\"live_"
		"bytes_se\":1235,"
		"\"live_count\":9900,\"live_count_se\":12.13,\"growth_mb_per_hour\":36.000,"
		"\"growth_low\":18.000,\"growth_high\":54.000,\"survival_pct\":98.00,"
		"\"survival_seconds\":240.00,"
		"\"generations\":3,"
		"\"last_free_seconds\":null,\"uncertain_bytes\":4096,\"types\":[{\"type\":\"dict\","
		"\"bytes\":4096}],\"via_function\":"
		"null,"
		"\"via_file\":null,\"via_line\":null,\"sample_rate\":50,\"sample_bytes\":131072}"
		"\n");
}

static void names_of_every_kind_stay_inside_their_strings(void **state)
{
	(void)state;
	document(&fixture_snapshot, 1);

	assert_non_null(strstr(
		buffer,
		"\"function\":\"Handler.\\\"quoted\\\"\\n|\\u001b[31m\\u202e\",\"file\":\"/srv/"
		"\xef\xbf\xbd\\\\app/gr\xc3\xbc\xc3\x9f.py\",\"line\":7,"));
}

static void what_cannot_be_said_is_null(void **state)
{
	struct snapshot_site site = fixture_sites[2];
	struct snapshot snapshot = fixture_snapshot;

	(void)state;
	snapshot.sites = &site;
	site.figures.count.value = 0;
	site.figures.total_bytes.value = INFINITY;
	site.figures.live_bytes.se = NAN;
	document(&snapshot, 0);

	assert_non_null(strstr(buffer, "\"retention_pct\":null"));
	assert_non_null(strstr(buffer, "\"avg_size\":null"));
	assert_non_null(strstr(buffer, "\"total_mb\":null"));
	assert_non_null(strstr(buffer, "\"live_bytes_se\":null"));
	assert_non_null(strstr(buffer, "\"last_free_seconds\":null"));
}

static void a_process_tells_its_memory_its_losses_and_our_cost(void **state)
{
	struct snapshot snapshot = fixture_snapshot;

	(void)state;
	snapshot.lost_samples = 17;
	snapshot.documents_queued = 60;
	snapshot.documents_delivered = 40;
	snapshot.documents_lost = 13;
	document(&snapshot, SIZE_MAX);

	assert_non_null(strstr(buffer, "\"kind\":\"process\",\"verdict\":\"leaking\""));
	assert_non_null(strstr(
		buffer,
		"\"rss_bytes\":52428800,\"peak_rss_bytes\":62914560,\"live_bytes\":8388608,"));
	assert_non_null(strstr(buffer, "\"functions\":4,"));
	assert_non_null(strstr(buffer, "\"lost_samples\":17,"));
	assert_non_null(strstr(buffer, "\"documents_queued\":60,\"documents_delivered\":40,"
				       "\"documents_lost\":13,"));
	assert_non_null(strstr(buffer, "\"agent_bytes\":2097152,\"agent_cpu_seconds\":0.013,"
				       "\"sampling_cpu_seconds\":0.250,"));
	assert_non_null(strstr(
		buffer,
		"\"rss_python_live_bytes\":11,\"rss_python_slack_bytes\":12,"
		"\"rss_libc_live_bytes\":13,\"rss_libc_free_bytes\":14,\"rss_maps_bytes\":15,"
		"\"rss_files_and_stacks_bytes\":16,\"rss_agent_bytes\":17,"
		"\"rss_rest_bytes\":18,\"rss_remedy\":\"trim\","));
}

static void queued_says_whether_it_is_shipped(void **state)
{
	(void)state;
	is_queued = true;

	assert_non_null(strstr(document(&fixture_snapshot, 0), "\"queued\":true,"));
	assert_non_null(strstr(document(&fixture_snapshot, SIZE_MAX), "\"queued\":true,"));
	is_queued = false;
	assert_non_null(strstr(document(&fixture_snapshot, 0), "\"queued\":false,"));
}

static void the_id_is_the_same_again_and_no_others(void **state)
{
	struct snapshot other = fixture_snapshot;
	struct snapshot_site sites[] = {fixture_sites[0], fixture_sites[0]};

	(void)state;
	assert_string_equal(id_of(&fixture_snapshot, 0), id_of(&fixture_snapshot, 0));
	assert_string_not_equal(id_of(&fixture_snapshot, 0), id_of(&fixture_snapshot, 1));
	assert_string_not_equal(id_of(&fixture_snapshot, 0), id_of(&fixture_snapshot, SIZE_MAX));

	other.dump++;
	assert_string_not_equal(id_of(&fixture_snapshot, 0), id_of(&other, 0));
	other = fixture_snapshot;
	other.pid++;
	assert_string_not_equal(id_of(&fixture_snapshot, 0), id_of(&other, 0));
	other = fixture_snapshot;
	other.process_start += 0.01;
	assert_string_not_equal(id_of(&fixture_snapshot, SIZE_MAX), id_of(&other, SIZE_MAX));
	other = fixture_snapshot;
	other.hostname = "elsewhere";
	assert_string_not_equal(id_of(&fixture_snapshot, 0), id_of(&other, 0));

	other = fixture_snapshot; /* two functions of one name in one file */
	other.sites = sites;
	sites[1].first_line++;
	assert_string_not_equal(id_of(&other, 0), id_of(&other, 1));
	sites[1] = sites[0]; /* name and file are told apart */
	sites[0].file = "a";
	sites[0].function = "bc";
	sites[1].file = "ab";
	sites[1].function = "c";
	assert_string_not_equal(id_of(&other, 0), id_of(&other, 1));
}

static void labels_are_read_as_people_write_them(void **state)
{
	static const struct {
		const char *labels, *fields;
	} cases[] = {
		{"", "\"service.name\":\"job\",\"queued\""},
		{"a=1", "\"service.name\":\"job\",\"labels.a\":\"1\",\"queued\""},
		{"a=1, b=x=y ,",
		 "\"service.name\":\"job\",\"labels.a\":\"1\",\"labels.b\":\"x=y \",\"queued\""},
		{",,a,=,=x", "\"service.name\":\"job\",\"queued\""},
		{"a=1,a=2,a=3", "\"service.name\":\"job\",\"labels.a\":\"3\",\"queued\""},
		{"k\"\n=v\\", "\"service.name\":\"job\",\"labels.k\\\"\\n\":\"v\\\\\",\"queued\""},
		{"a=", "\"service.name\":\"job\",\"labels.a\":\"\",\"queued\""},
	};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(cases); i++) {
		struct snapshot snapshot = fixture_snapshot;

		snapshot.labels = cases[i].labels;
		document(&snapshot, 0);

		if (strstr(buffer, cases[i].fields) == NULL)
			fail_msg("%s in %s", cases[i].fields, buffer);
	}
}

static void the_longest_document_fits_in_48_kib(void **state)
{
	struct snapshot_site site = fixture_sites[0];
	struct snapshot snapshot = fixture_snapshot;
	char name[256], labels[4096];

	(void)state;
	memset(name, '\x01', 255);
	name[255] = '\0';
	for (size_t i = 0; i < sizeof(labels) - 1;
	     i++) /* many labels cost more than one long one */
		labels[i] = "\x01=,"[i % 3];
	for (size_t i = 0; i < sizeof(labels) - 7; i += 6)
		labels[i] = (char)('a' + i % 26), labels[i + 3] = (char)('A' + i / 26 % 26);
	labels[sizeof(labels) - 1] = '\0';
	snapshot.sites = &site;
	site.function = site.file = snapshot.hostname = snapshot.job_name = name;
	for (unsigned round = 0; round < 2; round++) {
		snapshot.labels = labels;
		document(&snapshot, 0);
		assert_in_range(text.length, 8000, 48 * 1024);
		memset(labels, '\x01',
		       sizeof(labels) - 1); /* one key of 255 bytes, one value of 255 */
		labels[2000] = '=';
	}
}

static void a_document_that_does_not_fit_is_left_out_whole(void **state)
{
	size_t first;

	(void)state;
	document(&fixture_snapshot, 0);
	first = text.length;
	text.capacity = first + 500;
	documents_function(&text, &fixture_snapshot, 1, false);

	assert_true(text.cut);
	assert_int_equal(text.length, first);
}

static void the_most_live_bytes_come_first_and_1000_are_written(void **state)
{
	enum { SITES = 3000 };
	struct snapshot_site *sites = calloc(SITES, sizeof(*sites));
	struct snapshot snapshot = {.sites = sites};
	uint32_t order[SITES];
	double keys[SITES];
	unsigned random = 12345;

	(void)state;
	for (size_t count = 0; count <= SITES; count += count < 20 ? 1 : 745) {
		snapshot.site_count = count;
		for (size_t i = 0; i < count; i++) {
			random = random * 1664525 + 1013904223;
			sites[i].figures.live_bytes.value = random >> 20; /* with equals */
		}

		assert_int_equal(documents_rank(&snapshot, order, keys),
				 count < 1000 ? count : 1000);
		for (size_t i = 1; i < count; i++) {
			assert_true(sites[order[i]].figures.live_bytes.value <=
				    sites[order[i - 1]].figures.live_bytes.value);
			assert_int_not_equal(order[i], order[i - 1]);
		}
	}
	free(sites);
}

#define WITH_SETTINGS(test) cmocka_unit_test_setup_teardown(test, setup, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SETTINGS(a_buffer_of_any_size_keeps_what_was_there_before),
		WITH_SETTINGS(a_function_has_the_promised_fields_in_the_promised_order),
		WITH_SETTINGS(names_of_every_kind_stay_inside_their_strings),
		WITH_SETTINGS(what_cannot_be_said_is_null),
		WITH_SETTINGS(a_process_tells_its_memory_its_losses_and_our_cost),
		WITH_SETTINGS(queued_says_whether_it_is_shipped),
		WITH_SETTINGS(the_id_is_the_same_again_and_no_others),
		WITH_SETTINGS(labels_are_read_as_people_write_them),
		WITH_SETTINGS(the_longest_document_fits_in_48_kib),
		WITH_SETTINGS(a_document_that_does_not_fit_is_left_out_whole),
		WITH_SETTINGS(the_most_live_bytes_come_first_and_1000_are_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
