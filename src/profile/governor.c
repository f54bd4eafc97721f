/* DESIGN
 * Cost = samples/s * mean ns of the timed ones. Each level halves the samples, so a cost of r times
 * the share asks for log2(r) levels, all at one tick: a burst is answered within a second. Downward
 * it goes one level a tick, and from a quarter only, so that the doubled cost is still half the
 * share: it does not swing. What a full table raised is not the governor's to lower.
 */
#include "governor.h"

#include "../base/clock.h"
#include "sampler.h"

#define GOVERNOR_TIMED_ONE_IN 16
/* What a shorter time brings is no rate: the worker also ticks when it starts, and for a dump. */
#define GOVERNOR_SHORTEST_NS 500000000u
/* No sample takes longer by itself: another thread had the core meanwhile. One such reading would
 * outweigh all others. */
#define GOVERNOR_LONGEST_NS 50000u

static struct {
	double share;     /* of one core; 0: off */
	uint64_t samples; /* these three since the start, atomic */
	uint64_t timed, timed_ns;
	uint64_t seen_samples, seen_timed, seen_timed_ns, seen_at_ns; /* at the last tick */
	double ns_per_sample; /* when last some were timed */
	unsigned raised;      /* levels that are the governor's doing */
} governor;

static void governor_look_back(uint64_t now_ns)
{
	governor.seen_samples = TL_LOAD(governor.samples);
	governor.seen_timed = TL_LOAD(governor.timed);
	governor.seen_timed_ns = TL_LOAD(governor.timed_ns);
	governor.seen_at_ns = now_ns;
}

TL_INTERNAL void governor_start(double percent)
{
	governor.share = sampler_is_exhaustive ? 0 : percent / 100;
	governor_restart_in_child();
}

TL_INTERNAL void governor_restart_in_child(void)
{
	governor.raised = 0;
	governor_look_back(clock_precise_ns());
}

TL_INTERNAL uint64_t governor_sample_begins(void)
{
	return TL_ADD(governor.samples, 1) % GOVERNOR_TIMED_ONE_IN == 0 ? clock_precise_ns() : 0;
}

TL_INTERNAL void governor_sample_ends(uint64_t began_ns)
{
	if (began_ns == 0)
		return;

	uint64_t took_ns = clock_precise_ns() - began_ns;

	TL_ADD(governor.timed_ns, took_ns < GOVERNOR_LONGEST_NS ? took_ns : GOVERNOR_LONGEST_NS);
	TL_ADD(governor.timed, 1);
}

/* Of one core, since the last tick. */
static double governor_cost(uint64_t now_ns)
{
	uint64_t samples = TL_LOAD(governor.samples) - governor.seen_samples;
	uint64_t timed = TL_LOAD(governor.timed) - governor.seen_timed;
	uint64_t timed_ns = TL_LOAD(governor.timed_ns) - governor.seen_timed_ns;

	if (timed > 0)
		governor.ns_per_sample = (double)timed_ns / (double)timed;
	return (double)samples * governor.ns_per_sample / (double)(now_ns - governor.seen_at_ns);
}

TL_INTERNAL void governor_tick(void)
{
	uint64_t now_ns = clock_precise_ns();
	unsigned level = sampler_level();
	double cost;

	if (governor.share <= 0 || now_ns < governor.seen_at_ns + GOVERNOR_SHORTEST_NS)
		return;
	cost = governor_cost(now_ns);
	governor_look_back(now_ns);
	for (; cost > governor.share && level % SAMPLER_LEVELS + 1 < SAMPLER_LEVELS; cost /= 2) {
		sampler_raise(level++);
		governor.raised++;
	}
	if (governor.raised > 0 && cost < governor.share / 4 && level == sampler_level()) {
		sampler_lower(level);
		governor.raised--;
	}
}
