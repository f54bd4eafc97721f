/* DESIGN
 * Whoever has a free list is exactly of a type that we know by address, and its block begins at the
 * object, or at the collector's header of two words before it: so two looks at the filter of live
 * blocks decide for nearly all. (Types with two words more before it, for a managed dict, have no
 * free list.) Only then the type is looked at, and only then the table.
 *
 * The first creation in a sampled block is that of the allocation itself: the sample is marked as
 * seen. Each later one means that the block was recycled: recorder_made_again. Without a mark, or
 * with one from before a gap in which we were not called, a sample of such a type stays uncertain
 * as it is without this module.
 */
#include "hook_create.h"

#include "../agent/lifecycle.h"
#include "../base/diag.h"
#include "../base/thread.h"
#include "../process/config.h"
#include "../process/py_frame.h"
#include "../process/py_tracer.h"
#include "../process/py_type.h"
#include "../profile/live_blocks.h"
#include "../profile/recorder.h"

#define HOOK_COLLECTORS_HEADER (2 * sizeof(void *))

/* From now on what was made before is uncertain. */
static void hook_create_lose(void)
{
	live_blocks_be_certain_from(LIVE_NEVER);
	TL_STORE(py_tracer_is_due, true);
}

/* Returns 0, as the event does: so it is a jump from there. */
static TL_COLD int hook_create_made(const char *object, const void *caller)
{
	struct py_type_pooled pooled = py_type_pooled_object(object);
	const char *block = object - (pooled.is_collected ? HOOK_COLLECTORS_HEADER : 0);
	struct thread *thread = &thread_self;
	int saved_errno;

	if (pooled.type == PY_TYPE_NOT_LOOKED || !live_blocks_may_start(block))
		return 0;
	if (!recorder_enter(thread, &saved_errno)) {
		hook_create_lose();
		return 0;
	}
	lifecycle_look();
	recorder_made_again(thread, block, pooled.type, caller);
	recorder_leave(thread, saved_errno);
	return 0;
}

static TL_COLD int hook_create_other(int event)
{
	if (event == PY_TRACER_REMOVED)
		hook_create_lose();
	return 0;
}

static int hook_create_event(void *object, int event, void *data)
{
	(void)data;
	if (event != PY_TRACER_CREATE)
		return TL_MOSTLY(event == PY_TRACER_DESTROY) ? 0 : hook_create_other(event);
	if (TL_RARELY(live_blocks_may_hold(object) ||
		      live_blocks_may_hold((const char *)object - HOOK_COLLECTORS_HEADER)))
		return hook_create_made(object, __builtin_return_address(0));
	return 0;
}

static void hook_create_give_up(const char *why)
{
	config.precise = false;
	if (!config.quiet)
		diag_say("TRACKLEAK_PRECISE has no effect: ", why, NULL);
}

TL_INTERNAL bool hook_create_look(void)
{
	enum tl_err taken;

	if (!config.precise)
		return false;
	if (py_tracer_refusal() != NULL) { /* of a libpython that came late */
		hook_create_give_up(py_tracer_refusal());
		return false;
	}
	if (!py_layout.is_initialized() || !py_frame_thread_is_attached())
		return true;
	if (live_blocks_certain_from() != LIVE_NEVER && py_tracer_is_held())
		return false;
	live_blocks_be_certain_from(LIVE_NEVER);
	taken = py_tracer_take(hook_create_event);
	if (taken == TL_OK)
		live_blocks_be_certain_from(recorder_begin_tick());
	else if (taken == TL_ERR_UNKNOWN)
		hook_create_give_up("CPython's state does not look as it should");
	return taken == TL_ERR_FULL;
}
