/* Allocations of known number, size and allocator, for Python programs that call this by ctypes.PyDLL.
 *
 * Needs no Python headers: one object serves every interpreter. What is taken is kept until it is given back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *PyMem_Malloc(size_t), *PyMem_Calloc(size_t, size_t), *PyMem_Realloc(void *, size_t);
extern void *PyObject_Malloc(size_t), *PyObject_Calloc(size_t, size_t),
	*PyObject_Realloc(void *, size_t);
extern void *PyMem_RawMalloc(size_t), *PyMem_RawCalloc(size_t, size_t),
	*PyMem_RawRealloc(void *, size_t);
extern void PyMem_Free(void *), PyObject_Free(void *), PyMem_RawFree(void *);
extern void *PyEval_SaveThread(void);
extern void PyEval_RestoreThread(void *);

enum kind {
	MALLOC,
	CALLOC,
	REALLOC,
	POSIX_MEMALIGN,
	ALIGNED_ALLOC,
	MEMALIGN,
	VALLOC,
	PVALLOC,
	PYMEM_MALLOC,
	PYMEM_CALLOC,
	PYMEM_REALLOC,
	PYOBJECT_MALLOC,
	PYOBJECT_CALLOC,
	PYOBJECT_REALLOC,
	PYRAW_MALLOC,
	PYRAW_CALLOC,
	PYRAW_REALLOC,
};

/* Kept in a mapping of our own, so that keeping is no allocation. */
static struct {
	void *block;
	int kind;
} * kept;
static size_t kept_count;
enum { KEPT_LIMIT = 8000000 };

static void keep(void *block, int kind)
{
	if (kept_count == KEPT_LIMIT || !block)
		abort();
	kept[kept_count].block = block;
	kept[kept_count].kind = kind;
	kept_count++;
}

__attribute__((constructor)) static void make_room(void)
{
	kept = mmap(NULL, KEPT_LIMIT * sizeof *kept, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

void *take_one(int kind, size_t size)
{
	void *block = NULL;

	switch ((enum kind)kind) {
	case MALLOC:
		return malloc(size);
	case CALLOC:
		return calloc(1, size);
	case REALLOC:
		return realloc(NULL, size);
	case POSIX_MEMALIGN:
		return posix_memalign(&block, 64, size) ? NULL : block;
	case ALIGNED_ALLOC:
		return aligned_alloc(64, size);
	case MEMALIGN:
		return memalign(64, size);
	case VALLOC:
		return valloc(size);
	case PVALLOC:
		return pvalloc(size);
	case PYMEM_MALLOC:
		return PyMem_Malloc(size);
	case PYMEM_CALLOC:
		return PyMem_Calloc(1, size);
	case PYMEM_REALLOC:
		return PyMem_Realloc(NULL, size);
	case PYOBJECT_MALLOC:
		return PyObject_Malloc(size);
	case PYOBJECT_CALLOC:
		return PyObject_Calloc(1, size);
	case PYOBJECT_REALLOC:
		return PyObject_Realloc(NULL, size);
	case PYRAW_MALLOC:
		return PyMem_RawMalloc(size);
	case PYRAW_CALLOC:
		return PyMem_RawCalloc(1, size);
	case PYRAW_REALLOC:
		return PyMem_RawRealloc(NULL, size);
	}
	return NULL;
}

void *grow_one(int kind, void *block, size_t size)
{
	switch ((enum kind)kind) {
	case PYMEM_MALLOC:
	case PYMEM_CALLOC:
	case PYMEM_REALLOC:
		return PyMem_Realloc(block, size);
	case PYOBJECT_MALLOC:
	case PYOBJECT_CALLOC:
	case PYOBJECT_REALLOC:
		return PyObject_Realloc(block, size);
	case PYRAW_MALLOC:
	case PYRAW_CALLOC:
	case PYRAW_REALLOC:
		return PyMem_RawRealloc(block, size);
	default:
		return realloc(block, size);
	}
}

void free_one(int kind, void *block)
{
	switch ((enum kind)kind) {
	case PYMEM_MALLOC:
	case PYMEM_CALLOC:
	case PYMEM_REALLOC:
		PyMem_Free(block);
		return;
	case PYOBJECT_MALLOC:
	case PYOBJECT_CALLOC:
	case PYOBJECT_REALLOC:
		PyObject_Free(block);
		return;
	case PYRAW_MALLOC:
	case PYRAW_CALLOC:
	case PYRAW_REALLOC:
		PyMem_RawFree(block);
		return;
	default:
		free(block);
	}
}

size_t usable(void *block)
{
	return malloc_usable_size(block);
}

/* `count` blocks that stay; returns the number of the first one. */
size_t take(int kind, size_t size, size_t count)
{
	size_t first = kept_count;

	while (count--)
		keep(take_one(kind, size), kind);
	return first;
}

/* Gives back the kept blocks [first, first + step, ... end). */
void give_back(size_t first, size_t end, size_t step)
{
	for (size_t i = first; i < end; i += step) {
		if (kept[i].block)
			free_one(kept[i].kind, kept[i].block);
		kept[i].block = NULL;
	}
}

/* Takes and frees at once. */
void take_and_free(int kind, size_t size, size_t count)
{
	while (count--)
		free_one(kind, take_one(kind, size));
}

/* Grows the kept blocks [first, end) to `size`; shrinks them if it is smaller. */
void resize_kept(size_t first, size_t end, size_t size)
{
	for (size_t i = first; i < end; i++)
		kept[i].block = grow_one(kept[i].kind, kept[i].block, size);
}

/* What [first, end) hold now by malloc_usable_size. Only for blocks of libc. */
size_t usable_kept(size_t first, size_t end)
{
	size_t sum = 0;

	for (size_t i = first; i < end; i++)
		sum += malloc_usable_size(kept[i].block);
	return sum;
}

/* The same in a thread that Python knows nothing of, while the caller holds the GIL: an OpenMP-like worker. */
struct order {
	int kind, action;
	size_t size, count, first, end;
};
enum { TAKE, GIVE_BACK, TAKE_AND_FREE };

static void *carry_out(void *argument)
{
	struct order *order = argument;

	if (order->action == TAKE)
		order->first = take(order->kind, order->size, order->count);
	else if (order->action == GIVE_BACK)
		give_back(order->first, order->end, 1);
	else
		take_and_free(order->kind, order->size, order->count);
	return NULL;
}

static size_t in_thread(struct order order, size_t stack_bytes)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	if (stack_bytes)
		pthread_attr_setstacksize(&attributes, stack_bytes);
	if (pthread_create(&thread, &attributes, carry_out, &order) || pthread_join(thread, NULL))
		abort();
	return order.first;
}

size_t take_in_thread(int kind, size_t size, size_t count, size_t stack_bytes)
{
	return in_thread((struct order){.kind = kind, .action = TAKE, .size = size, .count = count},
			 stack_bytes);
}

void give_back_in_thread(size_t first, size_t end)
{
	in_thread((struct order){.action = GIVE_BACK, .first = first, .end = end}, 0);
}

/* `threads` native threads at once take and free, while the caller holds the GIL and waits for them. */
void crowd(int threads, int kind, size_t size, size_t count)
{
	pthread_t ids[64];
	struct order order = {.kind = kind, .action = TAKE_AND_FREE, .size = size, .count = count};

	for (int i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, carry_out, &order))
			abort();
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
}

