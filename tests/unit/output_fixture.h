/* What the tests of src/output share: settings, a temporary folder, a stand-in for diag that keeps
 * what was said, a snapshot with names of every kind, and a strict JSON checker. */
#ifndef TL_TESTS_OUTPUT_FIXTURE_H
#define TL_TESTS_OUTPUT_FIXTURE_H

#include "base/diag.h"
#include "base/text.h"
#include "output/snapshot.h"
#include "process/config.h"

#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SHARED __attribute__((unused)) static

struct config config;

static char said[16384];
SHARED unsigned lines_said;

void diag_say(const char *part, ...)
{
	va_list parts;

	va_start(parts, part);
	for (; part != NULL; part = va_arg(parts, const char *))
		strncat(said, part, sizeof(said) - strlen(said) - 1);
	va_end(parts);
	strncat(said, "\n", sizeof(said) - strlen(said) - 1);
	lines_said++;
}

SHARED char written_to_stderr[65536];
SHARED bool stderr_is_broken;

size_t diag_write(const char *bytes, size_t length)
{
	if (stderr_is_broken)
		return 0;
	strncat(written_to_stderr, bytes, length);
	return length;
}

const char *diag_reason(int error)
{
	return strerror(error);
}

SHARED char folder[64];     /* a fresh temporary folder, removed after the test */
SHARED char log_dir[128];   /* config.log_dir: a folder in it that does not exist yet */
SHARED char temporary[128]; /* stands in for /tmp */

SHARED int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/trackleak-test-XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(log_dir, sizeof(log_dir), "%s/logs", folder);
	snprintf(temporary, sizeof(temporary), "%s/tmp", folder);
	if (mkdir(temporary, 01777) != 0 || chmod(temporary, 01777) != 0)
		return -1;
	config = (struct config){
		.log_dir = log_dir,
		.json_log = "profiler.json",
		.event_log = "events.log",
		.job_name = "unknown",
		.app = "",
		.labels = "",
		.top = 20,
		.log_max_mb = 50,
		.log_keep = 5,
		.log_mode = 0600,
	};
	said[0] = '\0';
	written_to_stderr[0] = '\0';
	stderr_is_broken = false;
	lines_said = 0;
	return 0;
}

SHARED int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status;
	(void)kind;
	(void)place;
	return remove(path);
}

SHARED int remove_folder(void **state)
{
	(void)state;
	return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* `folder/name` in one of four rotating buffers. */
SHARED const char *in(const char *parent, const char *name)
{
	static char paths[4][512];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", parent, name);
	return path;
}

SHARED void write_file(const char *path, const char *contents)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(contents, file);
	fclose(file);
}

/* The whole file with a NUL behind it, to be freed; NULL if there is none. */
SHARED char *read_file(const char *path)
{
	FILE *file = fopen(path, "r");
	struct stat status;
	char *contents;
	size_t length;

	if (file == NULL)
		return NULL;
	assert_int_equal(fstat(fileno(file), &status), 0);
	contents = malloc((size_t)status.st_size + 1);
	length = fread(contents, 1, (size_t)status.st_size, file);
	contents[length] = '\0';
	fclose(file);
	return contents;
}

SHARED void assert_file_is(const char *path, const char *expected)
{
	char *contents = read_file(path);

	assert_non_null(contents);
	assert_string_equal(contents, expected);
	free(contents);
}

SHARED bool exists(const char *path)
{
	struct stat status;

	return lstat(path, &status) == 0;
}

SHARED unsigned mode_of(const char *path)
{
	struct stat status;

	assert_int_equal(lstat(path, &status), 0);
	return status.st_mode & 07777;
}

/* RFC 8259, to the letter: returns what follows the value, or NULL. */
SHARED const char *json_value(const char *at);

SHARED const char *json_space(const char *at)
{
	return at + strspn(at, " \t\n\r");
}

SHARED const char *json_string(const char *at)
{
	if (*at++ != '"')
		return NULL;
	for (; *at != '"'; at++) {
		if ((unsigned char)*at < 0x20)
			return NULL;
		if (*at == '\\') {
			at++;
			if (*at == 'u') {
				if (strspn(at + 1, "0123456789abcdefABCDEF") < 4)
					return NULL;
				at += 4;
			} else if (*at == '\0' || strchr("\"\\/bfnrt", *at) == NULL) {
				return NULL;
			}
		}
	}
	return at + 1;
}

SHARED const char *json_number(const char *at)
{
	size_t digits;

	at += *at == '-';
	digits = strspn(at, "0123456789");
	if (digits == 0 || (digits > 1 && *at == '0'))
		return NULL;
	at += digits;
	if (*at == '.') {
		digits = strspn(at + 1, "0123456789");
		if (digits == 0)
			return NULL;
		at += 1 + digits;
	}
	return at;
}

