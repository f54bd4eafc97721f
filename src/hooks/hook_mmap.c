/* DESIGN
 * Who called tells what a map is. From the interpreter's own code, private memory is an arena of
 * pymalloc or mimalloc, or a chunk of frame stack: the interpreter's, never anybody's leak. The
 * mmap module may be built into the same code (static builds); its maps are shared unless the
 * program asks otherwise, and come from another call than the first arenas did, which are mapped
 * before any module runs. Everything else is charged to its Python line, or to the module that
 * called.
 */
#include "hook_mmap.h"

#include "../agent/lifecycle.h"
#include "../base/thread.h"
#include "../process/modules.h"
#include "../process/py_layout.h"
#include "../process/real_malloc.h"
#include "../profile/maps.h"
#include "../profile/recorder.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HOOK_ARENA_CALLERS 4
#define HOOK_MOST_PIECES   64

static uintptr_t hook_python_start, hook_python_end;
static uintptr_t
	hook_arena_callers[HOOK_ARENA_CALLERS]; /* return addresses of the first arenas' calls */

TL_INTERNAL void hook_mmap_find_python(void)
{
	if (py_layout.is_initialized != NULL)
		modules_range((uintptr_t)py_layout.is_initialized, &hook_python_start,
			      &hook_python_end);
}

static bool hook_is_arena_caller(uintptr_t caller)
{
	for (size_t i = 0; i < HOOK_ARENA_CALLERS; i++) {
		if (TL_LOAD(hook_arena_callers[i]) == caller)
			return true;
		if (TL_LOAD(hook_arena_callers[i]) != 0 || py_layout.is_initialized())
			continue;
		TL_STORE(hook_arena_callers[i],
			 caller); /* starting up: one thread, no module yet */
		return true;
	}
	return false;
}

static bool hook_is_arena(const void *caller, int flags)
{
	uintptr_t address = (uintptr_t)caller;

	if (address < hook_python_start || address >= hook_python_end || (flags & MAP_PRIVATE) == 0)
		return false;
	return hook_is_arena_caller(address) || (flags & MAP_NORESERVE) != 0;
}

static bool hook_mmap_is_watched(const struct thread *thread)
{
	return lifecycle_is_active() && !thread->busy;
}

static bool hook_is_memory(int protection, int flags)
{
	return (flags & MAP_ANONYMOUS) != 0 && (protection & PROT_WRITE) != 0;
}

static void hook_mapped(struct thread *thread, void *start, size_t length, bool is_arena,
			const void *caller)
{
	int saved_errno;

	if (!recorder_enter(thread, &saved_errno))
		return;
	lifecycle_look();
	recorder_mapped((uintptr_t)start, length, is_arena, caller);
	recorder_leave(thread, saved_errno);
}

static void *hook_call_mmap(void *address, size_t length, int protection, int flags, int fd,
			    off_t offset)
{
	if (real_mmap != NULL)
		return real_mmap(address, length, protection, flags, fd, offset);
	return (void *)(uintptr_t)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

/* Takes the range out of the known maps, before it can be handed out again. */
static size_t hook_take_range(struct thread *thread, const void *address, size_t length,
			      struct map *pieces)
{
	uintptr_t start = (uintptr_t)address & ~(uintptr_t)4095;
	uintptr_t end = ((uintptr_t)address + length + 4095) & ~(uintptr_t)4095;
	size_t count = 0;
	int saved_errno;

	if (end > start && recorder_enter(thread, &saved_errno)) {
		lifecycle_look();
		count = maps_remove(start, end, pieces, HOOK_MOST_PIECES);
		recorder_leave(thread, saved_errno);
	}
	return count;
}

static void hook_forget_pieces(struct thread *thread, const struct map *pieces, size_t count)
{
	int saved_errno;

	if (count > 0 && recorder_enter(thread, &saved_errno)) {
		recorder_unmapped(pieces, count);
		recorder_leave(thread, saved_errno);
	}
}

static void hook_put_back(const struct map *pieces, size_t count)
{
	for (size_t i = 0; i < count; i++)
		maps_add(&pieces[i]);
}

static void *hook_mmap(void *address, size_t length, int protection, int flags, int fd,
		       off_t offset, const void *caller)
{
	struct thread *thread = &thread_self;
	struct map pieces[HOOK_MOST_PIECES];
	size_t count = 0;

	if (!hook_mmap_is_watched(thread))
		return hook_call_mmap(address, length, protection, flags, fd, offset);
	if (flags & MAP_FIXED) /* whatever is mapped there goes */
		count = hook_take_range(thread, address, length, pieces);

	void *result = hook_call_mmap(address, length, protection, flags, fd, offset);

	if (result == MAP_FAILED) {
		hook_put_back(pieces, count);
		return result;
	}
	hook_forget_pieces(thread, pieces, count);
	if (!hook_is_memory(protection, flags))
		return result;
	/* What stood there has gone past us (the kernel does not hand out a range that is mapped).
	 * */
	if ((flags & MAP_FIXED) == 0) {
		count = hook_take_range(thread, result, length, pieces);
		hook_forget_pieces(thread, pieces, count);
	}
	hook_mapped(thread, result, length, hook_is_arena(caller, flags), caller);
	return result;
}

TL_EXPORT void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	return hook_mmap(address, length, protection, flags, fd, offset,
			 __builtin_return_address(0));
}

