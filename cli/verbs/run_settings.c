#include "run_settings.h"

#include "../base/fail.h"
#include "../base/keep.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum run_settings_kind { RUN_NUMBER, RUN_OCTAL, RUN_REAL, RUN_SWITCH, RUN_TEXT };

struct run_setting {
	enum run_settings_kind kind;
	const char *variable;
	double low, high;
	const char *meaning;
	char *value; /* NULL: not given */
	int is_on;   /* of a switch; -1: not given */
};

/* clang-format off */
#define NUMBER(field, variable, fallback, low, high, group, meaning) \
	{RUN_NUMBER, variable, (double)(low), (double)(high), meaning, NULL, -1},
#define OPTIONAL(field, has_field, variable, fallback, low, high, group, meaning) \
	{RUN_NUMBER, variable, (double)(low), (double)(high), meaning, NULL, -1},
#define OCTAL(field, variable, fallback, low, high, group, meaning) \
	{RUN_OCTAL, variable, (double)(low), (double)(high), meaning, NULL, -1},
#define REAL(field, variable, fallback, low, high, group, meaning) \
	{RUN_REAL, variable, (double)(low), (double)(high), meaning, NULL, -1},
#define SWITCH(field, variable, fallback, group, meaning) \
	{RUN_SWITCH, variable, 0, 0, meaning, NULL, -1},
#define NAME(field, variable, fallback, limit, group, meaning) \
	{RUN_TEXT, variable, 0, (double)(limit), meaning, NULL, -1},
#define TEXT(field, variable, fallback, limit, group, meaning) \
	{RUN_TEXT, variable, 0, (double)(limit), meaning, NULL, -1},
static struct run_setting run_settings[] = {
#include "../../src/process/settings.def"
};
/* clang-format on */

#define RUN_SETTINGS (sizeof(run_settings) / sizeof(run_settings[0]))

/* TRACKLEAK_SAMPLE_RATE is sample-rate, NOMAD_JOB_NAME job-name. */
static char *run_settings_name(const char *variable)
{
	static const char *const prefixes[] = {"TRACKLEAK_", "MEMORY_PROFILER_", "ENABLE_",
					       "NOMAD_"};
	char *name;

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (strncmp(variable, prefixes[i], strlen(prefixes[i])) == 0)
			variable += strlen(prefixes[i]);
	}
	name = keep_copy(variable);
	for (char *at = name; *at != '\0'; at++)
		*at = *at == '_' ? '-' : (char)tolower(*at);
	return name;
}

struct poptOption *run_settings_options(void)
{
	struct poptOption *options = keep_alloc(RUN_SETTINGS * 2 + 1, sizeof(*options));
	size_t count = 0;

	for (size_t i = 0; i < RUN_SETTINGS; i++) {
		struct run_setting *setting = &run_settings[i];
		struct poptOption *option = &options[count++];

		option->longName = run_settings_name(setting->variable);
		option->descrip = setting->meaning;
		if (setting->kind != RUN_SWITCH) {
			option->argInfo = POPT_ARG_STRING;
			option->arg = &setting->value;
			option->argDescrip = setting->kind == RUN_TEXT ? "TEXT" : "N";
			continue;
		}
		option->argInfo = POPT_ARG_VAL;
		option->arg = &setting->is_on;
		option->val = 1;
		options[count] = *option;
		options[count].longName = keep_text("no-%s", option->longName);
		options[count].descrip = keep_text("%s=0", setting->variable);
		options[count++].val = 0;
	}
	return options;
}

static bool run_settings_is_good(const struct run_setting *setting)
{
	const char *value = setting->value;
	char *end = NULL;
	double number;

	if (setting->kind == RUN_TEXT)
		return (double)strlen(value) <= setting->high;
	if (!isdigit((unsigned char)value[0]))
		return false;
	errno = 0;
	number = setting->kind == RUN_REAL
			 ? strtod(value, &end)
			 : (double)strtoull(value, &end, setting->kind == RUN_OCTAL ? 8 : 10);
	return errno == 0 && *end == '\0' && number >= setting->low && number <= setting->high;
}

void run_settings_apply(void)
{
	for (size_t i = 0; i < RUN_SETTINGS; i++) {
		const struct run_setting *setting = &run_settings[i];

		if (setting->is_on >= 0)
			setenv(setting->variable, setting->is_on ? "1" : "0", 1);
		if (setting->value == NULL)
			continue;
		if (!run_settings_is_good(setting))
			fail("--%s %s: not a value of %s", run_settings_name(setting->variable),
			     setting->value, setting->variable);
		setenv(setting->variable, setting->value, 1);
	}
}
