/* links: base/lock.c base/descriptor.c base/hash.c base/math.c base/random.c base/intern.c base/pages.c base/text.c base/thread.c process/modules.c profile/names.c profile/sites.c */
#include "profile/sites.h"

#include "base/random.h"
#include "profile/names.h"
#include "profile_fixture.h"

#include <pthread.h>

static int start(void **state)
{
	(void)state;
	return names_start() == TL_OK && sites_start() == TL_OK ? 0 : -1;
}

static int forget(void **state)
{
	(void)state;
	sites_reset_in_child();
	names_reset_in_child();
	return 0;
}

static uint32_t line_of(uintptr_t function, uint32_t line)
{
	return sites_line(names_function_of_address(function), line);
}

static struct site_sample sample_of(uint64_t size, double probability)
{
	return (struct site_sample){.size = size, .probability = probability};
}

static void born(uint32_t line, uint64_t size)
{
	struct site_sample sample = sample_of(size, 1);

	sites_born(line, &sample);
}

static void died(uint32_t line, uint64_t size, uint32_t age, uint32_t now)
{
	struct site_sample sample = sample_of(size, 1);

	sites_died(line, &sample, age, now);
}

static struct site_life life_of(uint32_t line)
{
	return sites_copy_life(sites_copy_line(line).site);
}

static void lines_of_one_function_are_one_site(void **state)
{
	uint32_t first = line_of(100, 7), second = line_of(100, 8), other = line_of(200, 7);

	(void)state;

	assert_int_equal(line_of(100, 7), first);
	assert_int_not_equal(first, second);
	assert_int_not_equal(first, other);
	assert_int_equal(sites_copy_line(first).site, sites_copy_line(second).site);
	assert_int_not_equal(sites_copy_line(first).site, sites_copy_line(other).site);
	assert_int_equal(sites_copy_line(second).line, 8);
	assert_int_equal(life_of(other).function, names_function_of_address(200));
	assert_int_equal(sites_end(), 3);
	assert_true(sites_line_is_known(first) && sites_line_is_known(SITES_OTHERS));
	for (uint32_t line = 1; line < sites_lines_end(); line++) {
		if (line != first && line != second && line != other)
			assert_false(sites_line_is_known(line));
	}
}

static void the_other_functions_have_a_line_and_a_site_from_the_start(void **state)
{
	(void)state;

	assert_int_equal(sites_line(NAMES_OTHERS, 5), SITES_OTHERS);
	born(SITES_OTHERS, 10);

	assert_int_equal(sites_copy_line(SITES_OTHERS).site, SITES_OTHERS);
	assert_int_equal(sites_copy_life(SITES_OTHERS).function, NAMES_OTHERS);
	assert_int_equal(sites_copy_life(SITES_OTHERS).live, 10);
	assert_int_equal(sites_refused(), 0);
}

static void counts_are_exact_and_keep_the_largest(void **state)
{
	uint32_t line = line_of(1, 1);

	(void)state;
	sites_count(line, 600);
	sites_count(line, 5000);
	sites_count(line, 700);

	struct line_figures figures = sites_copy_line(line);

	assert_int_equal(figures.counted, 3);
	assert_int_equal(figures.counted_bytes, 6300);
	assert_int_equal(figures.largest, 5000);
	assert_int_equal(figures.samples, 0);
}

static void a_small_sample_stands_for_many_with_its_variance(void **state)
{
	uint32_t line = line_of(1, 1);
	struct site_sample small = {.size = 100, .probability = 0.25, .is_small = true};
	struct site_sample large = {.size = 1000, .probability = 0.5};

	(void)state;
	sites_born(line, &small);
	sites_born(line, &small);
	sites_born(line, &large);

	struct line_figures figures = sites_copy_line(line);

	assert_int_equal(figures.samples, 3);
	assert_int_equal(figures.sample_bytes, 1200);
	assert_int_equal(figures.largest, 1000);
	assert_true(figures.small_count == 8 && figures.small_bytes == 800);
	assert_true(figures.small_count_variance == 2 * 16 * 0.75);
	assert_true(figures.small_bytes_variance == 2 * 16 * 0.75 * 100 * 100);
	assert_int_equal(life_of(line).live, 2800);
}

