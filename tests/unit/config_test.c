/* links: base/text.c process/config.c */
#include "base/diag.h"
#include "base/text.h"
#include "process/config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Stands in for diag.c: keeps what would have been said, escaped as diag has it. */
static char said[16384];
static size_t lines_said;

void diag_say(const char *part, ...)
{
	size_t length = strlen(said);
	struct text text = text_over(said + length, sizeof(said) - length);
	va_list parts;

	va_start(parts, part);
	for (; part; part = va_arg(parts, const char *))
		text_put_plain(&text, part);
	va_end(parts);
	text_put_char(&text, '\n');
	text_terminate(&text);
	lines_said++;
}

static const char *const variables[] = {
#define NUMBER(field, variable, ...)              variable,
#define OCTAL                                     NUMBER
#define OPTIONAL(field, has_field, variable, ...) variable,
#define REAL                                      NUMBER
#define SWITCH                                    NUMBER
#define NAME                                      NUMBER
#define TEXT                                      NUMBER
#define SECRET                                    NUMBER
#include "process/settings.def"
};

/* Loads the configuration of an environment where only this variable is set. */
static void load_with(const char *variable, const char *value)
{
	for (size_t i = 0; i < TL_COUNT_OF(variables); i++)
		unsetenv(variables[i]);
	if (variable)
		setenv(variable, value, 1);
	said[0] = '\0';
	lines_said = 0;
	config_load(false);
}

/* One line that holds all three words. */
static void assert_said(const char *variable, const char *value, const char *used)
{
	assert_int_equal(lines_said, 1);
	assert_non_null(strstr(said, variable));
	assert_non_null(strstr(said, value));
	assert_non_null(strstr(said, used));
}

static void an_empty_environment_gives_the_promised_defaults(void **state)
{
	(void)state;

	load_with(NULL, NULL);

	assert_int_equal(lines_said, 0);
	assert_int_equal(config.dump_interval_s, 300);
	assert_int_equal(config.sample_rate, 50);
	assert_int_equal(config.min_size, 500);
	assert_int_equal(config.startup_delay_s, 10);
	assert_string_equal(config.log_dir, "/var/log/memory-profiler");
	assert_string_equal(config.json_log, "profiler.json");
	assert_string_equal(config.event_log, "events.log");
	assert_false(config.events);
	assert_false(config.elasticsearch);
	assert_string_equal(config.elasticsearch_url, "");
	assert_string_equal(config.elasticsearch_index, "trackleak-memory");
	assert_true(config.elasticsearch_ssl_verify);
	assert_string_equal(config.job_name, "unknown");
	assert_int_equal(config.sample_bytes, 131072);
	assert_true(config.max_overhead == 1.0);
	assert_true(config.max_size == UINT64_MAX);
	assert_true(config.older_s == 0.5);
	assert_int_equal(config.top, 20);
	assert_int_equal(config.stack_depth, 32);
	assert_false(config.native);
	assert_true(config.python);
	assert_false(config.precise);
	assert_string_equal(config.app, "");
	assert_false(config.any);
	assert_int_equal(config.table_size, 200000);
	assert_int_equal(config.log_max_mb, 50);
	assert_int_equal(config.log_keep, 5);
	assert_int_equal(config.log_mode, 0600);
	assert_false(config.quiet);
	assert_false(config.disable);
	assert_true(config.follow);
	assert_string_equal(config.labels, "");
	assert_false(config.has_seed);
}

static void an_empty_value_is_an_unset_one_and_silent(void **state)
{
	struct config defaults;
	(void)state;
	load_with(NULL, NULL);
	defaults = config;

	for (size_t i = 0; i < TL_COUNT_OF(variables); i++) {
		load_with(variables[i], "");

		assert_int_equal(lines_said, 0);
		assert_int_equal(config.sample_rate, defaults.sample_rate);
		assert_int_equal(config.has_seed, defaults.has_seed);
		assert_string_equal(config.log_dir, defaults.log_dir);
		assert_string_equal(config.job_name, defaults.job_name);
	}
}