TL_EXPORT void *mmap64(void *address, size_t length, int protection, int flags, int fd,
		       off_t offset)
{
	return hook_mmap(address, length, protection, flags, fd, offset,
			 __builtin_return_address(0));
}

TL_EXPORT int munmap(void *address, size_t length)
{
	struct thread *thread = &thread_self;
	struct map pieces[HOOK_MOST_PIECES];
	size_t count =
		hook_mmap_is_watched(thread) ? hook_take_range(thread, address, length, pieces) : 0;
	int result = real_munmap != NULL ? real_munmap(address, length)
					 : (int)syscall(SYS_munmap, address, length);

	if (result == 0)
		hook_forget_pieces(thread, pieces, count);
	else
		hook_put_back(pieces, count);
	return result;
}

/* The old maps live on at the new place, cut where it is shorter; growth is a map of its own, with
 * its own line. */
static void hook_move_pieces(struct thread *thread, struct map *pieces, size_t count, uintptr_t old,
			     uintptr_t new, size_t new_length)
{
	uintptr_t new_end = (new + new_length + 4095) & ~(uintptr_t)4095;

	for (size_t i = 0; i < count; i++) {
		struct map gone[1];

		pieces[i].start += new - old;
		pieces[i].end += new - old;
		maps_add(&pieces[i]);
		if (pieces[i].end > new_end && maps_remove(new_end, pieces[i].end, gone, 1) > 0)
			hook_forget_pieces(thread, gone, 1);
	}
}

TL_EXPORT void *mremap(void *old, size_t old_length, size_t new_length, int flags, ...)
{
	struct thread *thread = &thread_self;
	struct map pieces[HOOK_MOST_PIECES];
	void *new_address = NULL;
	size_t count = 0;

	if (flags & MREMAP_FIXED) {
		va_list list;

		va_start(list, flags);
		new_address = va_arg(list, void *);
		va_end(list);
	}
	if (hook_mmap_is_watched(thread))
		count = hook_take_range(thread, old, old_length, pieces);

	void *result = real_mremap != NULL
			       ? real_mremap(old, old_length, new_length, flags, new_address)
			       : (void *)(uintptr_t)syscall(SYS_mremap, old, old_length, new_length,
							    flags, new_address);

	if (result == MAP_FAILED) {
		hook_put_back(pieces, count);
		return result;
	}
	if (count > 0) {
		uintptr_t start = (uintptr_t)result,
			  old_end = start + ((old_length + 4095) & ~(size_t)4095);

		hook_move_pieces(thread, pieces, count, (uintptr_t)old, start, new_length);
		if (start + new_length > old_end)
			hook_mapped(thread, (void *)old_end, start + new_length - old_end,
				    pieces[count - 1].kind == MAP_ARENA,
				    __builtin_return_address(0));
	}
	return result;
}
