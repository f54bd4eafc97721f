/* DESIGN
 * Finalisation: Py_FinalizeEx clears Py_IsInitialized before it frees anything. The first event
 * that would change the figures after that (a sampled death, a counted birth: any slow path) finds
 * it cleared and freezes them first. If none comes, there is nothing to freeze. No callback is
 * registered with the interpreter, so the program's own atexit list and modules are untouched.
 *
 * Fork: the worker is stopped first (it holds no lock then). Locks that are taken inside malloc are
 * not held over fork: libc waits there for the lock of its list of streams, whose owner may wait
 * for a stream, whose owner may be in malloc (glibc's bug 19431; holding them was tried, and
 * tst-malloc-fork-deadlock hung). So the child may find tables half written, and starts empty. From
 * CPython 3.12 on, os.fork counts the threads of the parent right after the fork and warns if there
 * are several, so the parent's worker comes back a little later, at a safe point.
 *
 * A signal handler may fork while its thread is inside the agent, with a lock of ours held or half
 * of an entry written. Then nothing is locked and nobody is stopped; the child makes the locks anew
 * and is not profiled: what was interrupted goes on in it, in tables that must stay as they are.
 */
#include "lifecycle.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/text.h"
#include "../base/thread.h"
#include "../output/elastic_post.h"
#include "../output/event_log.h"
#include "../output/log_file.h"
#include "../output/log_folder.h"
#include "../output/snapshot_file.h"
#include "../process/config.h"
#include "../process/native_stack.h"
#include "../process/proc_memory.h"
#include "../process/py_layout.h"
#include "../process/py_tracer.h"
#include "../process/real_malloc.h"
#include "../profile/contexts.h"
#include "../profile/frame_memo.h"
#include "../profile/governor.h"
#include "../profile/recorder.h"
#include "../profile/sampler.h"
#include "control_socket.h"
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
/* All that an exit waits for, together: the figures, the worker, the last dump, its way out. */
#define LIFECYCLE_EXIT_MS   2500
#define LIFECYCLE_FLUSH_MS  2000 /* of it, for the last one at most */
#define LIFECYCLE_FREEZE_MS 1000 /* and for the first */
/* os.fork looks at the threads within microseconds. */
#define LIFECYCLE_RESTART_NS 20000000u

static struct {
	bool is_active;
	bool python_is_up; /* Py_IsInitialized when we last looked */
	int freezing;      /* threads that are taking the last figures, or about to; atomic */
	bool python_has_ended;
	bool has_begun; /* no forked child, or one that has a worker of its own */
	bool has_tried_exec;
	bool is_over; /* the last dump is written */
	pid_t pid;
	uint64_t restart_at_ns; /* the worker is wanted from then on; 0: not wanted */
	unsigned exit_spent_ms; /* of LIFECYCLE_EXIT_MS, by the interpreter's end */
} lifecycle;

static uint64_t lifecycle_seed(void)
{
	uint64_t seed;

	if (config.has_seed)
		return config.seed;
	if (syscall(SYS_getrandom, &seed, sizeof(seed), 1 /* GRND_NONBLOCK */) !=
	    (long)sizeof(seed))
		seed = clock_precise_ns() ^ (uint64_t)getpid() << 32;
	return seed;
}

/* Milliseconds until then. */
static unsigned lifecycle_left_ms(uint64_t until_ns)
{
	uint64_t now = clock_precise_ns();

	return now < until_ns ? (unsigned)((until_ns - now) / 1000000u) : 0;
}

static void lifecycle_print_banner(void)
{
	char buffer[16384], folder[4096], json_log[4096], event_log[4096];
	struct text banner = text_over(buffer, sizeof(buffer));
	struct text paths[] = {text_over(folder, sizeof(folder)),
			       text_over(json_log, sizeof(json_log)),
			       text_over(event_log, sizeof(event_log))};

	log_folder_path(&paths[0]);
	log_file_path(&paths[1], config.json_log);
	log_file_path(&paths[2], config.event_log);
	config_banner(&banner, text_terminate(&paths[0]), text_terminate(&paths[1]),
		      text_terminate(&paths[2]));
	diag_write(banner.data, banner.length);
}

