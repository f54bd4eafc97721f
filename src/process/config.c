/* DESIGN
 * settings.def is read three times: for the room its texts need, for the values, and (by
 * tools/settings_table.py) for README.md. Each kind of row has one reader, config_read_<kind>, that
 * returns the value, or says one line and returns the default. The readers are our own and not
 * strtoull's, which takes blanks, signs and "0x": what the user wrote is a plain number or it is
 * refused, so that `10s` is never taken for 10.
 * Texts are copied one after another into one static buffer that has room for the longest allowed
 * value of each: the program may change its environment at any time.
 */
#include "config.h"

#include "../base/diag.h"
#include "../base/text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	CONFIG_SHOWN_BYTES = 80, /* of a bad value */
	CONFIG_RUNTIME_DIR = 1024,
};

TL_INTERNAL struct config config;

static bool config_is_silent;

#define NAME(field, variable, fallback, limit, ...) +(limit) + 1
#define TEXT                                        NAME
#define SECRET                                      NAME
static char config_texts[0
#include "settings.def"
];

static size_t config_texts_length;
static char config_runtime_dir[CONFIG_RUNTIME_DIR];

/* NULL: not set, or empty. */
static const char *config_value(const char *variable)
{
	const char *value = getenv(variable);

	return value && *value ? value : NULL;
}

/* One line: the variable, its value, what was wanted and what is used instead. */
static void config_say_bad(const char *variable, const char *value, const char *wanted,
			   const char *used)
{
	char shown[CONFIG_SHOWN_BYTES + 1];
	size_t length = strlen(value), kept = text_utf8_prefix(value, length, CONFIG_SHOWN_BYTES);

	if (config_is_silent)
		return;
	memcpy(shown, value, kept);
	shown[kept] = '\0';
	diag_say(variable, "=", shown, kept < length ? "..." : "", " is not ", wanted, ": using ",
		 used, NULL);
}

/* Takes digits of this base from *cursor on. False: the number does not fit. */
static bool config_take_digits(const char **cursor, unsigned base, uint64_t *number)
{
	for (*number = 0; **cursor >= '0' && **cursor < (char)('0' + base); ++*cursor)
		if (__builtin_mul_overflow(*number, base, number) ||
		    __builtin_add_overflow(*number, (unsigned)(**cursor - '0'), number))
			return false;
	return true;
}

static void config_put_number(struct text *text, uint64_t number, unsigned base)
{
	if (base == 10) {
		text_put_u64(text, number);
		return;
	}
	text_put_char(text, '0');
	for (int shift = 6; shift >= 0; shift -= 3) /* modes have three digits */
		text_put_char(text, (char)('0' + (number >> shift & 7)));
}

/* True: a whole number in range. A bad value is said, with `used` in place of it. */
static bool config_read_whole(const char *variable, unsigned base, uint64_t low, uint64_t high,
			      const char *used, uint64_t *number)
{
	const char *value = config_value(variable), *cursor = value;
	char buffer[96];
	struct text wanted = text_over(buffer, sizeof(buffer));

	if (!value)
		return false;
	if (config_take_digits(&cursor, base, number) && !*cursor && *number >= low &&
	    *number <= high)
		return true;
	text_put(&wanted, base == 10 ? "a whole number from " : "an octal number from ");
	config_put_number(&wanted, low, base);
	text_put(&wanted, " to ");
	config_put_number(&wanted, high, base);
	config_say_bad(variable, value, text_terminate(&wanted), used);
	return false;
}

static uint64_t config_read_number(const char *variable, unsigned base, uint64_t fallback,
				   uint64_t low, uint64_t high)
{
	char buffer[32];
	struct text used = text_over(buffer, sizeof(buffer));
	uint64_t number;

	if (fallback == UINT64_MAX)
		text_put(&used, "none");
	else
		config_put_number(&used, fallback, base);
	return config_read_whole(variable, base, low, high, text_terminate(&used), &number)
		       ? number
		       : fallback;
}

