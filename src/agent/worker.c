#include "worker.h"

#include "../base/clock.h"
#include "../base/thread.h"
#include "../output/elastic_post.h"
#include "../output/event_log.h"
#include "../process/config.h"
#include "../process/proc_memory.h"
#include "../process/py_layout.h"
#include "../profile/governor.h"
#include "../profile/recorder.h"
#include "control.h"
#include "control_socket.h"
#include "pressure.h"
#include "reports.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

#define WORKER_STACK_BYTES    ((size_t)256 * 1024)
#define WORKER_TICK_NS        1000000000u
#define WORKER_MOST_MISSES    20
#define WORKER_COARSE_NS      10000000u /* a tick of the coarse clock, at most */
#define WORKER_NAP_NS         50000000
#define WORKER_SEARCH_TICK_NS 100000000u /* while a libpython may still arrive */
#define WORKER_LOOK_NS        100000000u /* where the first thread may just return */
#define WORKER_POST_STOP_MS   1000

static struct {
	/* Held by who starts or stops it: two threads may fork at once, and a thread is joined
	 * once. Guards `thread`. */
	pthread_mutex_t turn;
	pthread_t thread;
	pthread_t main_thread;      /* of the process that we were loaded into */
	bool is_of_thread;          /* we are a child that another thread than that one forked */
	bool is_running, must_stop; /* atomic */
	uint64_t interval_ns, next_dump_ns;
	unsigned misses; /* a libpython was there, but not understood */
} worker = {.turn = PTHREAD_MUTEX_INITIALIZER};

/* libpython may arrive late, by dlopen, in a program that was not Python at its start. What cannot
 * be understood is looked at a few times more: the interpreter may just be writing its version
 * down. */
static bool worker_is_searching(void)
{
	return config.any && py_layout.minor == 0 && worker.misses < WORKER_MOST_MISSES;
}

/* The interval may have been changed: it counts from then on. */
static void worker_look_at_interval(void)
{
	uint64_t interval_ns = config.dump_interval_s * 1000000000u;

	if (interval_ns == worker.interval_ns)
		return;
	worker.interval_ns = interval_ns;
	worker.next_dump_ns = 0;
}

/* What a second brings. */
static void worker_tick(void)
{
	uint64_t now = clock_precise_ns();

	control_socket_tick();
	if (worker_is_searching() && py_layout_find() == TL_ERR_UNKNOWN)
		worker.misses++; /* once found, a hook takes it from here */
	if (config.events)
		event_log_flush();
	reports_note_cpu(clock_thread_cpu_s());
	governor_tick();
	if (!recorder_is_open() && !recorder_has_begun())
		return;
	reports_note();
	if (elastic_post_is_on())
		elastic_post_tick();
	worker_look_at_interval();
	if (worker.interval_ns == 0)
		return;
	if (worker.next_dump_ns == 0)
		worker.next_dump_ns = now + worker.interval_ns;
	if (now < worker.next_dump_ns) {
		if (pressure_has_risen())
			reports_dump(false, 0);
		return;
	}
	(void)pressure_has_risen(); /* if it has, this dump is the picture of it */
	/* A machine that slept, or a disk that hung, does not bring a burst of dumps. */
	worker.next_dump_ns +=
		worker.interval_ns * (1 + (now - worker.next_dump_ns) / worker.interval_ns);
	reports_dump(false, 0);
}

static uint64_t worker_next_tick_ns(void)
{
	uint64_t tick = clock_precise_ns() +
			(worker_is_searching() ? WORKER_SEARCH_TICK_NS : WORKER_TICK_NS);

	/* Counting begins on time though no slow path notices. The coarse clock is the later one.
	 * */
	if (!recorder_has_begun() && recorder_opens_at_ns() + WORKER_COARSE_NS < tick)
		return recorder_opens_at_ns() + WORKER_COARSE_NS;
	return worker.next_dump_ns != 0 && worker.next_dump_ns < tick ? worker.next_dump_ns : tick;
}

/* Waits until then, or until somebody wants something: a peer of the control socket, or
 * worker_stop. */
