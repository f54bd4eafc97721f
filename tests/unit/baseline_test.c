/* links: base/lock.c base/descriptor.c base/hash.c base/math.c base/random.c base/sort.c base/clock.c base/pages.c base/intern.c base/thread.c base/text.c process/modules.c process/proc_memory.c process/script_name.c profile/sampler.c profile/governor.c profile/names.c profile/stacks.c profile/sites.c profile/live_blocks.c process/safe_read.c process/py_type.c profile/classes.c process/py_layout.c profile/frame_memo.c profile/tallies.c profile/maps.c profile/mixed_stack.c profile/stack_memo.c profile/blame.c profile/recorder.c process/own_code.c profile/contexts.c analysis/growth.c analysis/survival.c analysis/verdict.c analysis/rss_breakdown.c output/evidence.c output/snapshot_work.c output/snapshot_live.c output/snapshot_sites.c output/snapshot_stacks.c output/rss_history.c output/snapshot_build.c */
/* A baseline, and a pause: what is told of the time since. */
#include "output/snapshot_build.h"

#include "output/snapshot_live.h"
#include "profile/contexts.h"
#include "profile_fixture.h"

#include <time.h>

static const struct fake_function early = {"early", "app.py", 10}, late = {"late", "app.py", 50};
static struct snapshot *snapshot;

static int start(void **state)
{
	(void)state;
	config.table_size = 2000;
	config.stack_depth = 32;
	config.app = "";
	config.older_s = 0.01;
	config.job_name = "job";
	config.labels = "";
	return recorder_start(0) == TL_OK && contexts_start() == TL_OK ? 0 : -1;
}

static int empty(void **state)
{
	(void)state;
	recorder_resume();
	recorder_restart_in_child();
	contexts_reset_in_child();
	snapshot_live_reset_in_child();
	sampler_start(1, 131072, 1, 1);
	thread_self = (struct thread){0};
	sampler_prepare(&thread_self, 0);
	return 0;
}

static int release(void **state)
{
	(void)state;
	snapshot_release(snapshot);
	snapshot = NULL;
	return 0;
}

static void build(void)
{
	static const struct snapshot_identity identity = {
		.hostname = "", .program = "", .script = "", .python_version = ""};

	snapshot_release(snapshot);
	snapshot = snapshot_build(&identity);
	assert_non_null(snapshot);
}

static void born(const struct fake_function *function, uintptr_t block, size_t size)
{
	fake_run(function, 0);
	recorder_born(&thread_self, &(struct recorder_birth){.block = (void *)block,
							     .size = size,
							     .charged = size,
							     .is_byte_hit = true});
}

static void died(uintptr_t block)
{
	struct live_block held[LIVE_ENTRIES_PER_BLOCK];

	recorder_died(held, recorder_take((void *)block, LIVE_LIBC, held));
}

static const struct snapshot_site *site_of(const char *function)
{
	for (size_t i = 0; i < snapshot->site_count; i++) {
		if (strcmp(snapshot->sites[i].function, function) == 0)
			return &snapshot->sites[i];
	}
	fail_msg("no site %s", function);
	return NULL;
}

static void wait_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

/* Without a moment between them. */
static void what_was_born_before_a_tick_is_told_from_what_comes_after(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint32_t before = recorder_now(), tick = recorder_begin_tick();

		assert_true(tick > before);
		assert_true(recorder_now() >= tick);
	}
}

static void since_is_what_was_born_since_and_lives(void **state)
{
	const struct snapshot_site *site;

	(void)state;
	born(&early, 0x1000, 100);
	born(&late, 0x2000, 200);
	contexts_rebase(recorder_begin_tick());
	born(&late, 0x3000, 300);
	born(&late, 0x4000, 4000);
	died(0x4000);
	died(0x2000);
	build();

	assert_true(site_of("early")->figures.since_bytes.value == 0);
	site = site_of("late");
	assert_true(site->figures.live_bytes.value == 300);
	assert_true(site->figures.since_bytes.value == 300);
	assert_true(site->figures.since_count.value == 1);
	assert_int_equal(site->figures.counted, 3); /* cumulative as ever */
	for (size_t i = 0; i < snapshot->stack_count; i++)
		assert_true(snapshot->stacks[i].since_bytes.value ==
			    (snapshot->stacks[i].live_bytes.value == 300 ? 300 : 0));
}

static void without_a_baseline_nothing_is_since(void **state)
{
	(void)state;
	born(&early, 0x1000, 100);
	build();

	assert_true(site_of("early")->figures.since_bytes.value == 0);
	assert_true(site_of("early")->figures.since_count.value == 0);
}

