/* DESIGN: words parted by blanks: a verb, and behind `set` name=value pairs. Names are those of the
 * variables, without TRACKLEAK_, in lower case; the limits of their values come from settings.def,
 * as config has them.
 */
#include "control_request.h"

#include "../base/text.h"

#include <string.h>
#include <strings.h>

/* Every setting; limits of those only that have a number for a value. */
struct control_known {
	const char *variable;
	double low, high;
};

static const struct control_known control_known[] = {
#define NUMBER(field, variable, fallback, low, high, ...) {variable, low, (double)(high)},
#define REAL                                              NUMBER
#define OCTAL(field, variable, ...)                       {variable, 0, 0},
#define OPTIONAL(field, has_field, variable, ...)         {variable, 0, 0},
#define SWITCH                                            OCTAL
#define NAME                                              OCTAL
#define TEXT                                              OCTAL
#define SECRET                                            OCTAL
#include "../process/settings.def"
};

static const struct {
	const char *variable;
	bool is_whole;
} control_changeable[CONTROL_SETTINGS] = {
	[CONTROL_SAMPLE_RATE] = {"TRACKLEAK_SAMPLE_RATE", true},
	[CONTROL_SAMPLE_BYTES] = {"TRACKLEAK_SAMPLE_BYTES", true},
	[CONTROL_DUMP_INTERVAL] = {"TRACKLEAK_DUMP_INTERVAL", true},
	[CONTROL_MAX_OVERHEAD] = {"TRACKLEAK_MAX_OVERHEAD", false},
};

static const char *const control_verbs[] = {
	[CONTROL_STATUS] = "status", [CONTROL_SNAPSHOT] = "snapshot", [CONTROL_PAUSE] = "pause",
	[CONTROL_RESUME] = "resume", [CONTROL_BASELINE] = "baseline", [CONTROL_SET] = "set",
};

/* The next word, ended in place; NULL when there is none. */
static char *control_next_word(char **rest)
{
	char *word = *rest + strspn(*rest, " \t\r");
	size_t length = strcspn(word, " \t\r");

	if (length == 0)
		return NULL;
	*rest = word + length;
	if (**rest != '\0')
		*(*rest)++ = '\0';
	return word;
}

static bool control_is_variable(const char *variable, const char *name)
{
	static const char prefix[] = "TRACKLEAK_";

	if (strncmp(variable, prefix, sizeof(prefix) - 1) == 0)
		variable += sizeof(prefix) - 1;
	return strcasecmp(variable, name) == 0;
}

/* Digits, and behind them a fraction if it may have one. No signs, no exponents. */
static bool control_read_number(const char *word, bool is_whole, double *number)
{
	double unit = 1;

	*number = 0;
	if (*word < '0' || *word > '9')
		return false;
	for (; *word >= '0' && *word <= '9'; word++)
		*number = *number * 10 + (*word - '0');
	if (*word == '.' && !is_whole)
		for (word++; *word >= '0' && *word <= '9'; word++)
			*number += (unit /= 10) * (*word - '0');
	return *word == '\0';
}

/* NULL: there is no such setting. */
static const struct control_known *control_find(const char *name)
{
	for (size_t i = 0; i < TL_COUNT_OF(control_known); i++) {
		if (control_is_variable(control_known[i].variable, name))
			return &control_known[i];
	}
	return NULL;
}

static enum tl_err control_say(struct text *why, const char *word, const char *what)
{
	text_put(why, word);
	text_put(why, what);
	return TL_ERR_REFUSED;
}

static enum tl_err control_read_pair(char *word, struct control_request *request, struct text *why)
{
	char *equals = strchr(word, '=');
	const struct control_known *known;
	size_t setting = 0;

	if (equals == NULL)
		return control_say(why, word, ": not of the form name=value");
	*equals = '\0';
	known = control_find(word);
	if (known == NULL)
		return control_say(why, word,
				   ": no such setting: sample_rate, sample_bytes, dump_interval "
				   "and max_overhead can be set");
	while (setting < CONTROL_SETTINGS &&
	       strcmp(control_changeable[setting].variable, known->variable) != 0)
		setting++;
	if (setting == CONTROL_SETTINGS)
		return control_say(why, word, ": can only be set when the program is started");
	request->has[setting] = true;
	if (control_read_number(equals + 1, control_changeable[setting].is_whole,
				&request->values[setting]) &&
	    request->values[setting] >= known->low && request->values[setting] <= known->high)
		return TL_OK;
	control_say(why, word, "=");
	control_say(why, equals + 1,
		    control_changeable[setting].is_whole ? " is not a whole number from "
							 : " is not a number from ");
	text_put_u64(why, (uint64_t)known->low);
	text_put(why, " to ");
	text_put_u64(why, (uint64_t)known->high);
	return TL_ERR_REFUSED;
}

TL_INTERNAL enum tl_err control_request_read(char *line, struct control_request *request,
					     struct text *why)
{
	char *verb = control_next_word(&line), *word;
	size_t pairs = 0;

	*request = (struct control_request){.verb = CONTROL_STATUS};
	if (verb == NULL)
		return control_say(why, "", "an empty request");
	while (request->verb <= CONTROL_SET && strcmp(control_verbs[request->verb], verb) != 0)
		request->verb++;
	if (request->verb > CONTROL_SET)
		return control_say(why, verb,
				   ": no such request: status, snapshot, pause, resume, baseline, "
				   "set");
	for (; (word = control_next_word(&line)) != NULL; pairs++) {
		if (request->verb != CONTROL_SET)
			return control_say(why, word, ": one word too many");
		if (control_read_pair(word, request, why) != TL_OK)
			return TL_ERR_REFUSED;
	}
	if (request->verb == CONTROL_SET && pairs == 0)
		return control_say(why, "set", ": what? name=value");
	return TL_OK;
}
