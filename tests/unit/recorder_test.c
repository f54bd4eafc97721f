/* links: base/lock.c base/descriptor.c base/hash.c base/math.c base/random.c base/clock.c base/pages.c base/intern.c base/thread.c base/text.c process/modules.c profile/sampler.c profile/governor.c profile/names.c profile/stacks.c profile/sites.c process/safe_read.c process/py_type.c profile/classes.c profile/live_blocks.c process/py_layout.c profile/frame_memo.c profile/tallies.c profile/maps.c profile/mixed_stack.c profile/stack_memo.c profile/blame.c profile/recorder.c */
#include "profile/recorder.h"

#include "base/clock.h"
#include "profile/frame_memo.h"
#include "profile/names.h"
#include "profile/sites.h"
#include "profile/stacks.h"
#include "profile/tallies.h"
#include "profile_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#define PAGE   ((size_t)4096)
#define CALLER ((const void *)0x1234) /* a place in native code */

static const struct fake_function make = {"make", "app.py", 10};
static const struct fake_function main_function = {"<module>", "app.py", 1};
static struct live_block held[LIVE_ENTRIES_PER_BLOCK];

static int interpreter_is_up(void)
{
	return 1;
}

/* Every allocation is a sample, and the stack is one call of make() by the module. */
static int exhaustive(void **state)
{
	(void)state;
	recorder_restart_in_child();
	sampler_start(1, 131072, 1, 1);
	thread_self = (struct thread){0};
	sampler_prepare(&thread_self, 0);
	py_layout.is_initialized = interpreter_is_up; /* the fixture has the rest of it */
	config.stack_depth = 32;
	fake_depth = 0;
	fake_push(&main_function, 4);
	fake_push(&make, 2);
	return 0;
}

/* Nothing below 500 bytes, everything from there on. */
static int counted_only(void **state)
{
	exhaustive(state);
	sampler_start(1, UINT64_C(1) << 40, 500, 1);
	return 0;
}

/* Nothing below 500 bytes, and from there on it is counted, and hardly ever a sample. */
static int hardly_sampled(void **state)
{
	exhaustive(state);
	sampler_start(1000000, UINT64_C(1) << 40, 500, 1);
	thread_self = (struct thread){0};
	sampler_prepare(&thread_self, 0);
	return 0;
}

static struct recorder_birth birth_of(uintptr_t block, size_t size)
{
	return (struct recorder_birth){
		.layer = LIVE_LIBC,
		.block = (void *)block,
		.size = size,
		.charged = size,
		.caller = CALLER,
	};
}

static void born(uintptr_t block, size_t size)
{
	struct recorder_birth birth = birth_of(block, size);

	recorder_born(&thread_self, &birth);
}

static void grown(uintptr_t block, size_t growth, size_t to)
{
	struct recorder_birth birth = birth_of(block, growth);

	birth.is_growth = true;
	birth.charged = to;
	recorder_born(&thread_self, &birth);
}

static size_t take(uintptr_t block)
{
	return recorder_take((void *)block, LIVE_LIBC, held);
}

static void died(uintptr_t block)
{
	recorder_died(held, take(block));
}

/* The figures of a line of make(). */
static struct line_figures figures_of(uint32_t line)
{
	struct py_frame frame = {.code = (const char *)&make};

	return sites_copy_line(sites_line(names_function_of_frame(&frame), line));
}

static int64_t live_bytes(void)
{
	return sites_peak_now(0).live;
}

static void a_birth_is_charged_to_the_line_and_the_stack_that_made_it(void **state)
{
	(void)state;
	born(0x1000, 700);

	struct line_figures figures = figures_of(12);

	assert_int_equal(figures.counted, 1);
	assert_int_equal(figures.counted_bytes, 700);
	assert_int_equal(figures.samples, 1);
	assert_int_equal(take(0x1000), 1);

	struct stack_frame inner = stacks_frame(held[0].stack), outer = stacks_frame(inner.caller);

	assert_string_equal(names_text(names_function(inner.function)->name), "make");
	assert_int_equal(inner.line, 12);
	assert_string_equal(names_text(names_function(outer.function)->name), "<module>");
	assert_int_equal(outer.line, 5);
	assert_int_equal(outer.caller, STACKS_ROOT);
}

static bool only_counts(size_t size)
{
	return recorder_only_counts(&thread_self, frame_memo_generation, size, CALLER);
}

