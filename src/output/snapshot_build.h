/* snapshot_build: freezes the profile into a struct snapshot.
 *
 * Runs      in the worker, or in a thread that ends the process. Takes the profile's locks one at a
 *           time, each for under 50 us.
 * Promises  the snapshot stands by itself: what happens to the profile afterwards does not change
 *           it, but for names, which are never changed or removed before a fork.
 */
#ifndef TL_OUTPUT_SNAPSHOT_BUILD_H
#define TL_OUTPUT_SNAPSHOT_BUILD_H

#include "snapshot.h"

/* What the profile does not know of itself. */
struct snapshot_identity {
	uint32_t pid;
	bool is_forked_child;
	double process_start; /* epoch seconds */
	uint64_t dump;
	bool is_final;
	double baseline_time; /* epoch seconds; 0: none was taken */
	bool is_asked_for;    /* it is none of the dumps: no interval ends with it */
	double agent_cpu_s;
	uint64_t libc_used, libc_free; /* what libc's allocator says of itself */
	bool has_libc;                 /* it was asked */
	/* They must outlive the snapshot. */
	const char *hostname, *program, *script, *python_version;
};

/* NULL without memory. snapshot_release gives everything back. */
TL_INTERNAL struct snapshot *snapshot_build(const struct snapshot_identity *identity);
TL_INTERNAL void snapshot_release(struct snapshot *snapshot);

#endif
