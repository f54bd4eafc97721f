/* leaker ALLOCATOR: leaks 30 blocks of 1,000 bytes by one of libc's allocators; `none` frees them all. */
#define _GNU_SOURCE
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 30, SIZE = 1000 };
void *volatile last; /* so that no allocation is optimised away */

static void *leak(const char *allocator)
{
	void *block = NULL;

	if (!strcmp(allocator, "malloc") || !strcmp(allocator, "none"))
		block = malloc(SIZE);
	else if (!strcmp(allocator, "calloc"))
		block = calloc(SIZE, 1);
	else if (!strcmp(allocator, "realloc"))
		block = realloc(malloc(16), SIZE); /* 16 become 1,000 */
	else if (!strcmp(allocator, "posix_memalign"))
		return posix_memalign(&block, 512, SIZE) ? NULL : block;
	else if (!strcmp(allocator, "valloc"))
		block = valloc(SIZE);
	else if (!strcmp(allocator, "memalign"))
		block = memalign(512, SIZE);
	else if (!strcmp(allocator, "pvalloc"))
		block = pvalloc(SIZE);
	else if (!strcmp(allocator, "aligned_alloc"))
		block = aligned_alloc(512, SIZE);
	else
		return NULL;
	if (!strcmp(allocator, "none")) {
		free(block);
		block = (void *)&last;
	}
	return block;
}

int main(int argc, char **argv)
{
	for (int i = 0; i < BLOCKS; i++)
		if (!(last = leak(argc > 1 ? argv[1] : "")))
			return 2;
	return 0;
}