static void the_short_way_counts_a_line_that_was_met_and_nothing_else(void **state)
{
	(void)state;
	frame_memo_set_sound(true);

	assert_false(only_counts(700)); /* not met yet */
	born(0x1000, 700);
	assert_true(only_counts(800));
	assert_false(only_counts(499));
	thread_self.counted_left = 1; /* this one is a sample */
	assert_false(only_counts(900));
	assert_int_equal(thread_self.counted_left, 1);
	thread_self.counted_left = 100;
	fake_depth = 0;
	assert_false(only_counts(900)); /* that caller neither */
	fake_push(&main_function, 4);
	fake_push(&make, 2);
	sampler_raise(sampler_level());
	assert_false(only_counts(900));

	frame_memo_set_sound(false);
	assert_int_equal(figures_of(12).counted, 2);
	assert_int_equal(figures_of(12).counted_bytes, 1500);
	assert_int_equal(figures_of(12).samples, 0);
}

static void the_shortest_way_counts_what_the_short_one_has_counted(void **state)
{
	(void)state;
	frame_memo_set_sound(true);

	born(0x1000, 700);
	assert_false(recorder_counts_again(&thread_self, 800, CALLER));
	assert_true(only_counts(800));
	assert_true(recorder_counts_again(&thread_self, 800, CALLER));
	assert_false(recorder_counts_again(&thread_self, 1000, CALLER)); /* the largest so far */
	assert_true(only_counts(1000));
	assert_true(recorder_counts_again(&thread_self, 900, CALLER));
	fake_stack[0].at++;
	assert_false(recorder_counts_again(&thread_self, 900, CALLER)); /* another line */
	fake_stack[0].at--;
	thread_self.counted_left = 1; /* this one is a sample */
	assert_false(recorder_counts_again(&thread_self, 900, CALLER));
	thread_self.counted_left = 100;
	sampler_raise(sampler_level());
	assert_false(recorder_counts_again(&thread_self, 900, CALLER));
	sampler_adapt(&thread_self);
	assert_true(recorder_counts_again(&thread_self, 1000, CALLER));
	frame_memo_freed((const char *)&make); /* whatever comes to that address is another */
	assert_false(recorder_counts_again(&thread_self, 900, CALLER));

	frame_memo_set_sound(false);
	tallies_collect();
	assert_int_equal(figures_of(12).counted, 6);
	assert_int_equal(figures_of(12).counted_bytes, 5200);
	assert_int_equal(figures_of(12).largest, 1000);
}

static void what_failed_after_it_was_counted_is_taken_back(void **state)
{
	(void)state;
	frame_memo_set_sound(true);
	born(0x1000, 700);
	assert_true(only_counts(700));

	uint32_t left = thread_self.counted_left;

	for (int is_told = 0; is_told < 2; is_told++) {
		assert_true(recorder_counts_again(&thread_self, 600, CALLER));
		if (is_told)
			tallies_collect();
		recorder_uncounts(&thread_self, 600, CALLER);
		assert_int_equal(thread_self.counted_left, left);
		tallies_collect();
		assert_int_equal(figures_of(12).counted, 2);
		assert_int_equal(figures_of(12).counted_bytes, 1400);
	}
	assert_true(recorder_counts_again(&thread_self, 600, CALLER));
	frame_memo_forget_all(); /* its entry is found no more */
	recorder_uncounts(&thread_self, 600, CALLER);
	tallies_collect();
	frame_memo_set_sound(false);
	assert_int_equal(figures_of(12).counted, 2);
	assert_int_equal(figures_of(12).counted_bytes, 1400);
}

static uint64_t counted_of(const struct fake_function *function, uint32_t line)
{
	struct py_frame frame = {.code = (const char *)function};

	return sites_copy_line(sites_line(names_function_of_frame(&frame), line)).counted;
}

