/* snapshot: the profile at one moment, frozen, as the writers see it. Writers know nothing else of
 * the profile.
 *
 * All estimates are Horvitz-Thompson sums with their standard errors (docs/SAMPLING.md). NaN:
 * cannot be said. Strings are NUL-terminated valid UTF-8 of at most 255 bytes, not escaped: they
 * may hold anything a name can.
 */
#ifndef TL_OUTPUT_SNAPSHOT_H
#define TL_OUTPUT_SNAPSHOT_H

#include "../analysis/rss_breakdown.h"
#include "../analysis/verdict.h"
#include "../base/types.h"

#define SNAPSHOT_FORMAT    1 /* of snapshot-<pid>.json */
#define SNAPSHOT_LIFETIMES 24

/* An estimate and its standard error. */
struct estimate {
	double value, se;
};

enum site_kind {
	SITE_PYTHON, /* a Python function */
	SITE_NATIVE, /* a calling place in a module; function is `<native libfoo.so.1+0x1234>` */
	SITE_OTHERS, /* `<other functions>`: all that came after the table was full */
};

/* One function, or one of its lines. Cumulative since the profile's start unless it says live. */
struct site_figures {
	uint64_t counted, counted_bytes;     /* exact: allocations of min_size or more */
	struct estimate count, total_bytes;  /* counted plus the estimate of the smaller ones */
	uint64_t largest;                    /* largest single allocation seen, bytes */
	uint64_t sample_count, sample_bytes; /* raw */
	uint64_t freed_samples, freed_sample_bytes; /* raw */
	double freed_bytes;                         /* of samples, by weight */
	double retention;                           /* by weight, 0 to 1; NaN without a sample */
	struct estimate live_bytes, live_count;
	struct estimate since_bytes, since_count; /* of them, born since the baseline */
};

struct snapshot_line {
	uint32_t site; /* index into sites */
	uint32_t line; /* 0: unknown */
	struct site_figures figures;
};

#define SNAPSHOT_TYPES     3  /* of a site */
#define SNAPSHOT_ALL_TYPES 50 /* of the process */

struct snapshot_type {
	const char *type; /* NULL: no more */
	double bytes, count;
};

struct snapshot_site {
	const char *function, *file; /* file "" for natives */
	enum site_kind kind;
	uint32_t first_line; /* of the function; 0: unknown */
	uint32_t line;       /* the line that allocates most bytes; 0: unknown */
	struct site_figures figures;
	uint32_t held_line;     /* the line that holds most of what is alive; 0: unknown */
	struct verdict verdict; /* of what is certainly its own */
	struct snapshot_type types[SNAPSHOT_TYPES]; /* of survivors, by bytes, descending */
	double uncertain_bytes; /* of live_bytes; made by nobody knows whom (free lists) */
	uint32_t context; /* the one that holds most of it, index into contexts; UINT32_MAX: none */
	double peak_live_bytes; /* of this site when the whole process was at its maximum */
	uint32_t generations;   /* dump intervals that still own a live sample */
	double last_free_s;     /* seconds since something of it was freed; NaN: never */
	uint32_t lifetimes
		[SNAPSHOT_LIFETIMES]; /* freed samples by log2 of their age in units of 10 ms */
};

/* A frame of the stack trie; index 0 is the root and not a frame. A parent's index is smaller than
 * its child's. */
struct snapshot_frame {
	uint32_t parent;
	uint32_t
		site; /* index into sites; UINT32_MAX: function and file below stand for themselves */
	const char *function, *file;
	uint32_t line;
	uint32_t module; /* of native code, index into modules; UINT32_MAX: not known, or Python */
	uint32_t offset; /* the place in that file */
};

/* A file that native frames lie in. */
struct snapshot_module {
	const char *path;
	const uint8_t *build_id;
	size_t build_id_length; /* 0: it has none */
};

