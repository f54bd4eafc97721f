/* DESIGN
 *     OBJ, MEM -> our wrapper -> what was there before (pymalloc, its debug layer, mimalloc) ->
 *     libc's malloc -> hook_malloc
 * A request of more than the limit (512: pymalloc's own) passes through, for libc's hook to count.
 * Below it, a sample watches whether libc is asked after all: PYTHONMALLOC=debug adds 24 bytes to
 * each request, PYTHONMALLOC=malloc or a program's own allocator may ask libc for everything. What
 * libc serves is libc's to count. So the division needs no list of allocators, and nothing is
 * counted twice under any.
 *
 * `ctx` stays what it was and the functions that we call stand in statics that are set first:
 * PyMem_SetAllocator copies five words without a lock, and a torn copy of ours still works.
 *
 * Healing needs to know whether we are still called. Comparing PyMem_GetAllocator with our
 * functions is not enough: tracemalloc may sit on top of us, and wrapping it would make a ring. So
 * after the interpreter's start the slow path makes its thread's next allocation come to a slow
 * path too, until either our wrapper is entered, or libc's hook has been entered many times in a
 * row without it.
 */
#include "hook_python.h"

#include "../agent/lifecycle.h"
#include "../base/thread.h"
#include "../process/config.h"
#include "../process/py_frame.h"
#include "../process/py_layout.h"
#include "../process/py_tracer.h"
#include "../profile/frame_memo.h"
#include "../profile/live_blocks.h"
#include "../profile/recorder.h"
#include "../profile/sampler.h"
#include "hook_create.h"
#include "hook_events.h"
#include "hook_mmap.h"

#define HOOK_PYMALLOC_LARGEST 512
/* So many of libc's allocations in a row without one of ours: we are not called any more.
 * Free-threaded builds hardly ask libc for anything. */
#define HOOK_PATIENCE (py_layout.free_threaded ? 2 : 64)

/* Two sets of wrappers: whoever heals uses the one that was not used last. Should tracemalloc,
 * against all appearances, still stand on the other one, blocks pass through both, and no ring is
 * made. */
enum hook_domain { HOOK_OBJ, HOOK_MEM, HOOK_OBJ_AGAIN, HOOK_MEM_AGAIN, HOOK_DOMAINS };

static void hook_python_leave(void);

static struct py_allocator hook_below[HOOK_DOMAINS]; /* what we wrap */
static size_t hook_python_limit;                     /* larger requests belong to libc's hook */
static size_t hook_python_small;                     /* larger ones may be counted */
static bool hook_is_installed;
static bool hook_was_tried;   /* to install */
static bool hook_is_again;    /* the second set of wrappers is the one in use */
static bool hook_was_entered; /* since the interpreter's start */
static bool hook_was_initialized;
static unsigned hook_patience;

/* Lowered before the look: the worker may raise it again meanwhile. */
static TL_COLD void hook_python_look(void)
{
	TL_STORE(py_tracer_is_due, false);
	if (!TL_LOAD(hook_was_entered)) {
		TL_STORE(hook_was_entered, true);
		frame_memo_set_sound(config.python); /* every free of a code object comes to us */
	}
	if (hook_create_look())
		TL_STORE(py_tracer_is_due, true);
}

static void hook_python_note_entry(struct thread *thread)
{
	thread->is_probing_python = false;
	if (TL_RARELY(TL_LOAD(py_tracer_is_due)))
		hook_python_look();
}

/* Watches from here on whether libc serves the block. */
static void hook_python_watch(struct thread *thread)
{
	thread->is_watching_libc = true;
	thread->libc_block = 0;
	sampler_withhold(thread, 0);
}

/* Did it? A debug layer puts a few words before the block. */
static bool hook_python_libc_served(struct thread *thread, const void *block)
{
	uintptr_t address = (uintptr_t)block;

	thread->is_watching_libc = false;
	sampler_release(thread);
	return thread->libc_block != 0 && address >= thread->libc_block &&
	       address < thread->libc_block + thread->libc_block_size;
}