/* The worker is wanted again, but not at once: os.fork is about to count the threads, and a child
 * may be about to become another program. */
static void lifecycle_want_worker(void)
{
	TL_STORE(lifecycle.restart_at_ns, clock_precise_ns() + LIFECYCLE_RESTART_NS);
	frame_memo_forget_all(); /* recorder_counts_again does not look here */
}

static void lifecycle_summon(void)
{
	lifecycle_want_worker();
	/* A program that forks all the time is not put off by each fork. */
	if (!thread_self.is_summoned)
		sampler_withhold(&thread_self, LIFECYCLE_SUMMONS_BYTES);
	thread_self.is_summoned = true;
}

static void lifecycle_before_fork(void)
{
	if (TL_RARELY(thread_self.busy)) {
		thread_self.forks_inside++;
		return;
	}
	thread_self.busy = true;
	if (TL_LOAD(lifecycle.restart_at_ns) == 0 && worker_is_running() &&
	    worker_stop(LIFECYCLE_FORK_WAIT_MS))
		lifecycle_want_worker();
	elastic_post_stop(LIFECYCLE_FORK_WAIT_MS);
	recorder_fork_prepare();
	elastic_post_fork_prepare();
}

/* The fork was begun inside the agent, and the end of it is this. */
static bool lifecycle_fork_was_inside(void)
{
	if (TL_MOSTLY(thread_self.forks_inside == 0))
		return false;
	thread_self.forks_inside--;
	return true;
}

static void lifecycle_after_fork_in_parent(void)
{
	if (lifecycle_fork_was_inside())
		return;
	elastic_post_fork_parent();
	recorder_fork_parent();
	if (TL_LOAD(lifecycle.restart_at_ns) != 0) {
		if (py_layout.minor < 12) {
			TL_STORE(lifecycle.restart_at_ns, 0);
			worker_start();
		} else {
			lifecycle_summon();
		}
	}
	thread_self.busy = false;
}

/* The child is not profiled: its hooks pass everything through. */
static void lifecycle_retire(void)
{
	TL_STORE(lifecycle.is_active, false);
	TL_STORE(lifecycle.restart_at_ns, 0);
	sampler_min_size = SIZE_MAX;
	sampler_close();
	log_folder_is_shut = true;
	thread_self.is_summoned = false;
}

static void lifecycle_after_fork_in_child(void)
{
	recorder_renew_locks();
	event_log_fork_child();
	worker_forget_in_child();
	control_socket_forget();
	lifecycle.freezing = 0;
	lifecycle.pid = getpid();
	if (lifecycle_fork_was_inside()) {
		elastic_post_renew_lock();
		reports_renew_lock();
		lifecycle_retire();
		return;
	}
	elastic_post_fork_child();
	lifecycle.is_over = false;
	recorder_restart_in_child();
	reports_restart_in_child();
	lifecycle.has_tried_exec = false;
	lifecycle.has_begun = false;
	if (config.follow && lifecycle_is_active())
		lifecycle_summon();
	else
		lifecycle_retire();
	thread_self.busy = false;
}

/* quick_exit runs no destructors. */
static void lifecycle_quick_exit(void)
{
	lifecycle_end(false);
}

/* A TLS library takes itself down by atexit: what is to be shipped must be on its way before. */
static void lifecycle_before_cleanup(void)
{
	lifecycle_end(false);
}