/* As with TRACKLEAK_PYTHON=0: no hook sees the end of a code object. */
static void a_function_that_becomes_another_unseen_is_told_apart(void **state)
{
	static const struct fake_function first = {"first", "app.py", 10};
	static const struct fake_function second = {"second", "app.py", 10};
	struct fake_function function = first; /* whatever is at this address */

	(void)state;
	fake_run(&function, 2);

	born(0x1000, 700);
	assert_true(only_counts(700));
	assert_true(recorder_counts_again(&thread_self, 700, CALLER));
	function = second;
	assert_false(recorder_counts_again(&thread_self, 700, CALLER));
	assert_false(only_counts(700));
	born(0x2000, 700);
	assert_true(only_counts(700));
	assert_true(recorder_counts_again(&thread_self, 700, CALLER));
	assert_true(recorder_counts_again(&thread_self, 700, CALLER));

	tallies_collect();
	assert_int_equal(counted_of(&first, 12), 3);
	assert_int_equal(counted_of(&second, 12), 4);
}

static void without_a_python_frame_the_caller_is_blamed(void **state)
{
	(void)state;
	fake_depth = 0;
	born(0x1000, 700);

	uint32_t function = names_function_of_address(0x1234);

	assert_int_equal(sites_copy_line(sites_line(function, 0)).counted, 1);
	assert_int_equal(take(0x1000), 1);
	assert_int_equal(stacks_frame(held[0].stack).function, function);
	assert_int_equal(stacks_frame(held[0].stack).caller, STACKS_ROOT);
}

static void push_natives(void)
{
	fake_native_count = 0;
	fake_push_native(2, 0x500);
	fake_push_native(2, 0x1234); /* CALLER */
	fake_push_native(0, 0x10);   /* the agent's own */
	config.native = true;
}

/* The C frames of an interpreter whose loop is not found stand inside of the innermost Python
 * frame. */
static void c_frames_are_part_of_the_stack_and_not_to_blame(void **state)
{
	struct stack_frame frame;

	(void)state;
	push_natives();
	born(0x1000, 700);
	config.native = false;
	take(0x1000);
	frame = stacks_frame(held[0].stack);

	assert_int_equal(figures_of(12).counted, 1);
	assert_int_equal(frame.function, STACKS_NATIVE | 2);
	assert_int_equal(frame.line, 0x1234);
	frame = stacks_frame(frame.caller);
	assert_int_equal(frame.function, STACKS_NATIVE | 2);
	assert_int_equal(frame.line, 0x500);
	frame = stacks_frame(frame.caller);
	assert_int_equal(frame.line, 12);
	assert_string_equal(names_text(names_function(frame.function)->name), "make");
}

static void without_a_python_frame_the_innermost_c_frame_is_blamed(void **state)
{
	struct stack_frame frame;

	(void)state;
	push_natives();
	fake_depth = 0;
	born(0x1000, 700);
	config.native = false;
	take(0x1000);
	frame = stacks_frame(held[0].stack);

	assert_int_equal(frame.function, names_function_of_address(0x1234));
	frame = stacks_frame(frame.caller);
	assert_int_equal(frame.function, STACKS_NATIVE | 2);
	assert_int_equal(frame.line, 0x500);
	assert_int_equal(frame.caller, STACKS_ROOT);
}

static void the_short_way_counts_a_native_caller_that_was_met(void **state)
{
	(void)state;
	fake_depth = 0;

	assert_false(only_counts(700));
	born(0x1000, 700);
	assert_true(only_counts(800));
	assert_int_equal(sites_copy_line(sites_line(names_function_of_address(0x1234), 0)).counted,
			 2);
}

static void a_deep_stack_keeps_its_innermost_frames(void **state)
{
	unsigned depth = 0;

	(void)state;
	for (int i = 0; i < 300; i++)
		fake_push(&make, i % 5);
	config.stack_depth = 20;
	born(0x1000, 700);
	take(0x1000);
	for (uint32_t stack = held[0].stack; stack != STACKS_ROOT;
	     stack = stacks_frame(stack).caller)
		depth++;

	assert_int_equal(depth, 20);
	assert_int_equal(stacks_frame(held[0].stack).line, 10 + 299 % 5);
}

static void a_line_is_decoded_once_for_each_instruction(void **state)
{
	size_t before;

	(void)state;
	born(0x1000, 700);
	before = fake_lines_decoded;
	for (int i = 0; i < 100; i++)
		born(0x2000 + (uintptr_t)i * 64, 10);

	assert_int_equal(fake_lines_decoded, before);
	fake_run(&make, 33); /* of no other test: what is decoded stays known */
	born(0x1000000, 10);
	assert_int_equal(fake_lines_decoded, before + 1);
	assert_int_equal(figures_of(43).samples, 1);
}