SHARED const char *json_value(const char *at)
{
	bool is_object = *at == '{';
	const char *const words[] = {"true", "false", "null"};

	if (*at == '"')
		return json_string(at);
	if (*at == '-' || (*at >= '0' && *at <= '9'))
		return json_number(at);
	for (size_t i = 0; i < TL_COUNT_OF(words); i++) {
		if (strncmp(at, words[i], strlen(words[i])) == 0)
			return at + strlen(words[i]);
	}
	if (!is_object && *at != '[')
		return NULL;
	at = json_space(at + 1);
	if (*at == (is_object ? '}' : ']'))
		return at + 1;
	for (;;) {
		if (is_object) {
			at = json_string(at);
			if (at == NULL || *(at = json_space(at)) != ':')
				return NULL;
			at = json_space(at + 1);
		}
		at = json_value(at);
		if (at == NULL)
			return NULL;
		at = json_space(at);
		if (*at == (is_object ? '}' : ']'))
			return at + 1;
		if (*at != ',')
			return NULL;
		at = json_space(at + 1);
	}
}

/* One valid JSON value a line, and every line ended. Returns how many. */
SHARED unsigned assert_json_lines(const char *text)
{
	unsigned lines = 0;

	for (; *text != '\0'; text++, lines++) {
		const char *end = json_value(text);

		if (end == NULL || *end != '\n')
			fail_msg("not a JSON line: %.200s", text);
		text = end;
	}
	return lines;
}

/* A snapshot like a real one, its names as bad as they come. */
#define MIB 1048576

static const struct snapshot_site fixture_sites[] = {
	{
		.function = "leaky_cache",
		.file = "test_leaks.py",
		.kind = SITE_PYTHON,
		.first_line = 36,
		.line = 38,
		.figures = {.counted = 10000,
			    .counted_bytes = 5546967,
			    .count = {10000, 0},
			    .total_bytes = {5546967, 0},
			    .largest = 1024,
			    .sample_count = 200,
			    .sample_bytes = 104858,
			    .retention = 1,
			    .live_bytes = {5400000.4, 1234.5},
			    .live_count = {9900.25, 12.125}},
		.held_line = 40,
		.verdict = {.kind = VERDICT_LEAKING,
			    .growth = {10485.76, 5242.88, 15728.64},
			    .survival = {.share = 0.98,
					 .low = 0.95,
					 .high = 0.99,
					 .units = 240,
					 .at_risk = 200},
			    .generations = 6},
		.types = {{"dict", 4096, 64}},
		.uncertain_bytes = 4096,
		.context = UINT32_MAX,
		.peak_live_bytes = 5400000.25,
		.generations = 3,
		.last_free_s = NAN,
		.lifetimes = {1, 2, 3},
	},
	{
		.function = "Handler.\"quoted\"\n|\x1b[31m\xe2\x80\xae",
		.file = "/srv/\xff\\app/gr\xc3\xbc\xc3\x9f.py",
		.kind = SITE_PYTHON,
		.first_line = 1,
		.line = 7,
		.figures = {.counted = 3,
			    .counted_bytes = 3 * MIB,
			    .count = {1000.5, 30.25},
			    .total_bytes = {4 * MIB, 2048},
			    .largest = MIB,
			    .sample_count = 4,
			    .sample_bytes = 3 * MIB + 512,
			    .freed_samples = 3,
			    .freed_sample_bytes = 2 * MIB,
			    .retention = 0.255,
			    .live_bytes = {MIB, 64},
			    .live_count = {1, 0}},
		.peak_live_bytes = 2 * MIB,
		.last_free_s = 2.5,
	},
	{
		.function = "<native libfoo.so.1+0x1234>",
		.file = "",
		.kind = SITE_NATIVE,
		.figures = {.count = {2, 1},
			    .total_bytes = {100, 50},
			    .retention = NAN,
			    .live_bytes = {2 * MIB, 9}},
		.last_free_s = NAN,
	},
	{
		.function = "a_function_whose_name_is_far_wider_than_its_column",
		.file = "wide.py",
		.kind = SITE_PYTHON,
		.first_line = 1,
		.line = 4294967295,
		.figures = {.counted = 123456789012,
			    .count = {123456789012, 0},
			    .total_bytes = {1, 0},
			    .largest = 1,
			    .sample_count = 1,
			    .sample_bytes = 1,
			    .freed_samples = 1,
			    .freed_sample_bytes = 1,
			    .retention = 0,
			    .live_bytes = {0, 0}},
		.last_free_s = 0,
	},
};

