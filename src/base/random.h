/* random: chance for the samplers.
 *
 * Runs      in any thread; the state is the caller's own. Not for secrets.
 */
#ifndef TL_BASE_RANDOM_H
#define TL_BASE_RANDOM_H

#include "types.h"

/* Fills `state` from a seed; equal seeds and streams give equal sequences. */
TL_INTERNAL void random_seed(uint64_t state[2], uint64_t seed, uint64_t stream);
/* 64 random bits (xoroshiro128+, Blackman and Vigna 2018). */
TL_INTERNAL uint64_t random_bits(uint64_t state[2]);
/* Uniform in (0, 1]. */
TL_INTERNAL double random_unit(uint64_t state[2]);
/* floor of an Exp(mean) variate; never above 2^62. A block of k bytes is hit when the result is
 * below k, which has probability 1 - exp(-k/mean) exactly. mean > 0. */
TL_INTERNAL int64_t random_exponential(uint64_t state[2], double mean);
/* How many trials of chance 1/mean until the first success: >= 1, at most UINT32_MAX. mean >= 1. */
TL_INTERNAL uint32_t random_geometric(uint64_t state[2], double mean);

#endif
