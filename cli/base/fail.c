#include "fail.h"

#include "show.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void fail_print(const char *format, va_list arguments)
{
	char line[4096];

	vsnprintf(line, sizeof(line), format, arguments);
	fputs("trackleak: ", stderr);
	show_plain(stderr, line);
	fputc('\n', stderr);
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
