#include "modules.h"

#include "../base/descriptor.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* One line of /proc/self/maps that names a file. `base` is where the file's first mapping starts.
 * */
struct module_mapping {
	uintptr_t start, end, base;
	const char *path;
	size_t path_length;
};

struct modules_reader {
	int fd;
	char buffer[4096];
	size_t length, used;
	char line[640];
	/* The file of the last line, whose first mapping is its base. */
	char base_path[256];
	uintptr_t base;
};

static bool modules_next_line(struct modules_reader *reader)
{
	size_t length = 0;

	for (;;) {
		if (reader->used == reader->length) {
			ssize_t got = read(reader->fd, reader->buffer, sizeof(reader->buffer));

			if (got <= 0)
				return false;
			reader->length = (size_t)got;
			reader->used = 0;
		}

		char character = reader->buffer[reader->used++];

		if (character == '\n') {
			reader->line[length] = 0;
			return true;
		}
		if (length < sizeof(reader->line) - 1)
			reader->line[length++] = character;
	}
}

static uintptr_t modules_parse_hex(const char **cursor)
{
	uintptr_t value = 0;

	for (;; ++*cursor) {
		char c = **cursor;

		if (c >= '0' && c <= '9')
			value = value * 16 + (uintptr_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value * 16 + (uintptr_t)(c - 'a' + 10);
		else
			return value;
	}
}

/* The next mapping of a file; false at the end. */
static bool modules_next(struct modules_reader *reader, struct module_mapping *mapping)
{
	while (modules_next_line(reader)) {
		const char *cursor = reader->line;

		mapping->start = modules_parse_hex(&cursor);
		cursor++;
		mapping->end = modules_parse_hex(&cursor);
		mapping->path = strchr(reader->line, '/');
		if (mapping->path == NULL)
			continue;
		mapping->path_length = strlen(mapping->path);
		if (mapping->path_length >= sizeof(reader->base_path))
			mapping->path_length = sizeof(reader->base_path) - 1;
		if (strncmp(reader->base_path, mapping->path, mapping->path_length) != 0 ||
		    reader->base_path[mapping->path_length] != 0) {
			memcpy(reader->base_path, mapping->path, mapping->path_length);
			reader->base_path[mapping->path_length] = 0;
			reader->base = mapping->start;
		}
		mapping->base = reader->base;
		return true;
	}
	return false;
}

static bool modules_open(struct modules_reader *reader)
{
	*reader = (struct modules_reader){
		.fd = descriptor_open(AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC)};
	return reader->fd >= 0;
}

/* A program linked to fixed addresses is looked up by absolute address. Its header is the start of
 * its first mapping; by now that may be unmapped, or was never readable, so the kernel copies it.
 */
static uint64_t modules_offset(uintptr_t base, uintptr_t address)
{
	Elf64_Ehdr header;
	struct iovec here = {&header, sizeof(header)}, there = {(void *)base, sizeof(header)};

	if (process_vm_readv(getpid(), &here, 1, &there, 1, 0) == (ssize_t)sizeof(header) &&
	    memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_type == ET_EXEC)
		return address;
	return address - base;
}

TL_INTERNAL void modules_find(const uintptr_t *addresses, struct module_place *places, size_t count)
{
	struct modules_reader reader;
	struct module_mapping mapping;

	for (size_t i = 0; i < count; i++)
		places[i] = (struct module_place){.offset = addresses[i]};
	if (count == 0 || !modules_open(&reader))
		return;
	while (modules_next(&reader, &mapping)) {
		for (size_t i = 0; i < count; i++) {
			if (addresses[i] < mapping.start || addresses[i] >= mapping.end)
				continue;
			memcpy(places[i].path, mapping.path, mapping.path_length);
			places[i].path[mapping.path_length] = 0;
			places[i].offset = modules_offset(mapping.base, addresses[i]);
		}
	}
	close(reader.fd);
}

TL_INTERNAL bool modules_range(uintptr_t address, uintptr_t *start, uintptr_t *end)
{
	struct modules_reader reader;
	struct module_mapping mapping;
	char path[sizeof(reader.base_path)] = "";
	bool is_found = false;

	/* Two passes: the first finds the file, the second all its mappings. */
	for (int pass = 0; pass < 2; pass++) {
		if (!modules_open(&reader))
			return false;
		while (modules_next(&reader, &mapping)) {
			if (pass == 0 && address >= mapping.start && address < mapping.end) {
				memcpy(path, reader.base_path, sizeof(path));
				break;
			}
			if (pass == 1 && path[0] != 0 && strcmp(path, reader.base_path) == 0) {
				*start = is_found ? *start : mapping.start;
				*end = mapping.end;
				is_found = true;
			}
		}
		close(reader.fd);
	}
	return is_found;
}
