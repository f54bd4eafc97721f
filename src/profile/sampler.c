#include "sampler.h"

#include "../base/math.h"
#include "../base/random.h"

TL_INTERNAL size_t sampler_min_size = SIZE_MAX;
TL_INTERNAL size_t sampler_slow_size = SIZE_MAX;
TL_INTERNAL bool sampler_is_exhaustive;

static struct {
	struct {
		double bytes, rate; /* T and N of its first level */
	} rows[SAMPLER_ROWS];
	unsigned row_count;
	uint64_t seed;
	uint64_t threads; /* seen so far: each takes a random stream of its own */
	bool is_paused;   /* atomic */
	uint32_t level;
	uint32_t generation; /* of the profile: a fork starts a new one */
	uint32_t forks;      /* of this process so far: siblings must not draw alike */
} sampler;

TL_INTERNAL void sampler_start(uint64_t sample_rate, uint64_t sample_bytes, uint64_t min_size,
			       uint64_t seed)
{
	sampler.rows[0].bytes = (double)sample_bytes;
	sampler.rows[0].rate = (double)sample_rate;
	sampler.row_count = 1;
	sampler.level = 0;
	sampler.is_paused = false;
	sampler.seed = seed;
	sampler.generation = 1;
	sampler_min_size = min_size;
	sampler_slow_size = min_size;
	sampler_is_exhaustive = sample_rate == 1 && min_size == 1;
}

TL_INTERNAL void sampler_close(void)
{
	TL_STORE(sampler_slow_size, SIZE_MAX);
}

TL_INTERNAL void sampler_open(void)
{
	if (!TL_LOAD(sampler.is_paused))
		TL_STORE(sampler_slow_size, sampler_min_size);
}

TL_INTERNAL void sampler_pause(bool is_paused)
{
	TL_STORE(sampler.is_paused, is_paused);
	if (!is_paused)
		return;
	sampler_close();
	TL_STORE(sampler_is_exhaustive, false); /* what was missed stays missed */
}

TL_INTERNAL void sampler_before_fork(void)
{
	sampler.forks++;
	sampler_open(); /* for a while neither side has a worker that would */
}

TL_INTERNAL void sampler_restart_in_child(void)
{
	/* A number of its own for each child of each parent, yet repeatable. */
	sampler.seed = (sampler.seed + sampler.forks) * 0x9e3779b97f4a7c15u + 1;
	sampler.forks = 0;
	sampler.generation++;
	sampler.threads = 0;
	sampler.level -= sampler.level % SAMPLER_LEVELS;
	sampler_is_exhaustive =
		sampler_rate_now() <= 1 && sampler_min_size == 1 && !sampler.is_paused;
}

TL_INTERNAL bool sampler_change(uint64_t sample_rate, uint64_t sample_bytes)
{
	double rate = (double)sample_rate, bytes = (double)sample_bytes;
	unsigned row = 0;

	while (row < sampler.row_count &&
	       (sampler.rows[row].rate != rate || sampler.rows[row].bytes != bytes))
		row++;
	if (row == sampler_level() / SAMPLER_LEVELS)
		return true;
	if (row == SAMPLER_ROWS)
		return false;
	sampler.rows[row].rate = rate;
	sampler.rows[row].bytes = bytes;
	if (row == sampler.row_count)
		sampler.row_count++;
	TL_STORE(sampler_is_exhaustive, false); /* what was missed stays missed */
	/* Whoever sees the level sees its row. */
	__atomic_store_n(&sampler.level, row * SAMPLER_LEVELS, __ATOMIC_RELEASE);
	return true;
}

static double sampler_bytes_at(unsigned level)
{
	return sampler.rows[level / SAMPLER_LEVELS].bytes *
	       (double)(UINT64_C(1) << level % SAMPLER_LEVELS);
}

static double sampler_rate_at(unsigned level)
{
	return sampler.rows[level / SAMPLER_LEVELS].rate *
	       (double)(UINT64_C(1) << level % SAMPLER_LEVELS);
}

static void sampler_draw_bytes(struct thread *thread)
{
	thread->countdown = random_exponential(thread->random, sampler_bytes_at(thread->level));
}

static void sampler_draw_count(struct thread *thread)
{
	thread->counted_left = random_geometric(thread->random, sampler_rate_at(thread->level));
}