/* What is alive and was allocated by one stack. */
struct snapshot_stack {
	uint32_t frame;   /* leaf frame */
	uint32_t context; /* index into contexts; UINT32_MAX: its function is the program's own */
	uint32_t live_samples;
	struct estimate live_bytes, live_count;
	struct estimate since_bytes, since_count;
	float oldest_s, youngest_s; /* ages of its samples */
};

/* A function that is not the program's own code, as called from one of the program's functions. */
struct snapshot_context {
	uint32_t site;                       /* index into sites */
	uint32_t line;                       /* of that function, the line that holds most */
	uint32_t stack;                      /* its stack that holds most, index into stacks */
	const char *via_function, *via_file; /* the nearest frame of the program's own code */
	uint32_t via_line;
	struct estimate live_bytes, live_count;
	struct verdict verdict;
};

/* What survives of one type whose blocks come from free lists: nobody knows who made it. */
struct snapshot_pool {
	const char *type;
	double held_count;
	struct verdict verdict; /* `held` has the bytes */
};

/* A verdict that is worth a person's time. */
struct snapshot_alarm {
	uint32_t site;    /* index into sites */
	uint32_t context; /* index into contexts; UINT32_MAX: the site as a whole */
};

/* Anonymous memory mapped by one owner, exact. */
struct snapshot_map {
	const char *owner; /* "pymalloc arenas", a module, or a Python function as in sites */
	uint64_t bytes, count;
};

struct snapshot {
	/* identity */
	uint32_t pid;
	bool is_forked_child;
	double process_start; /* epoch seconds */
	double time;          /* epoch seconds of this dump */
	double elapsed_s;     /* since profiling started */
	uint64_t dump;        /* 1, 2, ... */
	bool is_final;
	double baseline_time; /* epoch seconds; 0: none was taken */
	const char *hostname, *job_name, *labels, *python_version, *program, *script;

	/* settings in force */
	double sample_rate, sample_bytes; /* N and T now, after the governor */
	uint64_t min_size;

	/* losses and capacities */
	uint64_t live_samples, live_capacity;
	uint64_t lost_samples; /* samples dropped for want of room */
	uint64_t thinned;      /* how often the full table doubled N and T */
	uint64_t cut_stacks;   /* stacks that lost inner frames for want of room */
	uint64_t other_sites;  /* functions that went to <other functions> */
	/* for Elasticsearch, by the dumps before this one; lost: given up for good, or refused */
	uint64_t documents_queued, documents_delivered, documents_lost;

	/* the process */
	uint64_t rss_bytes, peak_rss_bytes;
	struct rss_breakdown rss;
	struct rss_growth rss_growth;
	struct estimate live_bytes, live_count;
	double peak_live_bytes,
		peak_live_time; /* estimate at the maximum, and when (epoch seconds) */
	uint64_t agent_bytes;   /* resident memory of our own tables */
	double agent_cpu_s;     /* of the worker thread */
	double sampling_cpu_s;  /* of the program's threads, for samples; an estimate */

	/* rows, sorted by total_bytes descending */
	const struct snapshot_site *sites;
	size_t site_count;
	const struct snapshot_line *lines; /* sorted by site, then by total bytes descending */
	size_t line_count;
	const struct snapshot_frame *frames;
	size_t frame_count;
	const struct snapshot_module *modules;
	size_t module_count;
	const struct snapshot_stack *stacks; /* sorted by live bytes descending */
	size_t stack_count;
	const struct snapshot_context
		*contexts; /* by live bytes of their largest stack, descending */
	size_t context_count;
	const struct snapshot_alarm *alarms; /* the certain growth of bytes per hour, descending */
	size_t alarm_count;
	const struct snapshot_type *types; /* of all survivors, by bytes, descending */
	size_t type_count;
	const struct snapshot_pool *pools; /* the certain growth of bytes per hour, descending */
	size_t pool_count;
	const struct snapshot_map *maps;
	size_t map_count;
};

#endif
