#include "show.h"

#include "../../src/base/text.h"
#include "keep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* No character becomes more than ten: `\U0010ffff` as an escape, or two \u of JSON. */
#define SHOW_WORST 12

char *show_plain_text(const char *name)
{
	size_t room = strlen(name) * SHOW_WORST + 1;
	struct text text = text_over(keep_alloc(room, 1), room);
	char *copy = keep_copy(name), *rest = copy;

	/* A bar is only special in the agent's table, and common in source lines. */
	for (char *part; (part = strsep(&rest, "|")) != NULL;) {
		text_put_plain(&text, part);
		if (rest != NULL)
			text_put_char(&text, '|');
	}
	free(copy);
	text_terminate(&text);
	return text.data;
}

void show_plain(FILE *out, const char *name)
{
	char *text = show_plain_text(name);

	fputs(text, out);
	free(text);
}

void show_json(FILE *out, const char *string)
{
	size_t room = strlen(string) * SHOW_WORST + 3;
	struct text text = text_over(keep_alloc(room, 1), room);

	text_put_json(&text, string);
	fwrite(text.data, 1, text.length, out);
	free(text.data);
}

void show_json_number(FILE *out, double number)
{
	if (isfinite(number))
		fprintf(out, "%.15g", number);
	else
		fputs("null", out);
}

const char *show_size(char *buffer, double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;

	while (fabs(bytes) >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		bytes /= 1024;
		unit++;
	}
	snprintf(buffer, SHOW_WORD, "%.*f %s",
		 unit == 0   ? 0
		 : unit == 1 ? 1
			     : 2,
		 bytes, units[unit]);
	return buffer;
}

const char *show_signed_size(char *buffer, double bytes)
{
	char size[SHOW_WORD];

	snprintf(buffer, SHOW_WORD, "%c%s", bytes < 0 ? '-' : '+', show_size(size, fabs(bytes)));
	return buffer;
}

const char *show_count(char *buffer, double count)
{
	char digits[SHOW_WORD];
	size_t length, put = 0;

	snprintf(digits, sizeof(digits), "%.0f", fmin(count, 1e18));
	length = strlen(digits);
	for (size_t i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-')
			buffer[put++] = ',';
		buffer[put++] = digits[i];
	}
	buffer[put] = '\0';
	return buffer;
}

const char *show_signed_count(char *buffer, double count)
{
	char number[SHOW_WORD];

	snprintf(buffer, SHOW_WORD, "%c%s", count < 0 ? '-' : '+', show_count(number, fabs(count)));
	return buffer;
}

const char *show_duration(char *buffer, double seconds)
{
	if (seconds < 120)
		snprintf(buffer, SHOW_WORD, "%.*f s", seconds < 10 ? 1 : 0, seconds);
	else if (seconds < 7200)
		snprintf(buffer, SHOW_WORD, "%.0f min", seconds / 60);
	else if (seconds < 48 * 3600)
		snprintf(buffer, SHOW_WORD, "%.1f h", seconds / 3600);
	else
		snprintf(buffer, SHOW_WORD, "%.1f d", fmin(seconds, 1e12) / 86400);
	return buffer;
}

const char *show_time(char *buffer, double epoch_seconds)
{
	/* Beyond the year 9999 a date says nothing. */
	time_t time = (time_t)fmin(fmax(epoch_seconds, 0), 253402300799.0);
	struct tm parts;

	gmtime_r(&time, &parts);
	strftime(buffer, SHOW_WORD, "%Y-%m-%d %H:%M:%S UTC", &parts);
	return buffer;
}
