/* DESIGN
 * Each allocator pointer starts at a bootstrap function that finds them all and then calls the one
 * that was wanted, so the hooks need no test for "not yet". dlsym may itself allocate (glibc before
 * 2.34 does, and always when a symbol is missing): those few requests are served by glibc's __libc_
 * names, which are what dlsym finds too unless another allocator is preloaded. Tried elsewhere and
 * dropped: a static pool, which every free would have to recognise for ever.
 */
#include "real_malloc.h"

#include "../base/thread.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t) __attribute__((weak));
extern void *__libc_calloc(size_t, size_t) __attribute__((weak));
extern void *__libc_realloc(void *, size_t) __attribute__((weak));
extern void *__libc_memalign(size_t, size_t) __attribute__((weak));
extern void __libc_free(void *) __attribute__((weak));

static void *real_malloc_first(size_t size);
static void *real_calloc_first(size_t count, size_t size);
static void *real_realloc_first(void *block, size_t size);
static void real_free_first(void *block);
static int real_posix_memalign_first(void **block, size_t alignment, size_t size);
static void *real_aligned_alloc_first(size_t alignment, size_t size);
static void *real_memalign_first(size_t alignment, size_t size);
static void *real_valloc_first(size_t size);
static void *real_pvalloc_first(size_t size);

TL_INTERNAL void *(*real_malloc)(size_t) = real_malloc_first;
TL_INTERNAL void *(*real_calloc)(size_t, size_t) = real_calloc_first;
TL_INTERNAL void *(*real_realloc)(void *, size_t) = real_realloc_first;
TL_INTERNAL void (*real_free)(void *) = real_free_first;
TL_INTERNAL int (*real_posix_memalign)(void **, size_t, size_t) = real_posix_memalign_first;
TL_INTERNAL void *(*real_aligned_alloc)(size_t, size_t) = real_aligned_alloc_first;
TL_INTERNAL void *(*real_memalign)(size_t, size_t) = real_memalign_first;
TL_INTERNAL void *(*real_valloc)(size_t) = real_valloc_first;
TL_INTERNAL void *(*real_pvalloc)(size_t) = real_pvalloc_first;
TL_INTERNAL size_t (*real_malloc_usable_size)(void *);
TL_INTERNAL struct real_heap (*real_heap_ask)(void);

TL_INTERNAL void *(*real_mmap)(void *, size_t, int, int, int, off_t);
TL_INTERNAL int (*real_munmap)(void *, size_t);
TL_INTERNAL void *(*real_mremap)(void *, size_t, size_t, int, ...);
TL_INTERNAL void (*real_exit_now)(int);
TL_INTERNAL int (*real_kill)(pid_t, int);
TL_INTERNAL int (*real_execve)(const char *, char *const[], char *const[]);
TL_INTERNAL int (*real_execvpe)(const char *, char *const[], char *const[]);
TL_INTERNAL int (*real_fexecve)(int, char *const[], char *const[]);
TL_INTERNAL int (*real_execveat)(int, const char *, char *const[], char *const[], int);

/* A thread that is here already is inside dlsym. */
static _Thread_local bool real_is_looking __attribute__((tls_model("initial-exec")));

/* What an allocator is found under in libc_malloc_debug.so (MALLOC_CHECK_, mtrace) when that is
 * preloaded behind us: the oldest version alone, which a plain dlsym passes over. dlvsym in its turn
 * passes over names without a version, as jemalloc's are, so it is asked only where dlsym has come
 * to glibc's own. */
#ifdef __aarch64__
#define REAL_OLDEST               "GLIBC_2.17"
#define REAL_ALIGNED_ALLOC_OLDEST "GLIBC_2.17"
#else
#define REAL_OLDEST               "GLIBC_2.2.5"
#define REAL_ALIGNED_ALLOC_OLDEST "GLIBC_2.16"
#endif

static void *real_next(const char *name, const char *oldest)
{
	void *next = dlsym(RTLD_NEXT, name);
	void *hidden = oldest != NULL ? dlvsym(RTLD_NEXT, name, oldest) : NULL;

	return hidden != NULL ? hidden : next;
}

#define REAL_FIND(function, name, oldest)                                                          \
	do {                                                                                       \
		void *found = real_next(name, oldest);                                             \
		if (found != NULL)                                                                 \
			__atomic_store_n(&(function), (__typeof__(function))found,                 \
					 __ATOMIC_RELEASE);                                        \
	} while (0)

