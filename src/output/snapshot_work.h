/* snapshot_work: what the parts of snapshot_build share while a snapshot is made: its rows, the
 * tables that lead to them, and the memory for all of it.
 *
 * Runs      in the thread that makes the snapshot, which alone has it.
 */
#ifndef TL_OUTPUT_SNAPSHOT_WORK_H
#define TL_OUTPUT_SNAPSHOT_WORK_H

#include "../process/py_type.h"
#include "evidence.h"
#include "snapshot.h"

#define SNAPSHOT_OWNERS 64 /* of maps; the rest is one row */

/* What is alive of a line, summed over its samples. */
struct snapshot_live {
	double bytes, bytes_variance, count, count_variance;
	struct estimate since_bytes, since_count; /* of them, born since the baseline */
	uint64_t intervals;                       /* a bit for each that a sample was born in */
};

/* Memory for one snapshot: a mapping large enough for the largest, of which pages are touched as
 * needed. */
struct snapshot_memory {
	char *start;
	size_t used, bytes;
};

/* While sums are made, the `se` of an estimate holds its variance. */
struct snapshot_work {
	struct snapshot snapshot; /* first: what the caller holds */
	struct snapshot_memory memory;
	uint32_t now;
	double python_live;  /* bytes of CPython's layer */
	double libc_live;    /* bytes of libc's, or of what stands in for it */
	uint32_t site_count; /* sites that exist; more may come while we look */

	struct snapshot_live *live; /* by line number */
	struct snapshot_site *sites;
	uint32_t *row_of_site;     /* by site number: row + 1; 0: none */
	uint32_t *row_of_function; /* by function number: row + 1; 0: it has no site */
	uint64_t *intervals;       /* by row */
	struct snapshot_line *lines;

	struct snapshot_stack *stacks; /* `frame` is a stack number at first */
	uint32_t *row_of_stack;        /* by stack number: row + 1; 0: holds nothing */
	uint32_t *frame_of;            /* by stack number: place among the frames; 0: none yet */
	struct snapshot_frame *frames;

	struct evidence *evidence;
	struct snapshot_context *contexts;
	uint32_t *row_of_context; /* by context number: row + 1; 0: none */
	bool *site_has_alarm;     /* by row: one of its contexts */
	struct snapshot_alarm *alarms;
	struct snapshot_pool pools[PY_TYPE_FREE_LISTS_END];
	struct snapshot_type types[SNAPSHOT_ALL_TYPES];

	struct snapshot_module *modules;
	struct snapshot_map owners[SNAPSHOT_OWNERS];

	double *keys; /* to sort by; room for every kind of row */
	uint32_t *order;
};

/* Zeroed, with room for the profile as it is now; NULL without memory. */
TL_INTERNAL struct snapshot_work *snapshot_work_open(void);
/* `work` may be NULL. */
TL_INTERNAL void snapshot_work_close(struct snapshot_work *work);

/* Seconds from a tick to this dump; what happens while it is made happens now. */
TL_INTERNAL double snapshot_work_seconds_since(const struct snapshot_work *work, uint32_t tick);

/* Function and file as they are shown. */
TL_INTERNAL enum site_kind snapshot_work_names(uint32_t function, const char **name,
					       const char **file);

/* Adds values, and variances where an error will stand. */
TL_INTERNAL void snapshot_work_add_estimate(struct estimate *to, const struct estimate *from);

/* work->order becomes 0, 1, ... count - 1: what sort_descending begins with. */
TL_INTERNAL void snapshot_work_start_order(struct snapshot_work *work, size_t count);

#endif
