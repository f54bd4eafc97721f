/* DESIGN: chunks in which a mark moves up; each is twice as large as the one before, up to a limit.
 * A large snapshot is millions of small blocks: taken one by one from malloc, and in pages of 4 KiB
 * from the kernel, they cost more than reading it.
 */
#include "region.h"

#include "fail.h"
#include "keep.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* 0 (the fuzzers): each block has a chunk of its own, and a sanitizer sees its ends. */
#ifndef REGION_FIRST
#define REGION_FIRST ((size_t)64 << 10)
#endif
#define REGION_MOST  ((size_t)64 << 20)
#define REGION_HUGE  ((size_t)2 << 20) /* a large page */
#define REGION_ALIGN sizeof(struct region_chunk)

struct region_chunk {
	struct region_chunk *before;
	size_t padding;
};

struct region {
	struct region_chunk *chunk;
	char *free;
	size_t left, next; /* bytes in this chunk, and of the next one */
};

static struct {
	struct region all, *used; /* used NULL: all */
} region = {.all = {.next = REGION_FIRST}};

struct region *region_use(struct region *used)
{
	struct region *before = region.used;

	region.used = used;
	return before;
}

struct region *region_new(void)
{
	struct region *made = keep_alloc(1, sizeof(*made));

	made->next = REGION_FIRST;
	return made;
}

void region_free(struct region *gone)
{
	if (gone == NULL)
		return;
	for (struct region_chunk *chunk = gone->chunk, *before; chunk != NULL; chunk = before) {
		before = chunk->before;
		free(chunk);
	}
	free(gone);
}

static void region_add_chunk(struct region *of, size_t least)
{
	size_t size = of->next > least ? of->next : least;
	struct region_chunk *chunk = keep_alloc(1, sizeof(*chunk) + size);
	uintptr_t from = ((uintptr_t)chunk + REGION_HUGE - 1) & ~(REGION_HUGE - 1);
	uintptr_t to = ((uintptr_t)chunk + size) & ~(REGION_HUGE - 1);

	if (from < to) /* a wish; without it the kernel is only slower */
		madvise((void *)from, to - from, MADV_HUGEPAGE);
	chunk->before = of->chunk;
	*of = (struct region){.chunk = chunk,
			      .free = (char *)(chunk + 1),
			      .left = size,
			      .next = of->next * 2 < REGION_MOST ? of->next * 2 : REGION_MOST};
}

void *region_alloc(size_t count, size_t size)
{
	struct region *from = region.used != NULL ? region.used : &region.all;
	size_t bytes;
	void *block;

	if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX - REGION_MOST)
		fail("there is not enough memory");
	bytes = (bytes + REGION_ALIGN - 1) & ~(REGION_ALIGN - 1);
	if (bytes > from->left || REGION_FIRST == 0)
		region_add_chunk(from, bytes);
	block = from->free;
	from->free += bytes;
	from->left -= bytes;
	return block;
}

void *region_grow(void *array, size_t used, size_t *room, size_t size)
{
	void *larger;

	if (used < *room)
		return array;
	*room = *room > 0 ? *room * 2 : 64;
	larger = region_alloc(*room, size);
	if (used > 0)
		memcpy(larger, array, used * size);
	return larger;
}

char *region_copy(const char *string)
{
	size_t length = strlen(string);

	return memcpy(region_alloc(length + 1, 1), string, length);
}

char *region_text(const char *format, ...)
{
	va_list arguments, again;
	char *text;
	int length;

	va_start(arguments, format);
	va_copy(again, arguments);
	length = vsnprintf(NULL, 0, format, arguments);
	text = region_alloc((size_t)length + 1, 1);
	vsnprintf(text, (size_t)length + 1, format, again);
	va_end(again);
	va_end(arguments);
	return text;
}