static void a_death_is_told_to_the_line_that_made_the_block(void **state)
{
	(void)state;
	born(0x1000, 700);
	born(0x2000, 300);
	fake_run(&main_function, 50); /* freed elsewhere */
	died(0x1000);
	died(0x1000);
	died(0x3000);

	assert_int_equal(figures_of(12).freed_samples, 1);
	assert_int_equal(figures_of(12).freed_sample_bytes, 700);
	assert_int_equal(live_bytes(), 300);
}

static void nothing_of_no_bytes_is_recorded(void **state)
{
	(void)state;
	born(0x1000, 0);

	assert_int_equal(take(0x1000), 0);
	assert_int_equal(figures_of(12).counted, 0);
}

static void below_min_size_only_a_byte_hit_is_a_sample_and_nothing_is_counted(void **state)
{
	struct recorder_birth birth = birth_of(0x1000, 100);

	(void)state;
	recorder_born(&thread_self, &birth);
	assert_int_equal(take(0x1000), 0);

	birth.is_byte_hit = true;
	recorder_born(&thread_self, &birth);
	assert_int_equal(take(0x1000), 1);
	assert_int_equal(figures_of(12).counted, 0);
	assert_true(held[0].probability > 0 && held[0].probability < 1e-9f);
	assert_true(figures_of(12).small_count > 1e9);
}

static void growth_adds_bytes_at_its_own_line_and_no_block(void **state)
{
	(void)state;
	born(0x1000, 1000);
	fake_run(&make, 7);
	recorder_restore(&thread_self, held, take(0x1000), (void *)0x2000, 1000, 1500);
	grown(0x2000, 500, 1500);

	assert_int_equal(take(0x1000), 0);
	assert_int_equal(take(0x2000), 2);
	assert_int_equal(recorder_held_bytes(held, 2), 1500);
	for (size_t i = 0; i < 2; i++) {
		bool is_growth = (held[i].flags & LIVE_IS_GROWTH) != 0;

		assert_int_equal(held[i].size, is_growth ? 500 : 1000);
		assert_int_equal(sites_copy_line(held[i].line).line, is_growth ? 17 : 12);
	}
	assert_int_equal(figures_of(12).counted_bytes, 1000);
	assert_int_equal(figures_of(17).counted_bytes, 500);
	assert_int_equal(figures_of(17).counted, 1);
}

/* Free-threaded: a realloc does not tell how large the block was. */
static void made_of(uintptr_t old, uintptr_t block, size_t size, uint32_t old_birth)
{
	struct recorder_birth birth = birth_of(block, size);

	birth.aged = held;
	birth.aged_count = take(old);
	for (size_t i = 0; i < birth.aged_count; i++)
		held[i].birth = old_birth;
	recorder_born(&thread_self, &birth);
}

static void a_block_made_of_an_older_one_is_new_and_as_old_as_it_was(void **state)
{
	(void)state;
	born(0x1000, 1000);
	usleep(20000);
	made_of(0x1000, 0x2000, 1500, 0);

	assert_int_equal(take(0x1000), 0);
	assert_int_equal(live_bytes(), 1500);
	assert_int_equal(figures_of(12).counted, 2);
	assert_int_equal(figures_of(12).counted_bytes, 2500);
	assert_int_equal(figures_of(12).freed_sample_bytes, 1000);
	assert_int_equal(figures_of(12).freed_samples, 0);
	assert_int_equal(take(0x2000), 2);
	for (size_t i = 0; i < 2; i++) {
		bool is_growth = (held[i].flags & LIVE_IS_GROWTH) != 0;

		assert_int_equal(held[i].size, is_growth ? 500 : 1000);
		assert_int_equal(held[i].birth > 0, is_growth);
	}
	recorder_died(held, 2);
	assert_int_equal(live_bytes(), 0);
	assert_int_equal(figures_of(12).freed_samples, 2);
}

static void a_smaller_block_made_of_an_older_one_is_old(void **state)
{
	(void)state;
	born(0x1000, 1000);
	made_of(0x1000, 0x2000, 600, 0);

	assert_int_equal(live_bytes(), 600);
	assert_int_equal(take(0x2000), 1);
	assert_int_equal(held[0].size, 600);
	assert_int_equal(held[0].birth, 0);
}

