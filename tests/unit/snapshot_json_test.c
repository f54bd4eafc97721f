/* links: base/descriptor.c base/text.c output/log_folder.c base/math.c analysis/growth.c analysis/survival.c analysis/verdict.c base/clock.c process/proc_memory.c process/script_name.c base/folder.c output/snapshot_json.c output/snapshot_file.c */
#include "output/log_folder.h"
#include "output/snapshot_file.h"
#include "output/snapshot_json.h"

#include "output_fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static _Alignas(8) char buffer[SNAPSHOT_JSON_BUFFER];
static struct snapshot snapshot; /* of this process */

static int setup(void **state)
{
	int result = make_folder(state);

	log_folder_temporary = temporary;
	log_folder_start(false);
	snapshot = fixture_snapshot;
	snapshot.pid = (uint32_t)getpid();
	return result;
}

/* `snapshot-<pid><suffix>` in the log folder. */
static const char *path_of(pid_t pid, const char *suffix)
{
	char name[64];

	snprintf(name, sizeof(name), "snapshot-%d%s", pid, suffix);
	return in(log_dir, name);
}

static pid_t dead_pid(void)
{
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	waitpid(child, NULL, 0);
	return child;
}

static void written_at(const char *path, time_t seconds)
{
	const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};

	assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static char *written(void)
{
	char *contents;

	assert_int_equal(snapshot_file_write(&snapshot, buffer), TL_OK);
	contents = read_file(path_of(getpid(), ".json"));
	assert_non_null(contents);
	assert_int_equal(assert_json_lines(contents), 1);
	return contents;
}

static void assert_holds(const char *contents, const char *part)
{
	if (strstr(contents, part) == NULL)
		fail_msg("%s in %s", part, contents);
}

