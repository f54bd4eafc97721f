/* DESIGN
 *
 * Up to 3.12 CPython tells nobody where its fields are, but within a minor version they do not
 * move: the offsets stand here as a table, read from each version's headers (2026-07). From 3.13 on
 * `_PyRuntime`, an exported symbol, begins with `_Py_DebugOffsets`, made for debuggers: 8-byte
 * words that tell the offsets. Its own shape changes at every minor, so what stands here for those
 * versions is the index of the words that are read. What it does not tell (_co_firsttraceable,
 * co_version, the bits of a string's state) follows from its neighbours.
 *
 * Everything is found by dlsym, so that one library serves every CPython and needs none. A layout
 * that contradicts itself is refused: no frames are better than wrong ones.
 */
#include "py_layout.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <string.h>

#define PY_LAYOUT_COOKIE "xdebugpy"

TL_INTERNAL struct py_layout py_layout;

/* The offsets that tell 3.8 to 3.12 apart; what they have in common is in py_layout_from_constants.
 * */
struct py_layout_constants {
	int minor;
	enum py_line_table line_table;
	int thread_frame, cframe_current;
	int thread_loop, loop_previous, frame_is_entry;
	int frame_code, frame_previous, frame_instruction, frame_owner;
	int code_filename, code_first_line, code_lines, code_first_traceable, code_bytes;
	int str_ascii_data;
};

static const struct py_layout_constants py_layout_constants[] = {
	{8, PY_LINES_LNOTAB, 24, -1, -1, -1, -1, 32, 24, 104, -1, 104, 40, 120, -1, -1, 48},
	{9, PY_LINES_LNOTAB, 24, -1, -1, -1, -1, 32, 24, 104, -1, 104, 40, 120, -1, -1, 48},
	{10, PY_LINES_LINETABLE, 24, -1, 48, 8, -1, 32, 24, 96, -1, 104, 40, 120, -1, -1, 48},
	{11, PY_LINES_LOCATIONS, 56, 8, 56, 16, 68, 32, 48, 56, 69, 112, 72, 136, 168, 184, 48},
	{12, PY_LINES_LOCATIONS, 56, 0, -1, -1, -1, 0, 8, 56, 70, 112, 68, 136, 176, 192, 40},
};

/* Indexes of 8-byte words in _Py_DebugOffsets: the first one, and those from which the others are
 * counted. */
struct py_layout_words {
	int minor;
	int current_frame; /* of the thread state, whose size is 4 words before */
	int frame;         /* size, previous, executable, instr_ptr, localsplus, owner */
	int tlbc_index;    /* of the frame; 0: no version of it has one */
	int code;          /* size, filename, name, qualname, linetable, firstlineno; +9 bytecode */
	int tlbc;          /* of the code */
	int object_type;   /* of any object, whose size is the word before */
	int string;        /* size, state, length, size of the header; 3 before: bytes, the same */
};

static const struct py_layout_words py_layout_words[] = {
	{13, 23, 28, 0, 34, 0, 45, 67},
	{14, 26, 31, 38, 39, 49, 51, 77},
	{15, 26, 39, 46, 47, 57, 59, 89},
};

static const struct py_layout_constants *py_layout_constants_of(int minor)
{
	for (size_t i = 0; i < TL_COUNT_OF(py_layout_constants); i++)
		if (py_layout_constants[i].minor == minor)
			return &py_layout_constants[i];
	return NULL;
}

static const struct py_layout_words *py_layout_words_of(int minor)
{
	for (size_t i = 0; i < TL_COUNT_OF(py_layout_words); i++)
		if (py_layout_words[i].minor == minor)
			return &py_layout_words[i];
	return NULL;
}

/* int co_firstlineno, five more of them; uint32_t co_version */
static int py_layout_version_of(int code_first_line)
{
	return code_first_line + 24;
}

