/* links: base/lock.c base/descriptor.c base/hash.c base/math.c base/random.c base/sort.c base/pages.c base/intern.c base/thread.c base/text.c process/modules.c process/proc_memory.c process/script_name.c profile/sampler.c profile/governor.c profile/names.c profile/stacks.c profile/sites.c process/safe_read.c process/py_type.c profile/classes.c profile/live_blocks.c process/py_layout.c profile/frame_memo.c profile/tallies.c profile/maps.c profile/mixed_stack.c profile/stack_memo.c profile/blame.c profile/recorder.c process/own_code.c profile/contexts.c analysis/growth.c analysis/survival.c analysis/verdict.c analysis/rss_breakdown.c output/evidence.c output/snapshot_work.c output/snapshot_live.c output/snapshot_sites.c output/snapshot_stacks.c output/rss_history.c output/snapshot_build.c */

/* What the analysis costs the worker: 1,000 sites with full histories, on a faked clock.
 * SNAPSHOT_COST_SHOW=1 prints the figures of docs/PERFORMANCE.md. */
#include "output/snapshot_build.h"

#include "base/clock.h"
#include "profile/contexts.h"
#include "profile_fixture.h"

#include <stdio.h>
#include <time.h>

#define SITES   1000
#define SECONDS 64 /* of life: every one of the 32 epochs is in use a second time */
#define TRIES   7

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(TL_UBSAN)
#define SLOWER 20 /* than the product, for what the sanitizer adds */
#else
#define SLOWER 1
#endif

static uint64_t fake_ns = 1000000000;

TL_INTERNAL uint64_t clock_coarse_ns(void)
{
	return fake_ns;
}

TL_INTERNAL uint64_t clock_precise_ns(void)
{
	return fake_ns;
}

TL_INTERNAL double clock_epoch_s(void)
{
	return (double)fake_ns / 1e9;
}

TL_INTERNAL double clock_thread_cpu_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static const struct snapshot_identity identity = {.pid = 1,
						  .dump = 1,
						  .hostname = "host",
						  .program = "python3",
						  .python_version = "3.11"};
static char names[SITES][24];
static struct fake_function functions[SITES], callers[SITES];

static int start(void **state)
{
	(void)state;
	config.table_size = 200000;
	config.stack_depth = 32;
	config.app = "";
	config.older_s = 0.5;
	config.job_name = "job";
	config.labels = "";
	if (recorder_start(0) != TL_OK || contexts_start() != TL_OK)
		return -1;
	sampler_start(1, 131072, 1, 1);
	sampler_prepare(&thread_self, 0);
	for (int i = 0; i < SITES; i++) {
		snprintf(names[i], sizeof(names[i]), "function_%d", i);
		functions[i] = (struct fake_function){names[i], "/usr/lib/python3.11/lib.py", 10};
		callers[i] = (struct fake_function){names[i], "/srv/app.py", 10};
	}
	return 0;
}

static void *block_of(int second, int site)
{
	return (void *)(uintptr_t)(0x10000000 + (second * SITES + site) * 4096);
}

static void died(void *block)
{
	struct live_block held[LIVE_ENTRIES_PER_BLOCK];

	recorder_died(held, recorder_take(block, LIVE_LIBC, held));
}

/* Each second every site takes one block more; every other site gives back what is 4 s old. So half
 * of the sites leak and half are churn, and 34,000 samples are alive in the end. */
static void live_on(void)
{
	for (int second = 0; second < SECONDS; second++) {
		for (int site = 0; site < SITES; site++) {
			fake_run(&callers[site], 0);
			fake_push(&functions[site], 0);
			recorder_born(&thread_self, &(struct recorder_birth){
							    .block = block_of(second, site),
							    .size = 1000,
							    .charged = 1000,
							    .caller = (void *)0x1234,
							    .is_byte_hit = true,
						    });
			if (site % 2 == 1 && second >= 4)
				died(block_of(second - 4, site));
		}
		fake_ns += 1000000000;
		contexts_tick(recorder_now());
	}
}

static void a_thousand_sites_with_full_histories_are_judged_within_20_ms(void **state)
{
	double fastest = 1, tick = clock_thread_cpu_s();
	const uint32_t *ticks;
	size_t sites = 0, judged = 0, contexts = 0;
	uint64_t samples = 0;

	(void)state;
	live_on();
	tick = (clock_thread_cpu_s() - tick) / SECONDS;
	for (int i = 0; i < TRIES; i++) {
		double before = clock_thread_cpu_s(), took;
		struct snapshot *snapshot = snapshot_build(&identity);

		took = clock_thread_cpu_s() - before;
		assert_non_null(snapshot);
		fastest = took < fastest ? took : fastest;
		sites = snapshot->site_count;
		contexts = snapshot->context_count;
		samples = snapshot->live_samples;
		judged = snapshot->alarm_count;
		snapshot_release(snapshot);
	}
	if (getenv("SNAPSHOT_COST_SHOW") != NULL)
		printf("%zu sites, %zu contexts, %llu live samples: %.2f ms; "
		       "a second of life with its epoch: %.2f ms\n",
		       sites, contexts, (unsigned long long)samples, fastest * 1e3, tick * 1e3);

	assert_int_equal(sites, SITES);
	assert_int_equal(contexts, SITES);
	assert_true(samples >= 20000);
	assert_true(contexts_epochs(&ticks) == CONTEXTS_EPOCHS);
	assert_in_range(judged, SITES * 45 / 100, SITES * 55 / 100);
	assert_true(fastest * 1e3 < 20 * SLOWER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thousand_sites_with_full_histories_are_judged_within_20_ms),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