static void is_the_whole_profile_as_one_valid_document(void **state)
{
	char *contents, begin[256];

	(void)state;
	contents = written();
	snprintf(begin, sizeof(begin),
		 "{\"format\":\"trackleak-snapshot\",\"version\":1,\"trackleak\":\"" TL_VERSION
		 "\",\"process\":{\"pid\":%d,\"forked\":false,\"start\":1771567000.250,"
		 "\"hostname\":\"host\\\"1\",",
		 getpid());

	assert_memory_equal(contents, begin, strlen(begin));
	assert_holds(contents,
		     "\"dump\":{\"number\":2,\"time\":1771567369.750,\"elapsed_seconds\":359.500,"
		     "\"final\":false,\"baseline_time\":null},"
		     "\"settings\":{\"sample_rate\":50,\"sample_bytes\":131072,\"min_size\":500},"
		     "\"table\":{\"live_samples\":300,\"live_capacity\":200000,\"lost_samples\":0,"
		     "\"thinned\":0,"
		     "\"other_functions\":0},\"memory\":{\"rss_bytes\":52428800,\"peak_rss_bytes\":"
		     "62914560,"
		     "\"live_bytes\":[8388608.00,4096.50],\"live_count\":[9903.00,20.00],");
	assert_holds(
		contents,
		"\"functions\":[{\"function\":\"leaky_cache\",\"file\":\"test_leaks.py\",\"kind\":"
		"\"python\","
		"\"first_line\":36,\"line\":38,\"counted\":10000,\"counted_bytes\":5546967,"
		"\"count\":[10000.00,0.00],\"total_bytes\":[5546967.00,0.00],\"largest\":1024,"
		"\"sample_count\":200,\"sample_bytes\":104858,\"freed_samples\":0,\"freed_sample_"
		"bytes\":0,"
		"\"retention\":1.000000,\"live_bytes\":[5400000.40,1234.50],"
		"\"live_count\":[9900.25,12.13],\"peak_live_bytes\":5400000.25,\"held_line\":40,"
		"\"verdict\":{\"word\":\"leaking\",\"sentence\":\"+36.0 MB/h (18.0 to 54.0), "
		"98 % alive after 4 min, 6 generations\",\"bytes_per_second\":10485.760,"
		"\"low\":5242.880,\"high\":15728.640,\"survival\":0.980000,"
		"\"survival_low\":0.950000,\"survival_high\":0.990000,"
		"\"survival_seconds\":240.00},\"context\":null,"
		"\"uncertain_bytes\":4096,\"types\":[{\"type\":\"dict\",\"bytes\":4096,"
		"\"count\":64}],"
		"\"generations\":3,"
		"\"last_free_seconds\":null,\"lifetimes\":[1,2,3,0,0,");
	assert_holds(contents, "\"lines\":[{\"line\":38,\"counted\":9000,");
	assert_holds(contents, "{\"line\":40,\"counted\":1000,");
	assert_holds(contents, "\"kind\":\"native\",\"first_line\":0,\"line\":0,");
	assert_holds(
		contents,
		"\"frames\":[null,[0,-1,90,\"<module>\",\"test_leaks.py\"],[1,0,38],[1,1,7],"
		"[2,-1,0,\"<native lib\\\"foo.so.1+0x1a2b>\",\"/usr/lib/lib\\\"foo.so.1\",0,6699]],"
		"\"modules\":[{\"path\":\"/usr/lib/lib\\\"foo.so.1\",\"build_id\":\"01abf0\"},"
		"{\"path\":\"linux-vdso.so.1\",\"build_id\":\"\"}],"
		"\"stacks\":[{\"frame\":2,\"context\":null,\"live_bytes\":[5400000.40,1234.50],"
		"\"live_count\":[9900.25,12.13],\"live_samples\":196,\"oldest_seconds\":12.50,"
		"\"youngest_seconds\":0.01},");
	assert_holds(contents,
		     "\"contexts\":[{\"function\":1,\"line\":7,\"stack\":1,\"via_function\":\"han|"
		     "dle\",\"via_file\":\"app.py\",\"via_line\":12,"
		     "\"live_bytes\":[1048576.00,64.00],\"live_count\":[1.00,0.00],"
		     "\"verdict\":{\"word\":\"growing\",");
	assert_holds(contents, "\"alarms\":[{\"function\":0,\"context\":null},"
			       "{\"function\":1,\"context\":0}],"
			       "\"types\":[{\"type\":\"app.Session\",\"bytes\":8192,"
			       "\"count\":128}],");
	assert_holds(contents,
		     "\"maps\":[{\"owner\":\"pymalloc arenas\",\"bytes\":4194304,\"count\":4},"
		     "{\"owner\":\"lib\\\"quoted\\\".so\",\"bytes\":4096,\"count\":1}]}\n");
	free(contents);
}

static void an_empty_profile_is_a_valid_document(void **state)
{
	char *contents;

	(void)state;
	snapshot.site_count = snapshot.line_count = snapshot.frame_count = 0;
	snapshot.stack_count = snapshot.map_count = 0;
	snapshot.module_count = snapshot.context_count = snapshot.alarm_count =
		snapshot.type_count = 0;
	contents = written();

	assert_holds(contents,
		     "\"functions\":[],\"frames\":[],\"modules\":[],\"stacks\":[],\"contexts\":[],"
		     "\"alarms\":[],\"types\":[],\"uncertain\":[],\"maps\":[]}\n");
	free(contents);
}

static void after_a_baseline_every_figure_says_what_came_since(void **state)
{
	struct snapshot_site site = fixture_sites[0];
	struct snapshot_stack stack = {.frame = 0,
				       .live_bytes = {200, 2},
				       .since_bytes = {100.5, 1},
				       .since_count = {3, 0.25}};
	char *contents;

	(void)state;
	site.figures.since_bytes = (struct estimate){5000, 70};
	site.figures.since_count = (struct estimate){50, 0.5};
	snapshot.sites = &site;
	snapshot.stacks = &stack;
	snapshot.site_count = snapshot.stack_count = 1;
	snapshot.context_count = snapshot.alarm_count = 0;
	snapshot.baseline_time = 1771567300.5;
	contents = written();

	assert_holds(contents, "\"final\":false,\"baseline_time\":1771567300.500}");
	assert_holds(contents, ",\"since_bytes\":[5000.00,70.00],\"since_count\":[50.00,0.50],");
	assert_holds(contents, ",\"since_bytes\":[100.50,1.00],\"since_count\":[3.00,0.25],");
	free(contents);
}

