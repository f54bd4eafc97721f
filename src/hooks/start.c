/* start: the first and the last thing that happens. */
#include "../agent/lifecycle.h"
#include "../base/thread.h"
#include "../process/real_malloc.h"
#include "hook_events.h"
#include "hook_mmap.h"
#include "hook_python.h"

#include <errno.h>

static __attribute__((constructor)) void start_agent(void)
{
	int saved_errno = errno;

	thread_self.busy = true;
	real_malloc_find();
	if (lifecycle_start()) {
		hook_events_start();
		hook_mmap_find_python();
		hook_python_install();
		lifecycle_run();
		/* What was allocated until here has sent this thread off for good. */
		thread_self.countdown = 0;
	}
	thread_self.busy = false;
	errno = saved_errno;
}

/* After the program's own destructors and atexit functions: what they allocate and free is in the
 * figures. */
static __attribute__((destructor)) void start_end(void)
{
	lifecycle_end(false);
}
