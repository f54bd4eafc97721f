/* An allocator log of our own, to hold the profile against: every block, its size and the Python function that asked.
 *
 * Preloaded BEFORE the agent, so that it stands outermost: the program calls it, it calls the agent, that calls libc.
 * Functions are found by CPython's own API. One thread. A block is its address: the layers it passes do not matter.
 * The agent's promises that it repeats (DESIGN 5): a realloc that grows is an allocation of the growth at its own
 * place, the old part stays where it was; from CPython's own blocks (up to 512 bytes) to libc's is a free and an
 * allocation.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <sys/mman.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static void *(*next_malloc)(size_t) = __libc_malloc;
static void *(*next_calloc)(size_t, size_t) = __libc_calloc;
static void *(*next_realloc)(void *, size_t) = __libc_realloc;
static void (*next_free)(void *) = __libc_free;
static int (*next_posix_memalign)(void **, size_t, size_t);
static void *(*next_memalign)(size_t, size_t) = __libc_memalign;
static void *(*next_aligned_alloc)(size_t, size_t) = __libc_memalign;

/* CPython, by name: no header is needed. */
struct allocator {
	void *ctx;
	void *(*malloc)(void *, size_t);
	void *(*calloc)(void *, size_t, size_t);
	void *(*realloc)(void *, void *, size_t);
	void (*free)(void *, void *);
};
static void (*get_allocator)(int, struct allocator *), (*set_allocator)(int, struct allocator *);
static void *(*current_thread)(void), *(*get_frame)(void), *(*frame_code)(void *),
	*(*get_attribute)(void *, const char *);
static void *(*get_attribute_named)(void *, void *), *(*intern)(const char *), *f_code;
static const char *(*as_utf8)(void *);
static long (*as_long)(void *);
static void (*keep_reference)(void *), (*drop_reference)(void *), (*clear_error)(void);
static struct allocator inner[3]; /* by domain; MEM = 1, OBJ = 2 */

enum { SLOTS = 1 << 21, PARTS = 12, SITES = 4096, NO_SITE = SITES - 1 };

struct block {
	uintptr_t address; /* 0: free, 1: was used */
	bool is_pythons;   /* of CPython's own layer */
	int parts;
	struct {
		size_t size;
		int site;
	} part[PARTS];
};
static struct block *blocks;
static struct site {
	void *code;
	size_t allocations, bytes, live_bytes;
	long live_count;
} sites[SITES];
static int site_count;
static bool armed, finding;
static uintptr_t nested[64]; /* blocks taken while a function was being found: they are its own */
static int nested_count;
static void *libc_result; /* of the last call that passed libc's layer */

static struct block *find(void *address)
{
	uintptr_t key = (uintptr_t)address;

	if (!blocks) /* the loader allocates before our constructor runs */
		return NULL;
	for (size_t i = (key >> 4) * 0x9E3779B97F4A7C15u >> 43;; i = (i + 1) % SLOTS) {
		if (blocks[i].address == key)
			return &blocks[i];
		if (!blocks[i].address)
			return NULL;
	}
}

static struct block *room_for(void *address)
{
	uintptr_t key = (uintptr_t)address;
	struct block *block = find(address);

	for (size_t i = (key >> 4) * 0x9E3779B97F4A7C15u >> 43; !block; i = (i + 1) % SLOTS)
		if (blocks[i].address <= 1)
			block = &blocks[i];
	return block;
}

static size_t size_of(const struct block *block)
{
	size_t sum = 0;

	for (int i = 0; i < block->parts; i++)
		sum += block->part[i].size;
	return sum;
}

static int find_site(void)
{
	int found = NO_SITE;
	void *frame, *code = NULL;

	if (!armed || finding || !current_thread())
		return NO_SITE;
	finding = true;
	frame = get_frame();
	if (frame)
		code = frame_code ? frame_code(frame) : get_attribute_named(frame, f_code);
	if (code) {
		for (found = 0; found < site_count && sites[found].code != code; found++)
			;
		if (found == site_count) {
			if (site_count == NO_SITE)
				abort();
			sites[site_count++].code =
				code; /* keeps the reference: its address cannot come back */
		} else {
			drop_reference(code);
		}
	}
	finding = false;
	return found;
}

static void account(struct block *block, int part, int sign)
{
	struct site *site = &sites[block->part[part].site];

	site->live_bytes += (size_t)sign * block->part[part].size;
	site->live_count += part ? 0 : sign;
}

static void forget(void *address)
{
	struct block *block = address ? find(address) : NULL;

	if (!block)
		return;
	for (int i = 0; i < block->parts; i++)
		account(block, i, -1);
	block->address = 1;
}

