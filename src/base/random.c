#include "random.h"

#include "math.h"

/* splitmix64 (Steele, Lea and Flood 2014): spreads seeds that differ in one bit. */
static uint64_t random_spread(uint64_t *x)
{
	uint64_t z = (*x += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

TL_INTERNAL void random_seed(uint64_t state[2], uint64_t seed, uint64_t stream)
{
	uint64_t x = seed;

	x = random_spread(&x) ^ stream;
	state[0] = random_spread(&x);
	state[1] = random_spread(&x) | 1; /* all zero would stay zero */
}

static uint64_t random_rotate(uint64_t x, unsigned bits)
{
	return (x << bits) | (x >> (64 - bits));
}

TL_INTERNAL uint64_t random_bits(uint64_t state[2])
{
	uint64_t a = state[0], b = state[1], result = a + b;

	b ^= a;
	state[0] = random_rotate(a, 24) ^ b ^ (b << 16);
	state[1] = random_rotate(b, 37);
	return result;
}

TL_INTERNAL double random_unit(uint64_t state[2])
{
	return (double)((random_bits(state) >> 11) + 1) * 0x1p-53;
}

TL_INTERNAL int64_t random_exponential(uint64_t state[2], double mean)
{
	double gap = -math_log(random_unit(state)) * mean;

	return gap < 0x1p62 ? (int64_t)gap : INT64_C(1) << 62;
}

TL_INTERNAL uint32_t random_geometric(uint64_t state[2], double mean)
{
	if (mean <= 1)
		return 1;

	/* 1 - 1/mean has too few digits for a large mean; there -1 / log(1 - 1/mean) is mean - 1/2
	 * within 1 / (12 mean). */
	double pace = mean < 0x1p20 ? -1 / math_log(1 - 1 / mean) : mean - 0.5;
	double trials = 1 - math_log(random_unit(state)) * pace;

	return trials < UINT32_MAX ? (uint32_t)trials : UINT32_MAX;
}
