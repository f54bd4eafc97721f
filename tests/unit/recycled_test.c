/* links: base/lock.c base/descriptor.c base/hash.c base/math.c base/random.c base/clock.c base/pages.c base/intern.c base/thread.c base/text.c process/modules.c profile/sampler.c profile/governor.c profile/names.c profile/stacks.c profile/sites.c process/safe_read.c process/py_type.c profile/classes.c profile/live_blocks.c process/py_layout.c profile/frame_memo.c profile/tallies.c profile/maps.c profile/mixed_stack.c profile/stack_memo.c profile/blame.c profile/recorder.c */
#include "profile/recorder.h"

#include "profile/names.h"
#include "profile/sites.h"
#include "profile/stacks.h"
#include "profile_fixture.h"

#include <math.h>

#define BLOCK  ((uintptr_t)0x1000)
#define CALLER ((const void *)0x1234)

static const struct fake_function temporary = {"temporary", "app.py", 10},
				  keeper = {"keeper", "app.py", 20};
static struct live_block held[LIVE_ENTRIES_PER_BLOCK];

/* Every allocation is a sample, temporary() runs, and creations are told. */
static int exhaustive(void **state)
{
	(void)state;
	recorder_restart_in_child();
	sampler_start(1, 131072, 1, 1);
	thread_self = (struct thread){0};
	sampler_prepare(&thread_self, 0);
	live_blocks_be_certain_from(recorder_begin_tick());
	fake_run(&temporary, 1);
	return 0;
}

static void allocated(uintptr_t block, size_t size)
{
	recorder_born(&thread_self, &(struct recorder_birth){.layer = LIVE_PYTHON,
							     .block = (void *)block,
							     .size = size,
							     .charged = size,
							     .caller = CALLER});
}

static void made(uintptr_t block)
{
	recorder_made_again(&thread_self, (void *)block, PY_TYPE_TUPLE, CALLER);
}

static size_t take(uintptr_t block)
{
	return recorder_take((void *)block, LIVE_PYTHON, held);
}

static struct line_figures figures_of(const struct fake_function *function)
{
	struct py_frame frame = {.code = (const char *)function};

	return sites_copy_line(
		sites_line(names_function_of_frame(&frame), (uint32_t)function->first_line + 1));
}

static const char *maker(const struct live_block *block)
{
	return names_text(names_function(stacks_frame(block->stack).function)->name);
}

static void the_creation_of_the_allocation_itself_only_marks_the_sample(void **state)
{
	(void)state;
	allocated(BLOCK, 56);
	made(BLOCK);
	assert_int_equal(figures_of(&temporary).samples, 1);
	assert_int_equal(figures_of(&temporary).freed_samples, 0);
	assert_int_equal(take(BLOCK), 1);
	assert_int_equal(held[0].type, PY_TYPE_MADE + PY_TYPE_TUPLE);
	assert_false(py_type_is_uncertain(live_blocks_type(&held[0])));
}

static void a_recycled_block_dies_at_its_line_and_is_born_at_the_one_that_runs(void **state)
{
	struct line_figures was, is;

	(void)state;
	allocated(BLOCK, 56);
	made(BLOCK);
	fake_run(&keeper, 1);
	made(BLOCK);
	was = figures_of(&temporary);
	is = figures_of(&keeper);
	assert_int_equal(was.counted, 1);
	assert_int_equal(was.freed_samples, 1);
	assert_int_equal(was.freed_sample_bytes, 56);
	assert_int_equal(is.counted, 0); /* no allocator was asked */
	assert_int_equal(is.samples, 1);
	assert_true(is.small_count == 1 && is.small_bytes == 56);
	assert_int_equal(sites_peak_now(0).live, 56);
	assert_int_equal(take(BLOCK), 1);
	assert_string_equal(maker(&held[0]), "keeper");
	assert_int_equal(held[0].size, 56);
	assert_true(held[0].probability == 1);
	assert_false(py_type_is_uncertain(live_blocks_type(&held[0])));
}

static void its_size_and_weight_stay(void **state)
{
	(void)state;
	exhaustive(NULL);
	sampler_start(1, 560, 500, 1);
	thread_self.countdown = -1;
	recorder_born(&thread_self, &(struct recorder_birth){.layer = LIVE_PYTHON,
							     .block = (void *)BLOCK,
							     .size = 56,
							     .charged = 56,
							     .caller = CALLER,
							     .is_byte_hit = true});
	made(BLOCK);
	fake_run(&keeper, 1);
	made(BLOCK);
	assert_true(fabs(figures_of(&keeper).small_count - 1 / (1 - exp(-0.1))) < 0.001);
	assert_int_equal(take(BLOCK), 1);
	assert_true(fabs((double)held[0].probability - (1 - exp(-0.1))) < 0.0001);
}

static void a_block_with_a_growth_moves_whole(void **state)
{
	struct recorder_birth growth = {.layer = LIVE_PYTHON,
					.block = (void *)BLOCK,
					.size = 16,
					.charged = 72,
					.caller = CALLER,
					.is_growth = true};

	(void)state;
	allocated(BLOCK, 56);
	recorder_born(&thread_self, &growth);
	made(BLOCK);
	fake_run(&keeper, 1);
	made(BLOCK);
	assert_int_equal(figures_of(&temporary).freed_sample_bytes, 72);
	assert_int_equal(figures_of(&keeper).sample_bytes, 72);
	assert_int_equal(take(BLOCK), 2);
}

