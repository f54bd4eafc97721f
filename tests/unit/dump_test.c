/* links: base/descriptor.c base/text.c base/hash.c base/sort.c base/pages.c output/log_folder.c output/log_file.c output/table.c base/math.c analysis/growth.c analysis/survival.c analysis/verdict.c output/documents.c base/clock.c process/proc_memory.c process/script_name.c base/folder.c output/snapshot_json.c output/snapshot_file.c output/dump.c */
#include "output/dump.h"
#include "output/elastic_post.h"
#include "output/documents.h"
#include "output/log_folder.h"

#include "output_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static struct snapshot snapshot; /* of this process */

/* In place of the queue. */
static bool is_shipping;
static char shipped[1 << 16];
static unsigned commits;

bool elastic_post_is_on(void)
{
	return is_shipping;
}

void elastic_post_add(const char *line, size_t length)
{
	strncat(shipped, line, length);
}

void elastic_post_commit(void)
{
	commits++;
}

static int setup(void **state)
{
	int result = make_folder(state);

	log_folder_temporary = temporary;
	log_folder_start(false);
	snapshot = fixture_snapshot;
	snapshot.pid = (uint32_t)getpid();
	return result;
}

static unsigned count(const char *text, const char *part)
{
	unsigned found = 0;

	for (; (text = strstr(text, part)) != NULL; text += strlen(part))
		found++;
	return found;
}

static char *must_read(const char *name)
{
	char *contents = read_file(in(log_dir, name));

	assert_non_null(contents);
	return contents;
}

static void each_dump_is_a_table_its_lines_and_a_snapshot(void **state)
{
	char *table, *lines, *json, name[64];

	(void)state;
	errno = E2BIG;
	dump_write(&snapshot);
	dump_write(&snapshot);
	assert_int_equal(errno, E2BIG);
	table = must_read("profiler.json");
	lines = must_read("profiler.jsonl");
	snprintf(name, sizeof(name), "snapshot-%d.json", getpid());
	json = must_read(name);

	assert_int_equal(count(table, "FUNCTION "), 2);
	assert_int_equal(count(table, ") ---\n"), 2);
	assert_int_equal(assert_json_lines(lines),
			 2 * (TL_COUNT_OF(fixture_sites) + TL_COUNT_OF(fixture_contexts) + 1));
	assert_int_equal(count(lines, "\"kind\":\"process\""), 2);
	assert_int_equal(assert_json_lines(json), 1);
	assert_string_equal(said, "");
	free(table);
	free(lines);
	free(json);
}

static void lines_come_by_live_bytes_at_most_1000_and_the_process_last(void **state)
{
	enum { SITES = 2500 };
	struct snapshot_site *sites = calloc(SITES, sizeof(*sites));
	char names[SITES][8], *lines, last[64];

	(void)state;
	for (unsigned i = 0; i < SITES; i++) {
		snprintf(names[i], sizeof(names[i]), "f%u", i);
		sites[i] = (struct snapshot_site){.function = names[i], .file = "many.py"};
		sites[i].figures.live_bytes.value = i;
	}
	snapshot.sites = sites;
	snapshot.site_count = SITES;
	snapshot.line_count = snapshot.context_count = snapshot.alarm_count = 0;
	dump_write(&snapshot);
	lines = must_read("profiler.jsonl");

	assert_int_equal(assert_json_lines(lines), 1001);
	assert_true(strstr(lines, "\"f2499\"") < strstr(lines, "\"f2498\""));
	snprintf(last, sizeof(last), "\"f%u\"", SITES - 1000);
	assert_non_null(strstr(lines, last));
	snprintf(last, sizeof(last), "\"f%u\"", SITES - 1001);
	assert_null(strstr(lines, last));
	assert_true(strstr(lines, "\"kind\":\"process\"") > strstr(lines, "\"f1500\""));
	free(lines);
	free(sites);
}

static void the_lines_stand_beside_the_table_under_its_stem(void **state)
{
	static const char *const names[][2] = {
		{"profiler.json", "profiler.jsonl"},
		{"table.log", "table.jsonl"},
		{"table", "table.jsonl"},
		{".hidden", ".hidden.jsonl"},
		{"a.jsonl", "a.jsonl.jsonl"},
		{"sub.d/table", "sub.d/table.jsonl"},
	};

	(void)state;
	mkdir(in(log_dir, "sub.d"), 0700);
	for (size_t i = 0; i < TL_COUNT_OF(names); i++) {
		config.json_log = names[i][0];
		dump_write(&snapshot);

		assert_true(exists(in(log_dir, names[i][0])));
		assert_true(exists(in(log_dir, names[i][1])));
	}
}

static void a_table_on_stderr_has_its_lines_in_the_folder(void **state)
{
	(void)state;
	config.json_log = "-";
	dump_write(&snapshot);

	assert_int_equal(count(written_to_stderr, "FUNCTION "), 1);
	assert_true(exists(in(log_dir, "profiler.jsonl")));
	assert_false(exists(in(log_dir, "-")));
}

static void a_huge_top_costs_no_memory_it_does_not_use(void **state)
{
	char *table;

	(void)state;
	config.top = 1000000;
	dump_write(&snapshot);
	table = must_read("profiler.json");

	assert_int_equal(count(table, "MEMORY   "), 9);
	assert_int_equal(count(table, "\n"),
			 2 + TL_COUNT_OF(fixture_sites) + TL_COUNT_OF(fixture_alarms) + 9 + 1);
	free(table);
}

