/* rss_breakdown: what the resident memory of the process consists of.
 *
 * Runs      anywhere. Pure arithmetic.
 * Promises  the parts add up to the RSS, to the byte.
 */
#ifndef TL_ANALYSIS_RSS_BREAKDOWN_H
#define TL_ANALYSIS_RSS_BREAKDOWN_H

#include "../base/types.h"

/* All in bytes. */
struct rss_facts {
	uint64_t rss, anonymous; /* the kernel's; anonymous is a part of rss */
	uint64_t stack;          /* the main thread's */
	uint64_t agent, arenas,
		maps; /* resident: our own, the interpreter's, charged to somebody */
	uint64_t libc_used, libc_free; /* as libc's allocator has them, resident or not */
	bool has_libc;                 /* false: the first is estimated, the second in the rest */
	/* Estimates: small blocks; what malloc handed out; everything, now and at most. */
	double python_live, libc_estimate, live, peak_live;
};

struct rss_breakdown {
	uint64_t python_live;      /* CPython's small blocks, estimated */
	uint64_t python_slack;     /* in its arenas beyond that */
	uint64_t libc_live;        /* allocated from libc */
	uint64_t libc_free;        /* freed, and kept by libc */
	uint64_t maps;             /* mapped past the allocators */
	uint64_t files_and_stacks; /* files, shared memory, the main thread's stack */
	uint64_t agent;            /* TrackLeak itself */
	uint64_t rest;             /* unknown: stacks of threads, tables of other allocators */
	bool has_libc;             /* false: what libc_free would say is in the rest */
	const char *remedy; /* what to do when it is fragmentation and no leak, or what cannot be
			     * seen; NULL: nothing to say */
};

/* A part that claims more than is left of the anonymous memory is cut: libc's share need not be
 * resident, and estimates err. The order of the cuts: ourselves, arenas, maps, libc's live, its
 * free.
 */
TL_INTERNAL struct rss_breakdown rss_breakdown(const struct rss_facts *facts);

/* RSS at one moment; live bytes are an estimate with its standard error. */
struct rss_moment {
	double seconds;
	uint64_t rss;
	double live, live_se;
	struct rss_breakdown parts;
};

/* What RSS has grown by when the bytes that are alive have not. */
struct rss_growth {
	double seconds, rss, live; /* of both the change */
	const char *cause;         /* and what to do; NULL: there is nothing to say */
};
TL_INTERNAL struct rss_growth rss_growth_between(const struct rss_moment *then,
						 const struct rss_moment *now);

#endif
