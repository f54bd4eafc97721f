/* links: base/lock.c base/descriptor.c base/hash.c base/math.c base/random.c base/clock.c base/pages.c base/intern.c base/thread.c base/text.c process/modules.c process/safe_read.c process/py_type.c process/py_layout.c process/own_code.c profile/sampler.c profile/governor.c profile/names.c profile/stacks.c profile/sites.c profile/classes.c profile/live_blocks.c profile/frame_memo.c profile/tallies.c profile/maps.c profile/mixed_stack.c profile/stack_memo.c profile/blame.c profile/recorder.c profile/contexts.c */
#include "profile/contexts.h"

#include "profile/names.h"
#include "profile/sites.h"
#include "profile/stacks.h"
#include "profile_fixture.h"

#define SECOND ((uint32_t)100) /* ticks */

static const struct fake_function loads = {"loads", "/usr/lib/python3.11/json/__init__.py", 10},
				  keeps = {"keeps", "/srv/app.py", 5},
				  drops = {"drops", "/srv/app.py", 50};
static uintptr_t next_block;

static int start(void **state)
{
	(void)state;
	config.table_size = 200000;
	config.stack_depth = 32;
	config.app = "";
	config.older_s = 0.5;
	return recorder_start(0) == TL_OK && contexts_start() == TL_OK ? 0 : -1;
}

static int empty(void **state)
{
	(void)state;
	recorder_restart_in_child();
	contexts_reset_in_child();
	sampler_start(1, 131072, 1, 1); /* every block is a sample */
	thread_self = (struct thread){0};
	sampler_prepare(&thread_self, 0);
	next_block = 0x100000;
	return 0;
}

static uintptr_t born_in(const struct fake_function *inner, const struct fake_function *outer)
{
	fake_run(outer, 1);
	if (inner != NULL)
		fake_push(inner, 1);
	next_block += 0x1000;
	recorder_born(&thread_self, &(struct recorder_birth){.block = (void *)next_block,
							     .size = 1000,
							     .charged = 1000,
							     .caller = (void *)0x1234});
	return next_block;
}

/* The context of the function as called from the other; NULL: there is none. */
static const struct context *context_of(const char *function, const char *via)
{
	for (uint32_t i = 1; i < contexts_end(); i++) {
		const struct context *context = contexts_at(i);
		uint32_t number;

		if (context->site == CONTEXTS_OF_TYPE)
			continue;
		number = sites_copy_life(context->site).function;
		if (strcmp(names_text(names_function(number)->name), function) == 0 &&
		    strcmp(names_text(names_function(context->via)->name), via) == 0)
			return context;
	}
	return NULL;
}

static void a_library_function_is_told_apart_by_who_of_the_program_called_it(void **state)
{
	(void)state;
	born_in(&loads, &keeps);
	born_in(&loads, &keeps);
	born_in(&loads, &drops);
	born_in(NULL, &keeps);
	contexts_tick(2 * SECOND);

	assert_true(context_of("loads", "keeps")->held[0] == 2000);
	assert_true(context_of("loads", "drops")->held[0] == 1000);
	assert_true(context_of("keeps", "")->held[0] == 1000); /* its own code: via nobody */
}

static void c_frames_are_in_nobodys_way(void **state)
{
	(void)state;
	fake_native_count = 0;
	fake_push_native(2, 0x1234);
	config.native = true;
	born_in(&loads, &keeps);
	born_in(NULL, &keeps);
	config.native = false;
	born_in(&loads, &keeps);
	contexts_tick(2 * SECOND);

	assert_true(context_of("loads", "keeps")->held[0] == 2000);
	assert_true(context_of("keeps", "")->held[0] == 1000);
}

