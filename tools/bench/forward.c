/* forward: a library that hooks what trackleak.so hooks, and only hands the calls on: the floor of
 * what any profiler of this kind can cost. For LD_PRELOAD, in the benchmarks; no part of the product.
 *
 * -DFORWARD_LIBC       malloc, calloc, realloc, free by symbol
 * -DFORWARD_BIRTHS     CPython's OBJ and MEM domains: malloc, calloc, realloc
 * -DFORWARD_DEATHS     their free
 *
 * What dlsym itself allocates before the real functions are known comes from a small arena. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#define FORWARD_API __attribute__((visibility("default")))

#ifdef FORWARD_LIBC
static void *(*forward_malloc)(size_t);
static void *(*forward_calloc)(size_t, size_t);
static void *(*forward_realloc)(void *, size_t);
static void (*forward_free)(void *);
static char forward_arena[4096] __attribute__((aligned(16)));
static size_t forward_used;

/* Other libraries' constructors may come before ours. */
static __attribute__((noinline)) void *forward_first(size_t size)
{
	static int is_looking;

	if (!is_looking) {
		is_looking = 1;
		*(void **)&forward_realloc = dlsym(RTLD_NEXT, "realloc");
		*(void **)&forward_free = dlsym(RTLD_NEXT, "free");
		*(void **)&forward_calloc = dlsym(RTLD_NEXT, "calloc");
		*(void **)&forward_malloc = dlsym(RTLD_NEXT, "malloc");
		return forward_calloc(1, size);
	}
	size = (size + 15) & ~(size_t)15;
	if (size > sizeof(forward_arena) - forward_used)
		return NULL;
	forward_used += size;
	return forward_arena + forward_used - size;
}

FORWARD_API void *malloc(size_t size)
{
	return forward_malloc ? forward_malloc(size) : forward_first(size);
}

FORWARD_API void *calloc(size_t count, size_t size)
{
	return forward_malloc ? forward_calloc(count, size) : forward_first(count * size);
}

FORWARD_API void *realloc(void *block, size_t size)
{
	return block == NULL ? malloc(size) : forward_realloc(block, size);
}

FORWARD_API void free(void *block)
{
	if ((size_t)((char *)block - forward_arena) >= sizeof(forward_arena) && block != NULL)
		forward_free(block);
}
#endif

#if defined(FORWARD_BIRTHS) || defined(FORWARD_DEATHS)
struct forward_allocator {
	void *ctx;
	void *(*malloc)(void *, size_t);
	void *(*calloc)(void *, size_t, size_t);
	void *(*realloc)(void *, void *, size_t);
	void (*free)(void *, void *);
};

enum forward_domain { FORWARD_MEM = 1, FORWARD_OBJ = 2 };

static struct forward_allocator forward_below[3];

#define FORWARD_DOMAIN(name, domain)                                                               \
	static void *name##_malloc(void *ctx, size_t size)                                         \
	{                                                                                          \
		return forward_below[domain].malloc(ctx, size);                                    \
	}                                                                                          \
	static void *name##_calloc(void *ctx, size_t count, size_t size)                           \
	{                                                                                          \
		return forward_below[domain].calloc(ctx, count, size);                             \
	}                                                                                          \
	static void *name##_realloc(void *ctx, void *block, size_t size)                           \
	{                                                                                          \
		return forward_below[domain].realloc(ctx, block, size);                            \
	}                                                                                          \
	static void name##_free(void *ctx, void *block)                                            \
	{                                                                                          \
		forward_below[domain].free(ctx, block);                                            \
	}                                                                                          \
	static const struct forward_allocator name = {NULL, name##_malloc, name##_calloc,          \
						      name##_realloc, name##_free};

FORWARD_DOMAIN(forward_mem, FORWARD_MEM)
FORWARD_DOMAIN(forward_obj, FORWARD_OBJ)

__attribute__((constructor)) static void forward_python(void)
{
	const struct forward_allocator *ours[] = {NULL, &forward_mem, &forward_obj};
	void (*get)(int, struct forward_allocator *);
	void (*set)(int, struct forward_allocator *);

	*(void **)&get = dlsym(RTLD_DEFAULT, "PyMem_GetAllocator");
	*(void **)&set = dlsym(RTLD_DEFAULT, "PyMem_SetAllocator");
	if (!get || !set)
		return;
	for (int domain = FORWARD_MEM; domain <= FORWARD_OBJ; domain++) {
		struct forward_allocator now;

		get(domain, &forward_below[domain]);
		now = forward_below[domain];
#ifdef FORWARD_BIRTHS
		now.malloc = ours[domain]->malloc;
		now.calloc = ours[domain]->calloc;
		now.realloc = ours[domain]->realloc;
#endif
#ifdef FORWARD_DEATHS
		now.free = ours[domain]->free;
#endif
		set(domain, &now);
	}
}
#endif