static const struct whole_row {
	const char *variable;
	const uint64_t *field;
	bool zero_is_good;
	const char *fallback;
} wholes[] = {
	{"TRACKLEAK_DUMP_INTERVAL", &config.dump_interval_s, true, "300"},
	{"TRACKLEAK_SAMPLE_RATE", &config.sample_rate, false, "50"},
	{"TRACKLEAK_MIN_SIZE", &config.min_size, false, "500"},
	{"TRACKLEAK_STARTUP_DELAY", &config.startup_delay_s, true, "10"},
	{"TRACKLEAK_SAMPLE_BYTES", &config.sample_bytes, false, "131072"},
	{"TRACKLEAK_MAX_SIZE", &config.max_size, false, "none"},
	{"TRACKLEAK_TOP", &config.top, true, "20"},
	{"TRACKLEAK_STACK_DEPTH", &config.stack_depth, false, "32"},
	{"TRACKLEAK_TABLE_SIZE", &config.table_size, false, "200000"},
	{"TRACKLEAK_LOG_MAX_MB", &config.log_max_mb, false, "50"},
	{"TRACKLEAK_LOG_KEEP", &config.log_keep, true, "5"},
	{"TRACKLEAK_SEED", &config.seed, true, "random"},
};

static void a_good_number_is_taken_silently(void **state)
{
	(void)state;

	for (size_t i = 0; i < TL_COUNT_OF(wholes); i++) {
		bool is_table = strcmp(wholes[i].variable, "TRACKLEAK_TABLE_SIZE") == 0;

		load_with(wholes[i].variable, is_table ? "1017" : "17");

		assert_int_equal(lines_said, 0);
		assert_int_equal(*wholes[i].field, is_table ? 1017 : 17);
	}
	assert_true(config.has_seed);
}

static void zero_is_kept_where_it_means_something(void **state)
{
	(void)state;

	for (size_t i = 0; i < TL_COUNT_OF(wholes); i++) {
		uint64_t fallback;
		load_with(NULL, NULL);
		fallback = *wholes[i].field;

		load_with(wholes[i].variable, "0");

		if (wholes[i].zero_is_good) {
			assert_int_equal(lines_said, 0);
			assert_int_equal(*wholes[i].field, 0);
		} else {
			assert_said(wholes[i].variable, "=0 ", wholes[i].fallback);
			assert_int_equal(*wholes[i].field, fallback);
		}
	}
}

static void a_number_that_is_none_costs_one_line_and_keeps_the_default(void **state)
{
	static const char *const bad[] = {"10s",  "1e3", " 5",  "5 ",
					  "0x10", "-1",  "+5",  "abc",
					  ".",    "5.",  "\t7", "99999999999999999999999",
					  "1,000"};
	(void)state;

	for (size_t i = 0; i < TL_COUNT_OF(wholes); i++) {
		uint64_t fallback;
		load_with(NULL, NULL);
		fallback = *wholes[i].field;

		for (size_t j = 0; j < TL_COUNT_OF(bad); j++) {
			load_with(wholes[i].variable, bad[j]);

			assert_said(wholes[i].variable, *bad[j] == '\t' ? "7" : bad[j],
				    wholes[i].fallback);
			if (strcmp(wholes[i].variable, "TRACKLEAK_SEED") != 0)
				assert_int_equal(*wholes[i].field, fallback);
		}
		assert_false(config.has_seed);
	}
}