/* True when the allocation may be recorded; the charge is settled and the watch begun. */
static bool hook_python_settle(struct thread *thread, size_t charged, bool *is_byte_hit)
{
	hook_python_note_entry(thread);
	if (thread->busy || thread->is_watching_libc)
		return false;
	sampler_prepare(thread, charged);
	*is_byte_hit = sampler_byte_hit(thread);
	hook_python_watch(thread);
	return true;
}

static void hook_python_record(struct thread *thread, const struct recorder_birth *birth)
{
	int saved_errno;

	if (!recorder_enter(thread, &saved_errno))
		return;
	lifecycle_look();
	lifecycle_safe_point();
	if (TL_RARELY(!config.python)) {
		if (!lifecycle_wants_safe_point())
			hook_python_leave();
		recorder_died(birth->aged, birth->aged_count);
		recorder_leave(thread, saved_errno);
		return;
	}
	if (!birth->is_growth)
		hook_events_born(birth->block, birth->size, LIVE_PYTHON, birth->caller);
	recorder_born(thread, birth);
	recorder_leave(thread, saved_errno);
}

static void *hook_python_done(struct thread *thread, void *block, size_t size, bool is_byte_hit,
			      const void *caller)
{
	bool is_libcs = hook_python_libc_served(thread, block);

	if (block == NULL)
		sampler_pass(thread);
	if (block != NULL && !is_libcs)
		hook_python_record(thread, &(struct recorder_birth){
						   .layer = LIVE_PYTHON,
						   .block = block,
						   .size = size,
						   .charged = size,
						   .caller = caller,
						   .is_byte_hit = is_byte_hit,
					   });
	sampler_adapt(thread);
	if (TL_RARELY(thread->is_summoned))
		sampler_withhold(thread, LIFECYCLE_SUMMONS_BYTES);
	return block;
}

static TL_APART TL_FLAT void *hook_python_malloc_slow(enum hook_domain domain, void *ctx,
						      size_t size, const void *caller)
{
	struct thread *thread = &thread_self;
	bool is_byte_hit;

	if (!hook_python_settle(thread, size, &is_byte_hit))
		return hook_below[domain].malloc(ctx, size);
	return hook_python_done(thread, hook_below[domain].malloc(ctx, size), size, is_byte_hit,
				caller);
}

static TL_APART void *hook_python_calloc_slow(enum hook_domain domain, void *ctx, size_t count,
					      size_t size, const void *caller)
{
	struct thread *thread = &thread_self;
	bool is_byte_hit;

	if (!hook_python_settle(thread, count * size, &is_byte_hit))
		return hook_below[domain].calloc(ctx, count, size);
	return hook_python_done(thread, hook_below[domain].calloc(ctx, count, size), count * size,
				is_byte_hit, caller);
}

static TL_APART TL_FLAT void hook_python_free_slow(enum hook_domain domain, void *ctx, void *block)
{
	struct thread *thread = &thread_self;
	int saved_errno;

	if (TL_MOSTLY(!live_blocks_may_start(block))) {
		hook_below[domain].free(ctx, block);
		return;
	}
	if (recorder_enter(thread, &saved_errno)) {
		lifecycle_look();
		recorder_freed(block, LIVE_PYTHON);
		hook_events_died(block);
		recorder_leave(thread, saved_errno);
	} else {
		recorder_saw_reentrant_free();
	}
	hook_below[domain].free(ctx, block);
}

/* What pymalloc holds for a block: the size of its class, read from its pool's header. 0 when the
 * block is not pymalloc's. */
static size_t hook_pymalloc_size(const void *block)
{
	enum { POOL_CLASS = 36 }; /* offset of szidx, 3.8 to 3.15 */
	uintptr_t pool_size = py_layout.minor >= 10 ? 16384 : 4096;
	uintptr_t pool = (uintptr_t)block & ~(pool_size - 1);

	if (hook_python_limit != HOOK_PYMALLOC_LARGEST || !maps_is_arena((uintptr_t)block) ||
	    !maps_is_arena(pool))
		return 0;

	uint32_t class = *(const uint32_t *)(pool + POOL_CLASS);

	return class < HOOK_PYMALLOC_LARGEST / 16 ? ((size_t) class + 1) * 16 : 0;
}

