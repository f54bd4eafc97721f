/* profile: what a snapshot says, as the views see it (docs/FORMAT.md).
 *
 * Cumulative since profiling started unless it says live. NaN: cannot be said. Strings are valid
 * UTF-8 and may hold anything a name can: show_plain them.
 */
#ifndef TL_CLI_PROFILE_PROFILE_H
#define TL_CLI_PROFILE_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROFILE_NO_FUNCTION SIZE_MAX
#define PROFILE_NO_MODULE   SIZE_MAX

/* An estimate and its standard error. */
struct estimate {
	double value, se;
};

struct figures {
	double counted, counted_bytes; /* exact */
	struct estimate count, total_bytes;
	double largest;
	double sample_count, sample_bytes, freed_samples, freed_sample_bytes; /* raw */
	double retention;                                                     /* 0 to 1 */
	struct estimate live_bytes, live_count;
};

struct profile_line {
	uint32_t line; /* 0: unknown */
	struct figures figures;
};

struct profile_type {
	const char *name;
	double bytes;
};

struct profile_function {
	const char *name, *file; /* file "": none */
	const char *kind;        /* python, native, others */
	uint32_t first_line, line;
	struct figures figures;
	double uncertain_bytes;         /* of the live ones; from free lists, so its own or not */
	double peak_live_bytes;         /* when the whole process was at its maximum */
	const char *verdict, *sentence; /* "": not judged */
	double growth, growth_low, growth_high; /* MiB an hour */
	struct profile_line *lines;
	size_t line_count;
	struct profile_type *types; /* of survivors */
	size_t type_count;
};

/* Index 0 is the root and no frame; a parent's index is smaller than its child's. */
struct profile_frame {
	size_t parent;
	size_t function; /* index, or PROFILE_NO_FUNCTION */
	const char *name, *file;
	uint32_t line;
	size_t module;   /* of native code, index; PROFILE_NO_MODULE: it is none, or not known */
	uint64_t offset; /* the place in that file */
};

/* A file that native frames lie in. */
struct profile_module {
	const char *path, *build_id;
};

struct profile_stack {
	size_t frame; /* innermost */
	struct estimate live_bytes, live_count;
	double live_samples, oldest_s, youngest_s;
};

struct profile_map {
	const char *owner;
	double bytes, count;
};

/* What comes from CPython's free lists: its maker cannot be told. */
struct profile_pool {
	const char *type, *verdict, *sentence;
	double bytes, count;
};

struct profile {
	const char *path;
	size_t processes; /* summed up; 1: one snapshot */
	size_t ended;     /* processes of the service that have ended and are not in the sums */
	struct profile *const *parts;                            /* the processes; NULL: one */
	double pid, start, time, elapsed_s, dump, baseline_time; /* NaN: there is no baseline */
	bool is_forked, is_final;
	const char *hostname, *job_name, *program, *script, *python_version;
	const char *title; /* for people: python3.11 app.py */
	double sample_rate, sample_bytes, min_size;
	double live_samples, live_capacity, lost_samples, thinned, other_functions;
	double rss_bytes, peak_rss_bytes, peak_live_bytes, peak_live_time;
	struct estimate live_bytes, live_count;
	double agent_bytes, agent_cpu_s;
	struct profile_function *functions;
	size_t function_count;
	struct profile_frame *frames;
	size_t frame_count;
	struct profile_module *modules;
	size_t module_count;
	struct profile_stack *stacks;
	size_t stack_count;
	struct profile_map *maps;
	size_t map_count;
	struct profile_pool *pools;
	size_t pool_count;
};

/* Who is to blame for what a stack holds: its innermost frame, but for native frames that some
 * function called. The place as the rows of functions have it. */
struct profile_blame {
	const struct profile_function *function; /* NULL: it has no row */
	const char *name, *file;
	uint32_t line;
};

struct profile_blame profile_blame(const struct profile *profile,
				   const struct profile_stack *stack);
struct estimate profile_add(struct estimate a, struct estimate b); /* independent ones */
void profile_add_figures(struct figures *sum, const struct figures *figures);
/* How bad a verdict is, 0 for `churn` and what is unknown, up to 5 for `leaking`. */
unsigned profile_verdict_rank(const char *verdict);
/* What all functions grow by, MiB an hour; NaN: cannot be said. */
double profile_growth(const struct profile *profile);
/* a + b, where what cannot be said does not hide what can. */
double profile_sum(double a, double b);
/* The worst verdict of a function, and whose; "unclear" when there is none. */
const char *profile_worst(const struct profile *profile, const struct profile_function **whose);

#endif
