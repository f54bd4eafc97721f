/* DESIGN
 *     function --site_of--> site            (function, line) --intern--> line --> its site
 * Lines are many and small, sites few and large: 48 KiB of lifetimes for every line of a program
 * would buy nothing.
 *
 * The process's peak costs O(1) a sample: while live bytes rise nothing is done; the first death
 * after a rise closes a peak (its number goes up). A site whose live bytes are about to change, and
 * that has not seen the last peak, first notes what it held then, which is what it holds now, since
 * it has not changed in between.
 */
#include "sites.h"

#include "../base/intern.h"
#include "../base/lock.h"
#include "../base/pages.h"
#include "names.h"

#define SITES_LINES 8192u
#define SITES_SITES 4096u

static struct intern sites_known_lines; /* by function and line */
static uint64_t *sites_line_keys;
static struct line_figures *sites_lines;
static struct sites_entry {
	struct lock lock; /* guards the lines' figures too */
	struct site_life life;
} * sites_entries;
static uint32_t *sites_of_function; /* 0: none yet; guarded by sites_known_lines.lock */
static uint32_t sites_used;         /* guarded by sites_known_lines.lock */
static uint64_t sites_without_room;

static struct {
	int64_t live; /* atomic */
	int64_t peak; /* of the closed peaks; the rest guarded by lock */
	uint32_t number;
	uint32_t tick;
	bool is_rising;
	struct lock lock;
} sites_process;

TL_INTERNAL enum tl_err sites_start(void)
{
	sites_line_keys = pages_map(intern_bytes(SITES_LINES));
	sites_lines = pages_map((SITES_LINES + 1) * sizeof(struct line_figures));
	sites_entries = pages_map(SITES_SITES * sizeof(struct sites_entry));
	sites_of_function = pages_map(names_functions_end() * sizeof(uint32_t));
	if (sites_line_keys == NULL || sites_lines == NULL || sites_entries == NULL ||
	    sites_of_function == NULL)
		return TL_ERR_SYSTEM;
	intern_start(&sites_known_lines, sites_line_keys, SITES_LINES);
	sites_used = 1;
	return TL_OK;
}

TL_INTERNAL void sites_reset_in_child(void)
{
	pages_clear(sites_line_keys, intern_bytes(SITES_LINES));
	pages_clear(sites_lines, (SITES_LINES + 1) * sizeof(struct line_figures));
	pages_clear(sites_entries, SITES_SITES * sizeof(struct sites_entry));
	pages_clear(sites_of_function, names_functions_end() * sizeof(uint32_t));
	intern_reset(&sites_known_lines);
	sites_used = 1;
	sites_without_room = 0;
	sites_process.live = sites_process.peak = 0;
	sites_process.number = sites_process.tick = 0;
	sites_process.is_rising = false;
}

/* 0 (SITES_OTHERS) where there is no room. */
static uint32_t sites_site_of(uint32_t function)
{
	if (function == NAMES_OTHERS)
		return SITES_OTHERS;
	if (sites_of_function[function] == 0 && sites_used < SITES_SITES) {
		sites_entries[sites_used].life.function = function;
		sites_of_function[function] = sites_used;
		TL_STORE(sites_used, sites_used + 1);
	}
	return sites_of_function[function];
}

TL_INTERNAL uint32_t sites_line(uint32_t function, uint32_t line)
{
	uint64_t key = ((uint64_t)function << 32 | line);
	uint32_t number;

	if (function == NAMES_OTHERS)
		return SITES_OTHERS;
	number = intern_find(&sites_known_lines, key);
	if (TL_MOSTLY(number != INTERN_NONE))
		return number;
	intern_lock(&sites_known_lines);
	number = intern_find(&sites_known_lines, key);
	if (number == INTERN_NONE) {
		uint32_t site = sites_site_of(function);

		number = site != SITES_OTHERS ? intern_reserve(&sites_known_lines, key)
					      : INTERN_NONE;
		if (number != INTERN_NONE) {
			sites_lines[number].site = site;
			sites_lines[number].line = line;
			intern_publish(&sites_known_lines, number, key);
		} else {
			TL_ADD(sites_without_room, 1);
			number = SITES_OTHERS;
		}
	}
	intern_unlock(&sites_known_lines);
	return number;
}