static void a_profile_far_larger_than_the_buffer_is_never_cut(void **state)
{
	enum { SITES = 2000 };
	struct snapshot_site *sites = calloc(SITES, sizeof(*sites));
	char name[256], labels[4096], *contents;
	size_t found = 0;

	(void)state;
	memset(name, '\x01', 255);
	name[255] = '\0';
	memset(labels, '\x01', sizeof(labels) - 1);
	labels[sizeof(labels) - 1] = '\0';
	for (size_t i = 0; i < SITES; i++) {
		sites[i] = fixture_sites[i % 4];
		sites[i].file = name;
		sites[i].function = i % 3 ? name : "plain";
	}
	snapshot.sites = sites;
	snapshot.site_count = SITES;
	snapshot.line_count = 0;
	snapshot.labels = snapshot.program = snapshot.script = labels;
	snapshot.hostname = snapshot.job_name = snapshot.python_version = name;
	contents = written();
	for (const char *at = contents; (at = strstr(at, "\"first_line\":")) != NULL; at++)
		found++;

	assert_int_equal(found, SITES);
	free(contents);
	free(sites);
}

static void the_file_has_the_mode_asked_for(void **state)
{
	(void)state;
	free(written());
	assert_int_equal(mode_of(path_of(getpid(), ".json")), 0600);

	config.log_mode = 0640;
	umask(077);
	free(written());
	umask(022);
	assert_int_equal(mode_of(path_of(getpid(), ".json")), 0640);
}

static void links_are_replaced_not_followed(void **state)
{
	(void)state;
	write_file(in(folder, "victim"), "precious\n");
	assert_int_equal(symlink(in(folder, "victim"), path_of(getpid(), ".json")), 0);
	assert_int_equal(symlink(in(folder, "victim"), path_of(getpid(), ".json.tmp")), 0);
	free(written());

	assert_file_is(in(folder, "victim"), "precious\n");
	assert_false(exists(path_of(getpid(), ".json.tmp")));
}

static void a_full_disk_leaves_the_former_snapshot_and_one_line(void **state)
{
	char *before, *after;
	int status;
	pid_t child;

	(void)state;
	before = written();
	child = fork();
	if (child == 0) {
		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &(struct rlimit){1000, RLIM_INFINITY});
		snapshot.dump++;
		if (snapshot_file_write(&snapshot, buffer) != TL_ERR_SYSTEM)
			_exit(1);
		if (snapshot_file_write(&snapshot, buffer) != TL_ERR_SYSTEM || lines_said != 1)
			_exit(2);
		_exit(0);
	}
	waitpid(child, &status, 0);
	after = read_file(path_of(getpid(), ".json"));

	assert_int_equal(status, 0);
	assert_string_equal(before, after);
	assert_false(exists(path_of(getpid(), ".json.tmp")));
	free(before);
	free(after);
}

static void a_file_of_another_user_is_not_replaced(void **state)
{
	(void)state;
	if (getuid() != 0)
		skip(); /* only root can make files of two users */
	write_file(path_of(getpid(), ".json"), "theirs\n");
	assert_int_equal(chown(path_of(getpid(), ".json"), 65534, 65534), 0);

	assert_int_equal(snapshot_file_write(&snapshot, buffer), TL_ERR_SYSTEM);
	assert_file_is(path_of(getpid(), ".json"), "theirs\n");
}