static void a_death_and_a_shrink_give_back_what_the_birth_brought(void **state)
{
	uint32_t line = line_of(1, 1);
	struct site_sample sample = {.size = 1000, .probability = 0.3};

	(void)state;
	sites_born(line, &sample);
	sites_shrank(line, 400, 0.3, 20);
	sample.size = 600;
	sites_died(line, &sample, 30, 31);

	struct line_figures figures = sites_copy_line(line);

	assert_int_equal(figures.freed_samples, 1);
	assert_int_equal(figures.freed_sample_bytes, 1000);
	assert_true(figures.freed_bytes > 3333 && figures.freed_bytes < 3334);
	assert_in_range(life_of(line).live + 1, 0, 2); /* each part is rounded to whole bytes */
	assert_int_equal(life_of(line).last_free, 32);
}

static void lifetimes_are_counted_in_powers_of_two(void **state)
{
	static const struct {
		uint32_t age, class;
	} known[] = {
		{0, 0},         {1, 1},         {2, 2},          {3, 2},     {4, 3},
		{7, 3},         {8, 4},         {1023, 10},      {1024, 11}, {(1u << 22) - 1, 22},
		{1u << 22, 23}, {1u << 23, 23}, {UINT32_MAX, 23}};
	uint32_t line = line_of(1, 1), wanted[SITES_LIFETIMES] = {0};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(known); i++) {
		born(line, 8);
		died(line, 8, known[i].age, known[i].age);
		wanted[known[i].class]++;
	}

	struct site_life life = life_of(line);

	assert_memory_equal(life.lifetimes, wanted, sizeof(wanted));
}

/* Against a model that notes what every site holds at every event. */
static void the_peak_of_every_site_is_what_it_held_at_the_peak_of_the_process(void **state)
{
	enum { SITES = 20, EVENTS = 20000 };
	uint64_t random[2];

	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		int64_t live[SITES] = {0}, at_peak[SITES] = {0}, total = 0, peak = 0;
		uint64_t sizes[SITES][64] = {{0}};
		uint32_t lines[SITES], peak_since = 0;

		forget(NULL);
		random_seed(random, seed, 0);
		for (uint32_t s = 0; s < SITES; s++)
			lines[s] = line_of(s + 1, 1);
		for (uint32_t now = 1; now <= EVENTS / 20; now++) {
			uint64_t bits = random_bits(random);
			size_t s = bits % SITES, slot = (bits >> 8) % 64;
			uint64_t *size = &sizes[s][slot];
			/* It swells, shrinks, and swells again. */
			bool wants_birth = (bits >> 16) % 8 < (now / 150 % 2 ? 2 : 6);

			if (*size == 0 && wants_birth) {
				*size = 1 + (bits >> 32) % 1000;
				born(lines[s], *size);
				live[s] += (int64_t)*size;
				total += (int64_t)*size;
			} else if (*size > 1 && (bits >> 20) % 4 == 0) {
				sites_shrank(lines[s], *size / 2, 1, now);
				live[s] -= (int64_t)(*size / 2);
				total -= (int64_t)(*size / 2);
				*size -= *size / 2;
			} else if (*size != 0 && !wants_birth) {
				died(lines[s], *size, 1, now);
				live[s] -= (int64_t)*size;
				total -= (int64_t)*size;
				*size = 0;
			}
			if (total > peak) {
				peak = total;
				peak_since = now;
				memcpy(at_peak, live, sizeof(live));
			}

			struct sites_peak known = sites_peak_now(now);

			assert_int_equal(known.live, total);
			assert_int_equal(known.peak, peak);
			/* The tick at which it began to fall. */
			assert_in_range(known.peak_tick, peak_since, now);
			for (uint32_t i = 0; i < SITES; i++) {
				assert_int_equal(life_of(lines[i]).live, live[i]);
				if (total == peak && now > peak_since)
					continue; /* two maxima of one height: either will do */
				assert_int_equal(life_of(lines[i]).peak_live, at_peak[i]);
			}
		}
	}
}

static void a_shrink_ends_a_peak_at_its_own_time(void **state)
{
	uint32_t line = line_of(1, 1);

	(void)state;
	born(line, 1000);
	sites_shrank(line, 500, 1, 77);

	assert_int_equal(sites_peak_now(90).peak, 1000);
	assert_int_equal(sites_peak_now(90).peak_tick, 77);
}