TL_INTERNAL uint32_t sites_site_of_line(uint32_t line)
{
	return sites_lines[line].site; /* constant once the line is known */
}

static void sites_raise_largest(struct line_figures *figures, uint64_t size)
{
	uint64_t largest = TL_LOAD(figures->largest);

	while (size > largest &&
	       !__atomic_compare_exchange_n(&figures->largest, &largest, size, true,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

TL_INTERNAL void sites_count_many(uint32_t line, uint64_t count, uint64_t bytes)
{
	struct line_figures *figures = &sites_lines[line];

	TL_ADD(figures->counted, count);
	TL_ADD(figures->counted_bytes, bytes);
}

TL_INTERNAL void sites_count(uint32_t line, uint64_t size)
{
	sites_count_many(line, 1, size);
	sites_raise_largest(&sites_lines[line], size);
}

static struct lock *sites_lock_of(uint32_t site)
{
	return &sites_entries[site].lock;
}

/* Whole bytes, so that what was added is taken away exactly. */
static int64_t sites_weighted_bytes(uint64_t size, double probability)
{
	return (int64_t)((double)size / probability + 0.5);
}

/* Under the site's lock. */
static void sites_change_live(struct site_life *life, int64_t bytes, uint32_t now)
{
	int64_t live = TL_ADD(sites_process.live, bytes);

	if (bytes > 0) {
		TL_STORE(sites_process.is_rising, true);
	} else if (TL_LOAD(sites_process.is_rising)) {
		lock_take(&sites_process.lock);
		TL_STORE(sites_process.is_rising, false);
		if (live > sites_process.peak) {
			TL_STORE(sites_process.peak, live);
			sites_process.tick = now;
			TL_ADD(sites_process.number, 1);
		}
		lock_give(&sites_process.lock);
	}
	if (life->peak_seen != TL_LOAD(sites_process.number)) {
		life->peak_seen = TL_LOAD(sites_process.number);
		life->peak_live = life->live;
	}
	life->live += bytes;
}

TL_INTERNAL void sites_born(uint32_t line, const struct site_sample *sample)
{
	struct line_figures *figures = &sites_lines[line];
	double weight = 1 / sample->probability, size = (double)sample->size;

	sites_raise_largest(figures, sample->size);
	lock_take(sites_lock_of(figures->site));
	figures->samples++;
	figures->sample_bytes += sample->size;
	if (sample->is_counted) {
		figures->counted_samples++;
		figures->counted_sample_bytes += sample->size;
	}
	if (sample->is_small) {
		/* Variance of a Horvitz-Thompson sum over independent draws: sum of w^2 (1 - p)
		 * k^2. */
		double variance = weight * weight * (1 - sample->probability);

		figures->small_count += weight;
		figures->small_bytes += weight * size;
		figures->small_count_variance += variance;
		figures->small_bytes_variance += variance * size * size;
	}
	sites_change_live(&sites_entries[figures->site].life,
			  sites_weighted_bytes(sample->size, sample->probability), 0);
	lock_give(sites_lock_of(figures->site));
}

static unsigned sites_lifetime_class(uint32_t age_ticks)
{
	unsigned class = age_ticks == 0 ? 0 : 32u - (unsigned)__builtin_clz(age_ticks);

	return class < SITES_LIFETIMES ? class : SITES_LIFETIMES - 1;
}

TL_INTERNAL void sites_died(uint32_t line, const struct site_sample *sample, uint32_t age_ticks,
			    uint32_t now)
{
	struct line_figures *figures = &sites_lines[line];
	struct site_life *life = &sites_entries[figures->site].life;

	lock_take(sites_lock_of(figures->site));
	figures->freed_samples++;
	figures->freed_sample_bytes += sample->size;
	figures->freed_bytes += (double)sample->size / sample->probability;
	life->lifetimes[sites_lifetime_class(age_ticks)]++;
	life->last_free = now + 1;
	sites_change_live(life, -sites_weighted_bytes(sample->size, sample->probability), now);
	lock_give(sites_lock_of(figures->site));
}

TL_INTERNAL void sites_shrank(uint32_t line, uint64_t bytes, double probability, uint32_t now)
{
	struct line_figures *figures = &sites_lines[line];

	lock_take(sites_lock_of(figures->site));
	figures->freed_sample_bytes += bytes;
	figures->freed_bytes += (double)bytes / probability;
	sites_change_live(&sites_entries[figures->site].life,
			  -sites_weighted_bytes(bytes, probability), now);
	lock_give(sites_lock_of(figures->site));
}

TL_INTERNAL uint32_t sites_lines_end(void)
{
	return SITES_LINES + 1;
}

TL_INTERNAL bool sites_line_is_known(uint32_t line)
{
	return line == SITES_OTHERS || intern_is_used(&sites_known_lines, line);
}

TL_INTERNAL uint32_t sites_end(void)
{
	return TL_LOAD(sites_used);
}

TL_INTERNAL struct line_figures sites_copy_line(uint32_t line)
{
	struct line_figures *figures = &sites_lines[line];
	struct line_figures copy;

	lock_take(sites_lock_of(figures->site));
	copy = (struct line_figures){
		.site = figures->site,
		.line = figures->line,
		.counted = TL_LOAD(figures->counted) + figures->counted_samples,
		.counted_bytes = TL_LOAD(figures->counted_bytes) + figures->counted_sample_bytes,
		.largest = TL_LOAD(figures->largest),
		.samples = figures->samples,
		.sample_bytes = figures->sample_bytes,
		.freed_samples = figures->freed_samples,
		.freed_sample_bytes = figures->freed_sample_bytes,
		.small_count = figures->small_count,
		.small_bytes = figures->small_bytes,
		.small_count_variance = figures->small_count_variance,
		.small_bytes_variance = figures->small_bytes_variance,
		.freed_bytes = figures->freed_bytes,
	};
	lock_give(sites_lock_of(figures->site));
	return copy;
}

/* What the site held at the last peak: noted if it has changed since, else what it holds now. A
 * process that is still rising is at its maximum now. */
TL_INTERNAL struct site_life sites_copy_life(uint32_t site)
{
	struct site_life copy;
	bool is_at_peak = TL_LOAD(sites_process.live) >= TL_LOAD(sites_process.peak);

	lock_take(sites_lock_of(site));
	copy = sites_entries[site].life;
	lock_give(sites_lock_of(site));
	if (is_at_peak || copy.peak_seen != TL_LOAD(sites_process.number))
		copy.peak_live = copy.live;
	return copy;
}

TL_INTERNAL struct sites_peak sites_peak_now(uint32_t now)
{
	int64_t live = TL_LOAD(sites_process.live);
	struct sites_peak peak;

	lock_take(&sites_process.lock);
	peak = (struct sites_peak){
		.live = live, .peak = sites_process.peak, .peak_tick = sites_process.tick};
	lock_give(&sites_process.lock);
	if (live >= peak.peak) {
		peak.peak = live;
		peak.peak_tick = now;
	}
	return peak;
}

TL_INTERNAL uint64_t sites_refused(void)
{
	return TL_LOAD(sites_without_room);
}

TL_INTERNAL void sites_renew_locks(void)
{
	intern_renew_lock(&sites_known_lines);
	for (uint32_t site = 0; site < sites_used; site++)
		*sites_lock_of(site) = (struct lock){0};
	sites_process.lock = (struct lock){0};
}
