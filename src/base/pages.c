/* DESIGN
 * Raw syscalls, because our own hooks are what `mmap` and `munmap` mean inside this object. Each
 * mapping is noted in a small list, so that the agent can say what it costs itself: pages are asked
 * from the kernel (mincore), not guessed.
 */
#include "pages.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGES_SIZE ((size_t)4096)

static struct {
	void *start;
	size_t bytes;
} pages_list[PAGES_MAPPINGS];

static size_t pages_round(size_t bytes)
{
	return (bytes + PAGES_SIZE - 1) & ~(PAGES_SIZE - 1);
}

TL_INTERNAL void *pages_map(size_t bytes)
{
	long result = syscall(SYS_mmap, NULL, pages_round(bytes), PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0L);

	if (result == -1)
		return NULL;

	void *pages = (void *)(uintptr_t)result;

	for (size_t i = 0; i < PAGES_MAPPINGS; i++) {
		void *unused = NULL;

		if (__atomic_compare_exchange_n(&pages_list[i].start, &unused, pages, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
			TL_STORE(pages_list[i].bytes, pages_round(bytes));
			break;
		}
	}
	return pages;
}

TL_INTERNAL void pages_unmap(void *pages, size_t bytes)
{
	if (pages == NULL)
		return;
	for (size_t i = 0; i < PAGES_MAPPINGS; i++) {
		if (TL_LOAD(pages_list[i].start) == pages) {
			TL_STORE(pages_list[i].bytes, 0);
			TL_STORE(pages_list[i].start, NULL);
			break;
		}
	}
	syscall(SYS_munmap, pages, pages_round(bytes));
}

TL_INTERNAL void pages_clear(void *pages, size_t bytes)
{
	if (pages != NULL)
		syscall(SYS_madvise, pages, pages_round(bytes), MADV_DONTNEED);
}

TL_INTERNAL size_t pages_resident_in(const char *start, size_t bytes)
{
	unsigned char resident[1024];
	size_t total = 0;

	for (size_t done = 0; done < bytes; done += sizeof(resident) * PAGES_SIZE) {
		size_t part = bytes - done;

		if (part > sizeof(resident) * PAGES_SIZE)
			part = sizeof(resident) * PAGES_SIZE;
		if (syscall(SYS_mincore, start + done, part, resident) != 0)
			break;
		for (size_t page = 0; page < part / PAGES_SIZE; page++)
			total += (resident[page] & 1) != 0 ? PAGES_SIZE : 0;
	}
	return total;
}

TL_INTERNAL size_t pages_resident_bytes(void)
{
	size_t total = 0;

	for (size_t i = 0; i < PAGES_MAPPINGS; i++) {
		const void *start = TL_LOAD(pages_list[i].start);

		if (start != NULL)
			total += pages_resident_in(start, TL_LOAD(pages_list[i].bytes));
	}
	return total;
}
