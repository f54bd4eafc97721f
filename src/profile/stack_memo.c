/* DESIGN
 *     hash(thread) --> memo {generation of frame_memo, frames from the outermost on}
 * There are fewer memos than there may be threads, and nobody owns one: what it says of a frame is
 * true in every thread, so whoever comes finds either its own stack or part of another's. A thread's
 * end needs no care, and a memo that is in use just then is not waited for.
 *
 * A frame that frame_memo knows of is the same function and line as long as the generation lasts,
 * and the numbers of stacks and sites are for ever (but in a forked child, which begins a
 * generation).
 */
#include "stack_memo.h"

#include "../base/pages.h"
#include "frame_memo.h"

#define STACK_MEMO_BITS  6u
#define STACK_MEMO_BYTES (sizeof(struct stack_memo) << STACK_MEMO_BITS)

struct stack_memo {
	bool is_taken; /* atomic; the rest is the borrower's */
	uint32_t generation;
	size_t depth;
	struct stack_memo_frame {
		const char *code, *at;
		struct stack_memo_place place;
	} frames[STACK_MEMO_DEEPEST]; /* resident as far as stacks are deep */
} __attribute__((aligned(64)));

static struct stack_memo *stack_memos;

TL_INTERNAL enum tl_err stack_memo_start(void)
{
	stack_memos = pages_map(STACK_MEMO_BYTES);
	return stack_memos != NULL ? TL_OK : TL_ERR_SYSTEM;
}

TL_INTERNAL void stack_memo_reset_in_child(void)
{
	pages_clear(stack_memos, STACK_MEMO_BYTES);
}

TL_INTERNAL struct stack_memo *stack_memo_borrow(const struct thread *thread)
{
	uint64_t mixed = (uintptr_t)thread * 0x9e3779b97f4a7c15u;
	struct stack_memo *memo = &stack_memos[mixed >> (64 - STACK_MEMO_BITS)];

	return __atomic_exchange_n(&memo->is_taken, true, __ATOMIC_ACQUIRE) ? NULL : memo;
}

TL_INTERNAL void stack_memo_return(struct stack_memo *memo)
{
	__atomic_store_n(&memo->is_taken, false, __ATOMIC_RELEASE);
}

TL_INTERNAL size_t stack_memo_match(struct stack_memo *memo, const struct py_frame *frames,
				    size_t depth, struct stack_memo_place *place)
{
	uint32_t generation = __atomic_load_n(&frame_memo_generation, __ATOMIC_ACQUIRE);
	size_t most = memo->depth < depth ? memo->depth : depth, same = 0;
	const struct stack_memo_frame *known = memo->frames;
	const struct py_frame *frame = frames + depth;

	if (memo->generation != generation)
		most = 0;
	while (same < most && known->code == (--frame)->code && known->at == frame->at) {
		known++;
		same++;
	}
	if (same > 0)
		*place = memo->frames[same - 1].place;
	memo->generation = generation;
	memo->depth = same;
	return same;
}

TL_INTERNAL void stack_memo_add(struct stack_memo *memo, size_t outer, const struct py_frame *frame,
				const struct stack_memo_place *place)
{
	if (memo->depth != outer || outer >= STACK_MEMO_DEEPEST)
		return;
	memo->frames[memo->depth++] =
		(struct stack_memo_frame){.code = frame->code, .at = frame->at, .place = *place};
}
