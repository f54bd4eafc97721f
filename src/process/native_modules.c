/* DESIGN: _dl_find_object (glibc 2.35) tells the module of an address without a lock, also in a
 * signal handler. It is found by dlsym, so that the library still loads where it is missing. What
 * it answers is looked up in a list that only grows; all that is read for a new row (ELF header,
 * notes, the loader's record) is read by safe_read.
 */
#include "native_modules.h"

#include "modules.h"
#include "safe_read.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <string.h>

/* glibc's struct dl_find_object, whose declaration older headers lack. */
struct native_found {
	unsigned long long flags;
	uintptr_t start, end;
	const struct link_map *map;
	uintptr_t header;
	unsigned long long reserved[7];
};

static struct {
	int (*find)(void *place, struct native_found *found);
	struct native_module rows[NATIVE_MODULES_MOST];
	uint16_t count; /* atomic; rows below it never change but for their path */
	pthread_mutex_t lock;
} native_modules = {.lock = PTHREAD_MUTEX_INITIALIZER};

TL_INTERNAL bool native_modules_start(void)
{
	uint32_t word = 1, copy = 0;

	native_modules.find =
		(int (*)(void *, struct native_found *))dlsym(RTLD_DEFAULT, "_dl_find_object");
	return native_modules.find != NULL && safe_read(&word, &copy, sizeof(copy)) && copy == word;
}

TL_INTERNAL void native_modules_renew_lock(void)
{
	pthread_mutex_init(&native_modules.lock, NULL);
}

/* One page at a time: what lies behind the text's end may not be there. */
static void native_modules_copy_text(const char *from, char *to, size_t room)
{
	size_t length = 0;

	while (length < room - 1 && memchr(to, 0, length) == NULL) {
		size_t part = 4096 - (uintptr_t)(from + length) % 4096;

		if (part > room - 1 - length)
			part = room - 1 - length;
		if (!safe_read(from + length, to + length, part))
			break;
		length += part;
	}
	to[length] = 0;
}

static void native_modules_find_id_in(struct native_module *module, uintptr_t at, uintptr_t end)
{
	while (at >= module->range.start && end <= module->range.end && at < end &&
	       end - at >= sizeof(Elf64_Nhdr) + 4) {
		struct {
			Elf64_Nhdr head;
			char name[4];
		} note = {0};

		if (!safe_read((const void *)at, &note, sizeof(note)))
			return;

		uintptr_t contents = at + sizeof(note.head) + ((note.head.n_namesz + 3u) & ~3u);

		if (note.head.n_type == NT_GNU_BUILD_ID && note.head.n_namesz == 4 &&
		    memcmp(note.name, "GNU", 4) == 0 && note.head.n_descsz <= NATIVE_BUILD_ID) {
			if (safe_read((const void *)contents, module->build_id, note.head.n_descsz))
				module->build_id_length = (uint8_t)note.head.n_descsz;
			return;
		}
		at = contents + ((note.head.n_descsz + UINT64_C(3)) & ~UINT64_C(3));
	}
}

static void native_modules_find_id(struct native_module *module)
{
	Elf64_Ehdr header = {0};
	Elf64_Phdr part = {0};

	if (!safe_read((const void *)module->range.start, &header, sizeof(header)) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
		return;
	for (unsigned i = 0; i < header.e_phnum && module->build_id_length == 0; i++) {
		uintptr_t at = module->range.start + header.e_phoff + i * sizeof(part);

		if (!safe_read((const void *)at, &part, sizeof(part)))
			return;
		if (part.p_type == PT_NOTE)
			native_modules_find_id_in(module, module->bias + part.p_vaddr,
						  module->bias + part.p_vaddr + part.p_filesz);
	}
}

static bool native_modules_is(uint16_t number, const struct native_found *found)
{
	const struct eh_module *range = &native_modules.rows[number].range;

	return range->start == found->start && range->end == found->end &&
	       range->header == found->header;
}

static uint16_t native_modules_row_of(const struct native_found *found)
{
	uint16_t count = native_modules_count();

	for (uint16_t number = 0; number < count; number++)
		if (native_modules_is(number, found))
			return number;
	return NATIVE_MODULES_NONE;
}

static uint16_t native_modules_add(const struct native_found *found)
{
	struct native_module module = {.range = {found->start, found->end, found->header}};
	struct link_map map = {0};
	uint16_t number;

	if (!safe_read(found->map, &map, offsetof(struct link_map, l_ld)))
		return NATIVE_MODULES_NONE;
	module.bias = map.l_addr;
	native_modules_copy_text(map.l_name, module.path, sizeof(module.path));
	native_modules_find_id(&module);
	pthread_mutex_lock(&native_modules.lock);
	number = native_modules_row_of(found);
	if (number == NATIVE_MODULES_NONE && native_modules.count < NATIVE_MODULES_MOST) {
		number = native_modules.count;
		native_modules.rows[number] = module;
		__atomic_store_n(&native_modules.count, number + 1, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&native_modules.lock);
	return number;
}

TL_INTERNAL uint16_t native_modules_find(uintptr_t place, uint16_t guess)
{
	struct native_found found;
	uint16_t number;

	if (native_modules.find((void *)place, &found) != 0)
		return NATIVE_MODULES_NONE;
	if (guess != NATIVE_MODULES_NONE && native_modules_is(guess, &found))
		return guess;
	number = native_modules_row_of(&found);
	return number != NATIVE_MODULES_NONE ? number : native_modules_add(&found);
}

TL_INTERNAL uint16_t native_modules_known(uintptr_t address)
{
	for (uint16_t number = native_modules_count(); number-- > 0;) {
		const struct eh_module *range = &native_modules.rows[number].range;

		if (address >= range->start && address < range->end)
			return number;
	}
	return NATIVE_MODULES_NONE;
}

TL_INTERNAL const struct native_module *native_modules_at(uint16_t number)
{
	return &native_modules.rows[number];
}

TL_INTERNAL uint16_t native_modules_count(void)
{
	return __atomic_load_n(&native_modules.count, __ATOMIC_ACQUIRE);
}

TL_INTERNAL void native_modules_name_all(void)
{
	for (uint16_t i = 0; i < native_modules_count(); i++) {
		struct native_module *module = &native_modules.rows[i];
		struct module_place place;

		if (module->is_named)
			continue;
		module->is_named = true;
		if (module->path[0] == '/')
			continue;
		modules_find(&module->range.start, &place, 1);
		if (place.path[0] == '/')
			memcpy(module->path, place.path, sizeof(module->path));
	}
}