static void add_part(struct block *block, size_t size, int site)
{
	if (size) {
		sites[site].allocations++;
		sites[site].bytes += size;
	}
	if (block->parts &&
	    block->part[block->parts - 1].site == site) { /* grown again from the same function */
		block->part[block->parts - 1].size += size;
		sites[site].live_bytes += size;
		return;
	}
	if (block->parts == PARTS)
		abort();
	block->part[block->parts].size = size;
	block->part[block->parts].site = site;
	account(block, block->parts++, 1);
}

static void record(void *address, size_t size, bool is_pythons)
{
	struct block *block;
	int site;

	if (!address || !blocks)
		return;
	site = find_site();
	forget(address);
	block = room_for(address);
	block->address = (uintptr_t)address;
	block->is_pythons = is_pythons;
	block->parts = 0;
	add_part(block, size, site);
	if (finding) {
		if (nested_count == 64)
			abort();
		nested[nested_count++] = (uintptr_t)address;
		return;
	}
	while (nested_count) {
		struct block *own = find((void *)nested[--nested_count]);

		if (!own)
			continue;
		size = own->part[0].size;
		account(own, 0, -1);
		own->parts = 0;
		add_part(own, size, site);
	}
}

/* The block was `old` and became `address` of `size` bytes, by a true realloc. */
static void resized(struct block old, void *address, size_t size)
{
	size_t before = size_of(&old);
	struct block *block;
	int site = size > before ? find_site() : NO_SITE;

	block = room_for(address);
	*block = old;
	block->address = (uintptr_t)address;
	for (int i = 0; i < block->parts; i++)
		account(block, i, 1);
	if (size > before) {
		add_part(block, size - before, site);
		return;
	}
	if (size < before && block->parts > 1)
		abort(); /* which part would shrink is the agent's choice: the program must not ask */
	sites[block->part[0].site].live_bytes -= before - size;
	block->part[0].size = size;
}

/* libc's layer */

void *malloc(size_t size)
{
	void *address = next_malloc(size);

	record(address, size, false);
	libc_result = address;
	return address;
}

void *calloc(size_t count, size_t size)
{
	void *address = next_calloc(count, size);

	record(address, count * size, false);
	libc_result = address;
	return address;
}

void *realloc(void *old, size_t size)
{
	struct block *known = old ? find(old) : NULL, copy = {0};
	void *address;

	if (known)
		copy = *known;
	if (!old)
		return malloc(size);
	forget(old);
	address = next_realloc(old, size);
	if (address && known)
		resized(copy, address, size);
	else if (address)
		record(address, size, false);
	else if (known && size)
		resized(copy, old, size_of(&copy));
	libc_result = address;
	return address;
}

void free(void *address)
{
	int kept = errno;

	forget(address);
	errno = kept;
	next_free(address);
}

int posix_memalign(void **result, size_t alignment, size_t size)
{
	int error = next_posix_memalign ? next_posix_memalign(result, alignment, size) : ENOMEM;

	if (!error)
		record(*result, size, false);
	return error;
}

void *memalign(size_t alignment, size_t size)
{
	void *address = next_memalign(alignment, size);

	record(address, size, false);
	return address;
}

void *aligned_alloc(size_t alignment, size_t size)
{
	void *address = next_aligned_alloc(alignment, size);

	record(address, size, false);
	return address;
}

/* CPython's layer, for both domains; a large block has passed libc's layer and stands there already. */

static void born(void *address, size_t size)
{
	if (address && libc_result != address)
		record(address, size, true);
}

static void *python_malloc(int domain, void *ctx, size_t size)
{
	libc_result = NULL;
	void *address = inner[domain].malloc(ctx, size);

	born(address, size);
	return address;
}

static void *python_calloc(int domain, void *ctx, size_t count, size_t size)
{
	libc_result = NULL;
	void *address = inner[domain].calloc(ctx, count, size);

	born(address, count * size);
	return address;
}

static void *python_realloc(int domain, void *ctx, void *old, size_t size)
{
	struct block *known = old ? find(old) : NULL, copy = {0};
	void *address;

	if (!old)
		return python_malloc(domain, ctx, size);
	if (known && known->is_pythons) {
		copy = *known;
		forget(old);
	}
	libc_result = NULL;
	address = inner[domain].realloc(ctx, old, size);
	if (!copy.address) /* libc's block: its layer has seen to it */
		return address;
	if (!address)
		resized(copy, old, size_of(&copy));
	else if (libc_result !=
		 address) /* it stayed in CPython's layer; libc's has seen to what came to it */
		resized(copy, address, size);
	return address;
}

