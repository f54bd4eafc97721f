#include "sort.h"

#include <string.h>

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

TL_INTERNAL void sort_apply(uint32_t *order, size_t count, void *rows, size_t row_bytes)
{
	char first[SORT_LARGEST_ROW], *row = rows;

	/* One cycle of the permutation after the other; what is in its place has order[i] == i. */
	for (size_t start = 0; start < count; start++) {
		size_t to = start;

		if (order[start] == start)
			continue;
		memcpy(first, row + start * row_bytes, row_bytes);
		while (order[to] != start) {
			size_t from = order[to];

			memcpy(row + to * row_bytes, row + from * row_bytes, row_bytes);
			order[to] = (uint32_t)to;
			to = from;
		}
		memcpy(row + to * row_bytes, first, row_bytes);
		order[to] = (uint32_t)to;
	}
}