static void py_layout_from_constants(struct py_layout *layout,
				     const struct py_layout_constants *constants)
{
	layout->line_table = constants->line_table;
	layout->thread_frame = constants->thread_frame;
	layout->cframe_current = constants->cframe_current;
	layout->thread_loop = constants->thread_loop;
	layout->loop_previous = constants->loop_previous;
	layout->frame_is_entry = constants->frame_is_entry;
	layout->frame_code = constants->frame_code;
	layout->frame_previous = constants->frame_previous;
	layout->frame_instruction = constants->frame_instruction;
	layout->frame_owner = constants->frame_owner;
	layout->frame_tlbc_index = -1;
	layout->code_filename = constants->code_filename;
	layout->code_name = constants->code_filename + 8;
	layout->code_qualname = constants->minor >= 11 ? constants->code_filename + 16 : -1;
	layout->code_first_line = constants->code_first_line;
	layout->code_version =
		constants->minor >= 12 ? py_layout_version_of(constants->code_first_line) : -1;
	layout->code_lines = constants->code_lines;
	layout->code_first_traceable = constants->code_first_traceable;
	layout->code_bytes = constants->code_bytes;
	layout->code_tlbc = -1;
	layout->object_type = 8;
	layout->bytes_length = 16;
	layout->bytes_data = 32;
	layout->str_length = 16;
	layout->str_state = 32;
	layout->str_ascii_data = constants->str_ascii_data;
}

/* A word that is an offset inside a struct of `size` bytes, a multiple of `step`; else -1. */
static int py_layout_offset(const uint64_t *words, int index, uint64_t size, uint64_t step)
{
	uint64_t offset = words[index];

	return size <= INT_MAX && offset < size && offset % step == 0 ? (int)offset : -1;
}

/* Cheap signs that the words were the ones that they are taken for. */
static bool py_layout_is_sane(const struct py_layout *layout)
{
	return layout->thread_frame > 0 && layout->frame_code >= 0 && layout->frame_previous >= 0 &&
	       layout->frame_code != layout->frame_previous && layout->frame_instruction > 0 &&
	       layout->frame_owner > 0 && layout->object_type == (layout->free_threaded ? 24 : 8) &&
	       layout->bytes_length == layout->object_type + 8 &&
	       layout->bytes_data == layout->bytes_length + 16 &&
	       layout->str_length == layout->object_type + 8 &&
	       layout->str_state == layout->str_length + 16 &&
	       layout->str_ascii_data == layout->str_state + 8 &&
	       layout->code_name == layout->code_filename + 8 &&
	       layout->code_qualname == layout->code_name + 8 &&
	       layout->code_filename > layout->bytes_length &&
	       layout->code_lines > layout->code_qualname &&
	       layout->code_first_line > layout->bytes_length &&
	       /* co_version; two tuples of locals */
	       layout->code_filename == layout->code_version + 20 &&
	       layout->code_first_traceable > layout->code_lines;
}

static bool py_layout_from_debug_offsets(struct py_layout *layout, const struct py_layout_words *at,
					 const void *runtime)
{
	const uint64_t *words = runtime;
	const int bytes = at->string - 3;

	if (!words || memcmp(words, PY_LAYOUT_COOKIE, 8) != 0 ||
	    words[1] >> 16 != (uint64_t)(0x300 | at->minor) || words[2] > 1)
		return false;

	layout->free_threaded = words[2] == 1;
	layout->line_table = PY_LINES_LOCATIONS;
	layout->thread_frame =
		py_layout_offset(words, at->current_frame, words[at->current_frame - 4], 8);
	layout->cframe_current = -1;
	layout->thread_loop = layout->loop_previous = layout->frame_is_entry = -1;
	layout->frame_previous = py_layout_offset(words, at->frame + 1, words[at->frame], 8);
	layout->frame_code = py_layout_offset(words, at->frame + 2, words[at->frame], 8);
	layout->frame_instruction = py_layout_offset(words, at->frame + 3, words[at->frame], 8);
	layout->frame_owner = py_layout_offset(words, at->frame + 5, words[at->frame], 1);
	layout->code_filename = py_layout_offset(words, at->code + 1, words[at->code], 8);
	layout->code_name = py_layout_offset(words, at->code + 2, words[at->code], 8);
	layout->code_qualname = py_layout_offset(words, at->code + 3, words[at->code], 8);
	layout->code_lines = py_layout_offset(words, at->code + 4, words[at->code], 8);
	layout->code_first_line = py_layout_offset(words, at->code + 5, words[at->code], 4);
	layout->code_version = py_layout_version_of(layout->code_first_line);
	layout->code_bytes = py_layout_offset(words, at->code + 9, words[at->code], 8);
	layout->frame_tlbc_index = layout->code_tlbc = -1;
	if (layout->free_threaded && at->tlbc) {
		layout->frame_tlbc_index =
			py_layout_offset(words, at->tlbc_index, words[at->frame], 4);
		layout->code_tlbc = py_layout_offset(words, at->tlbc, words[at->code], 8);
		if (layout->frame_tlbc_index < 0 || layout->code_tlbc < 0)
			return false;
	}
	/* int _co_firsttraceable; void *co_extra; [struct *co_tlbc;] char co_code_adaptive[] */
	layout->code_first_traceable = layout->code_bytes - (layout->code_tlbc >= 0 ? 24 : 16);
	layout->object_type =
		py_layout_offset(words, at->object_type, words[at->object_type - 1], 8);
	layout->bytes_length = py_layout_offset(words, bytes + 1, words[bytes], 8);
	layout->bytes_data = py_layout_offset(words, bytes + 2, words[bytes], 8);
	layout->str_state = py_layout_offset(words, at->string + 1, words[at->string], 4);
	layout->str_length = py_layout_offset(words, at->string + 2, words[at->string], 8);
	layout->str_ascii_data = py_layout_offset(words, at->string + 3, words[at->string], 8);
	return py_layout_is_sane(layout);
}

