/* links: base/lock.c base/descriptor.c base/hash.c base/math.c base/random.c base/clock.c base/pages.c base/intern.c base/thread.c base/text.c process/modules.c process/safe_read.c process/py_type.c process/py_layout.c process/own_code.c profile/sampler.c profile/governor.c profile/names.c profile/stacks.c profile/sites.c profile/classes.c profile/live_blocks.c profile/frame_memo.c profile/tallies.c profile/maps.c profile/mixed_stack.c profile/stack_memo.c profile/blame.c profile/recorder.c profile/contexts.c analysis/growth.c analysis/survival.c analysis/verdict.c output/evidence.c */
#include "output/evidence.h"

#include "output/snapshot.h"
#include "profile/contexts.h"
#include "profile/sites.h"
#include "profile/stacks.h"
#include "profile_fixture.h"

#include <math.h>

#define SECOND ((uint32_t)100) /* ticks */
#define NOW    (20 * SECOND)

static const uint32_t no_deaths[SURVIVAL_CLASSES];
static struct evidence *evidence;
static uint32_t line, site, context;

static int start(void **state)
{
	(void)state;
	config.table_size = 200000;
	config.stack_depth = 32;
	config.app = "";
	config.older_s = 0.5;
	return recorder_start(0) == TL_OK && contexts_start() == TL_OK ? 0 : -1;
}

/* Twenty seconds in which a context held 1,000 bytes more every second. */
static int twenty_seconds(void **state)
{
	(void)state;
	recorder_restart_in_child();
	contexts_reset_in_child();
	line = sites_line(1, 7);
	site = sites_site_of_line(line);
	context = contexts_of(line, STACKS_ROOT, PY_TYPE_STR);
	for (uint32_t second = 1; second <= 19; second++) {
		contexts_tick(second * SECOND);
		/* The row is the module's own; what it held is what the test says. */
		((struct context *)(uintptr_t)contexts_at(context))->held[second - 1] =
			(float)(second * 1000);
	}
	((struct context *)(uintptr_t)contexts_at(context))->has_begun = true;
	evidence = evidence_open(NOW);
	return evidence == NULL;
}

static int close_it(void **state)
{
	(void)state;
	evidence_close(evidence);
	return 0;
}

static void add(uint32_t birth, unsigned type, double bytes)
{
	evidence_add(evidence,
		     &(struct evidence_sample){
			     .context = py_type_is_uncertain(type) ? CONTEXTS_NONE : context,
			     .site = site,
			     .birth = birth,
			     .type = type,
			     .bytes = bytes,
			     .variance = bytes * bytes / 2,
			     .weight = 2,
		     });
}

static void what_came_every_second_and_stays_leaks(void **state)
{
	struct verdict verdict;

	(void)state;
	for (uint32_t second = 1; second <= 19; second++)
		for (int half = 0; half < 2; half++)
			add(second * SECOND - 60, PY_TYPE_STR, 500);
	verdict = evidence_judge_site(evidence, site, no_deaths);
	assert_true(verdict_is_alarm(verdict.kind));
	assert_int_equal(verdict.held, 19000);
	assert_int_equal(verdict.generations, 19);
	assert_true(verdict.growth.low < 1000 && verdict.growth.high > 1000);
	assert_true(evidence_judge_context(evidence, context).kind == verdict.kind);
	assert_true(evidence_held_count(evidence, context) == 19 * 2 * 2);
}

static void what_came_at_first_does_not_and_the_young_is_not_held(void **state)
{
	struct verdict verdict;

	(void)state;
	for (uint32_t i = 0; i < 19; i++)
		add(10, PY_TYPE_STR, 1000);
	add(NOW - 10, PY_TYPE_STR, 50000);
	verdict = evidence_judge_site(evidence, site, no_deaths);
	assert_false(verdict_is_alarm(verdict.kind));
	assert_int_equal(verdict.held, 19000);
	assert_int_equal(verdict.generations, 1);
}

static void deaths_are_the_sites_and_a_context_has_no_survival(void **state)
{
	uint32_t deaths[SURVIVAL_CLASSES] = {[2] = 100};
	struct verdict verdict;

	(void)state;
	for (uint32_t i = 0; i < 10; i++)
		add(10, PY_TYPE_STR, 1000);
	verdict = evidence_judge_site(evidence, site, deaths);
	assert_true(fabs(verdict.survival.share - 10 / 110.0) < 0.01);
	assert_true(isnan(evidence_judge_context(evidence, context).survival.share));
}

static void types_are_told_by_bytes_and_the_uncertain_are_added_up(void **state)
{
	struct snapshot_type types[SNAPSHOT_TYPES] = {{0}}, all[8];
	double uncertain = 0;

	(void)state;
	add(10, PY_TYPE_STR, 100);
	add(10, PY_TYPE_TUPLE, 300);
	add(10, PY_TYPE_LONG_TUPLE, 50); /* the same word, but its maker is known */
	add(10, PY_TYPE_BYTES, 200);
	add(10, PY_TYPE_SET, 20);
	add(10, PY_TYPE_OTHER, 9000);
	evidence_put_types(evidence, site, types, &uncertain);
	assert_string_equal(types[0].type, "tuple");
	assert_true(types[0].bytes == 350 && types[0].count == 4);
	assert_string_equal(types[1].type, "bytes");
	assert_string_equal(types[2].type, "str");
	assert_true(uncertain == 300);

	assert_int_equal(evidence_put_all_types(evidence, all, TL_COUNT_OF(all)), 4);
	assert_string_equal(all[3].type, "set");
	assert_int_equal(evidence_put_all_types(evidence, all, 2), 2);
	assert_string_equal(all[1].type, "bytes");
}

static void without_memory_all_is_unclear(void **state)
{
	double uncertain = 7;

	(void)state;
	evidence_add(NULL, &(struct evidence_sample){.bytes = 1});
	assert_int_equal(evidence_judge_site(NULL, 0, no_deaths).kind, VERDICT_UNCLEAR);
	assert_int_equal(evidence_judge_context(NULL, 1).kind, VERDICT_UNCLEAR);
	assert_int_equal(evidence_put_all_types(NULL, NULL, 0), 0);
	evidence_put_types(NULL, 0, NULL, &uncertain);
	assert_true(uncertain == 7);
	evidence_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_came_every_second_and_stays_leaks,
						twenty_seconds, close_it),
		cmocka_unit_test_setup_teardown(
			what_came_at_first_does_not_and_the_young_is_not_held, twenty_seconds,
			close_it),
		cmocka_unit_test_setup_teardown(deaths_are_the_sites_and_a_context_has_no_survival,
						twenty_seconds, close_it),
		cmocka_unit_test_setup_teardown(
			types_are_told_by_bytes_and_the_uncertain_are_added_up, twenty_seconds,
			close_it),
		cmocka_unit_test(without_memory_all_is_unclear),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