static void since_has_the_error_of_its_own_samples(void **state)
{
	double p, w;

	(void)state;
	sampler_start(1000000, 1000, 500, 1);
	born(&late, 0x1000, 100);
	contexts_rebase(recorder_begin_tick());
	born(&late, 0x2000, 100);
	build();
	p = sampler_probability(0, 100);
	w = (double)(1 / (float)p);

	const struct estimate *since = &site_of("late")->figures.since_bytes;

	assert_true(since->value > w * 100 * 0.9999 && since->value < w * 100 * 1.0001);
	assert_true(since->se * since->se > w * w * (1 - p) * 1e4 * 0.999 &&
		    since->se * since->se < w * w * (1 - p) * 1e4 * 1.001);
}

/* Epochs come once a second: a history of a few is enough to see that the old one is gone. */
static void the_history_begins_at_the_baseline(void **state)
{
	const uint32_t *ticks;
	uint32_t baseline, context = 0;

	(void)state;
	born(&early, 0x1000, 1000);
	wait_ms(1000);
	contexts_tick(recorder_now());
	assert_int_equal(contexts_epochs(&ticks), 1);

	baseline = recorder_begin_tick();
	contexts_rebase(baseline);
	assert_int_equal(contexts_epochs(&ticks), 0);
	born(&late, 0x2000, 500);
	wait_ms(1000);
	contexts_tick(recorder_now());

	assert_int_equal(contexts_epochs(&ticks), 1);
	assert_true(ticks[0] > baseline);
	for (uint32_t i = 1; i < contexts_end(); i++) {
		if (!contexts_at(i)->has_begun)
			continue;
		assert_int_equal(context, 0);
		context = i;
	}
	assert_int_not_equal(context, 0); /* that of `late` alone */
	assert_int_equal(contexts_at(context)->begin, baseline);
	assert_true(contexts_at(context)->held[0] == 500);
	contexts_reset_in_child();
	assert_int_equal(contexts_baseline(), 0);
}

static void in_a_pause_nothing_is_counted_and_frees_are_followed(void **state)
{
	(void)state;
	born(&early, 0x1000, 100);
	recorder_pause();
	assert_false(recorder_is_open());
	assert_true(recorder_has_begun());
	assert_int_equal(sampler_slow_size, SIZE_MAX);
	assert_false(sampler_is_exhaustive); /* for good: blocks are missed from now on */
	born(&early, 0x2000, 2000);
	recorder_mapped(0x700000, 4096, false, NULL);
	died(0x1000);
	build();

	assert_int_equal(site_of("early")->figures.counted, 1);
	assert_true(site_of("early")->figures.live_bytes.value == 0);
	assert_int_equal(site_of("early")->figures.freed_samples, 1);
	recorder_resume();
	assert_true(recorder_is_open());
	assert_int_equal(sampler_slow_size, 1);
	born(&early, 0x3000, 300);
	build();
	assert_int_equal(site_of("early")->figures.counted, 2);
	assert_true(site_of("early")->figures.live_bytes.value == 300);
}

static void a_fork_leaves_both_sides_paused(void **state)
{
	(void)state;
	recorder_pause();
	sampler_before_fork();
	assert_int_equal(sampler_slow_size, SIZE_MAX);
	recorder_restart_in_child();

	assert_true(recorder_is_paused());
	assert_false(recorder_is_open());
	assert_int_equal(sampler_slow_size, SIZE_MAX);
	assert_false(sampler_is_exhaustive);
	recorder_resume();
	assert_true(recorder_is_open());
}

/* Leaves the recorder with another start: the last test. */
static void a_pause_outlasts_the_start_up_delay(void **state)
{
	(void)state;
	assert_int_equal(recorder_start(1), TL_OK);
	recorder_pause();
	recorder_resume();
	assert_false(recorder_is_open()); /* it is too early all the same */
	recorder_pause();
	wait_ms(1050);

	assert_true(recorder_has_begun());
	assert_false(recorder_is_open());
	recorder_resume();
	assert_true(recorder_is_open());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, empty, release)
		TEST(what_was_born_before_a_tick_is_told_from_what_comes_after),
		TEST(since_is_what_was_born_since_and_lives),
		TEST(without_a_baseline_nothing_is_since),
		TEST(since_has_the_error_of_its_own_samples),
		TEST(the_history_begins_at_the_baseline),
		TEST(in_a_pause_nothing_is_counted_and_frees_are_followed),
		TEST(a_fork_leaves_both_sides_paused),
		TEST(a_pause_outlasts_the_start_up_delay),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
