/* links: base/lock.c base/descriptor.c base/hash.c base/math.c base/random.c base/sort.c base/clock.c base/pages.c base/intern.c base/thread.c base/text.c process/modules.c process/proc_memory.c process/script_name.c profile/sampler.c profile/governor.c profile/names.c profile/stacks.c profile/sites.c process/safe_read.c process/py_type.c profile/classes.c profile/live_blocks.c process/py_layout.c profile/frame_memo.c profile/tallies.c profile/maps.c profile/mixed_stack.c profile/stack_memo.c profile/blame.c profile/recorder.c process/own_code.c profile/contexts.c analysis/growth.c analysis/survival.c analysis/verdict.c analysis/rss_breakdown.c output/evidence.c output/snapshot_work.c output/snapshot_live.c output/snapshot_sites.c output/snapshot_stacks.c output/rss_history.c output/snapshot_build.c */
#include "output/snapshot_build.h"

#include "base/clock.h"
#include "base/math.h"
#include "base/pages.h"
#include "output/snapshot_live.h"
#include "profile/contexts.h"
#include "profile_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define PAGE ((size_t)4096)

static const struct fake_function first = {"first", "app.py", 10},
				  second = {"second", "app.py", 50},
				  same_name = {"first", "other.py", 10},
				  main_function = {"<module>", "app.py", 1};
static const struct snapshot_identity identity = {.pid = 77,
						  .dump = 3,
						  .hostname = "host",
						  .program = "python3",
						  .python_version = "3.11"};
static struct snapshot *snapshot;

static int start(void **state)
{
	(void)state;
	config.table_size = 200000;
	config.stack_depth = 32;
	config.app = "";
	config.older_s = 0.5;
	config.job_name = "job";
	config.labels = "k=v";
	return recorder_start(0) == TL_OK && contexts_start() == TL_OK ? 0 : -1;
}

static void use_settings(uint64_t rate, uint64_t bytes, uint64_t min_size)
{
	sampler_start(rate, bytes, min_size, 1);
	thread_self = (struct thread){0};
	sampler_prepare(&thread_self, 0);
}

static int empty(void **state)
{
	(void)state;
	recorder_restart_in_child();
	contexts_reset_in_child();
	maps_remove(0, UINTPTR_MAX, NULL, 0); /* arenas, which a child keeps */
	snapshot_live_reset_in_child();
	use_settings(1, 131072, 1);
	fake_depth = 0;
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
	snapshot_release(snapshot);
	snapshot = snapshot_build(&identity);
	assert_non_null(snapshot);
}

static void born(uintptr_t block, size_t size, bool is_byte_hit)
{
	recorder_born(&thread_self, &(struct recorder_birth){
					    .block = (void *)block,
					    .size = size,
					    .charged = size,
					    .caller = (void *)0x1234,
					    .is_byte_hit = is_byte_hit,
				    });
}

static void died(uintptr_t block)
{
	struct live_block held[LIVE_ENTRIES_PER_BLOCK];

	recorder_died(held, recorder_take((void *)block, LIVE_LIBC, held));
}

static const struct snapshot_site *site_of(const char *function, const char *file)
{
	for (size_t i = 0; i < snapshot->site_count; i++) {
		if (strcmp(snapshot->sites[i].function, function) == 0 &&
		    strcmp(snapshot->sites[i].file, file) == 0)
			return &snapshot->sites[i];
	}
	fail_msg("no row for %s in %s", function, file);
	return NULL;
}

static const struct snapshot_line *line_of(const struct snapshot_site *site, uint32_t line)
{
	for (size_t i = 0; i < snapshot->line_count; i++) {
		if (&snapshot->sites[snapshot->lines[i].site] == site &&
		    snapshot->lines[i].line == line)
			return &snapshot->lines[i];
	}
	fail_msg("no row for line %u", line);
	return NULL;
}

static bool is_near(double found, double wanted)
{
	double error = found - wanted;

	return error * error <= wanted * wanted * 1e-12;
}

