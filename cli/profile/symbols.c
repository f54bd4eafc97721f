/* DESIGN
 *     {file, build id} -> libdwfl's module -> address -> {name, file, line}, innermost first
 * Both are looked up once for as long as the command runs: `top` and `watch` read the same stacks
 * again and again. The frames of the profile are written anew, since one of them may become several,
 * and several of them (calls on different instructions of one line) one.
 */
#include "symbols.h"

#include "../base/keep.h"
#include "../base/lookup.h"
#include "../base/region.h"

#include <dlfcn.h>
#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SYMBOLS_DEBUG_FOLDER "/usr/lib/debug/.build-id"

struct symbols_place {
	const char *name, *file; /* file "": the module itself */
	uint32_t line;
};

/* What one place in a file stands for, innermost first; none: not known. */
struct symbols_chain {
	struct symbols_place *places;
	size_t count, room;
};

static struct {
	struct lookup modules, chains;
	Dwfl_Module **module_of; /* NULL: not to be had */
	struct symbols_chain *chain_of;
	size_t module_count, module_room, chain_count, chain_room;
	char *(*demangle)(const char *name, char *buffer, size_t *size, int *status);
	bool has_looked;
} symbols;

/* ---- Files ---- */

static bool symbols_is_id(Dwfl_Module *module, const char *wanted)
{
	const unsigned char *bits;
	GElf_Addr address;
	int length;
	char hexadecimal[129];

	/* It is known once the file has been looked at. */
	if (dwfl_module_getelf(module, &address) == NULL)
		return false;
	length = dwfl_module_build_id(module, &bits, &address);
	if (length <= 0 || length > 64)
		return false;
	for (int i = 0; i < length; i++)
		sprintf(hexadecimal + 2 * i, "%02x", bits[i]);
	return strcmp(hexadecimal, wanted) == 0;
}

static Dwfl_Module *symbols_open_file(const char *path, const char *build_id)
{
	static char *debug_path; /* NULL: where debug files are by default */
	static const Dwfl_Callbacks callbacks = {
		.find_elf = dwfl_build_id_find_elf,
		.find_debuginfo = dwfl_standard_find_debuginfo,
		.section_address = dwfl_offline_section_address,
		.debuginfo_path = &debug_path,
	};
	struct stat status;
	Dwfl_Module *module;
	Dwfl *session;

	/* A snapshot may name anything: a pipe would never end. */
	if (path[0] != '/' || stat(path, &status) != 0 || !S_ISREG(status.st_mode))
		return NULL;
	session = dwfl_begin(&callbacks);
	if (session == NULL)
		return NULL;
	module = dwfl_report_offline(session, path, path, -1);
	dwfl_report_end(session, NULL, NULL);
	if (module != NULL && symbols_is_id(module, build_id))
		return module;
	dwfl_end(session);
	return NULL;
}

static Dwfl_Module *symbols_open(const struct profile_module *wanted)
{
	Dwfl_Module *module;
	char *path;

	if (strlen(wanted->build_id) < 4 ||
	    wanted->build_id[strspn(wanted->build_id, "0123456789abcdef")] != '\0')
		return NULL;
	module = symbols_open_file(wanted->path, wanted->build_id);
	if (module != NULL)
		return module;
	path = keep_text("%s/%.2s/%s.debug", SYMBOLS_DEBUG_FOLDER, wanted->build_id,
			 wanted->build_id + 2);
	module = symbols_open_file(path, wanted->build_id);
	free(path);
	return module;
}

/* Its number. */
static size_t symbols_module(const struct profile_module *wanted)
{
	char *key = keep_text("%s\n%s", wanted->build_id, wanted->path);
	size_t at = lookup_put(&symbols.modules, key, symbols.module_count);

	free(key);
	if (at == symbols.module_count) {
		symbols.module_of = keep_grow(symbols.module_of, symbols.module_count,
					      &symbols.module_room, sizeof(Dwfl_Module *));
		symbols.module_of[symbols.module_count++] = symbols_open(wanted);
	}
	return at;
}

