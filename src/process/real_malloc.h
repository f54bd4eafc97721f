/* real_malloc: the allocator, mapper and process functions that the program would have had without
 * us.
 *
 * Runs      the pointers may be called from the very first instruction: until real_malloc_find has
 *           run they point at a bootstrap that looks them up first.
 * Promises  the next object's functions (jemalloc's, when it is preloaded too), glibc's own only
 *           while the lookup itself allocates.
 */
#ifndef TL_PROCESS_REAL_MALLOC_H
#define TL_PROCESS_REAL_MALLOC_H

#include "../base/types.h"

#include <sys/types.h>

TL_DATA void *(*real_malloc)(size_t);
TL_DATA void *(*real_calloc)(size_t, size_t);
TL_DATA void *(*real_realloc)(void *, size_t);
TL_DATA void (*real_free)(void *);
TL_DATA int (*real_posix_memalign)(void **, size_t, size_t);
TL_DATA void *(*real_aligned_alloc)(size_t, size_t);
TL_DATA void *(*real_memalign)(size_t, size_t);
TL_DATA void *(*real_valloc)(size_t);
TL_DATA void *(*real_pvalloc)(size_t);
TL_DATA size_t (*real_malloc_usable_size)(void *);

/* glibc's struct mallinfo2, which headers before 2.33 do not have. */
struct real_heap {
	size_t grown, free_chunks, fast_chunks, maps, mapped_bytes, unused, fast_bytes;
	size_t used_bytes, free_bytes, top_bytes;
};

/* mallinfo2; NULL where libc has none. Waits for the locks of glibc's arenas: never from inside an
 * allocation. */
TL_DATA struct real_heap (*real_heap_ask)(void);

/* NULL until real_malloc_find: their hooks ask for it. */
TL_DATA void *(*real_mmap)(void *, size_t, int, int, int, off_t);
TL_DATA int (*real_munmap)(void *, size_t);
TL_DATA void *(*real_mremap)(void *, size_t, size_t, int, ...);
TL_DATA void (*real_exit_now)(int);
TL_DATA int (*real_kill)(pid_t, int);
TL_DATA int (*real_execve)(const char *, char *const[], char *const[]);
TL_DATA int (*real_execvpe)(const char *, char *const[], char *const[]);
TL_DATA int (*real_fexecve)(int, char *const[], char *const[]);
TL_DATA int (*real_execveat)(int, const char *, char *const[], char *const[], int);

/* Looks everything up; safe to call again. May allocate inside dlsym. */
TL_INTERNAL void real_malloc_find(void);

#endif
