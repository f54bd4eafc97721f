/* DESIGN
 * Finalisation: Py_FinalizeEx clears Py_IsInitialized before it frees anything. The first event that would change the figures
 * after that (a sampled death, a counted birth: any slow path) finds it cleared and freezes them first. If none comes, there is
 * nothing to freeze. No callback is registered with the interpreter, so the program's own atexit list and modules are untouched.
 *
 * Fork: the worker is stopped first (it holds no lock then), the profile's locks are taken from the top layer down, and
 * released on both sides. The child starts empty. From CPython 3.12 on, os.fork counts the threads of the parent right after
 * the fork and warns if there are several, so the parent's worker comes back a little later, at a safe point.
 */
#include "lifecycle.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/text.h"
#include "../base/thread.h"
#include "../output/event_log.h"
#include "../output/log_folder.h"
#include "../process/config.h"
#include "../process/proc_memory.h"
#include "../process/py_layout.h"
#include "../process/real_malloc.h"
#include "../profile/recorder.h"
#include "../profile/sampler.h"
#include "reports.h"
#include "worker.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LIFECYCLE_FORK_WAIT_MS 100
#define LIFECYCLE_EXIT_WAIT_MS 2000
/* os.fork looks at the threads within microseconds. */
#define LIFECYCLE_RESTART_NS 20000000u

static struct {
	bool is_active;
	bool python_is_up;    /* Py_IsInitialized when we last looked */
	bool python_has_ended;
	bool is_over;	      /* the last dump is written */
	bool was_busy;	      /* of the forking thread */
	pid_t pid;
	uint64_t restart_at_ns; /* the worker is wanted from then on; 0: not wanted */
} lifecycle;

static uint64_t lifecycle_seed(void)
{
	uint64_t seed;

	if (config.has_seed)
		return config.seed;
	if (syscall(SYS_getrandom, &seed, sizeof(seed), 1 /* GRND_NONBLOCK */) != (long)sizeof(seed))
		seed = clock_precise_ns() ^ (uint64_t)getpid() << 32;
	return seed;
}

static void lifecycle_print_banner(void)
{
	char buffer[4096], folder[1024], json_log[1400], event_log[1400];
	struct text banner = text_over(buffer, sizeof(buffer)), path = text_over(folder, sizeof(folder));
	const char *names[] = {config.json_log, config.event_log};
	char *paths[] = {json_log, event_log};

	log_folder_path(&path);
	text_terminate(&path);
	for (int i = 0; i < 2; i++) {
		struct text full = text_over(paths[i], sizeof(json_log));

		if (names[i][0] != '/' && names[i][0] != '-') {
			text_put(&full, folder);
			text_put(&full, "/");
		}
		text_put(&full, names[i]);
		text_terminate(&full);
	}
	config_banner(&banner, folder, json_log, event_log);

	ssize_t written = write(STDERR_FILENO, banner.data, banner.length);

	(void)written; /* nobody to tell */
}

static void lifecycle_before_fork(void)
{
	lifecycle.was_busy = thread_self.busy;
	thread_self.busy = true;
	if (lifecycle.restart_at_ns == 0 && worker_is_running() && worker_stop(LIFECYCLE_FORK_WAIT_MS))
		lifecycle.restart_at_ns = clock_precise_ns() + LIFECYCLE_RESTART_NS;
	recorder_lock_all();
	event_log_fork_prepare();
}

static void lifecycle_after_fork_in_parent(void)
{
	event_log_fork_parent();
	recorder_unlock_all();
	if (lifecycle.restart_at_ns != 0) {
		if (py_layout.minor < 12) {
			lifecycle.restart_at_ns = 0;
			worker_start();
		} else {
			lifecycle.restart_at_ns = clock_precise_ns() + LIFECYCLE_RESTART_NS;
			thread_self.is_summoned = true;
			sampler_withhold(&thread_self);
		}
	}
	thread_self.busy = lifecycle.was_busy;
}

