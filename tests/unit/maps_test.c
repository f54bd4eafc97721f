/* links: base/math.c base/pages.c base/random.c profile/maps.c */
#include "profile/maps.h"

#include "base/random.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PAGE  ((uintptr_t)4096)
#define BASE  ((uintptr_t)0x7f0000000000)
#define PAGES 256

static struct map pieces[PAGES];

static int start(void **state)
{
	(void)state;
	return maps_start() == TL_OK ? 0 : -1;
}

static size_t count_maps(void)
{
	struct map copy[PAGES];

	return maps_copy(0, copy, PAGES);
}

static int forget(void **state)
{
	(void)state;
	maps_remove(0, UINTPTR_MAX, NULL, 0);
	maps_reset_in_child(); /* the losses */
	return count_maps() == 0 ? 0 : -1;
}

static void add(uintptr_t first_page, uintptr_t end_page, uint32_t line)
{
	maps_add(&(struct map){.start = BASE + first_page * PAGE,
			       .end = BASE + end_page * PAGE,
			       .kind = MAP_CHARGED,
			       .line = line,
			       .birth = line});
}

static void add_arena(uintptr_t first_page, uintptr_t end_page)
{
	maps_add(&(struct map){.start = BASE + first_page * PAGE,
			       .end = BASE + end_page * PAGE,
			       .kind = MAP_ARENA});
}

static size_t cut(uintptr_t first_page, uintptr_t end_page)
{
	return maps_remove(BASE + first_page * PAGE, BASE + end_page * PAGE, pieces, PAGES);
}

/* What is known: pairs of first and end page, up to 0. */
static void assert_known(const uintptr_t *wanted)
{
	struct map copy[PAGES];
	size_t count = maps_copy(0, copy, PAGES), i = 0;

	for (; wanted[2 * i + 1] != 0; i++) {
		assert_true(i < count);
		assert_int_equal(copy[i].start, BASE + wanted[2 * i] * PAGE);
		assert_int_equal(copy[i].end, BASE + wanted[2 * i + 1] * PAGE);
	}
	assert_int_equal(count, i);
}

static void a_whole_map_goes_whole(void **state)
{
	(void)state;
	add(10, 20, 1);

	assert_int_equal(cut(10, 20), 1);

	assert_known((uintptr_t[]){0, 0});
	assert_int_equal(maps_bytes(&pieces[0]), 10 * PAGE);
	assert_int_equal(pieces[0].line, 1);
	assert_false(pieces[0].is_rest);
}

static void a_map_may_lose_its_start_its_end_or_its_middle(void **state)
{
	static const struct {
		uintptr_t start, end, rest[6];
	} cases[] = {{10, 13, {13, 20}}, {17, 20, {10, 17}}, {12, 15, {10, 12, 15, 20}}};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(cases); i++) {
		forget(NULL);
		add(10, 20, 7);

		assert_int_equal(cut(cases[i].start, cases[i].end), 1);

		assert_known(cases[i].rest);
		assert_int_equal(maps_bytes(&pieces[0]), (cases[i].end - cases[i].start) * PAGE);
		assert_true(pieces[0].is_rest);
		assert_int_equal(pieces[0].line, 7);

		struct map rest[2];
		size_t count = maps_copy(0, rest, 2);

		for (size_t r = 0; r < count; r++) {
			assert_true(rest[r].is_rest);
			assert_int_equal(rest[r].line, 7);
			assert_int_equal(rest[r].birth, 7);
		}
	}
}

static void a_cut_may_begin_and_end_outside_of_any_map(void **state)
{
	(void)state;
	add(10, 20, 1);

	assert_int_equal(cut(5, 30), 1);

	assert_known((uintptr_t[]){0, 0});
	assert_false(pieces[0].is_rest);
}

static void a_cut_may_go_through_several_maps(void **state)
{
	(void)state;
	add(10, 20, 1);
	add(20, 25, 2);
	add(30, 40, 3);

	assert_int_equal(cut(15, 35), 3);

	assert_known((uintptr_t[]){10, 15, 35, 40, 0, 0});
	assert_int_equal(pieces[0].line, 1);
	assert_true(pieces[0].is_rest);
	assert_int_equal(pieces[1].line, 2);
	assert_false(pieces[1].is_rest);
	assert_int_equal(pieces[2].line, 3);
	assert_true(pieces[2].is_rest);
}