/* A realloc that stays in this layer is one allocation of the growth; one that comes from, or goes
 * to, libc is a free here and an allocation there, which libc's hook sees. Where the old size
 * cannot be known the block is freed and made anew, its bytes as old as they are. */
static TL_APART void *hook_python_realloc_slow(enum hook_domain domain, void *ctx, void *old,
					       size_t size, const void *caller)
{
	struct thread *thread = &thread_self;
	struct live_block held[LIVE_ENTRIES_PER_BLOCK];
	bool is_within = size - 1 < hook_python_limit, is_byte_hit = false, is_libcs = !is_within;
	size_t count = 0, from = 0;
	int saved_errno;

	hook_python_note_entry(thread);
	if (!recorder_enter(thread, &saved_errno))
		return hook_below[domain].realloc(ctx, old, size);
	lifecycle_look();
	if (live_blocks_may_start(old))
		count = recorder_take(old, LIVE_PYTHON, held);

	if (is_within && sampler_is_exhaustive)
		from = recorder_held_bytes(held, count);

	bool is_known = from > 0;

	if (is_within && !is_known)
		from = hook_pymalloc_size(old);
	recorder_leave(thread, saved_errno);

	bool is_settled = is_within && hook_python_settle(thread, size, &is_byte_hit);
	void *block = hook_below[domain].realloc(ctx, old, size);

	if (is_settled)
		is_libcs = hook_python_libc_served(thread, block);
	if (!recorder_enter(thread, &saved_errno))
		return block;
	if (block == NULL) {
		recorder_restore(thread, held, count, old, from, from);
		if (is_settled)
			sampler_pass(thread);
	} else if (is_libcs) {
		recorder_died(held, count);
		hook_events_died(old);
	} else {
		size_t to = is_known ? size : hook_pymalloc_size(block);
		bool is_growth = from != 0;

		hook_events_died(old);
		if (is_growth)
			hook_events_born(block, size, LIVE_PYTHON, caller);
		if (is_growth)
			recorder_restore(thread, held, count, block, from, to < from ? size : to);
		recorder_leave(thread, saved_errno);
		if (!is_growth || to > from)
			hook_python_record(thread, &(struct recorder_birth){
							   .layer = LIVE_PYTHON,
							   .block = block,
							   .size = is_growth ? to - from : size,
							   .charged = size,
							   .caller = caller,
							   .is_growth = is_growth,
							   .is_byte_hit = is_byte_hit,
							   .aged = held,
							   .aged_count = is_growth ? 0 : count,
						   });
		sampler_adapt(thread);
		return block;
	}
	recorder_leave(thread, saved_errno);
	return block;
}

static inline bool hook_python_charge(size_t size)
{
	int64_t left = thread_self.countdown - (int64_t)size;

	thread_self.countdown = left;
	return TL_RARELY(left < 0);
}

/* True when the slow path is wanted. size - 1: a request of nothing becomes one of one byte further
 * down, and goes to libc. */
static inline bool hook_python_is_due(size_t size)
{
	if (TL_MOSTLY(size - 1 < hook_python_small))
		return hook_python_charge(size);
	return size - 1 < hook_python_limit &&
	       (hook_python_charge(size) || size >= TL_LOAD_FAST(sampler_slow_size));
}

static inline void *hook_python_malloc(enum hook_domain domain, void *ctx, size_t size)
{
	if (hook_python_is_due(size))
		return hook_python_malloc_slow(domain, ctx, size, __builtin_return_address(0));
	return hook_below[domain].malloc(ctx, size);
}