static void a_number_out_of_range_costs_one_line_and_keeps_the_default(void **state)
{
	static const char *const bad[][2] = {
		{"TRACKLEAK_STACK_DEPTH", "513"},        {"TRACKLEAK_TABLE_SIZE", "999"},
		{"TRACKLEAK_TABLE_SIZE", "100000001"},   {"TRACKLEAK_SAMPLE_RATE", "4294967296"},
		{"TRACKLEAK_MIN_SIZE", "1099511627777"}, {"TRACKLEAK_SEED", "18446744073709551616"},
		{"TRACKLEAK_MAX_OVERHEAD", "100.5"},     {"TRACKLEAK_OLDER", "1000000001"},
		{"TRACKLEAK_LOG_MODE", "1000"},          {"TRACKLEAK_LOG_MODE", "477"},
	};
	struct config defaults;
	(void)state;
	load_with(NULL, NULL);
	defaults = config;

	for (size_t i = 0; i < TL_COUNT_OF(bad); i++) {
		load_with(bad[i][0], bad[i][1]);

		assert_said(bad[i][0], bad[i][1], "using ");
		assert_int_equal(config.stack_depth, defaults.stack_depth);
		assert_int_equal(config.table_size, defaults.table_size);
		assert_int_equal(config.sample_rate, defaults.sample_rate);
		assert_int_equal(config.min_size, defaults.min_size);
		assert_int_equal(config.log_mode, defaults.log_mode);
		assert_true(config.max_overhead == defaults.max_overhead);
		assert_true(config.older_s == defaults.older_s);
		assert_false(config.has_seed);
	}
}

static void the_edges_of_a_range_are_inside(void **state)
{
	(void)state;

	load_with("TRACKLEAK_STACK_DEPTH", "512");
	assert_int_equal(config.stack_depth, 512);
	load_with("TRACKLEAK_TABLE_SIZE", "1000");
	assert_int_equal(config.table_size, 1000);
	load_with("TRACKLEAK_DUMP_INTERVAL", "4294967295");
	assert_int_equal(config.dump_interval_s, UINT32_MAX);
	load_with("TRACKLEAK_SEED", "18446744073709551615");
	assert_true(config.seed == UINT64_MAX && config.has_seed);
	load_with("TRACKLEAK_MAX_OVERHEAD", "100");
	assert_true(config.max_overhead == 100.0);
	assert_int_equal(lines_said, 0);
}

static void numbers_with_decimals_are_read_without_the_locale(void **state)
{
	static const struct {
		const char *value;
		double number;
	} good[] = {{"0", 0},    {"0.0", 0}, {"0.25", 0.25},
		    {".5", 0.5}, {"7", 7},   {"99.999", 99.999}};
	static const char *const bad[] = {"0,5",  "1e1",   "-0.5", "nan", "inf",
					  "0.5%", "1.2.3", ".",    "+1",  " 1"};
	(void)state;

	for (size_t i = 0; i < TL_COUNT_OF(good); i++) {
		load_with("TRACKLEAK_MAX_OVERHEAD", good[i].value);
		assert_int_equal(lines_said, 0);
		assert_true(fabs(config.max_overhead - good[i].number) < 1e-12);
		load_with("TRACKLEAK_OLDER", good[i].value);
		assert_true(fabs(config.older_s - good[i].number) < 1e-12);
	}
	for (size_t i = 0; i < TL_COUNT_OF(bad); i++) {
		load_with("TRACKLEAK_MAX_OVERHEAD", bad[i]);
		assert_said("TRACKLEAK_MAX_OVERHEAD", bad[i], "using 1\n");
		assert_true(config.max_overhead == 1.0);
		load_with("TRACKLEAK_OLDER", bad[i]);
		assert_said("TRACKLEAK_OLDER", bad[i], "using 0.5\n");
		assert_true(config.older_s == 0.5);
	}
}

static const struct {
	const char *variable;
	const bool *field;
	bool fallback;
} switches[] = {
	{"MEMORY_PROFILER_EVENTS", &config.events, false},
	{"TRACKLEAK_NATIVE", &config.native, false},
	{"TRACKLEAK_PYTHON", &config.python, true},
	{"TRACKLEAK_PRECISE", &config.precise, false},
	{"TRACKLEAK_ANY", &config.any, false},
	{"TRACKLEAK_QUIET", &config.quiet, false},
	{"TRACKLEAK_DISABLE", &config.disable, false},
	{"TRACKLEAK_FOLLOW", &config.follow, true},
};