static void worker_wait(uint64_t until_ns)
{
	uint64_t now = clock_precise_ns(), wait_ns = until_ns > now ? until_ns - now : 0;
	struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000u),
				.tv_nsec = (long)(wait_ns % 1000000000u)};
	sigset_t wanted;

	sigemptyset(&wanted);
	sigaddset(&wanted, CONTROL_SIGNAL);
	/* A sandbox that forbids it must not have us spin. */
	if (sigtimedwait(&wanted, NULL, &wait) < 0 && errno != EAGAIN && errno != EINTR)
		nanosleep(&(struct timespec){.tv_nsec = WORKER_NAP_NS}, NULL);
}

static bool worker_must_stop(void)
{
	return __atomic_load_n(&worker.must_stop, __ATOMIC_ACQUIRE);
}

/* libc ends a process when its last thread has returned: the main thread may have called
 * pthread_exit, and a child of fork begins inside a function of the thread that forked. A thread of
 * ours must not be the one that keeps it. */
static bool worker_is_left_alone(void)
{
	unsigned others = proc_threads_beside_ended_first();

	return others == 1 || (others == 2 && elastic_post_stop(WORKER_POST_STOP_MS) &&
			       proc_threads_beside_ended_first() == 1);
}

static uint64_t worker_next_look_ns(uint64_t until_ns)
{
	uint64_t look_ns = clock_precise_ns() + WORKER_LOOK_NS;

	return worker.is_of_thread && look_ns < until_ns ? look_ns : until_ns;
}

static void *worker_main(void *unused)
{
	thread_self.busy = true; /* never profile ourselves */
	prctl(PR_SET_NAME, "trackleak");
	control_socket_adopt();
	while (!worker_must_stop()) {
		worker_tick();

		uint64_t until_ns = worker_next_tick_ns();

		do {
			if (worker_is_left_alone()) {
				TL_STORE(worker.is_running, false);
				thread_self.busy = false; /* exit runs here: with a last dump */
				return unused;
			}
			if (!control_serve())
				worker_wait(worker_next_look_ns(until_ns));
		} while (!worker_must_stop() && clock_precise_ns() < until_ns);
	}
	return unused;
}

static struct timespec worker_deadline(unsigned wait_ms)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (time_t)((uint64_t)until.tv_nsec + wait_ms * 1000000u) / 1000000000u;
	until.tv_nsec =
		(long)(((uint64_t)until.tv_nsec + wait_ms * UINT64_C(1000000)) % 1000000000u);
	return until;
}

static bool worker_create(void)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	bool is_created;

	worker.must_stop = false;
	if (worker.main_thread == 0)
		worker.main_thread = pthread_self();
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, WORKER_STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	is_created = pthread_create(&worker.thread, &attributes, worker_main, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return is_created;
}

TL_INTERNAL bool worker_start(void)
{
	bool is_running;

	pthread_mutex_lock(&worker.turn);
	is_running = worker.is_running || worker_create();
	TL_STORE(worker.is_running, is_running);
	pthread_mutex_unlock(&worker.turn);
	return is_running;
}

TL_INTERNAL bool worker_stop(unsigned wait_ms)
{
	struct timespec until = worker_deadline(wait_ms);
	bool is_stopped;

	if (!TL_LOAD(worker.is_running))
		return true;
	if (pthread_mutex_timedlock(&worker.turn, &until) != 0)
		return false;
	if (worker.is_running && !pthread_equal(worker.thread, pthread_self())) {
		__atomic_store_n(&worker.must_stop, true, __ATOMIC_RELEASE);
		pthread_kill(worker.thread, CONTROL_SIGNAL);
		if (pthread_timedjoin_np(worker.thread, NULL, &until) == 0)
			TL_STORE(worker.is_running, false);
		else
			__atomic_store_n(&worker.must_stop, false, __ATOMIC_RELEASE);
	}
	is_stopped = !worker.is_running;
	pthread_mutex_unlock(&worker.turn);
	return is_stopped;
}

TL_INTERNAL bool worker_is_running(void)
{
	return TL_LOAD(worker.is_running);
}

TL_INTERNAL void worker_forget_in_child(void)
{
	TL_STORE(worker.is_running, false);
	worker.next_dump_ns = 0;
	worker.is_of_thread = !pthread_equal(pthread_self(), worker.main_thread);
	pthread_mutex_init(&worker.turn, NULL);
}