static double config_read_real(const char *variable, double fallback, const char *used, double low,
			       double high)
{
	const char *value = config_value(variable), *cursor = value;
	char buffer[96];
	struct text wanted = text_over(buffer, sizeof(buffer));
	uint64_t whole;
	double number, unit = 1;
	bool has_digits, fits;

	if (!value)
		return fallback;
	fits = config_take_digits(&cursor, 10, &whole);
	has_digits = cursor > value;
	number = (double)whole;
	if (fits && *cursor == '.')
		for (cursor++; *cursor >= '0' && *cursor <= '9'; cursor++, has_digits = true)
			number += (unit /= 10) * (*cursor - '0');
	if (fits && has_digits && !*cursor && number >= low && number <= high)
		return number;
	text_put(&wanted, "a number from ");
	text_put_u64(&wanted, (uint64_t)low);
	text_put(&wanted, " to ");
	text_put_u64(&wanted, (uint64_t)high);
	config_say_bad(variable, value, text_terminate(&wanted), used);
	return fallback;
}

static bool config_read_switch(const char *variable, bool fallback)
{
	static const char *const words[][2] = {
		{"0", "1"}, {"false", "true"}, {"no", "yes"}, {"off", "on"}};
	const char *value = config_value(variable);

	if (!value)
		return fallback;
	for (size_t i = 0; i < TL_COUNT_OF(words); i++)
		for (int is_on = 0; is_on <= 1; is_on++)
			if (strcasecmp(value, words[i][is_on]) == 0)
				return is_on;
	config_say_bad(variable, value, "1/true/yes/on or 0/false/no/off", fallback ? "1" : "0");
	return fallback;
}

/* Copies `length` bytes. config_texts has room for every row's limit, so this always fits. */
static const char *config_keep(const char *value, size_t length)
{
	char *copy = config_texts + config_texts_length;

	memcpy(copy, value, length);
	copy[length] = '\0';
	config_texts_length += length + 1;
	return copy;
}

static const char *config_read_name(const char *variable, const char *fallback, size_t limit)
{
	const char *value = config_value(variable);
	size_t length = value ? strlen(value) : 0,
	       kept = text_utf8_prefix(value ? value : "", length, limit);

	if (!value)
		return fallback;
	if (kept < length)
		config_say_bad(variable, value, "short enough", "its beginning");
	return config_keep(value, kept);
}

static const char *config_read_text(const char *variable, const char *fallback, size_t limit,
				    bool is_secret)
{
	const char *value = config_value(variable);
	size_t length = value ? strlen(value) : 0;

	if (!value)
		return fallback;
	if (length <= limit)
		return config_keep(value, length);
	config_say_bad(variable, is_secret ? "(secret)" : value, "short enough",
		       *fallback ? fallback : "nothing");
	return fallback;
}

/* The desktop's, or the service manager's: what is no absolute path counts as unset. */
static void config_read_runtime_dir(void)
{
	const char *value = config_value("XDG_RUNTIME_DIR");

	config_runtime_dir[0] = '\0';
	if (value && value[0] == '/' && strlen(value) < sizeof(config_runtime_dir))
		memcpy(config_runtime_dir, value, strlen(value) + 1);
	config.runtime_dir = config_runtime_dir;
}