static void lifecycle_after_fork_in_child(void)
{
	event_log_fork_child();
	recorder_unlock_all();
	worker_forget_in_child();
	lifecycle.pid = getpid();
	lifecycle.is_over = false;
	if (!config.follow) {
		lifecycle.is_active = false;
		sampler_min_size = SIZE_MAX;
	}
	recorder_restart_in_child();
	reports_restart_in_child();
	lifecycle.restart_at_ns = 1; /* at the first safe point */
	thread_self.busy = lifecycle.was_busy;
}

/* quick_exit runs no destructors. */
static void lifecycle_quick_exit(void)
{
	lifecycle_end(false);
}

TL_INTERNAL bool lifecycle_start(void)
{
	enum tl_err found;

	config_load(true);
	if (config.disable || getauxval(AT_SECURE) != 0 || dlsym(RTLD_DEFAULT, "__asan_init") != NULL)
		return false;
	found = py_layout_find();
	if (found == TL_ERR_SYSTEM && !config.any)
		return false;

	bool is_silent = config.quiet || proc_has_profiled_ancestor();

	config_load(is_silent && !config.quiet);
	log_folder_start(is_silent);
	if (found == TL_ERR_UNKNOWN && !is_silent)
		diag_say("no Python stacks: this version is not known: ", py_layout.version, NULL);
	if (recorder_start(config.startup_delay_s) != TL_OK) {
		diag_say("not profiling: no memory for our tables", NULL);
		return false;
	}
	lifecycle.pid = getpid();
	reports_start();
	if (!is_silent)
		lifecycle_print_banner();
	at_quick_exit(lifecycle_quick_exit);
	pthread_atfork(lifecycle_before_fork, lifecycle_after_fork_in_parent, lifecycle_after_fork_in_child);
	return true;
}

TL_INTERNAL void lifecycle_run(void)
{
	TL_STORE(lifecycle.is_active, true);
	sampler_start(config.sample_rate, config.sample_bytes, config.min_size, lifecycle_seed());
	if (!worker_start())
		diag_say("no dumps but at the end: the system refused us a thread", NULL);
}

TL_INTERNAL bool lifecycle_is_active(void)
{
	return TL_LOAD(lifecycle.is_active);
}

TL_INTERNAL void lifecycle_look(void)
{
	if (py_layout.is_initialized == NULL)
		return;

	bool is_up = py_layout.is_initialized() != 0, was_up = TL_LOAD(lifecycle.python_is_up);

	if (TL_MOSTLY(is_up == was_up) ||
	    !__atomic_compare_exchange_n(&lifecycle.python_is_up, &was_up, is_up, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED))
		return;
	TL_STORE(lifecycle.python_has_ended, !is_up);
	if (is_up)
		reports_thaw();
	else
		reports_freeze();
}

TL_INTERNAL void lifecycle_safe_point(void)
{
	uint64_t restart_at = TL_LOAD(lifecycle.restart_at_ns);

	if (TL_MOSTLY(restart_at == 0) || clock_precise_ns() < restart_at)
		return;
	if (__atomic_compare_exchange_n(&lifecycle.restart_at_ns, &restart_at, 0, false, __ATOMIC_RELAXED,
					__ATOMIC_RELAXED))
		worker_start();
	thread_self.is_summoned = false;
}

TL_INTERNAL void lifecycle_end(bool is_exec)
{
	struct thread *thread = &thread_self;
	int saved_errno = errno;

	if (!lifecycle_is_active() || lifecycle.is_over || getpid() != lifecycle.pid)
		return;
	if (is_exec && lifecycle.restart_at_ns == 1)
		return;

	bool was_busy = thread->busy;

	thread->busy = true;
	worker_stop(LIFECYCLE_EXIT_WAIT_MS);
	lifecycle.is_over = true;
	lifecycle.python_has_ended = false;
	reports_dump(true, LIFECYCLE_EXIT_WAIT_MS);
	thread->busy = was_busy;
	errno = saved_errno;
}

TL_INTERNAL void lifecycle_go_on(void)
{
	int saved_errno = errno;

	if (lifecycle_is_active() && lifecycle.is_over && getpid() == lifecycle.pid) {
		lifecycle.is_over = false;
		lifecycle.restart_at_ns = clock_precise_ns();
	}
	errno = saved_errno;
}

TL_INTERNAL bool lifecycle_python_has_ended(void)
{
	return TL_LOAD(lifecycle.python_has_ended);
}
