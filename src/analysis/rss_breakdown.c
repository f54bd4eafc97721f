/* DESIGN: anonymous memory is handed out to its claimants, those first whose pages were counted one
 * by one; what nobody claims is the rest, and so the sum is right by construction. That a part is
 * right is another matter, and what the tests look at.
 *
 * Arenas that stay while little lives in them look like what was allocated before profiling
 * started. A remedy is named only when as much was alive once, and is not now.
 *
 * Growth of RSS is explained by the part that grew most, if that is half of it, however large the
 * part was before. What libc keeps is told from the rest only at the end, so the two are one here.
 */
#include "rss_breakdown.h"

#define RSS_WORTH_A_WORD ((uint64_t)32 << 20) /* bytes of waste; below it nobody would act */
#define RSS_SHARE        5                    /* and it must be a fifth of the RSS */
#define RSS_FOREIGN_SHARE                                                                          \
	4 /* of what was sampled libc knows less than a fourth: it did not allocate it */

static uint64_t rss_take(uint64_t *left, uint64_t claim)
{
	uint64_t taken = claim < *left ? claim : *left;

	*left -= taken;
	return taken;
}

static bool rss_is_waste(uint64_t bytes, uint64_t rss)
{
	return bytes >= RSS_WORTH_A_WORD && bytes >= rss / RSS_SHARE;
}

/* As much was alive once, and is not now. */
static bool rss_was_alive(uint64_t bytes, const struct rss_facts *facts)
{
	return facts->peak_live - facts->live >= (double)bytes / 2;
}

static const char *rss_remedy(const struct rss_breakdown *parts, const struct rss_facts *facts)
{
	if (rss_is_waste(parts->libc_free, facts->rss))
		return "freed memory is held by libc: call malloc_trim(0), or set "
		       "MALLOC_ARENA_MAX=2 or MALLOC_TRIM_THRESHOLD_";
	if (!facts->has_libc && rss_is_waste(parts->rest, facts->rss) &&
	    rss_was_alive(parts->rest, facts))
		return "memory that was freed is still resident, held by libc it seems: call "
		       "malloc_trim(0), or set MALLOC_ARENA_MAX=2 or MALLOC_TRIM_THRESHOLD_";
	if (rss_is_waste(parts->python_slack, facts->rss) &&
	    rss_was_alive(parts->python_slack, facts))
		return "arenas of CPython are held by few small objects: allocate what lives long "
		       "first, restart workers, or set PYTHONMALLOC=malloc";
	if (facts->has_libc &&
	    (double)facts->libc_used < facts->libc_estimate / RSS_FOREIGN_SHARE &&
	    rss_is_waste((uint64_t)facts->libc_estimate, facts->rss))
		return "malloc is another allocator's than libc's: what it has freed and keeps "
		       "cannot be told from what is alive in its maps";
	return NULL;
}

TL_INTERNAL struct rss_breakdown rss_breakdown(const struct rss_facts *facts)
{
	uint64_t left = facts->anonymous < facts->rss ? facts->anonymous : facts->rss;
	struct rss_breakdown parts = {.files_and_stacks = facts->rss - left};
	uint64_t arenas;

	parts.files_and_stacks += rss_take(&left, facts->stack);
	parts.agent = rss_take(&left, facts->agent);
	arenas = rss_take(&left, facts->arenas);
	parts.python_live =
		rss_take(&arenas, facts->python_live > 0 ? (uint64_t)facts->python_live : 0);
	parts.python_slack = arenas;
	parts.maps = rss_take(&left, facts->maps);
	if (facts->has_libc) {
		parts.libc_live = rss_take(&left, facts->libc_used);
		parts.libc_free = rss_take(&left, facts->libc_free);
	} else {
		parts.libc_live = rss_take(
			&left, facts->libc_estimate > 0 ? (uint64_t)facts->libc_estimate : 0);
	}
	parts.rest = left;
	parts.has_libc = facts->has_libc;
	parts.remedy = rss_remedy(&parts, facts);
	return parts;
}

TL_INTERNAL struct rss_growth rss_growth_between(const struct rss_moment *then,
						 const struct rss_moment *now)
{
	const struct rss_breakdown *old = &then->parts, *new = &now->parts;
	const struct {
		uint64_t then, now;
		const char *cause;
	} suspects[] = {
		{old->libc_free + old->rest, new->libc_free + new->rest,
		 "it was freed and is held by malloc, it seems: call malloc_trim(0), or set "
		 "MALLOC_ARENA_MAX=2 or MALLOC_TRIM_THRESHOLD_"},
		{old->python_slack, new->python_slack,
		 "it was freed, and few small objects hold the arenas of CPython: allocate what "
		 "lives long first, restart workers, or set PYTHONMALLOC=malloc"},
		{old->maps, new->maps, "it is in pages of older mappings, used only now"},
		{old->files_and_stacks, new->files_and_stacks,
		 "it is in mapped files or shared memory: unmap them when done"},
	};
	struct rss_growth growth = {
		.seconds = now->seconds - then->seconds,
		.rss = (double)now->rss - (double)then->rss,
		.live = now->live - then->live,
	};
	double most = growth.rss / 2;

	if (growth.rss < (double)RSS_WORTH_A_WORD ||
	    growth.live + 2 * (now->live_se + then->live_se) > growth.rss / 2)
		return growth;
	for (size_t i = 0; i < TL_COUNT_OF(suspects); i++) {
		double grew = (double)suspects[i].now - (double)suspects[i].then;

		if (grew >= most) {
			most = grew;
			growth.cause = suspects[i].cause;
		}
	}
	return growth;
}
