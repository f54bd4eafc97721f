/* evidence: gathers what the verdicts rest on, of every site and every context, for one snapshot.
 *
 * Runs      in snapshot_build. All its memory is one mapping, given back at the end.
 */
#ifndef TL_OUTPUT_EVIDENCE_H
#define TL_OUTPUT_EVIDENCE_H

#include "../analysis/verdict.h"
#include "../base/types.h"

struct evidence;

/* At tick `now`. NULL without memory: every other function takes that, and all is unclear. */
TL_INTERNAL struct evidence *evidence_open(uint32_t now);
TL_INTERNAL void evidence_close(struct evidence *evidence);

/* A live sample. `context`: as contexts_of has it. */
struct evidence_sample {
	uint32_t context, site, birth;
	unsigned type;          /* a number of classes.h */
	double bytes, variance; /* weighted */
	double weight;
};
TL_INTERNAL void evidence_add(struct evidence *evidence, const struct evidence_sample *sample);

/* When all samples are in. `deaths`: freed samples by age, as sites.h keeps them. A context's
 * deaths are not known apart, so its survival is not either. */
TL_INTERNAL struct verdict evidence_judge_site(const struct evidence *evidence, uint32_t site,
					       const uint32_t *deaths);
/* What of the site's survivors is of a known type, and how much nobody knows the maker of. */
struct snapshot_type;
TL_INTERNAL void evidence_put_types(const struct evidence *evidence, uint32_t site,
				    struct snapshot_type *types, double *uncertain_bytes);
/* The same of the whole process, at most `room`; returns how many. */
TL_INTERNAL size_t evidence_put_all_types(const struct evidence *evidence,
					  struct snapshot_type *types, size_t room);
/* The objects that a context holds, estimated. */
TL_INTERNAL double evidence_held_count(const struct evidence *evidence, uint32_t context);
TL_INTERNAL struct verdict evidence_judge_context(const struct evidence *evidence,
						  uint32_t context);

#endif
