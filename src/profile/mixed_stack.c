/* DESIGN: C frames lie on the stack one behind the other, and an evaluation loop that leaves a
 * record on it (3.10 and later) is the frame whose part holds the record. Where it leaves none it is
 * known by its code's addresses, but for what the compiler has put out of its line; up to 3.9, where
 * each Python frame has a loop, a loop that was missed is noticed by there being too few.
 */
#include "mixed_stack.h"

#include "../process/py_frame.h"

static bool mixed_stack_is_loop_code(const struct mixed_parts *parts, size_t native)
{
	return parts->natives[native].pc > parts->loop_start &&
	       parts->natives[native].pc <= parts->loop_end;
}

static bool mixed_stack_has_every_loop(const struct mixed_parts *parts)
{
	size_t count = 0;

	for (size_t i = 0; i < parts->native_count; i++)
		count += mixed_stack_is_loop_code(parts, i);
	return parts->has_loop_each && count >= parts->depth;
}

/* Does this C frame run the Python frame? */
static bool mixed_stack_runs(const struct mixed_parts *parts, size_t native, size_t frame)
{
	return parts->loops[frame] != 0 ? parts->loops[frame] < parts->natives[native].end
					: mixed_stack_is_loop_code(parts, native);
}

/* The first Python frame that another loop runs. */
static size_t mixed_stack_end_of_loop(const struct mixed_parts *parts, size_t frame, bool has_each)
{
	size_t next = frame + 1;

	if (parts->loops[frame] == 0)
		return has_each ? next : parts->depth;
	while (next < parts->depth && parts->loops[next] == parts->loops[frame])
		next++;
	return next;
}

TL_INTERNAL size_t mixed_stack_merge(const struct mixed_parts *parts, struct mixed_frame *mixed)
{
	uint16_t interpreter = NATIVE_MODULES_NONE;
	bool has_each = mixed_stack_has_every_loop(parts);
	size_t count = 0, next = 0, native = 0;

	while (native < parts->native_count && parts->natives[native].module == parts->own_module)
		native++;
	for (; native < parts->native_count && (next < parts->depth || parts->depth == 0);
	     native++) {
		if (parts->depth > 0 && mixed_stack_runs(parts, native, next)) {
			size_t end = mixed_stack_end_of_loop(parts, next, has_each);

			interpreter = parts->natives[native].module;
			while (next < end)
				mixed[count++] = (struct mixed_frame){false, (uint16_t)next++};
		} else if (parts->natives[native].module != interpreter) {
			mixed[count++] = (struct mixed_frame){true, (uint16_t)native};
		}
	}
	while (next < parts->depth)
		mixed[count++] = (struct mixed_frame){false, (uint16_t)next++};
	return count;
}

TL_INTERNAL size_t mixed_stack_read(struct thread *thread, const void *thread_state, size_t depth,
				    struct native_frame *natives, struct mixed_frame *mixed)
{
	uintptr_t loops[MIXED_STACK_PYTHON], until = UINTPTR_MAX;
	struct native_range range = {0};
	bool is_known = native_stack_range(thread, &range);
	struct mixed_parts parts = {
		.natives = natives,
		.loops = loops,
		.depth = depth,
		.loop_start = py_layout.loop_start,
		.loop_end = py_layout.loop_end,
		.has_loop_each = py_layout.line_table == PY_LINES_LNOTAB,
		.own_module = native_stack_own_module(),
	};

	py_frame_find_loops(thread_state, range.low, range.high, loops, depth);
	if (depth > 0 && loops[depth - 1] != 0)
		until = loops[depth - 1];
	if (is_known)
		parts.native_count =
			native_stack_walk(&range, until, natives, NATIVE_STACK_DEEPEST);
	return mixed_stack_merge(&parts, mixed);
}