static void py_layout_set_string_bits(struct py_layout *layout)
{
	/* struct { interned; kind:3; compact:1; ascii:1; }: interned takes 2 bits, and a byte of
	 * its own where 3.14 writes it without a lock. */
	layout->str_kind_shift = layout->free_threaded && layout->minor >= 14 ? 8 : 2;
	layout->str_kind_mask = UINT32_C(7) << layout->str_kind_shift;
	layout->str_ascii_bit = UINT32_C(16) << layout->str_kind_shift;
	/* utf8_length and utf8 stand between; up to 3.11 a wstr_length too. */
	layout->str_other_data = layout->str_ascii_data + (layout->minor <= 11 ? 24 : 16);
}

/* The minor of "3.12.1 (main, ...". 0: not a Python 3. */
static int py_layout_minor_of(const char *version)
{
	int minor = 0;

	if (strncmp(version, "3.", 2) != 0)
		return 0;
	for (const char *digit = version + 2; *digit >= '0' && *digit <= '9' && minor < 1000;
	     digit++)
		minor = minor * 10 + (*digit - '0');
	return minor;
}

static int py_layout_note_libpython(struct dl_phdr_info *object, size_t size, void *data)
{
	const char *base = strrchr(object->dlpi_name, '/');
	size_t length = strlen(object->dlpi_name);

	(void)size;
	if (strncmp(base ? base + 1 : object->dlpi_name, "libpython3", 10) != 0 ||
	    length >= PATH_MAX)
		return 0;
	memcpy(data, object->dlpi_name, length + 1);
	return 1;
}

/* Where to look symbols up: the global scope, or else a libpython that a plugin loaded for itself
 * (RTLD_LOCAL). That handle stays open: what is found must not be unmapped under us. */
static void *py_layout_library(void)
{
	char path[PATH_MAX];
	void *library = NULL;

	if (!dlsym(RTLD_DEFAULT, "Py_GetVersion") &&
	    dl_iterate_phdr(py_layout_note_libpython, path))
		library = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
	return library ? library : RTLD_DEFAULT;
}

static const char *const py_layout_type_names[PY_LAYOUT_TYPES] = {
	[PY_KNOWN_TUPLE] = "PyTuple_Type",
	[PY_KNOWN_LIST] = "PyList_Type",
	[PY_KNOWN_DICT] = "PyDict_Type",
	[PY_KNOWN_FLOAT] = "PyFloat_Type",
	[PY_KNOWN_INT] = "PyLong_Type",
	[PY_KNOWN_STR] = "PyUnicode_Type",
	[PY_KNOWN_BYTES] = "PyBytes_Type",
	[PY_KNOWN_BYTEARRAY] = "PyByteArray_Type",
	[PY_KNOWN_SET] = "PySet_Type",
	[PY_KNOWN_FUNCTION] = "PyFunction_Type",
	[PY_KNOWN_FRAME] = "PyFrame_Type",
	[PY_KNOWN_METHOD] = "PyMethod_Type",
	[PY_KNOWN_BUILTIN] = "PyCFunction_Type",
	[PY_KNOWN_CONTEXT] = "PyContext_Type",
	[PY_KNOWN_ASEND] = "_PyAsyncGenASend_Type",
	[PY_KNOWN_WRAPPED] = "_PyAsyncGenWrappedValue_Type",
	[PY_KNOWN_TYPE] = "PyType_Type",
};