static void an_empty_profile_is_an_empty_snapshot(void **state)
{
	(void)state;
	build();

	assert_int_equal(snapshot->site_count, 0);
	assert_int_equal(snapshot->line_count, 0);
	assert_int_equal(snapshot->stack_count, 0);
	assert_int_equal(snapshot->frame_count, 1);
	assert_int_equal(snapshot->map_count, 0);
	assert_int_equal(snapshot->live_samples, 0);
	assert_true(snapshot->live_bytes.value == 0 && snapshot->live_bytes.se == 0);
}

static void tells_who_and_when_it_is_and_the_settings_in_force(void **state)
{
	(void)state;
	use_settings(50, 131072, 500);
	sampler_raise(0);
	build();

	assert_int_equal(snapshot->pid, 77);
	assert_int_equal(snapshot->dump, 3);
	assert_string_equal(snapshot->hostname, "host");
	assert_string_equal(snapshot->program, "python3");
	assert_string_equal(snapshot->python_version, "3.11");
	assert_string_equal(snapshot->job_name, "job");
	assert_string_equal(snapshot->labels, "k=v");
	assert_true(snapshot->time <= clock_epoch_s() && snapshot->time > clock_epoch_s() - 5);
	assert_true(snapshot->sample_rate == 100 && snapshot->sample_bytes == 262144);
	assert_int_equal(snapshot->min_size, 500);
	assert_int_equal(snapshot->live_capacity, 200000);
	assert_true(snapshot->rss_bytes > 1000000);
	assert_true(snapshot->agent_bytes > 0);
}

static void figures_are_the_sums_of_what_was_allocated_and_freed(void **state)
{
	(void)state;
	fake_run(&first, 5);
	born(0x1000, 1000, true);
	born(0x2000, 3000, true);
	fake_run(&first, 6);
	born(0x3000, 500, true);
	fake_run(&second, 0);
	born(0x4000, 70, true);
	died(0x2000);
	build();

	const struct snapshot_site *site = site_of("first", "app.py");

	assert_int_equal(snapshot->site_count, 2);
	assert_int_equal(snapshot->line_count, 3);
	assert_int_equal(site->kind, SITE_PYTHON);
	assert_int_equal(site->first_line, 10);
	assert_int_equal(site->line, 15);
	assert_int_equal(site->figures.counted, 3);
	assert_int_equal(site->figures.counted_bytes, 4500);
	assert_true(site->figures.count.value == 3 && site->figures.count.se == 0);
	assert_true(site->figures.total_bytes.value == 4500 && site->figures.total_bytes.se == 0);
	assert_int_equal(site->figures.largest, 3000);
	assert_int_equal(site->figures.sample_count, 3);
	assert_int_equal(site->figures.sample_bytes, 4500);
	assert_int_equal(site->figures.freed_samples, 1);
	assert_int_equal(site->figures.freed_sample_bytes, 3000);
	assert_true(site->figures.live_bytes.value == 1500 && site->figures.live_bytes.se == 0);
	assert_true(site->figures.live_count.value == 2 && site->figures.live_count.se == 0);
	assert_true(is_near(site->figures.retention, 1500.0 / 4500));
	assert_true(site->peak_live_bytes == 4500);
	assert_true(site->last_free_s >= 0 && site->last_free_s < 2);

	assert_true(line_of(site, 15)->figures.live_bytes.value == 1000);
	assert_true(line_of(site, 16)->figures.live_bytes.value == 500);
	assert_true(line_of(site, 16)->figures.retention == 1);
	assert_true(snapshot->live_bytes.value == 1570 && snapshot->live_count.value == 3);
	assert_true(snapshot->peak_live_bytes == 4570);
	assert_int_equal(snapshot->live_samples, 3);
}

