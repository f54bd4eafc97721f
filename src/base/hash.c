/* DESIGN: the state is folded with 16 bytes at a time by one 64x64 -> 128 bit multiplication whose
 * halves are xored. The factors are xored in again, so that a factor of 0 does not wipe what came
 * before. The last 1 to 16 bytes are read as two overlapping words, which saves a loop over bytes:
 * names are short.
 */
#include "hash.h"

#include <string.h>

/* Odd, with half of their bits set; no other meaning. */
#define HASH_FIRST  UINT64_C(0x9e3779b97f4a7c15)
#define HASH_SECOND UINT64_C(0xd1b54a32d192ed03)
#define HASH_THIRD  UINT64_C(0x8cb92ba72f3d8dd7)

static inline uint64_t hash_load64(const uint8_t *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

static inline uint64_t hash_load32(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

TL_INTERNAL uint64_t hash_bytes(const void *bytes, size_t length, uint64_t seed)
{
	const uint8_t *at = bytes;
	size_t left = length;
	uint64_t state = seed ^ HASH_FIRST, low = 0, high = 0;

	for (; left > 16; left -= 16, at += 16)
		state = hash_fold(hash_load64(at) ^ HASH_SECOND, hash_load64(at + 8) ^ state);

	if (left >= 8) {
		low = hash_load64(at);
		high = hash_load64(at + left - 8);
	} else if (left >= 4) {
		low = hash_load32(at);
		high = hash_load32(at + left - 4);
	} else if (left > 0) {
		low = at[0] | (uint64_t)at[left / 2] << 8 | (uint64_t)at[left - 1] << 16;
	}
	state = hash_fold(low ^ HASH_SECOND, high ^ state);
	return hash_fold(state ^ HASH_THIRD, (uint64_t)length ^ HASH_FIRST);
}