static void a_cut_beside_a_map_takes_nothing(void **state)
{
	(void)state;
	add(10, 20, 1);

	assert_int_equal(cut(5, 10), 0);
	assert_int_equal(cut(20, 30), 0);
	assert_known((uintptr_t[]){10, 20, 0, 0});
}

static void bytes_are_those_that_were_asked_for_wherever_the_last_page_goes(void **state)
{
	struct map map = {.start = BASE, .end = BASE + 3 * PAGE, .unused = 96};

	(void)state;
	assert_int_equal(maps_bytes(&map), 3 * PAGE - 96);

	maps_add(&map);
	cut(0, 1);
	assert_int_equal(maps_bytes(&pieces[0]), PAGE);
	cut(2, 3);
	assert_int_equal(maps_bytes(&pieces[0]), PAGE - 96);
	cut(1, 2);
	assert_int_equal(maps_bytes(&pieces[0]), PAGE);
}

static void arenas_that_touch_are_one_entry_and_charged_maps_never(void **state)
{
	(void)state;
	add_arena(10, 20);
	add_arena(20, 30);
	add_arena(5, 10);
	add(30, 40, 1);
	add(40, 50, 1);

	assert_known((uintptr_t[]){5, 30, 30, 40, 40, 50, 0, 0});
}

static void an_address_is_an_arenas_from_its_first_byte_to_its_last(void **state)
{
	(void)state;
	add_arena(10, 20);
	add(20, 30, 1);

	assert_false(maps_is_arena(BASE + 10 * PAGE - 1));
	assert_true(maps_is_arena(BASE + 10 * PAGE));
	assert_true(maps_is_arena(BASE + 20 * PAGE - 1));
	assert_false(maps_is_arena(BASE + 20 * PAGE));
	cut(12, 14);
	assert_false(maps_is_arena(BASE + 13 * PAGE));
	assert_true(maps_is_arena(BASE + 14 * PAGE));
}

/* Every page by itself: who owns it. Maps and unmaps of any range, at random. */
static void knows_every_page_as_a_naive_model_does(void **state)
{
	uint64_t random[2];

	(void)state;
	for (uint64_t seed = 1; seed <= 30; seed++) {
		uint32_t owner[PAGES] = {0}; /* 1: an arena; from 2 on: a line */
		uint32_t next_line = 2;

		forget(NULL);
		random_seed(random, seed, 0);
		for (int step = 0; step < 400; step++) {
			uint64_t bits = random_bits(random);
			uintptr_t first = bits % PAGES,
				  end = first + 1 + (bits >> 16) % (bits & 1 << 30 ? 60 : 6);
			size_t count, lost = 0, wanted = 0;

			if (end > PAGES)
				end = PAGES;
			count = cut(first, end); /* a new map takes the place of what was there */
			for (uintptr_t page = first; page < end; page++) {
				wanted += owner[page] != 0;
				owner[page] = 0;
			}
			for (size_t i = 0; i < count; i++)
				lost += maps_bytes(&pieces[i]) / PAGE;
			assert_int_equal(lost, wanted);
			switch ((bits >> 40) % 4) {
			case 0:
				add(first, end, next_line);
				for (uintptr_t page = first; page < end; page++)
					owner[page] = next_line;
				next_line++;
				break;
			case 1:
				add_arena(first, end);
				for (uintptr_t page = first; page < end; page++)
					owner[page] = 1;
				break;
			default:
				break;
			}

			struct map copy[PAGES];
			size_t known = maps_copy(0, copy, PAGES);
			uint32_t seen[PAGES] = {0};

			for (size_t i = 0; i < known; i++) {
				assert_true(copy[i].start < copy[i].end);
				assert_true(i == 0 || copy[i - 1].end <= copy[i].start);
				for (uintptr_t at = copy[i].start; at < copy[i].end; at += PAGE)
					seen[(at - BASE) / PAGE] =
						copy[i].kind == MAP_ARENA ? 1 : copy[i].line;
			}
			assert_memory_equal(seen, owner, sizeof(owner));
			for (uintptr_t page = 0; page < PAGES; page++)
				assert_int_equal(maps_is_arena(BASE + page * PAGE + 5),
						 owner[page] == 1);
		}
	}
	assert_int_equal(maps_lost(), 0);
}

