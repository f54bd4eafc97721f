/* DESIGN
 * One in 16 pieces of work is timed, a random one of each 16 of a thread, and counts for all of
 * them: nothing is shared but by those. The clock's own 25 ns stand for the way in and out of the
 * slow path, which lies outside. (The processor's counter is cheaper by some ns for one in 16, and
 * would have to be checked for a steady rate, calibrated, and trusted across cores.)
 *
 * A window begins at each look. Who spends what half a second may cost, looks: dearer than the
 * share, and the level rises by one. So a cost of r times the share is answered after 1/2r s, and
 * each doubling costs the program half a second's share, however high the burst. (A look once a
 * second was tried: a burst had the program to itself until then.) The worker's tick finds at least
 * half a second with nobody having looked, so a cost below the share: it only lowers, by one level,
 * and from a quarter only, so that the doubled cost is still half of the share: it does not swing.
 * What a full table raised is not the governor's to lower.
 *
 * A higher level makes fewer samples, hence fewer deaths, but misses come from the samples that
 * are held and from what others watch. So births and deaths have what the misses leave of the
 * share, and a quarter of it at least: else they would starve for what they do not cause.
 */
#include "governor.h"

#include "../base/clock.h"
#include "../base/thread.h"
#include "sampler.h"

#define GOVERNOR_TIMED_ONE_IN 16u
#define GOVERNOR_WINDOW_NS    500000000u
/* Nothing takes longer by itself: another thread had the core meanwhile. One such reading would
 * outweigh all others. */
#define GOVERNOR_LONGEST_NS 50000u

static struct {
	uint64_t budget_ns; /* what a window of GOVERNOR_WINDOW_NS may cost; 0: no limit; atomic */
	uint64_t spent_ns[2];            /* since the start, by samples and by misses; atomic */
	uint64_t threads;                /* that have begun; atomic */
	bool is_looking;                 /* nobody waits for it; guards all below */
	uint64_t seen_ns[2], seen_at_ns; /* at the last look; read without it too */
	unsigned raised;                 /* levels that are the governor's doing */
} governor;

static uint64_t governor_spent_in_window_ns(bool is_miss)
{
	uint64_t seen_ns = __atomic_load_n(&governor.seen_ns[is_miss], __ATOMIC_ACQUIRE);

	return TL_LOAD(governor.spent_ns[is_miss]) - seen_ns;
}

static bool governor_is_spent(void)
{
	uint64_t budget_ns = TL_LOAD(governor.budget_ns);
	uint64_t samples_ns = governor_spent_in_window_ns(false);

	return budget_ns != 0 && samples_ns > budget_ns / 4 &&
	       samples_ns + governor_spent_in_window_ns(true) > budget_ns;
}

static bool governor_begin_look(void)
{
	return !__atomic_test_and_set(&governor.is_looking, __ATOMIC_ACQUIRE);
}

/* Begins a window, too. */
static void governor_end_look(uint64_t now_ns)
{
	for (int kind = 0; kind < 2; kind++)
		TL_STORE(governor.seen_ns[kind], TL_LOAD(governor.spent_ns[kind]));
	TL_STORE(governor.seen_at_ns, now_ns);
	__atomic_clear(&governor.is_looking, __ATOMIC_RELEASE);
}

TL_INTERNAL void governor_start(double percent)
{
	unsigned doublings = sampler_level() % SAMPLER_LEVELS;

	TL_STORE(governor.budget_ns,
		 sampler_is_exhaustive ? 0 : (uint64_t)(percent / 100 * GOVERNOR_WINDOW_NS));
	if (!governor_begin_look())
		return;
	if (governor.raised > doublings) /* other settings begin at level 0 */
		governor.raised = doublings;
	governor_end_look(clock_precise_ns());
}

TL_INTERNAL void governor_restart_in_child(void)
{
	governor.spent_ns[false] = governor.spent_ns[true] = 0;
	governor.raised = 0;
	governor_end_look(clock_precise_ns()); /* whoever had begun one is gone */
}

/* What samples cost relative to what they may. */
static double governor_load(uint64_t window_ns)
{
	double budget = (double)TL_LOAD(governor.budget_ns) / GOVERNOR_WINDOW_NS;
	double samples = (double)governor_spent_in_window_ns(false) / (double)window_ns;
	double left = budget - (double)governor_spent_in_window_ns(true) / (double)window_ns;

	if (budget <= 0)
		return 0;
	return samples / (left > budget / 4 ? left : budget / 4);
}

/* A tick only lowers, others only raise: their windows may be short, and a lull means nothing. */
static void governor_look(uint64_t now_ns, bool is_tick)
{
	unsigned level = sampler_level();

	if (!governor_begin_look())
		return;

	double load =
		now_ns > governor.seen_at_ns ? governor_load(now_ns - governor.seen_at_ns) : 0;

	/* Is it still spent? Another's look may have come between. */
	if (!is_tick && load > 1 && governor_is_spent() &&
	    level % SAMPLER_LEVELS + 1 < SAMPLER_LEVELS) {
		sampler_raise(level);
		governor.raised++;
	} else if (is_tick && load < 0.25 && governor.raised > 0) {
		sampler_lower(level);
		governor.raised--;
	}
	governor_end_look(now_ns);
}

TL_INTERNAL void governor_tick(void)
{
	uint64_t now_ns = clock_precise_ns();

	if (now_ns > TL_LOAD(governor.seen_at_ns) + GOVERNOR_WINDOW_NS)
		governor_look(now_ns, true);
}

/* A random one of each 16. */
static bool governor_is_timed(struct thread *thread)
{
	unsigned turn = thread->governor_turn++ % GOVERNOR_TIMED_ONE_IN;

	if (turn == 0 && thread->governor_chance == 0)
		thread->governor_chance = (uint32_t)(TL_ADD(governor.threads, 1) + 1) * 0x9e3779b9u;
	else if (turn == 0)
		thread->governor_chance = thread->governor_chance * 1664525u + 1013904223u;
	return turn == (thread->governor_chance >> 16) % GOVERNOR_TIMED_ONE_IN;
}

TL_INTERNAL uint64_t governor_work_begins(void)
{
	return governor_is_timed(&thread_self) ? clock_precise_ns() : 0;
}

TL_INTERNAL void governor_work_ends(uint64_t began_ns, bool is_miss)
{
	if (TL_MOSTLY(began_ns == 0))
		return;

	uint64_t now_ns = clock_precise_ns(), took_ns = now_ns - began_ns;

	if (took_ns > GOVERNOR_LONGEST_NS)
		took_ns = GOVERNOR_LONGEST_NS;
	TL_ADD(governor.spent_ns[is_miss], took_ns * GOVERNOR_TIMED_ONE_IN);
	if (TL_RARELY(governor_is_spent()))
		governor_look(now_ns, false);
}

TL_INTERNAL double governor_spent_s(void)
{
	return (double)(TL_LOAD(governor.spent_ns[false]) + TL_LOAD(governor.spent_ns[true])) / 1e9;
}
