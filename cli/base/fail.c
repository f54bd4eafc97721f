#include "fail.h"

#include "../../src/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FAIL_LINE 4096
/* No character becomes longer than six times itself: `\u202e`. */
#define FAIL_PLAIN (FAIL_LINE * 6)

static void fail_print(const char *format, va_list arguments)
{
	char line[FAIL_LINE], plain[FAIL_PLAIN];
	struct text text = text_over(plain, sizeof(plain));

	vsnprintf(line, sizeof(line), format, arguments);
	text_put_plain(&text, line);
	fprintf(stderr, "trackleak: %s\n", text_terminate(&text));
}

void fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fail_print(format, arguments);
	va_end(arguments);
	exit(FAIL_STATUS);
}

void fail_softly(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fail_print(format, arguments);
	va_end(arguments);
}