static void what_has_died_is_not_held_and_before_OLDER_nothing_is(void **state)
{
	struct live_block held[LIVE_ENTRIES_PER_BLOCK];
	uintptr_t block = born_in(NULL, &keeps);
	const uint32_t *ticks;

	(void)state;
	born_in(NULL, &keeps);
	contexts_tick(contexts_older() - 1);
	assert_int_equal(contexts_epochs(&ticks), 0);
	contexts_tick(6 * SECOND);
	assert_true(context_of("keeps", "")->held[0] == 2000);

	recorder_died(held, recorder_take((void *)block, LIVE_LIBC, held));
	contexts_tick(8 * SECOND);
	assert_true(context_of("keeps", "")->held[1] == 1000);
}

static void its_life_begins_with_the_last_epoch_at_which_it_held_nothing(void **state)
{
	const uint32_t *ticks;

	(void)state;
	contexts_tick(2 * SECOND);
	contexts_tick(3 * SECOND);
	born_in(NULL, &keeps);
	contexts_tick(4 * SECOND);

	assert_int_equal(contexts_epochs(&ticks), 3);
	assert_true(context_of("keeps", "")->has_begun);
	assert_int_equal(context_of("keeps", "")->begin, 3 * SECOND);
}

static void epochs_always_span_the_whole_life(void **state)
{
	const uint32_t *ticks;
	unsigned count;

	(void)state;
	born_in(NULL, &keeps);
	for (uint32_t second = 2; second <= 1000; second++)
		contexts_tick(second * SECOND);
	count = contexts_epochs(&ticks);
	assert_in_range(count, CONTEXTS_EPOCHS / 2, CONTEXTS_EPOCHS);
	assert_true(ticks[0] <= 1000 * SECOND / 16 && ticks[count - 1] >= 960 * SECOND);
	for (unsigned i = 1; i < count; i++)
		assert_in_range(ticks[i] - ticks[i - 1], SECOND, 70 * SECOND);
	for (unsigned i = 0; i < count; i++)
		assert_true(context_of("keeps", "")->held[i] == 1000);
}

static void what_comes_from_a_free_list_belongs_to_its_type(void **state)
{
	uint32_t line = sites_line(1, 1), one, other;

	(void)state;
	one = contexts_of(line, STACKS_ROOT, PY_TYPE_TUPLE);
	other = contexts_of(sites_line(2, 2), STACKS_ROOT, PY_TYPE_TUPLE);
	assert_int_equal(one, other);
	assert_int_equal(contexts_at(one)->site, CONTEXTS_OF_TYPE);
	assert_int_equal(contexts_at(one)->via, PY_TYPE_TUPLE);
	assert_int_not_equal(contexts_of(line, STACKS_ROOT, PY_TYPE_STR), one);
}

static void when_full_a_new_one_has_no_history_and_the_known_ones_have(void **state)
{
	uint32_t first = 0, last = 0;

	(void)state;
	for (uint32_t i = 1; i <= CONTEXTS_MOST; i++) {
		last = contexts_of(sites_line(i, i), STACKS_ROOT, PY_TYPE_STR);
		first = i == 1 ? last : first;
	}
	assert_int_equal(last, CONTEXTS_NONE);
	assert_int_equal(contexts_of(sites_line(1, 1), STACKS_ROOT, PY_TYPE_STR), first);
	assert_int_equal(contexts_end(), CONTEXTS_MOST);

	contexts_reset_in_child();
	assert_int_equal(contexts_end(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
			a_library_function_is_told_apart_by_who_of_the_program_called_it, empty),
		cmocka_unit_test_setup(c_frames_are_in_nobodys_way, empty),
		cmocka_unit_test_setup(what_has_died_is_not_held_and_before_OLDER_nothing_is,
				       empty),
		cmocka_unit_test_setup(its_life_begins_with_the_last_epoch_at_which_it_held_nothing,
				       empty),
		cmocka_unit_test_setup(epochs_always_span_the_whole_life, empty),
		cmocka_unit_test_setup(what_comes_from_a_free_list_belongs_to_its_type, empty),
		cmocka_unit_test_setup(when_full_a_new_one_has_no_history_and_the_known_ones_have,
				       empty),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
