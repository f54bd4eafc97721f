/* sites: what each function, and each of its lines, has allocated, and what became of it.
 *
 * A site is a function that allocates; a line belongs to one site. Exact counts and sums over
 * samples are kept by line, what needs more room (lifetimes, the process's peak) by site.
 *
 * Runs      in any thread, inside the hooks: exact counts by atomic adds, the rest under the
 *           site's lock.
 * Gives up  when full: a new site or line goes to SITES_OTHERS, so totals stay true.
 */
#ifndef TL_PROFILE_SITES_H
#define TL_PROFILE_SITES_H

#include "../base/types.h"

#define SITES_OTHERS 0u /* the line (and the site) that stands for all that found no room */
#define SITES_LIFETIMES                                                                            \
	24 /* log2 classes of ticks: 0 is below one tick, 23 is 2^22 ticks (11.6 hours) or more */

struct line_figures {
	uint32_t site;
	uint32_t line; /* 0: unknown */
	/* Exact, of min_size or more. Atomic. */
	uint64_t counted, counted_bytes, largest;
	/* Of all samples; guarded by the site's lock, as the rest is. */
	uint64_t samples, sample_bytes, freed_samples, freed_sample_bytes;
	/* Those that sites_born was told to count; in copies they are among the above. */
	uint64_t counted_samples, counted_sample_bytes;
	/* Horvitz-Thompson sums over the samples below min_size, and their variances. */
	double small_count, small_bytes, small_count_variance, small_bytes_variance;
	/* Weighted bytes of the samples that were freed. */
	double freed_bytes;
};

struct site_life {
	uint32_t function;
	uint32_t last_free;                  /* tick + 1 of the last freed sample; 0: never */
	uint32_t peak_seen;                  /* the process's peak that peak_live belongs to */
	int64_t live;                        /* weighted bytes alive now */
	int64_t peak_live;                   /* the same when the process was at its maximum */
	uint32_t lifetimes[SITES_LIFETIMES]; /* freed samples by age */
};

/* A sample, as its site sees it. */
struct site_sample {
	uint64_t size;
	double probability;
	bool is_small;   /* below min_size: it stands for those that are not counted */
	bool is_growth;  /* of a block that is counted already */
	bool is_counted; /* to sites_born: count it as well */
};

TL_INTERNAL enum tl_err sites_start(void);
TL_INTERNAL void sites_reset_in_child(void);

/* The number of the line of a function (numbers of names.h). */
TL_INTERNAL uint32_t sites_line(uint32_t function, uint32_t line);

/* The site that a line belongs to. */
TL_INTERNAL uint32_t sites_site_of_line(uint32_t line);

TL_INTERNAL void sites_count(uint32_t line, uint64_t size);
/* Allocations of sizes that sites_count has met or passed; or, taken back, the negative of both. */
TL_INTERNAL void sites_count_many(uint32_t line, uint64_t count, uint64_t bytes);
TL_INTERNAL void sites_born(uint32_t line, const struct site_sample *sample);
/* `age_ticks` since its birth, `now` in ticks. */
TL_INTERNAL void sites_died(uint32_t line, const struct site_sample *sample, uint32_t age_ticks,
			    uint32_t now);
/* Part of a live sample was given back by a shrinking realloc: `bytes` before weighting,
 * `now` in ticks. */
TL_INTERNAL void sites_shrank(uint32_t line, uint64_t bytes, double probability, uint32_t now);

/* Copies for reports. Numbers run from 0 to the ends; lines that are not known have no figures, and
 * looking at them all would make the whole table resident. */
TL_INTERNAL uint32_t sites_lines_end(void);
TL_INTERNAL bool sites_line_is_known(uint32_t line);
TL_INTERNAL uint32_t sites_end(void);
TL_INTERNAL struct line_figures sites_copy_line(uint32_t line);
TL_INTERNAL struct site_life sites_copy_life(uint32_t site);

/* Weighted live bytes of the whole process now, at its maximum, and the tick of the maximum. */
struct sites_peak {
	int64_t live, peak;
	uint32_t peak_tick;
};
TL_INTERNAL struct sites_peak sites_peak_now(uint32_t now);

TL_INTERNAL uint64_t sites_refused(void);

TL_INTERNAL void sites_renew_locks(void); /* see recorder_renew_locks */

#endif