TL_INTERNAL bool lifecycle_start(void)
{
	enum tl_err found;

	config_load(true);
	if (config.disable || getauxval(AT_SECURE) != 0 ||
	    dlsym(RTLD_DEFAULT, "__asan_init") != NULL)
		return false;
	found = py_layout_find();
	if (found == TL_ERR_SYSTEM && !config.any)
		return false;

	bool is_silent = config.quiet || proc_has_profiled_ancestor();

	config_load(is_silent && !config.quiet);
	if (config.elasticsearch)
		config.elasticsearch =
			elastic_post_start(is_silent && !config.quiet, lifecycle_before_cleanup);
	log_folder_start(is_silent);
	if (found == TL_ERR_UNKNOWN && !is_silent)
		diag_say("no Python stacks: this version is not known: ", py_layout.version, NULL);
	if (config.precise && found == TL_OK && py_tracer_refusal() != NULL) {
		config.precise = false;
		if (!is_silent)
			diag_say("TRACKLEAK_PRECISE has no effect: ", py_tracer_refusal(), NULL);
	}
	if (config.native && !native_stack_start()) {
		config.native = false;
		if (!is_silent)
			diag_say(
				"TRACKLEAK_NATIVE has no effect: it takes glibc 2.35 or later, and "
				"a kernel that lets a process copy memory (process_vm_readv)",
				NULL);
	}
	if (recorder_start(config.startup_delay_s) != TL_OK || contexts_start() != TL_OK ||
	    pthread_atfork(lifecycle_before_fork, lifecycle_after_fork_in_parent,
			   lifecycle_after_fork_in_child) != 0) {
		diag_say("not profiling: no memory for our tables", NULL);
		return false;
	}
	lifecycle.pid = getpid();
	reports_start();
	if (!is_silent && !snapshot_file_is_there())
		lifecycle_print_banner();
	(void)at_quick_exit(lifecycle_quick_exit); /* where it has no room, quick_exit is unseen */
	return true;
}

TL_INTERNAL void lifecycle_run(void)
{
	TL_STORE(lifecycle.is_active, true);
	sampler_start(config.sample_rate, config.sample_bytes, config.min_size, lifecycle_seed());
	governor_start(config.max_overhead);
	lifecycle.has_begun = true;
	if (!recorder_is_open())
		sampler_close();
	if (!worker_start()) {
		sampler_open(); /* nobody else would, in time */
		diag_say("no dumps but at the end: the system refused us a thread", NULL);
	}
}

TL_INTERNAL bool lifecycle_is_active(void)
{
	return TL_LOAD(lifecycle.is_active);
}

TL_INTERNAL bool lifecycle_is_profiled(void)
{
	return lifecycle_is_active() && !lifecycle.is_over && getpid() == lifecycle.pid;
}

/* Another thread is taking the last figures: what this one is about to change must wait for that, a
 * second at most. */
static TL_COLD void lifecycle_await_freeze(void)
{
	uint64_t until_ns = clock_precise_ns() + 1000000000u;

	while (TL_LOAD(lifecycle.freezing) > 0 && clock_precise_ns() < until_ns)
		reports_await(1000);
}

/* The last figures are taken, at the expense of what the exit may take afterwards. */
static void lifecycle_freeze(void)
{
	uint64_t until_ns = clock_precise_ns() + LIFECYCLE_EXIT_MS * UINT64_C(1000000);

	reports_freeze(LIFECYCLE_FREEZE_MS);
	lifecycle.exit_spent_ms = LIFECYCLE_EXIT_MS - lifecycle_left_ms(until_ns);
}