/* ---- Names ---- */

/* libstdc++ is no library that a C program should need. */
static const char *symbols_demangle(const char *name)
{
	const char *plain;
	void *library;
	int status;

	if (strncmp(name, "_Z", 2) != 0)
		return name;
	if (!symbols.has_looked) {
		symbols.has_looked = true;
		library = dlopen("libstdc++.so.6", RTLD_LAZY);
		if (library != NULL)
			*(void **)&symbols.demangle = dlsym(library, "__cxa_demangle");
	}
	plain = symbols.demangle != NULL ? symbols.demangle(name, NULL, NULL, &status) : NULL;
	return plain != NULL ? plain : name;
}

static const char *symbols_name_of(Dwarf_Die *die)
{
	Dwarf_Attribute attribute;
	const char *name = NULL;

	if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute) != NULL)
		name = dwarf_formstring(&attribute);
	if (name == NULL)
		name = dwarf_diename(die);
	return name;
}

static void symbols_add(struct symbols_chain *chain, const char *name, const char *file,
			uint32_t line)
{
	chain->places =
		keep_grow(chain->places, chain->count, &chain->room, sizeof(*chain->places));
	chain->places[chain->count++] = (struct symbols_place){
		.name = keep_copy(symbols_demangle(name)),
		.file = keep_copy(file != NULL ? file : ""),
		.line = line,
	};
}

static uint32_t symbols_number(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;

	if (dwarf_formudata(dwarf_attr(die, name, &attribute), &value) != 0 || value > UINT32_MAX)
		return 0;
	return (uint32_t)value;
}

/* From the innermost scope outward: each inlined function is called from a line of the next. */
static void symbols_add_scopes(struct symbols_chain *chain, Dwarf_Die *unit, Dwarf_Die *scopes,
			       int count, const char *file, uint32_t line)
{
	Dwarf_Files *files = NULL;

	dwarf_getsrcfiles(unit, &files, NULL);
	for (int i = 0; i < count; i++) {
		int tag = dwarf_tag(&scopes[i]);
		const char *name;

		if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram)
			continue;
		name = symbols_name_of(&scopes[i]);
		if (name != NULL)
			symbols_add(chain, name, file, line);
		if (tag == DW_TAG_subprogram)
			return;
		line = symbols_number(&scopes[i], DW_AT_call_line);
		file = files == NULL
			       ? NULL
			       : dwarf_filesrc(files, symbols_number(&scopes[i], DW_AT_call_file),
					       NULL, NULL);
	}
}

/* By DWARF; false: there is none for the place. */
static bool symbols_ask_dwarf(struct symbols_chain *chain, Dwfl_Module *module, Dwarf_Addr address)
{
	Dwarf_Addr bias = 0;
	Dwarf_Die *unit = dwfl_module_addrdie(module, address, &bias), *scopes = NULL, *outward;
	Dwfl_Line *source = dwfl_module_getsrc(module, address);
	const char *file = NULL;
	int line = 0, count;

	if (unit == NULL)
		return false;
	if (source != NULL)
		file = dwfl_lineinfo(source, NULL, &line, NULL, NULL, NULL);
	if (dwarf_getscopes(unit, address - bias, &scopes) <= 0)
		return false;
	/* Those around the innermost one as it stands in the code, and not in the source. */
	count = dwarf_getscopes_die(&scopes[0], &outward);
	free(scopes);
	if (count <= 0)
		return false;
	symbols_add_scopes(chain, unit, outward, count, file, line > 0 ? (uint32_t)line : 0);
	free(outward);
	return chain->count > 0;
}

static void symbols_ask_table(struct symbols_chain *chain, Dwfl_Module *module, GElf_Addr address)
{
	GElf_Off offset;
	GElf_Sym symbol;
	const char *name =
		dwfl_module_addrinfo(module, address, &offset, &symbol, NULL, NULL, NULL);

	/* In a stripped file the nearest symbol before it is another function's. */
	if (name != NULL && offset < symbol.st_size)
		symbols_add(chain, name, NULL, 0);
}

