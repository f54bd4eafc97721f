#include "reports.h"

#include "../base/clock.h"
#include "../base/pages.h"
#include "../base/thread.h"
#include "../output/dump.h"
#include "../output/elastic_post.h"
#include "../output/event_log.h"
#include "../output/rss_history.h"
#include "../output/snapshot_build.h"
#include "../output/snapshot_file.h"
#include "../output/snapshot_json.h"
#include "../output/snapshot_live.h"
#include "../process/config.h"
#include "../process/proc_memory.h"
#include "../process/py_layout.h"
#include "../process/py_tracer.h"
#include "../process/real_malloc.h"
#include "../profile/contexts.h"
#include "../profile/live_blocks.h"
#include "../profile/recorder.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

static struct {
	struct snapshot_identity identity; /* these guarded by lock */
	struct snapshot *frozen;
	bool has_missed; /* there was no memory to freeze them: what is taken later is not them */
	bool is_over;    /* the final dump is written, and stands; atomic */
	pthread_mutex_t lock;
	char hostname[65], program[64], script[256];
	double cpu_s; /* atomic */
} reports = {.lock = PTHREAD_MUTEX_INITIALIZER};

TL_INTERNAL void reports_start(void)
{
	if (gethostname(reports.hostname, sizeof(reports.hostname) - 1) != 0)
		reports.hostname[0] = 0;
	proc_program_name(reports.program, sizeof(reports.program));
	proc_script_name(reports.script, sizeof(reports.script));
	reports.identity = (struct snapshot_identity){
		.pid = (uint32_t)getpid(),
		.process_start = proc_start_time((uint64_t)getpid()),
		.hostname = reports.hostname,
		.program = reports.program,
		.script = reports.script,
		.python_version = py_layout.version != NULL ? py_layout.version : "",
	};
}

TL_INTERNAL void reports_restart_in_child(void)
{
	reports.identity.pid = (uint32_t)getpid();
	reports.identity.is_forked_child = true;
	reports.identity.process_start = clock_epoch_s();
	reports.identity.dump = 0;
	reports.identity.baseline_time = 0;
	reports.cpu_s = 0;
	snapshot_release(reports.frozen);
	reports.frozen = NULL;
	reports.has_missed = false;
	reports.is_over = false;
	dump_reset_in_child();
	snapshot_live_reset_in_child();
	rss_history_reset_in_child();
	contexts_reset_in_child();
	reports_renew_lock();
}

TL_INTERNAL void reports_renew_lock(void)
{
	pthread_mutex_init(&reports.lock, NULL);
}

static void reports_note_shipping(struct snapshot *snapshot)
{
	struct elastic_counts counts = elastic_post_counts();

	snapshot->documents_queued = counts.queued;
	snapshot->documents_delivered = counts.delivered + counts.duplicates;
	snapshot->documents_lost = counts.lost;
}

static bool reports_lock_within(unsigned wait_ms)
{
	struct timespec until;

	if (wait_ms == 0)
		return pthread_mutex_trylock(&reports.lock) == 0;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += wait_ms / 1000;
	until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	return pthread_mutex_timedlock(&reports.lock, &until) == 0;
}

/* Only at the interpreter's end. It holds the locks of glibc's arenas, for 300 ms with a million
 * free chunks (measured, glibc 2.36), which a service must not feel; and who ends the process by
 * _exit may be inside a malloc, and would wait for ever. */
static void reports_ask_libc(bool may_ask)
{
	struct real_heap heap = {0};

	reports.identity.has_libc = may_ask && real_heap_ask != NULL;
	if (reports.identity.has_libc)
		heap = real_heap_ask();
	reports.identity.libc_used = heap.used_bytes + heap.mapped_bytes;
	reports.identity.libc_free = heap.free_bytes;
}

/* Before anything is computed: where CPython has stopped telling us of creations, nothing that was
 * made until now is certain. */
static void reports_look_at_tracer(void)
{
	if (!config.precise || py_tracer_is_held())
		return;
	live_blocks_be_certain_from(LIVE_NEVER);
	TL_STORE(py_tracer_is_due, true);
}

/* Under the lock. */
static struct snapshot *reports_take(bool may_ask_libc, bool is_asked_for)
{
	reports_look_at_tracer();
	reports_ask_libc(may_ask_libc);
	reports.identity.is_asked_for = is_asked_for;
	if (!is_asked_for)
		reports.identity.dump++;
	__atomic_load(&reports.cpu_s, &reports.identity.agent_cpu_s, __ATOMIC_RELAXED);
	return snapshot_build(&reports.identity);
}