static void estimates_are_horvitz_thompson_sums_with_their_errors(void **state)
{
	double p = sampler_probability(0, 100), q, variance;

	(void)state;
	use_settings(50, 131072, 500);
	p = sampler_probability(0, 100);
	q = sampler_probability(0, 400);
	fake_run(&first, 5);
	born(0x1000, 100, true);
	born(0x2000, 100, true);
	born(0x3000, 400, true);
	born(0x4000, 100, true);
	died(0x4000);
	build();

	const struct site_figures *figures = &site_of("first", "app.py")->figures;

	/* A probability is kept in 24 bits. */
	assert_int_equal(figures->counted, 0);
	assert_true(is_near(figures->live_count.value, 2 / p + 1 / q));
	assert_true(is_near(figures->live_bytes.value, 200 / p + 400 / q));
	assert_true(is_near(figures->count.value, 3 / p + 1 / q));
	assert_true(is_near(figures->total_bytes.value, 300 / p + 400 / q));
	assert_true(is_near(figures->freed_bytes, 100 / p));
	variance = 2 * (1 - p) / p / p + (1 - q) / q / q;
	assert_true(is_near(figures->live_count.se, math_sqrt(variance)));
	variance = 20000 * (1 - p) / p / p + 160000 * (1 - q) / q / q;
	assert_true(is_near(figures->live_bytes.se, math_sqrt(variance)));
	variance = 30000 * (1 - p) / p / p + 160000 * (1 - q) / q / q;
	assert_true(is_near(figures->total_bytes.se, math_sqrt(variance)));
	assert_true(is_near(snapshot->live_bytes.se, figures->live_bytes.se));
	assert_true(is_near(figures->retention, (200 / p + 400 / q) / (300 / p + 400 / q)));
}

static void growth_adds_bytes_to_the_live_and_no_block(void **state)
{
	(void)state;
	fake_run(&first, 5);
	born(0x1000, 1000, true);
	recorder_born(&thread_self, &(struct recorder_birth){.block = (void *)0x1000,
							     .size = 300,
							     .charged = 1300,
							     .is_growth = true});
	build();

	const struct site_figures *figures = &site_of("first", "app.py")->figures;

	assert_true(figures->live_bytes.value == 1300);
	assert_true(figures->live_count.value == 1 && snapshot->live_count.value == 1);
	assert_true(snapshot->stacks[0].live_count.value == 1);
	assert_int_equal(figures->counted, 2);
	assert_int_equal(snapshot->live_samples, 2);
}

static void sites_of_one_name_are_told_apart_by_file_and_natives_by_place(void **state)
{
	(void)state;
	fake_run(&first, 0);
	born(0x1000, 10, true);
	fake_run(&same_name, 0);
	born(0x2000, 20, true);
	fake_depth = 0;
	born(0x3000, 30, true);
	build();

	assert_int_equal(snapshot->site_count, 3);
	assert_true(site_of("first", "app.py")->figures.live_bytes.value == 10);
	assert_true(site_of("first", "other.py")->figures.live_bytes.value == 20);
	assert_true(site_of("<native ?+0x1234>", "")->figures.live_bytes.value == 30);
	assert_int_equal(site_of("<native ?+0x1234>", "")->kind, SITE_NATIVE);
}

static void rows_are_sorted_by_bytes_and_lines_lie_together(void **state)
{
	uintptr_t block = 0x1000;
	char names[40][16];
	struct fake_function functions[40];

	(void)state;
	for (int i = 0; i < 40; i++) {
		snprintf(names[i], sizeof(names[i]), "f%d", i);
		functions[i] = (struct fake_function){names[i], "app.py", 1};
		for (int line = 0; line < 5; line++) {
			fake_run(&functions[i], line);
			born(block += 64, (size_t)(1 + (i * 7 + line * 13) % 41), true);
		}
	}
	build();

	assert_int_equal(snapshot->site_count, 40);
	assert_int_equal(snapshot->line_count, 200);
	for (size_t i = 1; i < 40; i++)
		assert_true(snapshot->sites[i - 1].figures.total_bytes.value >=
			    snapshot->sites[i].figures.total_bytes.value);
	for (size_t i = 0; i < 200; i++) {
		const struct snapshot_line *line = &snapshot->lines[i];

		assert_int_equal(line->site, i / 5);
		assert_true(i % 5 == 0 ||
			    line[-1].figures.total_bytes.value >= line->figures.total_bytes.value);
		assert_true(i % 5 != 0 || snapshot->sites[line->site].line == line->line);
	}
}