static const struct symbols_chain *symbols_chain(const struct profile_module *wanted,
						 uint64_t offset)
{
	size_t module = symbols_module(wanted), at;
	char key[64];

	snprintf(key, sizeof(key), "%zu+%llx", module, (unsigned long long)offset);
	at = lookup_put(&symbols.chains, key, symbols.chain_count);
	if (at == symbols.chain_count) {
		struct symbols_chain chain = {0};
		Dwfl_Module *file = symbols.module_of[module];
		GElf_Addr bias;

		/* The call stands before the place where it goes on. */
		if (file != NULL && dwfl_module_getelf(file, &bias) != NULL &&
		    !symbols_ask_dwarf(&chain, file, offset + bias - 1))
			symbols_ask_table(&chain, file, offset + bias - 1);
		symbols.chain_of = keep_grow(symbols.chain_of, symbols.chain_count,
					     &symbols.chain_room, sizeof(chain));
		symbols.chain_of[symbols.chain_count++] = chain;
	}
	return &symbols.chain_of[at];
}

/* ---- The profile's frames ---- */

struct symbols_work {
	struct profile_frame *frames;
	size_t count, room;
	struct lookup known; /* native ones */
};

static size_t symbols_put(struct symbols_work *work, const struct profile_frame *frame)
{
	size_t at = work->count;

	if (frame->module != PROFILE_NO_MODULE) {
		char *key =
			keep_text("%zu\n%zd\n%u\n%s\n%s", frame->parent, (ssize_t)frame->function,
				  frame->line, frame->name, frame->file);

		at = lookup_put(&work->known, key, at);
		free(key);
		if (at < work->count)
			return at;
	}
	work->frames = region_grow(work->frames, work->count, &work->room, sizeof(*frame));
	work->frames[work->count++] = *frame;
	return at;
}

/* Returns where the innermost of what it stands for is. */
static size_t symbols_put_native(struct symbols_work *work, const struct profile *profile,
				 const struct profile_frame *frame)
{
	struct region *before = region_use(NULL); /* what is looked up outlives the profile */
	const struct symbols_chain *chain =
		symbols_chain(&profile->modules[frame->module], frame->offset);
	struct profile_frame named = *frame;

	region_use(before);

	if (chain->count == 0)
		return symbols_put(work, frame);
	for (size_t i = chain->count; i-- > 0;) {
		const struct symbols_place *place = &chain->places[i];

		named.function = i == 0 ? frame->function : PROFILE_NO_FUNCTION;
		named.name = place->name;
		named.file = place->file[0] != '\0' ? place->file : frame->file;
		named.line = place->line;
		named.parent = symbols_put(work, &named);
	}
	return named.parent;
}

void symbols_resolve(struct profile *profile)
{
	struct symbols_work work = {0};
	size_t *places;

	if (profile->module_count == 0)
		return;
	places = keep_alloc(profile->frame_count, sizeof(*places));
	for (size_t i = 0; i < profile->frame_count; i++) {
		struct profile_frame frame = profile->frames[i];

		frame.parent = places[frame.parent];
		if (frame.module != PROFILE_NO_MODULE && i > 0)
			places[i] = symbols_put_native(&work, profile, &frame);
		else
			places[i] = symbols_put(&work, &frame);
		/* A calling place that is to blame: the row of its function bears the name too. */
		if (frame.module != PROFILE_NO_MODULE && frame.function != PROFILE_NO_FUNCTION)
			profile->functions[frame.function].name = work.frames[places[i]].name;
	}
	for (size_t i = 0; i < profile->stack_count; i++)
		profile->stacks[i].frame = places[profile->stacks[i].frame];
	free(places);
	profile->frames = work.frames;
	profile->frame_count = work.count;
}
