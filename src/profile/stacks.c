#include "stacks.h"

#include "../base/hash.h"
#include "../base/intern.h"
#include "../base/pages.h"

#define STACKS_FRAMES        32768u
#define STACKS_NATIVE_FRAMES 131072u

static uint32_t stacks_room;
static struct intern stacks_known;
static uint64_t *stacks_keys;
static struct stack_frame *stacks_frames;
static uint64_t stacks_without_room;

TL_INTERNAL enum tl_err stacks_start(bool has_natives)
{
	stacks_room = has_natives ? STACKS_NATIVE_FRAMES : STACKS_FRAMES;
	stacks_keys = pages_map(intern_bytes(stacks_room));
	stacks_frames = pages_map((stacks_room + 1) * sizeof(struct stack_frame));
	if (stacks_keys == NULL || stacks_frames == NULL)
		return TL_ERR_SYSTEM;
	intern_start(&stacks_known, stacks_keys, stacks_room);
	return TL_OK;
}

TL_INTERNAL void stacks_reset_in_child(void)
{
	pages_clear(stacks_keys, intern_bytes(stacks_room));
	pages_clear(stacks_frames, (stacks_room + 1) * sizeof(struct stack_frame));
	intern_reset(&stacks_known);
	stacks_without_room = 0;
}

TL_INTERNAL uint32_t stacks_push(uint32_t caller, uint32_t function, uint32_t line)
{
	struct stack_frame frame = {.caller = caller, .function = function, .line = line};
	uint64_t key = hash_bytes(&frame, sizeof(frame), 0) | 1;
	uint32_t stack = intern_find(&stacks_known, key);

	if (TL_MOSTLY(stack != INTERN_NONE))
		return stack;
	intern_lock(&stacks_known);
	stack = intern_find(&stacks_known, key);
	if (stack == INTERN_NONE) {
		stack = intern_reserve(&stacks_known, key);
		if (stack != INTERN_NONE) {
			stacks_frames[stack] = frame;
			intern_publish(&stacks_known, stack, key);
		} else {
			TL_ADD(stacks_without_room, 1);
			stack = caller;
		}
	}
	intern_unlock(&stacks_known);
	return stack;
}

TL_INTERNAL struct stack_frame stacks_frame(uint32_t stack)
{
	return stacks_frames[stack];
}

TL_INTERNAL uint32_t stacks_blamed(uint32_t stack)
{
	while (stack != STACKS_ROOT && stacks_is_native(&stacks_frames[stack]))
		stack = stacks_frames[stack].caller;
	return stack;
}

TL_INTERNAL uint32_t stacks_end(void)
{
	return stacks_room + 1;
}

TL_INTERNAL uint64_t stacks_refused(void)
{
	return TL_LOAD(stacks_without_room);
}

TL_INTERNAL void stacks_renew_locks(void)
{
	intern_renew_lock(&stacks_known);
}