/* Every row of stacks leads, by parents that stand before their children, to the root. */
static void stacks_hold_what_is_alive_and_lead_to_the_root(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		fake_depth = 0;
		fake_push(&main_function, 3);
		fake_push(&second, i);
		fake_push(&first, 1);
		born(0x1000 + (uintptr_t)i * 0x100, (size_t)(i + 1) * 10, true);
		born(0x1080 + (uintptr_t)i * 0x100, 5, true);
	}
	died(0x1000 + 9 * 0x100);
	build();

	assert_int_equal(snapshot->stack_count, 10);
	assert_int_equal(snapshot->frame_count, 1 + 1 + 10 + 10);
	for (size_t i = 0; i < 10; i++) {
		const struct snapshot_stack *stack = &snapshot->stacks[i];
		const struct snapshot_frame *leaf = &snapshot->frames[stack->frame];
		const struct snapshot_frame *caller = &snapshot->frames[leaf->parent];
		const struct snapshot_frame *outer = &snapshot->frames[caller->parent];
		unsigned number = caller->line - 50;
		double wanted = number == 9 ? 5 : (number + 1) * 10 + 5;

		assert_true(leaf->parent < stack->frame && caller->parent < leaf->parent);
		assert_int_equal(outer->parent, 0);
		assert_string_equal(leaf->function, "first");
		assert_int_equal(leaf->line, 11);
		assert_string_equal(snapshot->sites[leaf->site].function, "first");
		assert_string_equal(caller->function, "second");
		assert_int_equal(caller->site, UINT32_MAX); /* it allocates nothing itself */
		assert_string_equal(outer->function, "<module>");
		assert_true(stack->live_bytes.value == wanted);
		assert_int_equal(stack->live_samples, number == 9 ? 1 : 2);
		assert_true(i == 0 || stack[-1].live_bytes.value >= wanted);
		assert_true(stack->oldest_s >= stack->youngest_s && stack->youngest_s >= 0 &&
			    stack->oldest_s < 5);
	}
}

static void maps_are_told_by_owner_and_belong_to_their_line(void **state)
{
	struct map pieces[4];

	(void)state;
	fake_run(&first, 2);
	recorder_mapped(0x700000, 10 * PAGE, false, NULL);
	recorder_mapped(0x800000, 10 * PAGE + 1, false, NULL);
	recorder_mapped(0x900000, 64 * PAGE, true, NULL);
	recorder_mapped(0xa00000, 64 * PAGE, true, NULL);
	recorder_unmapped(pieces, maps_remove(0x700000, 0x700000 + PAGE, pieces, 4));
	build();

	const struct site_figures *figures = &site_of("first", "app.py")->figures;

	assert_true(figures->live_bytes.value == 19 * (double)PAGE + 1);
	assert_int_equal(figures->counted, 2);
	assert_int_equal(snapshot->map_count, 2);
	for (size_t i = 0; i < 2; i++) {
		bool is_arenas = strcmp(snapshot->maps[i].owner, "pymalloc arenas") == 0;

		assert_true(is_arenas || strcmp(snapshot->maps[i].owner, "first") == 0);
		assert_int_equal(snapshot->maps[i].count, 2);
		assert_int_equal(snapshot->maps[i].bytes, is_arenas ? 128 * PAGE : 19 * PAGE + 1);
	}
}

static void more_owners_of_maps_than_rows_share_the_last(void **state)
{
	char names[100][16];
	struct fake_function functions[100];
	uint64_t bytes = 0, count = 0;

	(void)state;
	for (size_t i = 0; i < 100; i++) {
		snprintf(names[i], sizeof(names[i]), "f%zu", i);
		functions[i] = (struct fake_function){names[i], "app.py", 1};
		fake_run(&functions[i], 0);
		recorder_mapped(0x700000 + i * 2 * PAGE, PAGE, false, NULL);
	}
	build();

	assert_int_equal(snapshot->map_count, 64);
	assert_string_equal(snapshot->maps[63].owner, "<others>");
	for (size_t i = 0; i < 64; i++) {
		bytes += snapshot->maps[i].bytes;
		count += snapshot->maps[i].count;
	}
	assert_int_equal(bytes, 100 * PAGE);
	assert_int_equal(count, 100);
}