static inline void *hook_python_calloc(enum hook_domain domain, void *ctx, size_t count,
				       size_t size)
{
	size_t bytes;

	if (!__builtin_mul_overflow(count, size, &bytes) && hook_python_is_due(bytes))
		return hook_python_calloc_slow(domain, ctx, count, size,
					       __builtin_return_address(0));
	return hook_below[domain].calloc(ctx, count, size);
}

static inline void *hook_python_realloc(enum hook_domain domain, void *ctx, void *block,
					size_t size)
{
	if (block == NULL) {
		if (hook_python_is_due(size))
			return hook_python_malloc_slow(domain, ctx, size,
						       __builtin_return_address(0));
		return hook_below[domain].realloc(ctx, NULL, size);
	}
	if (hook_python_is_due(size) || TL_RARELY(live_blocks_may_hold(block)))
		return hook_python_realloc_slow(domain, ctx, block, size,
						__builtin_return_address(0));
	return hook_below[domain].realloc(ctx, block, size);
}

static inline void hook_python_free(enum hook_domain domain, void *ctx, void *block)
{
	if (TL_RARELY(live_blocks_may_hold(block)))
		hook_python_free_slow(domain, ctx, block);
	else
		hook_below[domain].free(ctx, block);
}

/* The functions that CPython is given: the domain is part of the function, since ctx belongs to
 * what lies below. */
#define HOOK_PYTHON_FUNCTIONS(name, domain)                                                        \
	static void *hook_##name##_malloc(void *ctx, size_t size)                                  \
	{                                                                                          \
		return hook_python_malloc(domain, ctx, size);                                      \
	}                                                                                          \
	static void *hook_##name##_calloc(void *ctx, size_t count, size_t size)                    \
	{                                                                                          \
		return hook_python_calloc(domain, ctx, count, size);                               \
	}                                                                                          \
	static void *hook_##name##_realloc(void *ctx, void *block, size_t size)                    \
	{                                                                                          \
		return hook_python_realloc(domain, ctx, block, size);                              \
	}                                                                                          \
	static void hook_##name##_free(void *ctx, void *block)                                     \
	{                                                                                          \
		hook_python_free(domain, ctx, block);                                              \
	}

HOOK_PYTHON_FUNCTIONS(obj, HOOK_OBJ)
HOOK_PYTHON_FUNCTIONS(mem, HOOK_MEM)
HOOK_PYTHON_FUNCTIONS(obj_again, HOOK_OBJ_AGAIN)
HOOK_PYTHON_FUNCTIONS(mem_again, HOOK_MEM_AGAIN)

static const struct py_allocator hook_python_wrappers[HOOK_DOMAINS] = {
	[HOOK_OBJ] = {NULL, hook_obj_malloc, hook_obj_calloc, hook_obj_realloc, hook_obj_free},
	[HOOK_MEM] = {NULL, hook_mem_malloc, hook_mem_calloc, hook_mem_realloc, hook_mem_free},
	[HOOK_OBJ_AGAIN] = {NULL, hook_obj_again_malloc, hook_obj_again_calloc,
			    hook_obj_again_realloc, hook_obj_again_free},
	[HOOK_MEM_AGAIN] = {NULL, hook_mem_again_malloc, hook_mem_again_calloc,
			    hook_mem_again_realloc, hook_mem_again_free},
};

static bool hook_python_is_ours(const struct py_allocator *allocator)
{
	for (int domain = 0; domain < HOOK_DOMAINS; domain++) {
		if (allocator->malloc == hook_python_wrappers[domain].malloc)
			return true;
	}
	return false;
}

static void hook_python_wrap(int name, enum hook_domain domain)
{
	const struct py_allocator *wrapper = &hook_python_wrappers[domain];
	struct py_allocator allocator;

	py_layout.get_allocator(name, &allocator);
	if (hook_python_is_ours(&allocator))
		return;
	hook_below[domain] = allocator;
	py_layout.set_allocator(name, &(struct py_allocator){allocator.ctx, wrapper->malloc,
							     wrapper->calloc, wrapper->realloc,
							     wrapper->free});
}