/* NULL: there is none, or its size is not known. */
static void *py_layout_find_sized(void *library, const char *name, size_t *bytes)
{
	void *address = dlsym(library, name);
	const ElfW(Sym) * symbol;
	Dl_info info;

	if (address == NULL || !dladdr1(address, &info, (void **)&symbol, RTLD_DL_SYMENT) ||
	    symbol == NULL)
		return NULL;
	*bytes = symbol->st_size;
	return address;
}

static void py_layout_find_loop(struct py_layout *layout, void *library)
{
	size_t bytes = 0;

	layout->loop_start =
		(uintptr_t)py_layout_find_sized(library, "_PyEval_EvalFrameDefault", &bytes);
	layout->loop_end = layout->loop_start + bytes;
}

static void py_layout_find_tracer(struct py_layout *layout, void *library)
{
	layout->is_debug = dlsym(library, "_Py_INCREF_IncRefTotal") != NULL;
	layout->set_tracer = (int (*)(py_tracer, void *))dlsym(library, "PyRefTracer_SetTracer");
	layout->get_tracer = (py_tracer(*)(void **))dlsym(library, "PyRefTracer_GetTracer");
	layout->runtime = py_layout_find_sized(library, "_PyRuntime", &layout->runtime_bytes);
}

static void py_layout_find_functions(struct py_layout *layout, void *library)
{
	layout->is_initialized = (int (*)(void))dlsym(library, "Py_IsInitialized");
	layout->current_thread_state =
		(void *(*)(void))dlsym(library, "PyThreadState_GetUnchecked");
	if (!layout->current_thread_state)
		layout->current_thread_state =
			(void *(*)(void))dlsym(library, "_PyThreadState_UncheckedGet");
	layout->this_threads_state =
		(void *(*)(void))dlsym(library, "PyGILState_GetThisThreadState");
	layout->get_allocator =
		(void (*)(int, struct py_allocator *))dlsym(library, "PyMem_GetAllocator");
	layout->set_allocator =
		(void (*)(int, struct py_allocator *))dlsym(library, "PyMem_SetAllocator");
	layout->code_type = dlsym(library, "PyCode_Type");
	for (size_t i = 0; i < PY_LAYOUT_TYPES; i++)
		layout->types[i] = dlsym(library, py_layout_type_names[i]);
	py_layout_find_loop(layout, library);
	py_layout_find_tracer(layout, library);
}

static bool py_layout_is_known(struct py_layout *layout, void *library)
{
	const struct py_layout_constants *constants = py_layout_constants_of(layout->minor);
	const struct py_layout_words *words = py_layout_words_of(layout->minor);

	if (!layout->is_initialized || !layout->current_thread_state ||
	    !layout->this_threads_state || !layout->get_allocator || !layout->set_allocator ||
	    !layout->code_type)
		return false;
	if (constants)
		py_layout_from_constants(layout, constants);
	else if (!words ||
		 !py_layout_from_debug_offsets(layout, words, dlsym(library, "_PyRuntime")))
		return false;
	py_layout_set_string_bits(layout);
	return true;
}

TL_INTERNAL enum tl_err py_layout_find(void)
{
	struct py_layout found = {0};
	void *library = py_layout_library();
	const char *(*get_version)(void);
	int minor;

	get_version = (const char *(*)(void))dlsym(library, "Py_GetVersion");
	if (!get_version)
		return TL_ERR_SYSTEM;

	found.version = get_version();
	found.minor = py_layout_minor_of(found.version);
	py_layout_find_functions(&found, library);
	minor = py_layout_is_known(&found, library) ? found.minor : 0;

	/* Hooks may be running when a libpython comes late: the minor opens the layout to them, so
	 * it comes last. */
	found.minor = 0;
	py_layout = found;
	__atomic_store_n(&py_layout.minor, minor, __ATOMIC_RELEASE);
	return minor ? TL_OK : TL_ERR_UNKNOWN;
}