TL_INTERNAL void real_malloc_find(void)
{
	if (real_is_looking)
		return;
	real_is_looking = true;
	const bool next_is_glibc = dlsym(RTLD_NEXT, "malloc") == (void *)__libc_malloc;
	const char *oldest = next_is_glibc ? REAL_OLDEST : NULL;

	/* free comes first: from then on memory that dlsym took by __libc_malloc can be given back.
	 * */
	REAL_FIND(real_free, "free", oldest);
	REAL_FIND(real_malloc, "malloc", oldest);
	REAL_FIND(real_calloc, "calloc", oldest);
	REAL_FIND(real_realloc, "realloc", oldest);
	REAL_FIND(real_posix_memalign, "posix_memalign", oldest);
	REAL_FIND(real_aligned_alloc, "aligned_alloc",
		  next_is_glibc ? REAL_ALIGNED_ALLOC_OLDEST : NULL);
	REAL_FIND(real_memalign, "memalign", oldest);
	REAL_FIND(real_valloc, "valloc", oldest);
	REAL_FIND(real_pvalloc, "pvalloc", oldest);
	REAL_FIND(real_malloc_usable_size, "malloc_usable_size", oldest);
	REAL_FIND(real_mmap, "mmap", NULL);
	REAL_FIND(real_munmap, "munmap", NULL);
	REAL_FIND(real_mremap, "mremap", NULL);
	REAL_FIND(real_exit_now, "_exit", NULL);
	REAL_FIND(real_kill, "kill", NULL);
	REAL_FIND(real_execve, "execve", NULL);
	REAL_FIND(real_execvpe, "execvpe", NULL);
	REAL_FIND(real_fexecve, "fexecve", NULL);
	REAL_FIND(real_execveat, "execveat", NULL);
	REAL_FIND(real_heap_ask, "mallinfo2", NULL);
	/* Not looked for a second time: dlsym frees its last error's text, and that free would come
	 * back here and free it again. */
	if (real_free == real_free_first && __libc_free != NULL)
		real_free = __libc_free;
	real_is_looking = false;
}

/* True when the lookup has just succeeded, or another thread's has. */
static bool real_is_found(const void *now, const void *first)
{
	return now != first;
}

static void *real_out_of_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

static void *real_malloc_first(size_t size)
{
	real_malloc_find();
	if (real_is_found((const void *)real_malloc, (const void *)real_malloc_first))
		return real_malloc(size);
	return __libc_malloc != NULL ? __libc_malloc(size) : real_out_of_memory();
}

static void *real_calloc_first(size_t count, size_t size)
{
	real_malloc_find();
	if (real_is_found((const void *)real_calloc, (const void *)real_calloc_first))
		return real_calloc(count, size);
	return __libc_calloc != NULL ? __libc_calloc(count, size) : real_out_of_memory();
}

static void *real_realloc_first(void *block, size_t size)
{
	real_malloc_find();
	if (real_is_found((const void *)real_realloc, (const void *)real_realloc_first))
		return real_realloc(block, size);
	return __libc_realloc != NULL ? __libc_realloc(block, size) : real_out_of_memory();
}

static void real_free_first(void *block)
{
	real_malloc_find();
	if (real_is_found((const void *)real_free, (const void *)real_free_first))
		real_free(block);
	else if (__libc_free != NULL)
		__libc_free(block);
}

static void *real_memalign_first(size_t alignment, size_t size)
{
	real_malloc_find();
	if (real_is_found((const void *)real_memalign, (const void *)real_memalign_first))
		return real_memalign(alignment, size);
	return __libc_memalign != NULL ? __libc_memalign(alignment, size) : real_out_of_memory();
}

static void *real_aligned_alloc_first(size_t alignment, size_t size)
{
	real_malloc_find();
	if (real_is_found((const void *)real_aligned_alloc, (const void *)real_aligned_alloc_first))
		return real_aligned_alloc(alignment, size);
	return real_memalign(alignment, size);
}

static int real_posix_memalign_first(void **block, size_t alignment, size_t size)
{
	real_malloc_find();
	if (real_is_found((const void *)real_posix_memalign,
			  (const void *)real_posix_memalign_first))
		return real_posix_memalign(block, alignment, size);
	*block = real_memalign(alignment, size);
	return *block != NULL ? 0 : ENOMEM;
}

static void *real_valloc_first(size_t size)
{
	real_malloc_find();
	if (real_is_found((const void *)real_valloc, (const void *)real_valloc_first))
		return real_valloc(size);
	return real_memalign(4096, size);
}

static void *real_pvalloc_first(size_t size)
{
	real_malloc_find();
	if (real_is_found((const void *)real_pvalloc, (const void *)real_pvalloc_first))
		return real_pvalloc(size);
	return real_memalign(4096, (size + 4095) & ~(size_t)4095);
}
