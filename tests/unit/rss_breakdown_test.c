/* links: analysis/rss_breakdown.c */
#include "analysis/rss_breakdown.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)

static uint64_t sum(const struct rss_breakdown *parts)
{
	return parts->python_live + parts->python_slack + parts->libc_live + parts->libc_free +
	       parts->maps + parts->files_and_stacks + parts->agent + parts->rest;
}

static struct rss_facts service(void)
{
	return (struct rss_facts){
		.rss = 200 * MIB,
		.anonymous = 180 * MIB,
		.stack = MIB,
		.agent = 4 * MIB,
		.arenas = 60 * MIB,
		.maps = 10 * MIB,
		.libc_used = 80 * MIB,
		.libc_free = 20 * MIB,
		.has_libc = true,
		.python_live = 45.0 * MIB,
		.libc_estimate = 65.0 * MIB,
		.live = 120.0 * MIB,
		.peak_live = 125.0 * MIB,
	};
}

static void every_part_is_what_was_said_of_it_and_the_rest_is_left(void **state)
{
	struct rss_facts facts = service();
	struct rss_breakdown parts = rss_breakdown(&facts);

	(void)state;

	assert_int_equal(parts.python_live, 45 * MIB);
	assert_int_equal(parts.python_slack, 15 * MIB);
	assert_int_equal(parts.libc_live, 80 * MIB);
	assert_int_equal(parts.libc_free, 20 * MIB);
	assert_int_equal(parts.maps, 10 * MIB);
	assert_int_equal(parts.files_and_stacks, 21 * MIB);
	assert_int_equal(parts.agent, 4 * MIB);
	assert_int_equal(parts.rest, 5 * MIB);
	assert_int_equal(sum(&parts), 200 * MIB);
	assert_null(parts.remedy);
}

static void what_is_not_resident_is_taken_off_libc_s_free_part_first(void **state)
{
	struct rss_facts facts = service();
	struct rss_breakdown parts;

	(void)state;
	facts.libc_free = 1000 * MIB;
	parts = rss_breakdown(&facts);
	assert_int_equal(parts.libc_live, 80 * MIB);
	assert_int_equal(parts.libc_free, 25 * MIB);
	assert_int_equal(parts.rest, 0);
	assert_int_equal(sum(&parts), 200 * MIB);

	facts.libc_used = 1000 * MIB;
	parts = rss_breakdown(&facts);
	assert_int_equal(parts.libc_live, 105 * MIB);
	assert_int_equal(parts.libc_free, 0);
	assert_int_equal(sum(&parts), 200 * MIB);
}

static void an_estimate_above_its_arenas_leaves_no_slack(void **state)
{
	struct rss_facts facts = service();
	struct rss_breakdown parts;

	(void)state;
	facts.python_live = 70.0 * MIB;
	parts = rss_breakdown(&facts);

	assert_int_equal(parts.python_live, 60 * MIB);
	assert_int_equal(parts.python_slack, 0);
	assert_int_equal(sum(&parts), 200 * MIB);
}

static void without_a_libc_that_says_it_its_live_part_is_estimated(void **state)
{
	struct rss_facts facts = service();
	struct rss_breakdown parts;

	(void)state;
	facts.has_libc = false;
	parts = rss_breakdown(&facts);

	assert_int_equal(parts.libc_live, 65 * MIB);
	assert_int_equal(parts.libc_free, 0);
	assert_int_equal(parts.rest, 40 * MIB);
	assert_int_equal(sum(&parts), 200 * MIB);
}

static void without_proc_there_is_nothing_to_explain(void **state)
{
	struct rss_facts facts = service();
	struct rss_breakdown parts;

	(void)state;
	facts.rss = facts.anonymous = 0;
	parts = rss_breakdown(&facts);

	assert_int_equal(sum(&parts), 0);
	assert_null(parts.remedy);
}

static void memory_that_libc_keeps_has_its_remedy(void **state)
{
	struct rss_facts facts = service();
	struct rss_breakdown parts;

	(void)state;
	facts.libc_used = 40 * MIB;
	facts.libc_free = 60 * MIB;
	parts = rss_breakdown(&facts);

	assert_non_null(parts.remedy);
	assert_non_null(strstr(parts.remedy, "malloc_trim"));
}

static void emptied_arenas_have_their_remedy_and_those_of_the_start_have_none(void **state)
{
	struct rss_facts facts = service();
	struct rss_breakdown parts;

	(void)state;
	facts.python_live = 5.0 * MIB;
	parts = rss_breakdown(&facts);
	assert_int_equal(parts.python_slack, 55 * MIB);
	assert_null(parts.remedy);

	facts.peak_live = facts.live + 50.0 * MIB;
	parts = rss_breakdown(&facts);
	assert_non_null(parts.remedy);
	assert_non_null(strstr(parts.remedy, "PYTHONMALLOC"));
}