static void a_block_that_becomes_no_sample_has_died(void **state)
{
	(void)state;
	counted_only(state);
	born(0x1000, 1000);
	made_of(0x1000, 0x2000, 100, 0);

	assert_int_equal(live_bytes(), 0);
	assert_int_equal(take(0x2000), 0);
	assert_int_equal(figures_of(12).freed_samples, 1);
}

static void a_block_whose_first_allocation_went_past_us_has_no_known_size(void **state)
{
	(void)state;
	grown(0x1000, 500, 100000);

	assert_int_equal(take(0x1000), 1);
	assert_int_equal(recorder_held_bytes(held, 1), 0);
	assert_int_equal(recorder_held_bytes(held, 0), 0);
}

static void a_failed_realloc_changes_nothing(void **state)
{
	(void)state;
	born(0x1000, 1000);
	grown(0x1000, 500, 1500);
	recorder_restore(&thread_self, held, take(0x1000), (void *)0x1000, 1500, 1500);

	assert_int_equal(take(0x1000), 2);
	assert_int_equal(recorder_held_bytes(held, 2), 1500);
	assert_int_equal(figures_of(12).freed_samples, 0);
	assert_int_equal(live_bytes(), 1500);
}

static void a_moved_block_keeps_its_age_and_stack(void **state)
{
	struct live_block before;

	(void)state;
	born(0x1000, 1000);
	take(0x1000);
	held[0].birth -= 1000;
	before = held[0];
	fake_run(&make, 9);
	recorder_restore(&thread_self, held, 1, (void *)0x9000, 1000, 1000);

	take(0x9000);
	before.address = 0x9000;
	assert_memory_equal(&held[0], &before, sizeof(before));
}

static void a_shrink_cuts_every_part_and_an_exact_block_exactly(void **state)
{
	(void)state;
	for (size_t to = 1; to < 3000; to += 37) {
		exhaustive(NULL);
		born(0x1000, 1000);
		grown(0x1000, 500, 1500);
		fake_run(&make, 7);
		grown(0x1000, 1500, 3000);

		recorder_restore(&thread_self, held, take(0x1000), (void *)0x1000, 3000, to);

		assert_int_equal(live_bytes(), to);
		assert_int_equal(figures_of(12).freed_sample_bytes +
					 figures_of(17).freed_sample_bytes,
				 3000 - to);

		size_t count = take(0x1000), bytes = 0;

		for (size_t i = 0; i < count; i++) {
			size_t was = sites_copy_line(held[i].line).line == 17 ? 1500 : 1000;

			bytes += held[i].size;
			assert_true(held[i].size <= was);
		}
		assert_int_equal(bytes, to);
		recorder_died(held, count);
		assert_int_equal(live_bytes(), 0);
	}
}

/* The allocator rounds up: a request of 1,000 was held as 1,008. */
static void a_shrunk_block_has_the_size_that_was_asked_for(void **state)
{
	(void)state;
	born(0x1000, 1000);
	recorder_restore(&thread_self, held, take(0x1000), (void *)0x1000, 1008, 100);

	take(0x1000);
	assert_int_equal(held[0].size, 100);
}

/* Only the growth is a sample: a tenth of the block goes, and a tenth of the growth. */
static void a_part_of_a_block_shrinks_in_proportion(void **state)
{
	(void)state;
	grown(0x1000, 2000, 10000);
	recorder_restore(&thread_self, held, take(0x1000), (void *)0x1000, 10000, 9000);

	assert_int_equal(take(0x1000), 1);
	assert_int_equal(held[0].size, 1800);
}

/* Growths that have joined may have a larger size than the block: it says nothing but what they
 * stand for. */
static void what_stands_for_more_than_the_block_shrinks_in_proportion(void **state)
{
	(void)state;
	grown(0x1000, 5000, 5000);
	take(0x1000);
	held[0].probability = 0.5f;
	recorder_restore(&thread_self, held, 1, (void *)0x1000, 3000, 1500);

	assert_int_equal(take(0x1000), 1);
	assert_int_equal(held[0].size, 2500);
}

static void an_address_handed_out_again_is_a_missed_free(void **state)
{
	(void)state;
	born(0x1000, 1000);
	born(0x1000, 50);

	assert_int_equal(recorder_losses().missed_frees, 1);
	assert_int_equal(figures_of(12).freed_samples, 1);
	assert_int_equal(live_bytes(), 50);
	recorder_saw_reentrant_free();
	assert_int_equal(recorder_losses().reentrant, 1);
	assert_int_equal(recorder_losses().samples, 0);
}