static void sampler_redraw(struct thread *thread, size_t charged)
{
	thread->level = (uint8_t)sampler_level();
	sampler_draw_bytes(thread);
	sampler_draw_count(thread);
	thread->countdown -= (int64_t)charged;
}

TL_INTERNAL void sampler_prepare(struct thread *thread, size_t charged)
{
	uint32_t generation = TL_LOAD(sampler.generation);

	sampler_release(thread);
	if (TL_RARELY(!thread->is_ready || thread->generation != generation)) {
		thread->is_ready = true;
		thread->generation = generation;
		random_seed(thread->random, sampler.seed, TL_ADD(sampler.threads, 1));
		sampler_redraw(thread, charged);
	}
}

TL_INTERNAL void sampler_adapt(struct thread *thread)
{
	if (TL_RARELY(thread->level != sampler_level()))
		sampler_redraw(thread, 0);
}

TL_INTERNAL void sampler_withhold(struct thread *thread, int64_t allowance)
{
	sampler_release(thread); /* it may be withheld already */
	/* Whatever ends the gap itself must come to a slow path too. */
	if (allowance > thread->countdown)
		allowance = thread->countdown;
	thread->withheld = thread->countdown - allowance;
	thread->countdown = allowance;
	thread->is_withheld = true;
}

TL_INTERNAL void sampler_release(struct thread *thread)
{
	if (TL_RARELY(thread->is_withheld)) {
		thread->countdown += thread->withheld;
		thread->is_withheld = false;
	}
}

TL_INTERNAL bool sampler_byte_hit(struct thread *thread)
{
	if (thread->countdown >= 0)
		return false;
	sampler_draw_bytes(thread);
	return true;
}

TL_INTERNAL void sampler_pass(struct thread *thread)
{
	bool was_withheld = thread->is_withheld;
	int64_t allowance = thread->countdown;

	thread->is_withheld = false;
	sampler_draw_bytes(thread);
	if (was_withheld)
		sampler_withhold(thread, allowance > 0 ? allowance : 0);
}

TL_INTERNAL bool sampler_may_pass(const struct thread *thread)
{
	return thread->counted_left > 1 && thread->level == sampler_level();
}

TL_INTERNAL void sampler_passed(struct thread *thread, uint32_t count)
{
	thread->counted_left -= count;
}

TL_INTERNAL bool sampler_count_hit(struct thread *thread)
{
	if (--thread->counted_left > 0)
		return false;
	sampler_draw_count(thread);
	return true;
}

static double sampler_byte_probability(unsigned level, size_t size)
{
	return math_one_minus_exp((double)size / sampler_bytes_at(level));
}

TL_INTERNAL bool sampler_accepts_growth(struct thread *thread, size_t growth, size_t charged)
{
	return random_unit(thread->random) * sampler_byte_probability(thread->level, charged) <=
	       sampler_byte_probability(thread->level, growth);
}

TL_INTERNAL double sampler_probability(unsigned level, size_t size)
{
	double by_count = size < sampler_min_size ? 0 : 1 / sampler_rate_at(level), by_bytes;

	if (by_count == 1) /* N = 1: where everything is a sample, that is often */
		return 1;
	by_bytes = sampler_byte_probability(level, size);
	return by_count + by_bytes * (1 - by_count);
}

TL_INTERNAL unsigned sampler_level(void)
{
	return __atomic_load_n(&sampler.level, __ATOMIC_ACQUIRE);
}

TL_INTERNAL void sampler_raise(unsigned level)
{
	uint32_t expected = level;

	if (level % SAMPLER_LEVELS + 1 == SAMPLER_LEVELS)
		return;
	if (__atomic_compare_exchange_n(&sampler.level, &expected, level + 1, false,
					__ATOMIC_RELAXED, __ATOMIC_RELAXED))
		TL_STORE(sampler_is_exhaustive, false);
}

TL_INTERNAL void sampler_lower(unsigned level)
{
	uint32_t expected = level;

	if (level % SAMPLER_LEVELS > 0)
		__atomic_compare_exchange_n(&sampler.level, &expected, level - 1, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

TL_INTERNAL double sampler_bytes_now(void)
{
	return sampler_bytes_at(sampler_level());
}

TL_INTERNAL double sampler_rate_now(void)
{
	return sampler_rate_at(sampler_level());
}

TL_INTERNAL double sampler_unit(struct thread *thread)
{
	return random_unit(thread->random);
}
