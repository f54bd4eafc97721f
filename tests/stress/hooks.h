/* hooks: put before trackleak.c (-include): the hooks of memory become functions of other names, which only the stress
 * program calls, and a sanitizer's own stay what `malloc` means to everybody else. AddressSanitizer, in whose company the
 * agent stays dormant, is not to be found. */
#ifndef STRESS_HOOKS_H
#define STRESS_HOOKS_H

#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define malloc             hooked_malloc
#define calloc             hooked_calloc
#define realloc            hooked_realloc
#define free               hooked_free
#define free_sized         hooked_free_sized
#define free_aligned_sized hooked_free_aligned_sized
#define posix_memalign     hooked_posix_memalign
#define aligned_alloc      hooked_aligned_alloc
#define memalign           hooked_memalign
#define valloc             hooked_valloc
#define pvalloc            hooked_pvalloc
#define mmap               hooked_mmap
#define mmap64             hooked_mmap64
#define munmap             hooked_munmap
#define mremap             hooked_mremap

static void *stress_dlsym(void *handle, const char *name)
{
	return strcmp(name, "__asan_init") == 0 ? NULL : dlsym(handle, name);
}
#define dlsym stress_dlsym

#endif