static void a_map_is_charged_to_its_line_to_the_byte(void **state)
{
	struct map pieces[4];

	(void)state;
	recorder_mapped(0x700000, 10 * PAGE + 5, false, (void *)0x1234);
	recorder_mapped(0x800000, 64 * PAGE, true, (void *)0x1234);
	assert_int_equal(figures_of(12).counted, 1);
	assert_int_equal(figures_of(12).counted_bytes, 10 * PAGE + 5);
	assert_int_equal(live_bytes(), 10 * PAGE + 5); /* arenas are nobody's */

	recorder_unmapped(pieces, maps_remove(0x700000, 0x700000 + 4 * PAGE, pieces, 4));
	assert_int_equal(live_bytes(), 6 * PAGE + 5);
	recorder_unmapped(pieces, maps_remove(0x700000, 0x900000, pieces, 4));

	assert_int_equal(live_bytes(), 0);
	assert_int_equal(figures_of(12).freed_sample_bytes, 10 * PAGE + 5);
}

static void a_thread_inside_the_agent_does_not_enter_again_and_keeps_errno(void **state)
{
	int saved_errno, other;

	(void)state;
	errno = EBADF;
	assert_true(recorder_enter(&thread_self, &saved_errno));
	assert_false(recorder_enter(&thread_self, &other));
	errno = ENOMEM;
	recorder_leave(&thread_self, saved_errno);

	assert_int_equal(errno, EBADF);
	assert_true(recorder_enter(&thread_self, &saved_errno));
	recorder_leave(&thread_self, saved_errno);
}

static void a_forked_child_starts_empty(void **state)
{
	(void)state;
	born(0x1000, 1000);
	born(0x1000, 1000);
	recorder_mapped(0x700000, PAGE, false, NULL);

	recorder_restart_in_child();

	assert_int_equal(take(0x1000), 0);
	assert_int_equal(live_bytes(), 0);
	assert_int_equal(figures_of(12).counted, 0);
	assert_int_equal(recorder_losses().missed_frees, 0);
	assert_int_equal(maps_remove(0x700000, 0x800000, NULL, 0), 0);
	assert_in_range(recorder_now(), 0, 5);
	assert_true(recorder_is_open());
}

static void *work(void *number)
{
	struct fake_function function = {"worker", "threads.py", *(int32_t *)number};
	struct live_block mine[LIVE_ENTRIES_PER_BLOCK];
	uintptr_t base = (uintptr_t) * (int32_t *)number << 24;
	int saved_errno;

	fake_run(&function, 0);
	for (uintptr_t i = 0; i < 4000; i++) {
		struct recorder_birth birth = birth_of(base + i * 64, 1000);

		sampler_prepare(&thread_self, 1000);
		if (!recorder_enter(&thread_self, &saved_errno))
			return (void *)1;
		recorder_born(&thread_self, &birth);
		if (i >= 100)
			recorder_died(mine, recorder_take((void *)(base + (i - 100) * 64),
							  LIVE_LIBC, mine));
		recorder_leave(&thread_self, saved_errno);
	}
	return NULL;
}

