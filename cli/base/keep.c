#include "keep.h"

#include "fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *keep_checked(void *memory)
{
	if (memory == NULL)
		fail("there is not enough memory");
	return memory;
}

void *keep_alloc(size_t count, size_t size)
{
	return keep_checked(calloc(count > 0 ? count : 1, size));
}

void *keep_grow(void *array, size_t used, size_t *room, size_t size)
{
	if (used < *room)
		return array;
	*room = *room > 0 ? *room * 2 : 64;
	return keep_checked(reallocarray(array, *room, size));
}

char *keep_copy(const char *string)
{
	return keep_checked(strdup(string));
}

char *keep_text(const char *format, ...)
{
	va_list arguments;
	char *text = NULL;
	int length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	return keep_checked(length < 0 ? NULL : text);
}