/* A block taken while this thread has let the GIL go. */
size_t take_without_gil(int kind, size_t size, size_t count)
{
	void *state = PyEval_SaveThread();
	size_t first = take(kind, size, count);

	PyEval_RestoreThread(state);
	return first;
}

/* 0 if every allocator leaves errno alone when it succeeds, else the number of the one that does not. */
int errno_is_kept(size_t size)
{
	for (int kind = MALLOC; kind <= PYRAW_REALLOC; kind++) {
		errno = EXDEV;
		void *block = take_one(kind, size);
		if (!block || errno != EXDEV)
			return kind + 1;
		block = grow_one(kind, block, size * 2);
		if (!block || errno != EXDEV)
			return kind + 101;
		free_one(kind, block);
		if (errno != EXDEV)
			return kind + 201;
	}
	return 0;
}

/* 0 if requests that cannot be met answer as libc does. The sizes are no constants, so that no compiler knows better. */
int refusals_are_kept(void)
{
	volatile size_t huge = (size_t)PTRDIFF_MAX, half = SIZE_MAX / 2;
	void *block = malloc(1000), *unchanged = (void *)1;

	errno = 0;
	if (malloc(huge) || errno != ENOMEM)
		return 1;
	errno = 0;
	if (calloc(half, 4) || errno != ENOMEM)
		return 2;
	errno = 0;
	if (realloc(block, huge) || errno != ENOMEM)
		return 3; /* and block still lives */
	memset(block, 1, 1000);
	if (posix_memalign(&unchanged, 3, 100) != EINVAL || unchanged != (void *)1)
		return 4;
	if (posix_memalign(&unchanged, 64, huge) != ENOMEM || unchanged != (void *)1)
		return 5;
	if (realloc(block, 0) != NULL)
		return 6; /* glibc frees it */
	block = malloc(0);
	if (!block)
		return 7;
	free(block);
	free(NULL);
	block = calloc(0, 5);
	if (!block)
		return 8;
	free(block);
	return 0;
}

/* Reserves anonymous memory as another allocator in the process would. */
void *map_anonymous(size_t size)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return map == MAP_FAILED ? NULL : map;
}

int unmap(void *map, size_t size)
{
	return munmap(map, size);
}

void *remap(void *map, size_t old_size, size_t new_size)
{
	map = mremap(map, old_size, new_size, MREMAP_MAYMOVE);
	return map == MAP_FAILED ? NULL : map;
}

/* Leaves without any handler: what os._exit does, but from C. */
void exit_now(int status)
{
	_exit(status);
}