/* ThreadSanitizer's search for deadlocks gives up a thread that holds more than 64 locks at once; all
 * locks of a table are taken in one order. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "detect_deadlocks=0";
}

static void threads_and_forks_leave_true_sums(void **state)
{
	int32_t numbers[3] = {1, 2, 3};
	pthread_t threads[3];
	void *failed;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, &numbers[i]), 0);
	for (int i = 0; i < 10; i++) {
		recorder_fork_prepare();
		recorder_fork_parent();
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}

	assert_int_equal(live_bytes(), 3 * 100 * 1000);
	assert_int_equal(recorder_losses().samples, 0);
	assert_int_equal(recorder_losses().missed_frees, 0);
}

/* Leaves the recorder with another start: the last test. */
static void before_the_delay_is_over_nothing_is_counted_but_arenas_are_known(void **state)
{
	(void)state;
	assert_int_equal(recorder_start(1), TL_OK);
	exhaustive(NULL);
	assert_false(recorder_is_open());
	assert_true(recorder_elapsed_s() == 0);
	born(0x1000, 1000);
	recorder_mapped(0x700000, PAGE, false, NULL);
	recorder_mapped(0x800000, PAGE, true, NULL);
	assert_int_equal(live_bytes(), 0);
	assert_int_equal(figures_of(12).counted, 0);
	assert_true(maps_is_arena(0x800000));

	/* The coarse clock is a few milliseconds late. */
	for (uint64_t since = clock_precise_ns(); clock_precise_ns() - since < 1100000000u;)
		usleep(50000);

	assert_true(recorder_is_open());
	born(0x1000, 1000);
	assert_int_equal(live_bytes(), 1000);
	assert_true(recorder_elapsed_s() > 0 && recorder_elapsed_s() < 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_birth_is_charged_to_the_line_and_the_stack_that_made_it,
				       exhaustive),
		cmocka_unit_test_setup(the_short_way_counts_a_line_that_was_met_and_nothing_else,
				       hardly_sampled),
		cmocka_unit_test_setup(the_shortest_way_counts_what_the_short_one_has_counted,
				       hardly_sampled),
		cmocka_unit_test_setup(what_failed_after_it_was_counted_is_taken_back,
				       hardly_sampled),
		cmocka_unit_test_setup(a_function_that_becomes_another_unseen_is_told_apart,
				       hardly_sampled),
		cmocka_unit_test_setup(c_frames_are_part_of_the_stack_and_not_to_blame, exhaustive),
		cmocka_unit_test_setup(without_a_python_frame_the_innermost_c_frame_is_blamed,
				       exhaustive),
		cmocka_unit_test_setup(the_short_way_counts_a_native_caller_that_was_met,
				       hardly_sampled),
		cmocka_unit_test_setup(without_a_python_frame_the_caller_is_blamed, exhaustive),
		cmocka_unit_test_setup(a_deep_stack_keeps_its_innermost_frames, exhaustive),
		cmocka_unit_test_setup(a_line_is_decoded_once_for_each_instruction, exhaustive),
		cmocka_unit_test_setup(a_death_is_told_to_the_line_that_made_the_block, exhaustive),
		cmocka_unit_test_setup(nothing_of_no_bytes_is_recorded, exhaustive),
		cmocka_unit_test_setup(
			below_min_size_only_a_byte_hit_is_a_sample_and_nothing_is_counted,
			counted_only),
		cmocka_unit_test_setup(growth_adds_bytes_at_its_own_line_and_no_block, exhaustive),
		cmocka_unit_test_setup(
			a_block_whose_first_allocation_went_past_us_has_no_known_size, exhaustive),
		cmocka_unit_test_setup(a_block_made_of_an_older_one_is_new_and_as_old_as_it_was,
				       exhaustive),
		cmocka_unit_test_setup(a_smaller_block_made_of_an_older_one_is_old, exhaustive),
		cmocka_unit_test_setup(a_block_that_becomes_no_sample_has_died, exhaustive),
		cmocka_unit_test_setup(a_failed_realloc_changes_nothing, exhaustive),
		cmocka_unit_test_setup(a_moved_block_keeps_its_age_and_stack, exhaustive),
		cmocka_unit_test_setup(a_shrink_cuts_every_part_and_an_exact_block_exactly,
				       exhaustive),
		cmocka_unit_test_setup(a_shrunk_block_has_the_size_that_was_asked_for, exhaustive),
		cmocka_unit_test_setup(a_part_of_a_block_shrinks_in_proportion, exhaustive),
		cmocka_unit_test_setup(what_stands_for_more_than_the_block_shrinks_in_proportion,
				       exhaustive),
		cmocka_unit_test_setup(an_address_handed_out_again_is_a_missed_free, exhaustive),
		cmocka_unit_test_setup(a_map_is_charged_to_its_line_to_the_byte, exhaustive),
		cmocka_unit_test_setup(
			a_thread_inside_the_agent_does_not_enter_again_and_keeps_errno, exhaustive),
		cmocka_unit_test_setup(a_forked_child_starts_empty, exhaustive),
		cmocka_unit_test_setup(threads_and_forks_leave_true_sums, exhaustive),
		cmocka_unit_test_setup(
			before_the_delay_is_over_nothing_is_counted_but_arenas_are_known,
			exhaustive),
	};

	return cmocka_run_group_tests(tests, start_recorder, NULL);
}