static void
where_libc_cannot_be_asked_what_was_alive_and_is_still_resident_has_its_remedy(void **state)
{
	struct rss_facts facts = service();
	struct rss_breakdown parts;

	(void)state;
	facts.has_libc = false;
	assert_null(rss_breakdown(&facts).remedy); /* nothing says that it was ever alive */
	facts.libc_estimate = 45.0 * MIB;
	facts.live = 100.0 * MIB;
	facts.peak_live = 160.0 * MIB;
	parts = rss_breakdown(&facts);
	assert_int_equal(parts.rest, 60 * MIB);
	assert_non_null(parts.remedy);
	assert_non_null(strstr(parts.remedy, "malloc_trim"));
}

static void another_allocator_than_libc_s_is_said_to_be_one(void **state)
{
	struct rss_facts facts = service();
	struct rss_breakdown parts;

	(void)state;
	facts.libc_used = MIB;
	facts.libc_free = MIB;
	facts.maps = 100 * MIB;
	parts = rss_breakdown(&facts);
	assert_int_equal(sum(&parts), 200 * MIB);
	assert_non_null(parts.remedy);
	assert_non_null(strstr(parts.remedy, "another allocator"));
}

/* 100 MB more are resident than a minute before. */
static void grow(struct rss_moment *then, struct rss_moment *now)
{
	struct rss_facts facts = service();

	*then = (struct rss_moment){60, facts.rss, facts.live, 1.0 * MIB, rss_breakdown(&facts)};
	*now = *then;
	now->seconds = 120;
	now->rss += 100 * MIB;
}

static void what_rss_grew_by_is_no_matter_while_as_much_is_alive(void **state)
{
	struct rss_moment then, now;

	(void)state;
	grow(&then, &now);
	now.parts.libc_live += 100 * MIB;
	now.live += 95.0 * MIB;
	assert_null(rss_growth_between(&then, &now).cause);

	/* The estimate may be as wrong as that. */
	now.parts = then.parts;
	now.parts.libc_free += 100 * MIB;
	now.live = then.live;
	now.live_se = 30.0 * MIB;
	assert_null(rss_growth_between(&then, &now).cause);

	now.live_se = MIB;
	assert_non_null(rss_growth_between(&then, &now).cause);

	/* Too little for anybody to act on. */
	now.rss = then.rss + 20 * MIB;
	assert_null(rss_growth_between(&then, &now).cause);
}

static void the_part_that_grew_is_the_cause_and_has_its_remedy(void **state)
{
	struct rss_moment then, now;
	const struct {
		uint64_t *part;
		const char *remedy;
	} causes[] = {
		{&now.parts.libc_free, "malloc_trim"},     {&now.parts.rest, "malloc_trim"},
		{&now.parts.python_slack, "PYTHONMALLOC"}, {&now.parts.maps, "mappings"},
		{&now.parts.files_and_stacks, "unmap"},
	};

	(void)state;
	for (size_t i = 0; i < TL_COUNT_OF(causes); i++) {
		struct rss_growth growth;

		grow(&then, &now);
		*causes[i].part += 90 * MIB;
		now.parts.agent += 10 * MIB;
		growth = rss_growth_between(&then, &now);

		assert_non_null(growth.cause);
		assert_non_null(strstr(growth.cause, causes[i].remedy));
		assert_true(growth.rss == 100.0 * MIB && growth.live == 0 && growth.seconds == 60);
	}
}

static void growth_of_many_parts_has_no_cause(void **state)
{
	struct rss_moment then, now;

	(void)state;
	grow(&then, &now);
	now.parts.libc_free += 35 * MIB;
	now.parts.python_slack += 35 * MIB;
	now.parts.maps += 30 * MIB;

	assert_null(rss_growth_between(&then, &now).cause);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_part_is_what_was_said_of_it_and_the_rest_is_left),
		cmocka_unit_test(what_is_not_resident_is_taken_off_libc_s_free_part_first),
		cmocka_unit_test(an_estimate_above_its_arenas_leaves_no_slack),
		cmocka_unit_test(without_a_libc_that_says_it_its_live_part_is_estimated),
		cmocka_unit_test(without_proc_there_is_nothing_to_explain),
		cmocka_unit_test(memory_that_libc_keeps_has_its_remedy),
		cmocka_unit_test(emptied_arenas_have_their_remedy_and_those_of_the_start_have_none),
		cmocka_unit_test(
			where_libc_cannot_be_asked_what_was_alive_and_is_still_resident_has_its_remedy),
		cmocka_unit_test(another_allocator_than_libc_s_is_said_to_be_one),
		cmocka_unit_test(what_rss_grew_by_is_no_matter_while_as_much_is_alive),
		cmocka_unit_test(the_part_that_grew_is_the_cause_and_has_its_remedy),
		cmocka_unit_test(growth_of_many_parts_has_no_cause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