static void a_full_disk_costs_one_line_for_each_kind(void **state)
{
	int status;
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &(struct rlimit){100, RLIM_INFINITY});
		for (unsigned i = 0; i < 3; i++)
			dump_write(&snapshot);
		_exit((int)lines_said);
	}
	waitpid(child, &status, 0);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 3);
}

static void without_any_folder_one_line_is_said_and_nothing_else_happens(void **state)
{
	(void)state;
	config.log_dir = "/proc/nothing";
	log_folder_temporary = "/proc/nothing";
	log_folder_start(false);
	dump_write(&snapshot);
	dump_write(&snapshot);

	assert_int_equal(count(said, "no files are written"), 1);
}

static void a_dump_without_memory_is_told_of_once(void **state)
{
	(void)state;
	dump_write(NULL);
	dump_write(NULL);

	assert_int_equal(count(said, "no memory for a dump"), 1);
	assert_null(read_file(in(log_dir, "profiler.json")));
}

static void two_processes_never_mix_their_tables(void **state)
{
	enum { DUMPS = 200 };
	char *table, *lines, *expected;
	struct stat size;
	int status;
	unsigned tables = 0;

	(void)state;
	dump_write(&snapshot);
	expected = must_read("profiler.json");
	assert_int_equal(unlink(in(log_dir, "profiler.json")), 0);
	assert_int_equal(unlink(in(log_dir, "profiler.jsonl")), 0);
	for (unsigned i = 0; i < 2; i++) {
		if (fork() == 0) {
			for (unsigned dump = 0; dump < DUMPS; dump++)
				dump_write(&snapshot);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < 2; i++) {
		wait(&status);
		assert_int_equal(status, 0);
	}
	table = must_read("profiler.json");
	lines = must_read("profiler.jsonl");

	assert_int_equal(stat(in(log_dir, "profiler.json"), &size), 0);
	for (const char *at = table; *at != '\0'; at += strlen(expected), tables++)
		assert_memory_equal(at, expected, strlen(expected));
	assert_int_equal(tables, 2 * DUMPS);
	assert_int_equal(assert_json_lines(lines),
			 2 * DUMPS *
				 (TL_COUNT_OF(fixture_sites) + TL_COUNT_OF(fixture_contexts) + 1));
	free(table);
	free(lines);
	free(expected);
}

static void the_rows_of_the_table_the_alarms_and_the_process_are_shipped(void **state)
{
	char *lines;

	(void)state;
	is_shipping = true;
	shipped[0] = '\0';
	commits = 0;
	config.top = 2;
	dump_write(&snapshot);
	is_shipping = false;
	lines = must_read("profiler.jsonl");

	/* Two functions, a context that is growing, and the process. */
	assert_int_equal(assert_json_lines(shipped), 4);
	assert_int_equal(commits, 1);
	assert_int_equal(count(shipped, "\"queued\":true"), 4);
	assert_int_equal(count(shipped, "\"kind\":\"context\""), 1);
	assert_int_equal(count(shipped, "\"kind\":\"process\""), 1);
	assert_int_equal(assert_json_lines(lines),
			 TL_COUNT_OF(fixture_sites) + TL_COUNT_OF(fixture_contexts) + 1);
	assert_int_equal(count(lines, "\"queued\":true"), 4);
	free(lines);
}

/* More functions than lines are written for: those of the table are not among the live ones. */
static void what_is_shipped_is_always_in_the_lines(void **state)
{
	static struct snapshot_site sites[DOCUMENTS_MOST + 2];
	char *lines;

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(sites); i++) {
		sites[i] = fixture_sites[0];
		sites[i].first_line = (uint32_t)i;
		sites[i].figures.live_bytes.value = (double)i;
		sites[i].verdict.kind = VERDICT_UNCLEAR;
	}
	snapshot.sites = sites;
	snapshot.site_count = TL_COUNT_OF(sites);
	snapshot.context_count = 0;
	is_shipping = true;
	shipped[0] = '\0';
	config.top = 1;
	dump_write(&snapshot);
	is_shipping = false;
	lines = must_read("profiler.jsonl");

	assert_int_equal(assert_json_lines(shipped), 2);
	assert_int_equal(assert_json_lines(lines), DOCUMENTS_MOST + 2);
	assert_int_equal(count(lines, "\"queued\":true"), 2);
	free(lines);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_FOLDER(each_dump_is_a_table_its_lines_and_a_snapshot),
		IN_A_FOLDER(lines_come_by_live_bytes_at_most_1000_and_the_process_last),
		IN_A_FOLDER(the_lines_stand_beside_the_table_under_its_stem),
		IN_A_FOLDER(a_table_on_stderr_has_its_lines_in_the_folder),
		IN_A_FOLDER(a_huge_top_costs_no_memory_it_does_not_use),
		IN_A_FOLDER(a_full_disk_costs_one_line_for_each_kind),
		IN_A_FOLDER(without_any_folder_one_line_is_said_and_nothing_else_happens),
		IN_A_FOLDER(a_dump_without_memory_is_told_of_once),
		IN_A_FOLDER(the_rows_of_the_table_the_alarms_and_the_process_are_shipped),
		IN_A_FOLDER(what_is_shipped_is_always_in_the_lines),
		IN_A_FOLDER(two_processes_never_mix_their_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