static void what_was_made_before_we_were_told_is_uncertain_and_moves_at_the_first_word(void **state)
{
	(void)state;
	allocated(BLOCK, 56);
	live_blocks_be_certain_from(recorder_now() + 10);
	fake_run(&keeper, 1);
	made(BLOCK);
	assert_int_equal(figures_of(&temporary).freed_samples, 1);
	assert_int_equal(take(BLOCK), 1);
	assert_string_equal(maker(&held[0]), "keeper");
	assert_int_equal(live_blocks_type(&held[0]), PY_TYPE_TUPLE); /* not yet */
}

static void a_gap_makes_what_was_certain_uncertain(void **state)
{
	(void)state;
	allocated(BLOCK, 56);
	made(BLOCK);
	take(BLOCK);
	assert_false(py_type_is_uncertain(live_blocks_type(&held[0])));
	live_blocks_be_certain_from(LIVE_NEVER);
	assert_int_equal(live_blocks_type(&held[0]), PY_TYPE_TUPLE);
	live_blocks_be_certain_from(held[0].birth + 1);
	assert_int_equal(live_blocks_type(&held[0]), PY_TYPE_TUPLE);
	live_blocks_be_certain_from(held[0].birth);
	assert_int_equal(live_blocks_type(&held[0]), PY_TYPE_MADE + PY_TYPE_TUPLE);
}

static void a_block_that_is_no_sample_is_none_of_our_business(void **state)
{
	(void)state;
	allocated(BLOCK, 56);
	made(BLOCK + 64);
	assert_int_equal(figures_of(&temporary).freed_samples, 0);
	assert_int_equal(sites_peak_now(0).live, 56);
}

static void in_a_pause_it_dies_and_is_not_born(void **state)
{
	(void)state;
	allocated(BLOCK, 56);
	made(BLOCK);
	recorder_pause();
	made(BLOCK);
	recorder_resume();
	assert_int_equal(figures_of(&temporary).freed_samples, 1);
	assert_int_equal(take(BLOCK), 0);
	assert_int_equal(sites_peak_now(0).live, 0);
}

/* Of 4,000 recycled samples of 56 bytes a level more lets half go, and what stays weighs twice. */
static void a_risen_level_lets_go_of_what_is_recycled_and_keeps_the_sum(void **state)
{
	struct line_figures figures;

	(void)state;
	exhaustive(NULL);
	sampler_start(1, 5600, 500, 1);
	for (uintptr_t i = 1; i <= 4000; i++)
		recorder_born(&thread_self, &(struct recorder_birth){.layer = LIVE_PYTHON,
								     .block = (void *)(i * 64),
								     .size = 56,
								     .charged = 56,
								     .caller = CALLER,
								     .is_byte_hit = true});
	for (uintptr_t i = 1; i <= 4000; i++)
		made(i * 64);
	assert_int_equal(figures_of(&temporary).samples, 4000);
	sampler_raise(0);
	fake_run(&keeper, 1);
	for (uintptr_t i = 1; i <= 4000; i++)
		made(i * 64);
	figures = figures_of(&keeper);
	assert_int_equal(figures_of(&temporary).freed_samples, 4000);
	assert_in_range(figures.samples, 2000 - 5 * 32, 2000 + 5 * 32);
	assert_true(fabs(figures.small_bytes / figures_of(&temporary).small_bytes - 1) < 0.08);
}

static void a_forked_child_is_told_from_its_start_on(void **state)
{
	(void)state;
	live_blocks_be_certain_from(4000000);
	recorder_restart_in_child();
	assert_int_equal(live_blocks_type(&(struct live_block){.type = PY_TYPE_MADE + PY_TYPE_LIST,
							       .birth = 0}),
			 PY_TYPE_MADE + PY_TYPE_LIST);
	live_blocks_be_certain_from(LIVE_NEVER);
	recorder_restart_in_child();
	assert_int_equal(live_blocks_type(&(struct live_block){.type = PY_TYPE_MADE + PY_TYPE_LIST,
							       .birth = 0}),
			 PY_TYPE_LIST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_creation_of_the_allocation_itself_only_marks_the_sample,
				       exhaustive),
		cmocka_unit_test_setup(
			a_recycled_block_dies_at_its_line_and_is_born_at_the_one_that_runs,
			exhaustive),
		cmocka_unit_test_setup(its_size_and_weight_stay, exhaustive),
		cmocka_unit_test_setup(a_block_with_a_growth_moves_whole, exhaustive),
		cmocka_unit_test_setup(
			what_was_made_before_we_were_told_is_uncertain_and_moves_at_the_first_word,
			exhaustive),
		cmocka_unit_test_setup(a_gap_makes_what_was_certain_uncertain, exhaustive),
		cmocka_unit_test_setup(a_block_that_is_no_sample_is_none_of_our_business,
				       exhaustive),
		cmocka_unit_test_setup(in_a_pause_it_dies_and_is_not_born, exhaustive),
		cmocka_unit_test_setup(a_risen_level_lets_go_of_what_is_recycled_and_keeps_the_sum,
				       exhaustive),
		cmocka_unit_test_setup(a_forked_child_is_told_from_its_start_on, exhaustive),
	};

	return cmocka_run_group_tests(tests, start_recorder, NULL);
}
