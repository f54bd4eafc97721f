/* api: what the program may ask of its own profiler, by trackleak.h or by ctypes.
 *
 * Runs      in any thread of the program; the caller waits for what it asked for. 0: done; -1: not
 *           (profiling has not begun, is off in this process, or the call came from a signal
 *           handler that interrupted the agent).
 */
#include "../agent/lifecycle.h"
#include "../agent/reports.h"
#include "../base/types.h"
#include "../profile/recorder.h"

#define API_WAIT_MS 1000

/* True when this process is profiled, and this thread not inside the agent; then api_leave. */
static bool api_enter(int *saved_errno)
{
	if (!lifecycle_is_profiled() || !recorder_has_begun())
		return false;
	return recorder_enter(&thread_self, saved_errno);
}

static int api_leave(int saved_errno, bool is_done)
{
	recorder_leave(&thread_self, saved_errno);
	return is_done ? 0 : -1;
}

TL_EXPORT int trackleak_snapshot(void)
{
	int saved_errno;

	return api_enter(&saved_errno)
		       ? api_leave(saved_errno, reports_snapshot(API_WAIT_MS) == TL_OK)
		       : -1;
}

TL_EXPORT int trackleak_baseline(void)
{
	int saved_errno;

	return api_enter(&saved_errno) ? api_leave(saved_errno, reports_baseline(API_WAIT_MS)) : -1;
}

/* Also before profiling begins: it then begins paused. */
TL_EXPORT int trackleak_pause(void)
{
	if (!lifecycle_is_profiled())
		return -1;
	recorder_pause();
	return 0;
}

TL_EXPORT int trackleak_resume(void)
{
	if (!lifecycle_is_profiled())
		return -1;
	recorder_resume();
	return 0;
}
