#include "sort.h"

/* Does a belong behind b? */
static bool sort_is_behind(const double *keys, uint32_t a, uint32_t b)
{
	return keys[a] < keys[b] || (!(keys[b] < keys[a]) && a > b);
}

/* The heap's root is what belongs last. */
static void sort_sift(uint32_t *index, size_t root, size_t count, const double *keys)
{
	for (;;) {
		size_t child = 2 * root + 1;
		uint32_t moved = index[root];

		if (child >= count)
			return;
		if (child + 1 < count && sort_is_behind(keys, index[child + 1], index[child]))
			child++;
		if (!sort_is_behind(keys, index[child], moved))
			return;
		index[root] = index[child];
		index[child] = moved;
		root = child;
	}
}

TL_INTERNAL void sort_descending(uint32_t *index, size_t count, const double *keys)
{
	for (size_t root = count / 2; root-- > 0;)
		sort_sift(index, root, count, keys);
	for (size_t end = count; end > 1; end--) {
		uint32_t last = index[0];

		index[0] = index[end - 1];
		index[end - 1] = last;
		sort_sift(index, 0, end - 1, keys);
	}
}