static void hook_python_put_in(void)
{
	bool is_mimalloc = py_layout.free_threaded || config.python_uses_mimalloc;

	hook_python_limit = is_mimalloc ? SIZE_MAX - 1 : HOOK_PYMALLOC_LARGEST;
	hook_python_small =
		hook_python_limit < config.min_size ? hook_python_limit : config.min_size - 1;
	hook_python_wrap(PY_DOMAIN_OBJ, HOOK_OBJ);
	hook_python_wrap(PY_DOMAIN_MEM, HOOK_MEM);
	hook_is_installed = true;
}

TL_INTERNAL void hook_python_install(void)
{
	if (py_layout.get_allocator == NULL || py_layout.set_allocator == NULL ||
	    py_layout.is_initialized == NULL)
		return;
	hook_was_tried = true;
	frame_memo_set_sound(config.python_uses_malloc); /* libc sees it all */
	if (!config.python || config.python_uses_malloc)
		return;
	hook_python_put_in();
}

static void hook_python_install_again(void)
{
	hook_is_again = !hook_is_again;
	hook_python_wrap(PY_DOMAIN_OBJ, hook_is_again ? HOOK_OBJ_AGAIN : HOOK_OBJ);
	hook_python_wrap(PY_DOMAIN_MEM, hook_is_again ? HOOK_MEM_AGAIN : HOOK_MEM);
}

/* We are not in, and may have to be: libpython has come late, by dlopen; or the layer is off, but a
 * fork has cost us the worker, and the next allocation of CPython is the safe point where it can be
 * started again. */
static TL_COLD void hook_python_arrive(void)
{
	if (py_layout.set_allocator == NULL || !py_frame_thread_is_attached())
		return;
	if (!hook_was_tried) {
		hook_mmap_find_python();
		hook_python_install();
	} else if (!config.python && lifecycle_wants_safe_point()) {
		hook_python_put_in();
	}
}

/* The layer is off, and the worker is back: out again, unless somebody has wrapped us. */
static void hook_python_leave(void)
{
	for (int domain = HOOK_OBJ; domain <= HOOK_MEM; domain++) {
		int name = domain == HOOK_OBJ ? PY_DOMAIN_OBJ : PY_DOMAIN_MEM;
		struct py_allocator allocator;

		py_layout.get_allocator(name, &allocator);
		if (hook_python_is_ours(&allocator))
			py_layout.set_allocator(name, &hook_below[domain]);
	}
	hook_is_installed = false;
}

TL_INTERNAL void hook_python_heal(void)
{
	struct thread *thread = &thread_self;

	thread->is_probing_python = false;
	if (TL_RARELY(!hook_is_installed)) {
		hook_python_arrive();
		return;
	}
	if (!py_layout.is_initialized()) {
		TL_STORE(hook_was_initialized, false);
		frame_memo_set_sound(false);
		return;
	}
	if (TL_RARELY(!TL_LOAD(hook_was_initialized))) {
		TL_STORE(hook_was_initialized, true);
		TL_STORE(hook_was_entered, false);
		TL_STORE(py_tracer_is_due, true);
		TL_STORE(hook_patience, HOOK_PATIENCE);
	}
	if (TL_MOSTLY(TL_LOAD(hook_was_entered)) || !py_frame_thread_is_attached())
		return;
	/* Attached means that this thread has the GIL: nobody else is here. */
	TL_STORE(hook_patience, TL_LOAD(hook_patience) - 1);
	if (TL_LOAD(hook_patience) == 0) {
		TL_STORE(hook_patience, HOOK_PATIENCE);
		hook_python_install_again();
	}
	thread->is_probing_python = true;
}

TL_INTERNAL bool hook_python_is_well(void)
{
	if (TL_RARELY(!hook_is_installed))
		return py_layout.set_allocator == NULL ||
		       (hook_was_tried && (config.python || !lifecycle_wants_safe_point()));
	return TL_LOAD(hook_was_initialized) && TL_LOAD(hook_was_entered);
}
