#include "blame.h"

#include "../base/hash.h"
#include "../base/pages.h"
#include "../process/config.h"
#include "frame_memo.h"
#include "mixed_stack.h"
#include "names.h"
#include "sites.h"
#include "stacks.h"

#define BLAME_LINES   8192u
#define BLAME_DEEPEST 512

/* Decoded lines: 40 bits of what the line depends on, 24 of the line. Lossy, each entry whole in
 * itself. */
static uint64_t *blame_lines;

TL_INTERNAL enum tl_err blame_start(void)
{
	blame_lines = pages_map(BLAME_LINES * sizeof(uint64_t));
	return blame_lines != NULL ? TL_OK : TL_ERR_SYSTEM;
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

/* The frame as frame_memo wants it. */
static struct py_frame blame_stamped(const struct py_frame *frame)
{
	struct py_frame stamped = *frame;

	if (!TL_LOAD(frame_memo_is_sound) && frame->instruction != FRAME_MEMO_NATIVE)
		stamped.at = py_frame_stamp(frame);
	return stamped;
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
	frame_memo_remember(frame, &place);
	return place;
}

/* The line to blame where this, stamped, is the innermost frame. */
static uint32_t blame_site_line_of(const struct py_frame *frame)
{
	struct frame_place place = blame_place_of(frame);

	if (TL_RARELY(place.site_line == SITES_OTHERS)) {
		place.site_line = sites_line(place.function, place.line);
		frame_memo_remember(frame, &place);
	}
	return place.site_line;
}

static struct py_frame blame_native_frame(const void *caller)
{
	return (struct py_frame){.code = caller, .instruction = FRAME_MEMO_NATIVE};
}

TL_INTERNAL uint32_t blame_line(enum live_layer layer, const void *caller)
{
	struct py_frame frame;

	if (!py_frame_leaf(blame_thread_state(layer), &frame))
		frame = blame_native_frame(caller);
	frame = blame_stamped(&frame);
	return blame_site_line_of(&frame);
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

TL_INTERNAL TL_COLD struct blame_place blame_place(enum live_layer layer, const void *caller)
{
	struct blame_place place = {.stack = STACKS_ROOT};
	struct py_frame frames[BLAME_DEEPEST];
	const void *state = blame_thread_state(layer);
	bool is_deeper;
	size_t depth = py_frame_walk(state, frames, config.stack_depth, &is_deeper);

	for (size_t i = 0; i < depth; i++)
		frames[i] = blame_stamped(&frames[i]);
	if (TL_RARELY(config.native))
		place.stack = blame_push_mixed(state, frames, depth, caller);
	if (depth == 0)
		frames[depth++] = blame_native_frame(caller);
	for (size_t i = depth; i-- > 0 && !config.native;)
		place.stack = blame_push(place.stack, &frames[i]);
	place.line = blame_site_line_of(&frames[0]);
	return place;
}

TL_INTERNAL TL_APART struct py_frame_spot blame_peek_stamped(const void *state, const char *caller)
{
	struct py_frame frame;

	if (!py_frame_leaf(state, &frame))
		return (struct py_frame_spot){.code = caller};
	return (struct py_frame_spot){.code = frame.code, .at = py_frame_stamp(&frame)};
}