static TL_COLD void lifecycle_look_closer(bool is_up, bool was_up)
{
	if (is_up == was_up) {
		lifecycle_await_freeze();
		return;
	}
	/* Raised before the change can be seen, so that whoever sees the one sees the other. */
	__atomic_fetch_add(&lifecycle.freezing, 1, __ATOMIC_ACQ_REL);
	if (__atomic_compare_exchange_n(&lifecycle.python_is_up, &was_up, is_up, false,
					__ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
		frame_memo_forget_all(); /* recorder_counts_again does not look here */
		TL_STORE(lifecycle.python_has_ended, !is_up);
		if (is_up)
			reports_thaw();
		else
			lifecycle_freeze();
		__atomic_fetch_sub(&lifecycle.freezing, 1, __ATOMIC_ACQ_REL);
	} else {
		__atomic_fetch_sub(&lifecycle.freezing, 1, __ATOMIC_ACQ_REL);
		lifecycle_await_freeze();
	}
}

TL_INTERNAL void lifecycle_look(void)
{
	if (py_layout.is_initialized == NULL)
		return;

	bool is_up = py_layout.is_initialized() != 0, was_up = TL_LOAD(lifecycle.python_is_up);

	if (TL_RARELY(is_up != was_up || TL_LOAD(lifecycle.freezing) > 0))
		lifecycle_look_closer(is_up, was_up);
}

TL_INTERNAL bool lifecycle_is_steady(void)
{
	return py_layout.is_initialized == NULL || TL_LOAD(lifecycle.python_is_up);
}

TL_INTERNAL bool lifecycle_misses_worker(void)
{
	return TL_LOAD(lifecycle.restart_at_ns) != 0;
}

TL_INTERNAL bool lifecycle_wants_safe_point(void)
{
	uint64_t restart_at = TL_LOAD(lifecycle.restart_at_ns);

	return TL_RARELY(restart_at != 0) && clock_precise_ns() >= restart_at;
}

TL_INTERNAL void lifecycle_safe_point(void)
{
	uint64_t restart_at = TL_LOAD(lifecycle.restart_at_ns);

	if (TL_MOSTLY(!lifecycle_wants_safe_point())) {
		if (restart_at == 0) /* another thread has done it */
			thread_self.is_summoned = false;
		return;
	}
	if (__atomic_compare_exchange_n(&lifecycle.restart_at_ns, &restart_at, 0, false,
					__ATOMIC_RELAXED, __ATOMIC_RELAXED))
		lifecycle.has_begun = worker_start();
	thread_self.is_summoned = false;
}

TL_INTERNAL void lifecycle_end(bool is_exec)
{
	struct thread *thread = &thread_self;
	int saved_errno = errno;

	/* A signal handler ends the process while its thread is inside the agent, maybe with a lock
	 * of ours: the last periodic dump stands. */
	if (thread->busy)
		return;
	if (!lifecycle_is_profiled())
		return;
	/* A child forked to become another program leaves no trace, though there may be none. */
	lifecycle.has_tried_exec |= is_exec;
	if (lifecycle.has_tried_exec && !lifecycle.has_begun)
		return;

	uint64_t until_ns = clock_precise_ns() +
			    (LIFECYCLE_EXIT_MS - lifecycle.exit_spent_ms) * UINT64_C(1000000);

	thread->busy = true;
	if (worker_stop(lifecycle_left_ms(until_ns)))
		control_socket_close();
	lifecycle.is_over = true;
	lifecycle.python_has_ended = false;
	reports_dump(true, lifecycle_left_ms(until_ns));
	if (config.elasticsearch) {
		unsigned left_ms = lifecycle_left_ms(until_ns);

		elastic_post_flush(left_ms < LIFECYCLE_FLUSH_MS ? left_ms : LIFECYCLE_FLUSH_MS);
	}
	lifecycle.exit_spent_ms = 0; /* should the program go on all the same */
	thread->busy = false;
	errno = saved_errno;
}

TL_INTERNAL void lifecycle_go_on(void)
{
	int saved_errno = errno;

	if (lifecycle_is_active() && lifecycle.is_over && getpid() == lifecycle.pid) {
		lifecycle.is_over = false;
		reports_go_on();
		lifecycle_summon();
	}
	errno = saved_errno;
}

TL_INTERNAL bool lifecycle_python_has_ended(void)
{
	return TL_LOAD(lifecycle.python_has_ended);
}