TL_INTERNAL void reports_dump(bool is_final, unsigned wait_ms)
{
	int saved_errno = errno;

	if (!reports_lock_within(wait_ms)) {
		errno = saved_errno;
		return;
	}
	if (config.events)
		event_log_flush();

	/* Between the interpreter's end and the process's there is nothing to say twice. */
	bool is_due = !reports.has_missed && !TL_LOAD(reports.is_over) &&
		      (is_final || reports.frozen == NULL);
	struct snapshot *snapshot = reports.frozen;

	if (is_due && snapshot == NULL)
		snapshot = reports_take(false, false);
	if (is_due && snapshot == NULL) {
		dump_write(NULL);
	} else if (is_due) {
		snapshot->is_final = is_final;
		reports_note_shipping(snapshot);
		dump_write(snapshot);
		snapshot_release(snapshot);
		reports.frozen = NULL;
	}
	/* Who waits for the lock, or was not stopped in time, would write over the last figures. */
	if (is_final)
		TL_STORE(reports.is_over, true);
	pthread_mutex_unlock(&reports.lock);
	errno = saved_errno;
}

TL_INTERNAL void reports_go_on(void)
{
	TL_STORE(reports.is_over, false);
}

TL_INTERNAL enum tl_err reports_snapshot(unsigned wait_ms)
{
	enum tl_err error = TL_ERR_FULL;
	int saved_errno = errno;
	struct snapshot *snapshot;
	char *buffer;

	if (!reports_lock_within(wait_ms))
		return TL_ERR_UNKNOWN;
	if (TL_LOAD(reports.is_over)) {
		pthread_mutex_unlock(&reports.lock);
		return TL_ERR_REFUSED;
	}
	snapshot = reports.frozen;
	if (snapshot == NULL && !reports.has_missed)
		snapshot = reports_take(false, true);
	buffer = pages_map(SNAPSHOT_JSON_BUFFER);
	if (snapshot != NULL && buffer != NULL) {
		reports_note_shipping(snapshot);
		error = snapshot_file_write(snapshot, buffer);
	}
	if (buffer != NULL)
		pages_unmap(buffer, SNAPSHOT_JSON_BUFFER);
	if (snapshot != reports.frozen)
		snapshot_release(snapshot);
	pthread_mutex_unlock(&reports.lock);
	errno = saved_errno;
	return error;
}

TL_INTERNAL bool reports_baseline(unsigned wait_ms)
{
	if (!reports_lock_within(wait_ms))
		return false;
	reports.identity.baseline_time = clock_epoch_s();
	contexts_rebase(recorder_begin_tick());
	pthread_mutex_unlock(&reports.lock);
	return true;
}

TL_INTERNAL const struct snapshot_identity *reports_identity(void)
{
	return &reports.identity;
}

TL_INTERNAL bool reports_are_frozen(void)
{
	return __atomic_load_n(&reports.frozen, __ATOMIC_RELAXED) != NULL;
}

TL_INTERNAL void reports_note(void)
{
	if (!reports_lock_within(0))
		return;
	reports_look_at_tracer();
	if (reports.frozen == NULL)
		contexts_tick(recorder_now());
	pthread_mutex_unlock(&reports.lock);
}

TL_INTERNAL void reports_freeze(unsigned wait_ms)
{
	if (!reports_lock_within(wait_ms))
		return;
	if (reports.frozen == NULL) {
		reports.frozen = reports_take(true, false);
		reports.has_missed = reports.frozen == NULL;
	}
	if (reports.has_missed)
		dump_write(NULL);
	pthread_mutex_unlock(&reports.lock);
}

TL_INTERNAL void reports_await(unsigned wait_ms)
{
	if (reports_lock_within(wait_ms))
		pthread_mutex_unlock(&reports.lock);
}

TL_INTERNAL void reports_thaw(void)
{
	if (!reports_lock_within(1000))
		return;
	snapshot_release(reports.frozen);
	reports.frozen = NULL;
	reports.has_missed = false;
	pthread_mutex_unlock(&reports.lock);
}

TL_INTERNAL void reports_note_cpu(double cpu_s)
{
	__atomic_store(&reports.cpu_s, &cpu_s, __ATOMIC_RELAXED);
}
