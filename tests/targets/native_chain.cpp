/* Allocations some C++ frames deep, one of them inlined, and a way back into the caller's language. */
#include <cstdlib>

namespace shop
{
static inline __attribute__((always_inline)) void *innermost(std::size_t bytes)
{
	return std::malloc(bytes);
}

/* What is done with the result keeps a call from being a jump. */
template <class Item> __attribute__((noinline)) Item *five(std::size_t count)
{
	Item *items = static_cast<Item *>(innermost(count * sizeof(Item)));

	items[0] = Item();
	return items;
}

__attribute__((noinline)) char *four(std::size_t bytes)
{
	return reinterpret_cast<char *>(five<int>(bytes / sizeof(int))) + 1;
}

__attribute__((noinline)) char *three(std::size_t bytes)
{
	return four(bytes) + 1;
}

__attribute__((noinline)) char *two(std::size_t bytes)
{
	return three(bytes) + 1;
}
} // namespace shop

extern "C" {
char *one(std::size_t bytes)
{
	return shop::two(bytes) + 1;
}

char *middle(char *(*back)(std::size_t), std::size_t bytes)
{
	return back(bytes) + 1;
}
}