/* Births and dumps are told apart by ticks of 10 ms. */
static void wait_a_tick(void)
{
	for (uint32_t tick = recorder_now(); recorder_now() == tick;)
		usleep(1000);
}

/* A dump ends a generation; what is alive of how many is told. */
static void generations_are_the_dumps_between_which_something_alive_was_born(void **state)
{
	(void)state;
	fake_run(&first, 0);
	for (uintptr_t dump = 0; dump < 5; dump++) {
		wait_a_tick();
		born(0x1000 + dump * 64, 100, true);
		wait_a_tick();
		build();
		assert_int_equal(site_of("first", "app.py")->generations, dump + 1);
	}

	died(0x1000);
	died(0x1040);
	build();
	assert_int_equal(site_of("first", "app.py")->generations, 3);
	snapshot_live_reset_in_child();
	build();
	assert_int_equal(site_of("first", "app.py")->generations, 1);
}

static void any_number_of_dumps_is_at_most_64_generations(void **state)
{
	uint32_t before = 0;

	(void)state;
	fake_run(&first, 0);
	for (uintptr_t dump = 0; dump < 150; dump++) {
		born(0x1000 + dump * 64, 100, true);
		wait_a_tick();
		build();

		uint32_t generations = site_of("first", "app.py")->generations;

		assert_in_range(generations, dump < 64 ? dump + 1 : 32, 64);
		assert_true(generations >= before || generations >= 32);
		before = generations;
	}
}

static void the_last_free_has_a_time_and_what_was_never_freed_has_none(void **state)
{
	(void)state;
	fake_run(&first, 0);
	born(0x1000, 100, true);
	build();

	double last_free_s = site_of("first", "app.py")->last_free_s;

	assert_true(last_free_s != last_free_s); /* never */
	assert_true(site_of("first", "app.py")->figures.retention == 1);
	died(0x1000);
	build();
	assert_true(site_of("first", "app.py")->last_free_s >= 0);
	assert_true(site_of("first", "app.py")->figures.retention == 0);
	assert_true(site_of("first", "app.py")->figures.live_bytes.value == 0);
}

static void a_site_that_was_counted_and_never_sampled_has_no_retention(void **state)
{
	(void)state;
	use_settings(UINT32_MAX, UINT64_C(1) << 40, 500);
	fake_run(&first, 0);
	born(0x1000, 1000, false);
	build();

	const struct site_figures *figures = &site_of("first", "app.py")->figures;

	assert_int_equal(figures->counted, 1);
	assert_int_equal(figures->sample_count, 0);
	assert_true(figures->retention != figures->retention);
}

static void what_found_no_room_is_told_as_others(void **state)
{
	struct fake_function function = {"f", "app.py", 0};
	uintptr_t block = 0x1000;
	double live = 0;
	unsigned others = 0;

	(void)state;
	for (; function.first_line < 30000; function.first_line++) {
		fake_run(&function, 0);
		born(block += 64, 10, true);
	}
	build();

	assert_true(snapshot->other_sites > 0 && snapshot->site_count > 1000);
	for (size_t i = 0; i < snapshot->site_count; i++) {
		live += snapshot->sites[i].figures.live_bytes.value;
		if (snapshot->sites[i].kind == SITE_OTHERS) {
			others++;
			assert_string_equal(snapshot->sites[i].function, "<other functions>");
			assert_string_equal(snapshot->sites[i].file, "");
		}
	}
	assert_int_equal(others, 1);
	assert_true(live == 300000 && snapshot->live_bytes.value == 300000);
}

static void a_snapshot_does_not_change_when_the_profile_does(void **state)
{
	(void)state;
	fake_run(&first, 0);
	born(0x1000, 100, true);
	build();
	born(0x2000, 1000, true);
	died(0x1000);
	fake_run(&second, 0);
	born(0x3000, 1, true);

	assert_int_equal(snapshot->site_count, 1);
	assert_true(snapshot->sites[0].figures.live_bytes.value == 100);
	assert_int_equal(snapshot->live_samples, 1);
}

