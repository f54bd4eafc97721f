#include "blame.h"

#include "../base/hash.h"
#include "../base/pages.h"
#include "../process/config.h"
#include "frame_memo.h"
#include "mixed_stack.h"
#include "names.h"
#include "sites.h"
#include "stack_memo.h"
#include "stacks.h"

#define BLAME_LINES 8192u

/* Decoded lines: 40 bits of what the line depends on, 24 of the line. Lossy, each entry whole in
 * itself. */
static uint64_t *blame_lines;

TL_INTERNAL enum tl_err blame_start(void)
{
	blame_lines = pages_map(BLAME_LINES * sizeof(uint64_t));
	return blame_lines != NULL ? stack_memo_start() : TL_ERR_SYSTEM;
}

/* The line a frame is at. Decoding is linear in the function's table, so what was decoded is
 * remembered. */
static uint32_t blame_decode(const struct py_frame *frame)
{
	uint64_t what[2] = {py_frame_line_table_identity(frame),
			    (uint64_t)(uint32_t)frame->instruction};
	uint64_t key = hash_bytes(what, sizeof(what), (uintptr_t)frame->code) | 1;
	uint64_t *entry = &blame_lines[key % BLAME_LINES], known = TL_LOAD(*entry);
	int32_t line;

	if (known >> 24 == key >> 24)
		return (uint32_t)(known & 0xffffff);
	line = py_frame_line(frame);
	if (line > 0xffffff || line < 0)
		line = 0;
	TL_STORE(*entry, (key & ~UINT64_C(0xffffff)) | (uint32_t)line);
	return (uint32_t)line;
}

/* The frames as frame_memo wants them: where it is not sound, `at` is a stamp. */
static void blame_stamp(struct py_frame *frames, size_t depth)
{
	if (TL_MOSTLY(TL_LOAD(frame_memo_is_sound)))
		return;
	for (size_t i = 0; i < depth; i++)
		frames[i].at = py_frame_stamp(&frames[i]);
}

/* `frame` is a stamped one. */
static struct frame_place blame_place_of(const struct py_frame *frame)
{
	struct frame_place place;

	if (TL_MOSTLY(frame_memo_find(frame, &place)))
		return place;
	if (frame->instruction == FRAME_MEMO_NATIVE)
		place = (struct frame_place){
			.function = names_function_of_address((uintptr_t)frame->code)};
	else
		place = (struct frame_place){.function = names_function_of_frame(frame),
					     .line = blame_decode(frame)};
	place.is_remembered = frame_memo_remember(frame, &place);
	return place;
}

/* The same where this is the innermost frame: with the line to blame. */
static struct frame_place blame_place_of_leaf(const struct py_frame *frame)
{
	struct frame_place place = blame_place_of(frame);

	if (TL_RARELY(place.site_line == SITES_OTHERS)) {
		place.site_line = sites_line(place.function, place.line);
		place.is_remembered = frame_memo_remember(frame, &place);
	}
	return place;
}

static struct py_frame blame_native_frame(const void *caller)
{
	return (struct py_frame){.code = caller, .instruction = FRAME_MEMO_NATIVE};
}

TL_INTERNAL uint32_t blame_line(enum live_layer layer, const void *caller)
{
	struct py_frame frame;

	if (py_frame_leaf(blame_thread_state(layer), &frame))
		blame_stamp(&frame, 1);
	else
		frame = blame_native_frame(caller);
	return blame_place_of_leaf(&frame).site_line;
}

/* The stack, and the line of frames[0]. What the thread's last stack shares with this one is known
 * already. */
static struct blame_place blame_push_all(const struct py_frame *frames, size_t depth)
{
	struct stack_memo *memo = stack_memo_borrow(&thread_self);
	struct stack_memo_place place = {.stack = STACKS_ROOT, .line = SITES_OTHERS};
	size_t outer = memo != NULL ? stack_memo_match(memo, frames, depth, &place) : 0;

	for (; outer < depth; outer++) {
		const struct py_frame *frame = &frames[depth - 1 - outer];
		struct frame_place found =
			outer + 1 < depth ? blame_place_of(frame) : blame_place_of_leaf(frame);

		place.stack = stacks_push(place.stack, found.function, found.line);
		place.line = found.site_line;
		if (memo != NULL && found.is_remembered)
			stack_memo_add(memo, outer, frame, &place);
	}
	if (place.line == SITES_OTHERS) /* it was no leaf last time */
		place.line = blame_place_of_leaf(&frames[0]).site_line;
	if (memo != NULL)
		stack_memo_return(memo);
	return (struct blame_place){.line = place.line, .stack = place.stack};
}

static uint32_t blame_push(uint32_t stack, const struct py_frame *frame)
{
	struct frame_place place = blame_place_of(frame);

	return stacks_push(stack, place.function, place.line);
}

/* The stack with its C frames. Without a Python frame the innermost of them is `caller`, and to
 * blame. */
static TL_COLD uint32_t blame_push_mixed(const void *state, const struct py_frame *frames,
					 size_t depth, const void *caller)
{
	const struct py_frame place = blame_native_frame(caller);
	struct native_frame natives[NATIVE_STACK_DEEPEST];
	struct mixed_frame mixed[MIXED_STACK_MOST];
	size_t count = mixed_stack_read(&thread_self, state, depth, natives, mixed);
	uint32_t stack = STACKS_ROOT;

	while (count-- > 0) {
		uint16_t index = mixed[count].index;

		if (!mixed[count].is_native)
			stack = blame_push(stack, &frames[index]);
		else if (depth > 0 || natives[index].pc != (uintptr_t)caller)
			stack = stacks_push(stack, STACKS_NATIVE | natives[index].module,
					    natives[index].offset);
	}
	return depth > 0 ? stack : blame_push(stack, &place);
}

TL_INTERNAL TL_APART struct blame_place blame_place(enum live_layer layer, const void *caller)
{
	struct blame_place place;
	struct py_frame frames[STACK_MEMO_DEEPEST];
	const void *state = blame_thread_state(layer);
	bool is_deeper;
	size_t depth = py_frame_walk(state, frames, config.stack_depth, &is_deeper);

	blame_stamp(frames, depth);
	if (TL_RARELY(config.native))
		place.stack = blame_push_mixed(state, frames, depth, caller);
	if (depth == 0)
		frames[depth++] = blame_native_frame(caller);
	if (TL_MOSTLY(!config.native))
		return blame_push_all(frames, depth);
	place.line = blame_place_of_leaf(&frames[0]).site_line;
	return place;
}

static TL_APART struct py_frame_spot blame_peek_stamped(const void *state, const char *caller)
{
	struct py_frame frame;

	if (!py_frame_leaf(state, &frame))
		return (struct py_frame_spot){.code = caller};
	return (struct py_frame_spot){.code = frame.code, .at = py_frame_stamp(&frame)};
}

TL_INTERNAL TL_APART TL_FLAT struct py_frame_spot blame_peek_python(const char *caller)
{
	void *state = blame_thread_state(LIVE_LIBC);

	if (state == NULL)
		return (struct py_frame_spot){.code = py_frame_interpreter_is_down() ? NULL
										     : caller};
	if (TL_MOSTLY(TL_LOAD(frame_memo_is_sound)))
		return py_frame_peek(state, caller);
	return blame_peek_stamped(state, caller);
}