static void a_switch_takes_its_words_in_any_case(void **state)
{
	static const char *const on[] = {"1", "true", "TRUE", "Yes", "on", "oN"};
	static const char *const off[] = {"0", "false", "False", "NO", "off", "OFF"};
	(void)state;

	for (size_t i = 0; i < TL_COUNT_OF(switches); i++) {
		for (size_t j = 0; j < TL_COUNT_OF(on); j++) {
			load_with(switches[i].variable, on[j]);
			assert_int_equal(lines_said, 0);
			assert_true(*switches[i].field);
			load_with(switches[i].variable, off[j]);
			assert_int_equal(lines_said, 0);
			assert_false(*switches[i].field);
		}
	}
}

static void another_word_for_a_switch_costs_one_line_and_keeps_the_default(void **state)
{
	static const char *const bad[] = {"2",  "-1",  "enabled",   "y",
					  "1 ", "onn", "truefalse", "00"};
	(void)state;

	for (size_t i = 0; i < TL_COUNT_OF(switches); i++)
		for (size_t j = 0; j < TL_COUNT_OF(bad); j++) {
			load_with(switches[i].variable, bad[j]);
			assert_said(switches[i].variable, bad[j],
				    switches[i].fallback ? "using 1" : "using 0");
			assert_int_equal(*switches[i].field, switches[i].fallback);
		}
}

static void the_mode_of_log_files_is_octal(void **state)
{
	(void)state;

	load_with("TRACKLEAK_LOG_MODE", "0640");
	assert_int_equal(config.log_mode, 0640);
	load_with("TRACKLEAK_LOG_MODE", "666");
	assert_int_equal(config.log_mode, 0666);
	assert_int_equal(lines_said, 0);
	load_with("TRACKLEAK_LOG_MODE", "0690");
	assert_said("TRACKLEAK_LOG_MODE", "0690", "0600");
	load_with("TRACKLEAK_LOG_MODE", "0");
	assert_said("TRACKLEAK_LOG_MODE", "=0 ", "0600");
	assert_int_equal(config.log_mode, 0600);
}

static void texts_are_our_own_copies(void **state)
{
	char value[] = "/srv/logs";
	(void)state;

	load_with("TRACKLEAK_LOG_DIR", value);
	setenv("TRACKLEAK_LOG_DIR", "/another", 1);

	assert_string_equal(config.log_dir, "/srv/logs");
}

static void every_text_can_have_its_longest_value_at_once(void **state)
{
	char longest[4096];
	(void)state;
	load_with(NULL, NULL);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';

#define NAME(field, variable, fallback, limit, ...)                                                \
	setenv(variable, longest + sizeof(longest) - 1 - (limit), 1);
#define TEXT   NAME
#define SECRET NAME
#include "process/settings.def"
	config_load(false);

	assert_int_equal(lines_said, 0);
#define NAME(field, variable, fallback, limit, ...) assert_int_equal(strlen(config.field), limit);
#define TEXT                                        NAME
#define SECRET                                      NAME
#include "process/settings.def"
}

static void a_name_that_is_too_long_is_cut_between_characters(void **state)
{
	char name[300];
	(void)state;
	memset(name, 'a', sizeof(name));
	memcpy(name + 253, "\xe2\x82\xac", 3); /* a euro sign over the limit of 255 */
	name[299] = '\0';

	load_with("NOMAD_JOB_NAME", name);

	assert_int_equal(strlen(config.job_name), 253);
	assert_said("NOMAD_JOB_NAME", "aaa", "...");
}