static void when_lines_are_full_new_ones_go_to_the_others_and_totals_stay_true(void **state)
{
	uint64_t counted = 0;

	(void)state;
	for (uint32_t line = 1; line <= 3 * sites_lines_end(); line++)
		sites_count(line_of(1, line), 10);

	assert_true(sites_refused() > 0);
	for (uint32_t line = 0; line < sites_lines_end(); line++)
		counted += sites_copy_line(line).counted;
	assert_int_equal(counted, 3 * sites_lines_end());
	assert_int_equal(sites_copy_line(SITES_OTHERS).counted, sites_refused());
	assert_int_not_equal(line_of(1, 1), SITES_OTHERS);
}

static void when_sites_are_full_new_functions_go_to_the_others(void **state)
{
	uint32_t function = 1;

	(void)state;
	while (sites_refused() == 0)
		line_of(function++, 1);

	assert_int_equal(sites_end(), function - 1);
	assert_int_equal(line_of(function, 1), SITES_OTHERS);
	assert_int_not_equal(line_of(1, 1), SITES_OTHERS);
	assert_int_not_equal(line_of(1, 2), SITES_OTHERS); /* another line of a known one */
}

static void a_forked_child_starts_empty(void **state)
{
	uint32_t line = line_of(1, 1);

	(void)state;
	sites_count(line, 700);
	born(line, 700);
	died(line, 700, 1, 1);
	born(line, 300);

	sites_reset_in_child();

	assert_int_equal(sites_end(), 1);
	assert_int_equal(sites_peak_now(5).live, 0);
	assert_int_equal(sites_peak_now(5).peak, 0);
	line = line_of(1, 1);
	assert_int_equal(sites_copy_line(line).counted, 0);
	assert_int_equal(sites_copy_line(line).samples, 0);
	assert_int_equal(life_of(line).live, 0);
	assert_int_equal(life_of(line).last_free, 0);
}

static void *count_and_sample(void *unused)
{
	for (uint32_t i = 0; i < 5000; i++) {
		uint32_t line = line_of(1 + i % 50, i % 3);

		sites_count(line, 1000);
		born(line, 1000);
		if (i % 2 == 0)
			died(line, 1000, i, i);
		if (i % 500 == 0)
			sites_copy_life(sites_copy_line(line).site);
	}
	return unused;
}

static void threads_lose_nothing(void **state)
{
	pthread_t threads[3];
	struct line_figures sum = {0};
	int64_t live = 0;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_and_sample, NULL), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);

	for (uint32_t i = 0; i < sites_lines_end(); i++) {
		struct line_figures figures = sites_copy_line(i);

		sum.counted += figures.counted;
		sum.counted_bytes += figures.counted_bytes;
		sum.samples += figures.samples;
		sum.freed_samples += figures.freed_samples;
	}
	for (uint32_t site = 0; site < sites_end(); site++)
		live += sites_copy_life(site).live;
	assert_int_equal(sum.counted, 15000);
	assert_int_equal(sum.counted_bytes, 15000000);
	assert_int_equal(sum.samples, 15000);
	assert_int_equal(sum.freed_samples, 7500);
	assert_int_equal(live, 7500000);
	assert_int_equal(sites_peak_now(0).live, 7500000);
	assert_true(sites_peak_now(0).peak >= 7500000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(lines_of_one_function_are_one_site, forget),
		cmocka_unit_test_setup(the_other_functions_have_a_line_and_a_site_from_the_start,
				       forget),
		cmocka_unit_test_setup(counts_are_exact_and_keep_the_largest, forget),
		cmocka_unit_test_setup(a_small_sample_stands_for_many_with_its_variance, forget),
		cmocka_unit_test_setup(a_death_and_a_shrink_give_back_what_the_birth_brought,
				       forget),
		cmocka_unit_test_setup(lifetimes_are_counted_in_powers_of_two, forget),
		cmocka_unit_test_setup(
			the_peak_of_every_site_is_what_it_held_at_the_peak_of_the_process, forget),
		cmocka_unit_test_setup(a_shrink_ends_a_peak_at_its_own_time, forget),
		cmocka_unit_test_setup(
			when_lines_are_full_new_ones_go_to_the_others_and_totals_stay_true, forget),
		cmocka_unit_test_setup(when_sites_are_full_new_functions_go_to_the_others, forget),
		cmocka_unit_test_setup(a_forked_child_starts_empty, forget),
		cmocka_unit_test_setup(threads_lose_nothing, forget),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