static void more_pieces_than_there_is_room_for_are_cut_all_the_same(void **state)
{
	(void)state;
	for (uintptr_t page = 0; page < 100; page += 2)
		add(page, page + 1, 1);

	assert_int_equal(maps_remove(BASE, BASE + 200 * PAGE, pieces, 3), 3);

	assert_int_equal(count_maps(), 0);
}

static void copies_come_in_parts(void **state)
{
	struct map part[7];
	size_t from = 0, count;

	(void)state;
	for (uintptr_t i = 0; i < 20; i++)
		add(2 * i, 2 * i + 1, (uint32_t)i);

	while ((count = maps_copy(from, part, 7)) > 0) {
		for (size_t i = 0; i < count; i++)
			assert_int_equal(part[i].line, from + i);
		from += count;
	}
	assert_int_equal(from, 20);
}

static void when_full_new_maps_are_lost_and_counted_and_the_known_stay(void **state)
{
	uintptr_t page = 0;

	(void)state;
	for (; maps_lost() == 0; page += 4)
		add(page, page + 3, 1);
	assert_int_equal(cut(1, 2), 1); /* a hole needs an entry more: the rest behind it is lost */

	assert_int_equal(maps_lost(), 2);
	assert_int_equal(cut(0, 3), 1);
	assert_int_equal(maps_bytes(&pieces[0]), PAGE);
	assert_int_equal(cut(4, 5), 1);
	add(0, 3, 5);
	assert_int_equal(maps_lost(), 2);
	assert_int_equal(cut(0, page), (page - 4) / 4 > PAGES ? PAGES : (page - 4) / 4);
}

static void a_forked_child_keeps_the_arenas_and_forgets_the_rest(void **state)
{
	(void)state;
	add(10, 20, 1);
	add_arena(20, 30);
	add(30, 40, 1);
	add_arena(50, 60);

	maps_reset_in_child();

	assert_known((uintptr_t[]){20, 30, 50, 60, 0, 0});
	assert_true(maps_is_arena(BASE + 25 * PAGE));
}

static void *map_and_unmap(void *found)
{
	add(1, 2, 1);
	*(size_t *)found = maps_remove(0, UINTPTR_MAX, NULL, 0) + maps_is_arena(BASE);
	return NULL;
}

static void nobody_waits_for_ever_for_a_fork_that_waits_for_somebody(void **state)
{
	pthread_t thread;
	size_t found = 7;

	(void)state;
	add_arena(0, 10);
	maps_fork_prepare();
	pthread_create(&thread, NULL, map_and_unmap, &found);
	pthread_join(thread, NULL);
	maps_fork_parent();

	assert_int_equal(found, 0);
	assert_int_equal(maps_lost(), 2);
	assert_known((uintptr_t[]){0, 10, 0, 0});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_whole_map_goes_whole, forget),
		cmocka_unit_test_setup(a_map_may_lose_its_start_its_end_or_its_middle, forget),
		cmocka_unit_test_setup(a_cut_may_begin_and_end_outside_of_any_map, forget),
		cmocka_unit_test_setup(a_cut_may_go_through_several_maps, forget),
		cmocka_unit_test_setup(a_cut_beside_a_map_takes_nothing, forget),
		cmocka_unit_test_setup(
			bytes_are_those_that_were_asked_for_wherever_the_last_page_goes, forget),
		cmocka_unit_test_setup(arenas_that_touch_are_one_entry_and_charged_maps_never,
				       forget),
		cmocka_unit_test_setup(an_address_is_an_arenas_from_its_first_byte_to_its_last,
				       forget),
		cmocka_unit_test_setup(knows_every_page_as_a_naive_model_does, forget),
		cmocka_unit_test_setup(more_pieces_than_there_is_room_for_are_cut_all_the_same,
				       forget),
		cmocka_unit_test_setup(copies_come_in_parts, forget),
		cmocka_unit_test_setup(when_full_new_maps_are_lost_and_counted_and_the_known_stay,
				       forget),
		cmocka_unit_test_setup(a_forked_child_keeps_the_arenas_and_forgets_the_rest,
				       forget),
		cmocka_unit_test_setup(nobody_waits_for_ever_for_a_fork_that_waits_for_somebody,
				       forget),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