static void a_path_that_is_too_long_is_refused(void **state)
{
	char path[5000];
	(void)state;
	memset(path, 'a', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';

	load_with("TRACKLEAK_LOG_DIR", path);

	assert_said("TRACKLEAK_LOG_DIR", "/aaa", "/var/log/memory-profiler");
	assert_string_equal(config.log_dir, "/var/log/memory-profiler");
	assert_true(strlen(said) < 250); /* the value was cut */
}

static void a_bad_value_is_shown_escaped_and_cut_at_80(void **state)
{
	char value[200];
	(void)state;
	memset(value, 'z', sizeof(value));
	memcpy(value, "\x1b[31m\nq", 7);
	value[199] = '\0';

	load_with("TRACKLEAK_SAMPLE_RATE", value);

	assert_said("TRACKLEAK_SAMPLE_RATE", "zzz...", "50");
	assert_null(strchr(said, '\x1b'));
	assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
	assert_true(strlen(said) < 220);
}

static void a_secret_is_never_said(void **state)
{
	char secret[6000];
	(void)state;
	memset(secret, 'Q', sizeof(secret) - 1);
	secret[sizeof(secret) - 1] = '\0';

	load_with("ELASTICSEARCH_PASSWORD", secret);
	assert_said("ELASTICSEARCH_PASSWORD", "(secret)", "nothing");
	assert_null(strstr(said, "QQ"));
	load_with("ELASTICSEARCH_API_KEY", secret);
	assert_null(strstr(said, "QQ"));
	assert_string_equal(config.elasticsearch_api_key, "");
}

static void only_words_for_off_turn_verification_off_and_with_a_warning(void **state)
{
	static const char *const off[] = {"0", "false", "No", "OFF"};
	static const char *const on[] = {"1", "true", "yes", "on"};
	(void)state;

	for (size_t i = 0; i < TL_COUNT_OF(off); i++) {
		load_with("ELASTICSEARCH_SSL_VERIFY", off[i]);
		assert_false(config.elasticsearch_ssl_verify);
		assert_said("ELASTICSEARCH_SSL_VERIFY", "warning", "off");
		load_with("ELASTICSEARCH_SSL_VERIFY", on[i]);
		assert_true(config.elasticsearch_ssl_verify);
		assert_int_equal(lines_said, 0);
	}
	load_with("ELASTICSEARCH_SSL_VERIFY", "never");
	assert_true(config.elasticsearch_ssl_verify);
	assert_said("ELASTICSEARCH_SSL_VERIFY", "never", "using 1");
}

static void shipping_without_an_address_is_off_and_says_so(void **state)
{
	(void)state;

	load_with("ENABLE_ELASTICSEARCH", "1");

	assert_false(config.elasticsearch);
	assert_said("ENABLE_ELASTICSEARCH", "ELASTICSEARCH_URL", "nothing is shipped");
}

static void a_process_that_stays_dormant_says_nothing(void **state)
{
	(void)state;
	load_with("TRACKLEAK_SAMPLE_RATE", "garbage");
	setenv("ENABLE_ELASTICSEARCH", "1", 1);
	setenv("ELASTICSEARCH_SSL_VERIFY", "0", 1);
	lines_said = 0;

	config_load(true);

	assert_int_equal(lines_said, 0);
	assert_int_equal(config.sample_rate, 50);
}

static const char *banner(void)
{
	static char buffer[8192];
	struct text text = text_over(buffer, sizeof(buffer));

	config_banner(&text, "/var/log/memory-profiler", "/var/log/memory-profiler/profiler.json",
		      "/var/log/memory-profiler/events.log");
	return text_terminate(&text);
}

static void the_banner_is_the_promised_one(void **state)
{
	(void)state;

	load_with(NULL, NULL);

	assert_string_equal(banner(),
			    "[trackleak]   log_dir=/var/log/memory-profiler\n"
			    "[trackleak]   json_log=/var/log/memory-profiler/profiler.json\n"
			    "[trackleak]   event_log=/var/log/memory-profiler/events.log\n"
			    "[trackleak] Configuration loaded:\n"
			    "[trackleak]   dump_interval=300s, sample_rate=1/50, min_size=500, "
			    "startup_delay=10s\n"
			    "[trackleak]   elasticsearch=disabled\n"
			    "[trackleak]   job_name=unknown\n");
}

static void load_shipping(const char *url)
{
	load_with("ENABLE_ELASTICSEARCH", "yes");
	setenv("ELASTICSEARCH_URL", url, 1);
	config_load(false);
}

static void the_banner_tells_where_documents_go_without_secrets(void **state)
{
	(void)state;

	load_shipping("https://bob:pw@h:9200/_bulk?pipeline=token");
	assert_non_null(strstr(banner(), "[trackleak]   elasticsearch=ENABLED\n"
					 "[trackleak]   url=https://h:9200/_bulk\n"
					 "[trackleak]   index=trackleak-memory\n"
					 "[trackleak]   auth=basic (of the URL)\n"
					 "[trackleak]   ssl_verify=1\n"
					 "[trackleak]   job_name=unknown\n"));

	setenv("ELASTICSEARCH_USERNAME", "eve", 1);
	setenv("ELASTICSEARCH_PASSWORD", "hunter2", 1);
	config_load(false);
	assert_non_null(strstr(banner(), "auth=basic (eve)\n"));
	assert_null(strstr(banner(), "hunter2"));

	setenv("ELASTICSEARCH_API_KEY", "id:hunter3", 1);
	setenv("ELASTICSEARCH_SSL_VERIFY", "no", 1);
	config_load(false);
	assert_non_null(strstr(banner(), "auth=API key\n[trackleak]   ssl_verify=0\n"));
	assert_null(strstr(banner(), "hunter"));
}

static void no_piece_of_a_password_in_an_address_is_shown(void **state)
{
	static const char *const urls[] = {
		"https://user:SECRET@h:9200", "https://user:SEC/RET@h:9200",
		"https://user:SEC?RET@h",     "https://user:SEC#RET@h/_bulk",
		"user:SECRET@h:9200",         "https://user:SEC@RET@h/",
		"https://h/?api_key=SECRET",  "https://SECRET@h",
		"user:SE://CRET@h",
	};
	(void)state;

	for (size_t i = 0; i < TL_COUNT_OF(urls); i++) {
		load_shipping(urls[i]);
		assert_null(strstr(banner(), "SE"));
		assert_null(strstr(banner(), "RET"));
		assert_null(strstr(banner(), "user"));
		assert_non_null(strstr(banner(), "h"));
	}
}

static void no_name_breaks_the_banner(void **state)
{
	const char *text;
	size_t newlines = 0;
	(void)state;

	load_with("NOMAD_JOB_NAME", "a\nb\x1b[2J\xff");
	text = banner();

	assert_null(strchr(text, '\x1b'));
	for (; *text; text++)
		newlines += *text == '\n';
	assert_int_equal(newlines, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_environment_gives_the_promised_defaults),
		cmocka_unit_test(an_empty_value_is_an_unset_one_and_silent),
		cmocka_unit_test(a_good_number_is_taken_silently),
		cmocka_unit_test(zero_is_kept_where_it_means_something),
		cmocka_unit_test(a_number_that_is_none_costs_one_line_and_keeps_the_default),
		cmocka_unit_test(a_number_out_of_range_costs_one_line_and_keeps_the_default),
		cmocka_unit_test(the_edges_of_a_range_are_inside),
		cmocka_unit_test(numbers_with_decimals_are_read_without_the_locale),
		cmocka_unit_test(a_switch_takes_its_words_in_any_case),
		cmocka_unit_test(another_word_for_a_switch_costs_one_line_and_keeps_the_default),
		cmocka_unit_test(the_mode_of_log_files_is_octal),
		cmocka_unit_test(texts_are_our_own_copies),
		cmocka_unit_test(every_text_can_have_its_longest_value_at_once),
		cmocka_unit_test(a_name_that_is_too_long_is_cut_between_characters),
		cmocka_unit_test(a_path_that_is_too_long_is_refused),
		cmocka_unit_test(a_bad_value_is_shown_escaped_and_cut_at_80),
		cmocka_unit_test(a_secret_is_never_said),
		cmocka_unit_test(only_words_for_off_turn_verification_off_and_with_a_warning),
		cmocka_unit_test(shipping_without_an_address_is_off_and_says_so),
		cmocka_unit_test(a_process_that_stays_dormant_says_nothing),
		cmocka_unit_test(the_banner_is_the_promised_one),
		cmocka_unit_test(the_banner_tells_where_documents_go_without_secrets),
		cmocka_unit_test(no_piece_of_a_password_in_an_address_is_shown),
		cmocka_unit_test(no_name_breaks_the_banner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