TL_INTERNAL void config_load(bool silent)
{
	config_is_silent = silent;
	config_texts_length = 0;

#define NUMBER(field, variable, fallback, low, high, ...)                                          \
	config.field = config_read_number(variable, 10, fallback, low, high);
#define OCTAL(field, variable, fallback, low, high, ...)                                           \
	config.field = config_read_number(variable, 8, fallback, low, high);
#define OPTIONAL(field, has_field, variable, fallback, low, high, ...)                             \
	config.has_field = config_read_whole(variable, 10, low, high, fallback, &config.field);
#define REAL(field, variable, fallback, low, high, ...)                                            \
	config.field = config_read_real(variable, fallback, #fallback, low, high);
#define SWITCH(field, variable, fallback, ...)                                                     \
	config.field = config_read_switch(variable, fallback);
#define NAME(field, variable, fallback, limit, ...)                                                \
	config.field = config_read_name(variable, fallback, limit);
#define TEXT(field, variable, fallback, limit, ...)                                                \
	config.field = config_read_text(variable, fallback, limit, false);
#define SECRET(field, variable, fallback, limit, ...)                                              \
	config.field = config_read_text(variable, fallback, limit, true);
#include "settings.def"

	const char *python_allocator = config_value("PYTHONMALLOC");

	config_read_runtime_dir();

	config.python_uses_malloc = python_allocator && !strncmp(python_allocator, "malloc", 6);
	config.python_uses_mimalloc = python_allocator && !strncmp(python_allocator, "mimalloc", 8);

	if (config.elasticsearch && !*config.elasticsearch_url) {
		config.elasticsearch = false;
		if (!silent)
			diag_say("ENABLE_ELASTICSEARCH without ELASTICSEARCH_URL: nothing is "
				 "shipped",
				 NULL);
	}
	if (!config.elasticsearch_ssl_verify && !silent)
		diag_say("warning: ELASTICSEARCH_SSL_VERIFY is off: what is shipped can be read "
			 "and changed on its way",
			 NULL);
}

/* The URL without user, password, query and fragment. A password may hold an unescaped `/` or `?`,
 * so all that stands before the last `@` goes, wherever it is: rather too little of a URL is shown
 * than a piece of a secret. */
static void config_put_url(struct text *text, const char *url)
{
	const char *colon = url + strcspn(url, ":@/?#"), *at = strrchr(url, '@');
	const char *rest = strncmp(colon, "://", 3) == 0 ? colon + 3 : url;
	char shown[4096];
	struct text part = text_over(shown, sizeof(shown));

	text_put_bytes(&part, url, (size_t)(rest - url));
	if (at && at >= rest)
		rest = at + 1;
	text_put_bytes(&part, rest, strcspn(rest, "?#"));
	text_put_plain(text, text_terminate(&part));
}

TL_INTERNAL void config_banner(struct text *text, const char *log_dir, const char *json_log,
			       const char *event_log)
{
	text_put(text, "[trackleak]   log_dir=");
	text_put_plain(text, log_dir);
	text_put(text, "\n[trackleak]   json_log=");
	text_put_plain(text, json_log);
	text_put(text, "\n[trackleak]   event_log=");
	text_put_plain(text, event_log);
	text_put(text, "\n[trackleak] Configuration loaded:\n[trackleak]   dump_interval=");
	text_put_u64(text, config.dump_interval_s);
	text_put(text, "s, sample_rate=1/");
	text_put_u64(text, config.sample_rate);
	text_put(text, ", min_size=");
	text_put_u64(text, config.min_size);
	text_put(text, ", startup_delay=");
	text_put_u64(text, config.startup_delay_s);
	text_put(text, "s\n[trackleak]   elasticsearch=");
	text_put(text, config.elasticsearch ? "ENABLED" : "disabled");
	if (config.elasticsearch) {
		text_put(text, "\n[trackleak]   url=");
		config_put_url(text, config.elasticsearch_url);
		text_put(text, "\n[trackleak]   index=");
		text_put_plain(text, config.elasticsearch_index);
		text_put(text, "\n[trackleak]   auth=");
		if (*config.elasticsearch_api_key || *config.elasticsearch_api_key_file) {
			text_put(text, "API key");
		} else if (*config.elasticsearch_username) {
			text_put(text, "basic (");
			text_put_plain(text, config.elasticsearch_username);
			text_put(text, ")");
		} else if (strchr(config.elasticsearch_url, '@')) {
			text_put(text, "basic (of the URL)");
		} else {
			text_put(text, "none");
		}
		text_put(text, "\n[trackleak]   ssl_verify=");
		text_put(text, config.elasticsearch_ssl_verify ? "1" : "0");
	}
	text_put(text, "\n[trackleak]   job_name=");
	text_put_plain(text, config.job_name);
	text_put(text, "\n");
}