static void those_of_dead_processes_are_kept_so_deep_and_the_newest_stay(void **state)
{
	pid_t dead[5];

	(void)state;
	config.log_keep = 2;
	for (size_t i = 0; i < TL_COUNT_OF(dead); i++) {
		dead[i] = dead_pid();
		write_file(path_of(dead[i], ".json"), "{}\n");
		written_at(path_of(dead[i], ".json"), 1700000000 + (time_t)(i * 7 % 5) * 100);
	}
	free(written()); /* ages in order: 0, 3, 1, 4, 2 */

	assert_int_equal(exists(path_of(dead[0], ".json")), false);
	assert_int_equal(exists(path_of(dead[3], ".json")), false);
	assert_int_equal(exists(path_of(dead[1], ".json")), false);
	assert_int_equal(exists(path_of(dead[4], ".json")), true);
	assert_int_equal(exists(path_of(dead[2], ".json")), true);
}

static void those_of_the_living_are_kept_and_a_pid_that_came_back_is_no_life(void **state)
{
	(void)state;
	config.log_keep = 0;
	write_file(path_of(getppid(), ".json"), "{}\n"); /* written now: that process lives */
	free(written());
	assert_true(exists(path_of(getppid(), ".json")));

	written_at(path_of(getppid(), ".json"),
		   1000000000); /* written in 2001: by another of that pid */
	free(written());
	assert_false(exists(path_of(getppid(), ".json")));
	assert_true(exists(path_of(getpid(), ".json")));
}

static void what_is_not_a_snapshot_of_ours_is_left_alone(void **state)
{
	static const char *const names[] = {"snapshot-.json",
					    "snapshot-12x.json",
					    "snapshot-999999999.json.bak",
					    "snapshot-99999999999999999999.json",
					    "my-snapshot-999999999.json",
					    "snapshot-0.json"};
	pid_t dead = dead_pid();

	(void)state;
	config.log_keep = 0;
	for (size_t i = 0; i < TL_COUNT_OF(names); i++)
		write_file(in(log_dir, names[i]), "{}\n");
	mkdir(path_of(dead, ".json"), 0700);
	free(written());

	for (size_t i = 0; i < TL_COUNT_OF(names); i++)
		assert_true(exists(in(log_dir, names[i])));
	assert_true(exists(path_of(dead, ".json")));
}

static void a_dead_snapshot_of_another_user_is_left_alone(void **state)
{
	pid_t dead = dead_pid();

	(void)state;
	if (getuid() != 0)
		skip(); /* only root can make files of two users */
	config.log_keep = 0;
	write_file(path_of(dead, ".json"), "{}\n");
	assert_int_equal(chown(path_of(dead, ".json"), 65534, 65534), 0);
	free(written());

	assert_true(exists(path_of(dead, ".json")));
}

static void what_a_killed_process_left_half_written_is_removed(void **state)
{
	pid_t dead = dead_pid();

	(void)state;
	write_file(path_of(dead, ".json.tmp"), "{\"format");
	write_file(path_of(getpid(), ".json.tmp"), "{\"format");
	free(written());

	assert_false(exists(path_of(dead, ".json.tmp")));
	assert_false(exists(path_of(getpid(), ".json.tmp")));
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_FOLDER(is_the_whole_profile_as_one_valid_document),
		IN_A_FOLDER(an_empty_profile_is_a_valid_document),
		IN_A_FOLDER(after_a_baseline_every_figure_says_what_came_since),
		IN_A_FOLDER(a_profile_far_larger_than_the_buffer_is_never_cut),
		IN_A_FOLDER(the_file_has_the_mode_asked_for),
		IN_A_FOLDER(links_are_replaced_not_followed),
		IN_A_FOLDER(a_full_disk_leaves_the_former_snapshot_and_one_line),
		IN_A_FOLDER(a_file_of_another_user_is_not_replaced),
		IN_A_FOLDER(those_of_dead_processes_are_kept_so_deep_and_the_newest_stay),
		IN_A_FOLDER(those_of_the_living_are_kept_and_a_pid_that_came_back_is_no_life),
		IN_A_FOLDER(what_is_not_a_snapshot_of_ours_is_left_alone),
		IN_A_FOLDER(a_dead_snapshot_of_another_user_is_left_alone),
		IN_A_FOLDER(what_a_killed_process_left_half_written_is_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