static void python_free(int domain, void *ctx, void *address)
{
	forget(address);
	inner[domain].free(ctx, address);
}

static void *mem_malloc(void *ctx, size_t size)
{
	return python_malloc(1, ctx, size);
}
static void *obj_malloc(void *ctx, size_t size)
{
	return python_malloc(2, ctx, size);
}
static void *mem_calloc(void *ctx, size_t count, size_t size)
{
	return python_calloc(1, ctx, count, size);
}
static void *obj_calloc(void *ctx, size_t count, size_t size)
{
	return python_calloc(2, ctx, count, size);
}
static void *mem_realloc(void *ctx, void *old, size_t size)
{
	return python_realloc(1, ctx, old, size);
}
static void *obj_realloc(void *ctx, void *old, size_t size)
{
	return python_realloc(2, ctx, old, size);
}
static void mem_free(void *ctx, void *address)
{
	python_free(1, ctx, address);
}
static void obj_free(void *ctx, void *address)
{
	python_free(2, ctx, address);
}

__attribute__((constructor)) static void stand_outermost(void)
{
	void *got;

	blocks = mmap(NULL, SLOTS * sizeof *blocks, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	next_posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
	next_calloc = dlsym(RTLD_NEXT, "calloc");
	next_realloc = dlsym(RTLD_NEXT, "realloc");
	next_memalign = dlsym(RTLD_NEXT, "memalign");
	next_aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc");
	next_free = dlsym(RTLD_NEXT, "free");
	next_malloc = dlsym(RTLD_NEXT, "malloc");
	get_allocator = dlsym(RTLD_DEFAULT, "PyMem_GetAllocator");
	set_allocator = dlsym(RTLD_DEFAULT, "PyMem_SetAllocator");
	got = dlsym(RTLD_DEFAULT, "PyThreadState_GetUnchecked");
	current_thread = got ? got : dlsym(RTLD_DEFAULT, "_PyThreadState_UncheckedGet");
	get_frame = dlsym(RTLD_DEFAULT, "PyEval_GetFrame");
	frame_code = dlsym(RTLD_DEFAULT, "PyFrame_GetCode"); /* 3.9 on */
	get_attribute_named = dlsym(RTLD_DEFAULT, "PyObject_GetAttr");
	intern = dlsym(RTLD_DEFAULT, "PyUnicode_InternFromString");
	get_attribute = dlsym(RTLD_DEFAULT, "PyObject_GetAttrString");
	as_utf8 = dlsym(RTLD_DEFAULT, "PyUnicode_AsUTF8");
	as_long = dlsym(RTLD_DEFAULT, "PyLong_AsLong");
	keep_reference = dlsym(RTLD_DEFAULT, "Py_IncRef");
	drop_reference = dlsym(RTLD_DEFAULT, "Py_DecRef");
	clear_error = dlsym(RTLD_DEFAULT, "PyErr_Clear");
	if (!set_allocator)
		return;
	for (int domain = 1; domain <= 2; domain++) {
		struct allocator ours = {
			NULL,
			domain == 1 ? mem_malloc : obj_malloc,
			domain == 1 ? mem_calloc : obj_calloc,
			domain == 1 ? mem_realloc : obj_realloc,
			domain == 1 ? mem_free : obj_free,
		};

		get_allocator(domain, &inner[domain]);
		ours.ctx = inner[domain].ctx;
		set_allocator(domain, &ours);
	}
}

/* For the program, by ctypes. */

void oracle_arm(void)
{
	f_code = intern(
		"f_code"); /* once: a string made at each look would be an allocation of the function looked at */
	armed = true;
}

/* JSON lines of what stands at this moment; from here on nothing is charged any more. */
void oracle_report(const char *path)
{
	armed = false;

	FILE *file = fopen(path, "w");

	for (int i = 0; i < site_count; i++) {
		void *name = get_attribute(sites[i].code, "co_qualname"), *first, *from;

		if (!name) {
			clear_error();
			name = get_attribute(sites[i].code, "co_name");
		}
		from = get_attribute(sites[i].code, "co_filename");
		first = get_attribute(sites[i].code, "co_firstlineno");
		fprintf(file,
			"{\"function\": \"%s\", \"file\": \"%s\", \"first_line\": %ld, "
			"\"counted\": %zu, "
			"\"counted_bytes\": %zu, \"live_bytes\": %zu, \"live_count\": %ld}\n",
			as_utf8(name), as_utf8(from), as_long(first), sites[i].allocations,
			sites[i].bytes, sites[i].live_bytes, sites[i].live_count);
		drop_reference(name);
		drop_reference(from);
		drop_reference(first);
	}
	fclose(file);
}