static void a_snapshot_gives_all_its_memory_back(void **state)
{
	size_t before;

	(void)state;
	build();
	release(NULL);
	before = pages_resident_bytes();
	for (int i = 0; i < 20; i++)
		build();
	release(NULL);

	assert_int_equal(pages_resident_bytes(), before);
}

static bool must_stop;

static void *allocate_and_free(void *number)
{
	struct fake_function function = {"busy", "app.py", *(int32_t *)number};
	uintptr_t base = (uintptr_t) * (int32_t *)number << 24;
	int saved_errno;

	for (uintptr_t i = 0; !TL_LOAD(must_stop); i++) {
		fake_run(&function, (int32_t)(i % 3));
		sampler_prepare(&thread_self, 100);
		if (!recorder_enter(&thread_self, &saved_errno))
			return (void *)1;
		born(base + i % 1000 * 64, 100, true);
		died(base + (i + 500) % 1000 * 64);
		recorder_leave(&thread_self, saved_errno);
	}
	return NULL;
}

/* However busy the program is: ages and times are none of the future. */
static void reports_of_a_busy_program_make_sense(void **state)
{
	int32_t numbers[2] = {1, 2};
	pthread_t threads[2];
	void *failed;

	(void)state;
	must_stop = false;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, allocate_and_free, &numbers[i]),
				 0);
	for (int i = 0; i < 100; i++) {
		build();
		for (size_t s = 0; s < snapshot->stack_count; s++) {
			const struct snapshot_stack *stack = &snapshot->stacks[s];

			assert_true(stack->youngest_s >= 0 && stack->oldest_s < 60);
		}
		for (size_t s = 0; s < snapshot->site_count; s++) {
			assert_false(snapshot->sites[s].last_free_s < 0);
			assert_false(snapshot->sites[s].last_free_s > 60);
			assert_true(snapshot->sites[s].figures.live_count.value <= 1002);
		}
		assert_true(snapshot->peak_live_time > snapshot->time - 60 &&
			    snapshot->peak_live_time <= snapshot->time);
	}
	TL_STORE(must_stop, true);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_empty_profile_is_an_empty_snapshot, empty,
						release),
		cmocka_unit_test_setup_teardown(tells_who_and_when_it_is_and_the_settings_in_force,
						empty, release),
		cmocka_unit_test_setup_teardown(
			figures_are_the_sums_of_what_was_allocated_and_freed, empty, release),
		cmocka_unit_test_setup_teardown(
			estimates_are_horvitz_thompson_sums_with_their_errors, empty, release),
		cmocka_unit_test_setup_teardown(growth_adds_bytes_to_the_live_and_no_block, empty,
						release),
		cmocka_unit_test_setup_teardown(
			sites_of_one_name_are_told_apart_by_file_and_natives_by_place, empty,
			release),
		cmocka_unit_test_setup_teardown(rows_are_sorted_by_bytes_and_lines_lie_together,
						empty, release),
		cmocka_unit_test_setup_teardown(stacks_hold_what_is_alive_and_lead_to_the_root,
						empty, release),
		cmocka_unit_test_setup_teardown(maps_are_told_by_owner_and_belong_to_their_line,
						empty, release),
		cmocka_unit_test_setup_teardown(more_owners_of_maps_than_rows_share_the_last, empty,
						release),
		cmocka_unit_test_setup_teardown(
			generations_are_the_dumps_between_which_something_alive_was_born, empty,
			release),
		cmocka_unit_test_setup_teardown(any_number_of_dumps_is_at_most_64_generations,
						empty, release),
		cmocka_unit_test_setup_teardown(
			the_last_free_has_a_time_and_what_was_never_freed_has_none, empty, release),
		cmocka_unit_test_setup_teardown(
			a_site_that_was_counted_and_never_sampled_has_no_retention, empty, release),
		cmocka_unit_test_setup_teardown(what_found_no_room_is_told_as_others, empty,
						release),
		cmocka_unit_test_setup_teardown(a_snapshot_does_not_change_when_the_profile_does,
						empty, release),
		cmocka_unit_test_setup_teardown(a_snapshot_gives_all_its_memory_back, empty,
						release),
		cmocka_unit_test_setup_teardown(reports_of_a_busy_program_make_sense, empty,
						release),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