static const struct snapshot_line fixture_lines[] = {
	{.site = 0, .line = 38, .figures = {.counted = 9000, .retention = 1}},
	{.site = 0, .line = 40, .figures = {.counted = 1000, .retention = NAN}},
	{.site = 1, .line = 7, .figures = {.counted = 3}},
	{.site = 3, .line = 4294967295, .figures = {.counted = 1}},
};

static const struct snapshot_frame fixture_frames[] = {
	{0},
	{.parent = 0,
	 .site = UINT32_MAX,
	 .module = UINT32_MAX,
	 .function = "<module>",
	 .file = "test_leaks.py",
	 .line = 90},
	{.parent = 1, .site = 0, .module = UINT32_MAX, .line = 38},
	{.parent = 1, .site = 1, .module = UINT32_MAX, .line = 7},
	{.parent = 2,
	 .site = UINT32_MAX,
	 .module = 0,
	 .offset = 0x1a2b,
	 .function = "",
	 .file = "/usr/lib/lib\"foo.so.1"},
};

static const struct snapshot_module fixture_modules[] = {
	{.path = "/usr/lib/lib\"foo.so.1",
	 .build_id = (const uint8_t *)"\x01\xab\xf0",
	 .build_id_length = 3},
	{.path = "linux-vdso.so.1"},
};

static const struct snapshot_stack fixture_stacks[] = {
	{.frame = 2,
	 .context = UINT32_MAX,
	 .live_bytes = {5400000.4, 1234.5},
	 .live_count = {9900.25, 12.125},
	 .live_samples = 196,
	 .oldest_s = 12.5f,
	 .youngest_s = 0.01f},
	{.frame = 3,
	 .live_bytes = {MIB, 64},
	 .live_count = {1, 0},
	 .live_samples = 1,
	 .oldest_s = 3,
	 .youngest_s = 3},
};

static const struct snapshot_context fixture_contexts[] = {
	{.site = 1,
	 .line = 7,
	 .stack = 1,
	 .via_function = "han|dle",
	 .via_file = "app.py",
	 .via_line = 12,
	 .live_bytes = {MIB, 64},
	 .live_count = {1, 0},
	 .verdict = {.kind = VERDICT_GROWING,
		     .growth = {100, 10, 200},
		     .survival = {NAN, NAN, NAN, 0, 0},
		     .generations = 3}},
};

static const struct snapshot_alarm fixture_alarms[] = {{0, UINT32_MAX}, {1, 0}};
static const struct snapshot_type fixture_types[] = {{"app.Session", 8192, 128}};

static const struct snapshot_map fixture_maps[] = {
	{"pymalloc arenas", 4 * MIB, 4},
	{"lib\"quoted\".so", 4096, 1},
};

static const struct snapshot fixture_snapshot = {
	.pid = 4242,
	.process_start = 1771567000.25,
	.time = 1771567369.75,
	.elapsed_s = 359.5,
	.dump = 2,
	.hostname = "host\"1",
	.job_name = "job",
	.labels = "team=core, tier=we\"b,broken,=none,team=last",
	.python_version = "3.11.2 (main)",
	.program = "python3.11",
	.script = "app.py",
	.sample_rate = 50,
	.sample_bytes = 131072,
	.min_size = 500,
	.live_samples = 300,
	.live_capacity = 200000,
	.rss_bytes = 50 * MIB,
	.peak_rss_bytes = 60 * MIB,
	.rss = {.python_live = 11,
		.python_slack = 12,
		.libc_live = 13,
		.libc_free = 14,
		.maps = 15,
		.files_and_stacks = 16,
		.agent = 17,
		.rest = 18,
		.remedy = "trim"},
	.live_bytes = {8 * MIB, 4096.5},
	.live_count = {9903, 20},
	.peak_live_bytes = 9 * MIB,
	.peak_live_time = 1771567300,
	.agent_bytes = 2 * MIB,
	.agent_cpu_s = 0.0125,
	.sampling_cpu_s = 0.25,
	.sites = fixture_sites,
	.site_count = TL_COUNT_OF(fixture_sites),
	.lines = fixture_lines,
	.line_count = TL_COUNT_OF(fixture_lines),
	.frames = fixture_frames,
	.frame_count = TL_COUNT_OF(fixture_frames),
	.modules = fixture_modules,
	.module_count = TL_COUNT_OF(fixture_modules),
	.stacks = fixture_stacks,
	.stack_count = TL_COUNT_OF(fixture_stacks),
	.contexts = fixture_contexts,
	.context_count = TL_COUNT_OF(fixture_contexts),
	.alarms = fixture_alarms,
	.alarm_count = TL_COUNT_OF(fixture_alarms),
	.types = fixture_types,
	.type_count = TL_COUNT_OF(fixture_types),
	.maps = fixture_maps,
	.map_count = TL_COUNT_OF(fixture_maps),
};

#endif
