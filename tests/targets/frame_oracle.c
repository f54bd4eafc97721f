/* frame_oracle: is what py_frame says what CPython says? To be preloaded alone, without the agent.
 *
 * Installs OBJ and MEM allocators of its own around CPython's, before Python starts, and then:
 *
 * FRAME_ORACLE=compare  at every single malloc, calloc and realloc of these, compares our list of
 *                       code and line with the one of CPython's API, and now and then the names. At
 *                       exit it prints to stderr how many samples, frames, mismatches and names.
 *                       FRAME_ORACLE_SPOIL=1 spoils one line in 50,000, which must be reported.
 * FRAME_ORACLE=record   writes down our stack at each allocation of one size, at OBJ, MEM and libc
 *                       level, for truth_sites.py, which calls the truth_* functions by ctypes.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/process/py_frame.h"
#include "../../src/process/py_layout.h"

enum {
	DEEPEST = 1024,
	SHALLOW = 7,         /* the limit of some walks, to see that they say that there is more */
	SHALLOW_EVERY = 16,  /* samples */
	NAMES_EVERY = 61,    /* samples */
	SPOIL_EVERY = 50000, /* lines */
	MISMATCHES_TOLD = 20,
	NAME_SIZE = 4096,
};

#define TLS static __thread __attribute__((tls_model("initial-exec")))

/* CPython's API, as objects of unknown type. */
static struct {
	void *(*thread_state)(void);
	void *(*thread_frame)(void *state); /* from 3.9 on */
	void *(*frame_back)(void *frame);   /* from 3.9 on */
	void *(*frame_code)(void *frame);   /* from 3.9 on */
	int (*frame_line)(void *frame);
	int (*code_line)(void *code, int instruction);
	void *(*eval_frame)(void);
	void *(*get_attribute)(void *object, void *name);
	void *(*new_string)(const char *utf8);
	const char *(*string_utf8)(void *string, ssize_t *length);
	long (*long_value)(void *number);
	void (*fetch_error)(void **type, void **value, void **traceback);
	void (*restore_error)(void *type, void *value, void *traceback);
	void (*clear_error)(void);
	void (*increase)(void *object);
	void (*decrease)(void *object);
	int (*disable_gc)(void);
	int (*enable_gc)(void);
	void *none;
} api;

static struct py_allocator original[3];
static bool is_comparing, is_recording, is_spoiling;
static uint64_t samples, frames_seen, lines_seen, mismatches, names_seen;
TLS bool is_busy;

/* ---- What CPython says ---- */

static void *attribute(void *object, const char *name)
{
	/* Made once; kept for ever. */
	static struct {
		const char *name;
		void *string;
	} known[8];
	size_t i = 0;

	while (known[i].name && strcmp(known[i].name, name) != 0)
		i++;
	if (!known[i].name) {
		known[i].string = api.new_string(name);
		known[i].name = name;
	}
	return api.get_attribute(object, known[i].string);
}

static void *none_to_null(void *object)
{
	if (object != api.none)
		return object;
	api.decrease(object);
	return NULL;
}

/* These three give references that the caller owns. */
static void *innermost_frame(void)
{
	void *frame;

	if (api.thread_frame)
		return api.thread_frame(api.thread_state());
	frame = api.eval_frame();
	if (frame)
		api.increase(frame);
	return frame;
}

static void *frame_back(void *frame)
{
	return api.frame_back ? api.frame_back(frame) : none_to_null(attribute(frame, "f_back"));
}

static void *frame_code(void *frame)
{
	return api.frame_code ? api.frame_code(frame) : attribute(frame, "f_code");
}

/* Up to 3.9 a frame that is being traced tells the line of the last trace event, not the one that
 * it is at. */
static int traced_line(void *frame, void *code)
{
	void *instruction = attribute(frame, "f_lasti");
	int line = api.code_line(code, (int)api.long_value(instruction));

	api.decrease(instruction);
	return line;
}

static int frame_line(void *frame, void *code)
{
	void *tracer = py_layout.minor <= 9 ? none_to_null(attribute(frame, "f_trace")) : NULL;

	if (!tracer)
		return api.frame_line(frame);
	api.decrease(tracer);
	return traced_line(frame, code);
}

/* ---- Comparison ---- */

static void report(const char *what, size_t depth, const struct py_frame *ours, long ours_value,
		   long theirs)
{
	char name[256] = "-", file[256] = "-";

	if (__atomic_fetch_add(&mismatches, 1, __ATOMIC_RELAXED) >= MISMATCHES_TOLD)
		return;
	if (ours) {
		py_frame_function_name(ours, name, sizeof(name));
		py_frame_file_name(ours, file, sizeof(file));
	}
	dprintf(2, "frame_oracle: MISMATCH %s at depth %zu: ours %ld, CPython's %ld, in %s (%s)\n",
		what, depth, ours_value, theirs, name, file);
}

static void compare_name(const struct py_frame *frame, size_t depth, const char *attribute_name,
			 size_t (*copy)(const struct py_frame *, char *, size_t))
{
	static __thread char ours[NAME_SIZE];
	void *string = attribute((void *)frame->code, attribute_name);
	ssize_t length = 0;
	const char *theirs = string ? api.string_utf8(string, &length) : NULL;

	if (!theirs) {
		api.clear_error(); /* lone surrogates: truth_sites.py has those */
	} else if (length < NAME_SIZE && !memchr(theirs, 0, (size_t)length)) {
		size_t size = copy(frame, ours, sizeof(ours));

		if (size != (size_t)length || memcmp(ours, theirs, size) != 0)
			report(attribute_name, depth, frame, (long)size, (long)length);
		__atomic_fetch_add(&names_seen, 1, __ATOMIC_RELAXED);
	}
	if (string)
		api.decrease(string);
}

static void compare_names(const struct py_frame *frame, size_t depth)
{
	void *type, *value, *traceback, *number;

	api.fetch_error(&type, &value, &traceback);
	compare_name(frame, depth, py_layout.minor >= 11 ? "co_qualname" : "co_name",
		     py_frame_function_name);
	compare_name(frame, depth, "co_filename", py_frame_file_name);
	number = attribute((void *)frame->code, "co_firstlineno");
	if (!number || api.long_value(number) != py_frame_first_line(frame))
		report("first line", depth, frame, py_frame_first_line(frame),
		       number ? api.long_value(number) : -1);
	if (number)
		api.decrease(number);
	api.restore_error(type, value, traceback);
}

static int32_t our_line(const struct py_frame *frame)
{
	int32_t line = py_frame_line(frame);

	if (is_spoiling && __atomic_add_fetch(&lines_seen, 1, __ATOMIC_RELAXED) % SPOIL_EVERY == 0)
		line++;
	return line;
}

static void compare_stacks(void)
{
	static __thread struct py_frame ours[DEEPEST];
	void *state = py_frame_thread_state(PY_HOOK_OBJECTS);
	uint64_t sample;
	size_t limit, depth, i = 0;
	bool is_deeper, has_names;
	void *frame;

	if (!state)
		return; /* Python is not initialised */
	sample = __atomic_add_fetch(&samples, 1, __ATOMIC_RELAXED);
	limit = sample % SHALLOW_EVERY == 0 ? SHALLOW : DEEPEST;
	has_names = sample % NAMES_EVERY == 0;

	if (state != api.thread_state())
		report("thread state", 0, NULL, (long)state, (long)api.thread_state());
	if (!py_frame_thread_is_attached() || py_frame_thread_state(PY_HOOK_LIBC) != state)
		report("thread state seen from libc", 0, NULL, 0, 0);

	depth = py_frame_walk(state, ours, limit, &is_deeper);
	for (frame = innermost_frame(); frame && i < limit; i++) {
		void *code = frame_code(frame);
		int line = frame_line(frame, code);
		void *back = frame_back(frame);

		if (i >= depth)
			report("depth: too small", i, NULL, (long)depth, line);
		else if (code != ours[i].code)
			report("code", i, &ours[i], (long)ours[i].code, (long)code);
		else if (our_line(&ours[i]) != (line < 0 ? 0 : line))
			report("line", i, &ours[i], py_frame_line(&ours[i]), line);
		else if (has_names)
			compare_names(&ours[i], i);
		api.decrease(code);
		api.decrease(frame);
		frame = back;
	}
	if (depth > i)
		report("depth: too large", i, &ours[i], (long)depth, (long)i);
	if (is_deeper != (frame != NULL))
		report("is deeper", i, NULL, is_deeper, frame != NULL);
	if (frame)
		api.decrease(frame);
	__atomic_fetch_add(&frames_seen, i, __ATOMIC_RELAXED);
}

static void compare(void)
{
	/* 3.11 makes frame objects here, and may collect garbage as it does: arbitrary code, inside
	 * an allocation. */
	bool must_stop_gc = py_layout.minor == 11 && py_layout.is_initialized() && api.disable_gc();

	compare_stacks();
	if (must_stop_gc)
		api.enable_gc();
}

/* ---- Record ---- */

enum { RECORD_SIZE = 1 << 18 };

static struct {
	size_t size; /* 0: none */
	char text[RECORD_SIZE];
	size_t length;
	int lock;
} record;

static void record_put(const char *format, const char *string, int number)
{
	int room = (int)(RECORD_SIZE - record.length);
	int length = snprintf(record.text + record.length, (size_t)room, format, string, number);

	record.length += (size_t)(length < room ? length : room - 1);
}

/* An event: a 0x1e, the layer, and for each frame 0x1f name 0x1f line 0x1f file. */
static void record_stack(const char *layer_name, enum py_hook_layer layer)
{
	struct py_frame frames[64];
	bool is_deeper;
	size_t depth = py_frame_walk(py_frame_thread_state(layer), frames, TL_COUNT_OF(frames),
				     &is_deeper);
	char name[NAME_SIZE];

	while (__atomic_exchange_n(&record.lock, 1, __ATOMIC_ACQUIRE))
		;
	record_put("\x1e%s", layer_name, 0);
	for (size_t i = 0; i < depth; i++) {
		py_frame_function_name(&frames[i], name, sizeof(name));
		record_put("\x1f%s\x1f%d", name, py_frame_line(&frames[i]));
		py_frame_file_name(&frames[i], name, sizeof(name));
		record_put("\x1f%s", name, 0);
	}
	__atomic_store_n(&record.lock, 0, __ATOMIC_RELEASE);
}

static void see(const char *layer_name, enum py_hook_layer layer, size_t size)
{
	if (is_busy)
		return;
	is_busy = true;
	if (is_recording && size && size == __atomic_load_n(&record.size, __ATOMIC_RELAXED))
		record_stack(layer_name, layer);
	if (is_comparing && layer == PY_HOOK_OBJECTS)
		compare();
	is_busy = false;
}

TL_EXPORT void truth_arm(size_t size)
{
	record.length = 0;
	record.text[0] = '\0';
	record.size = size;
}

TL_EXPORT const char *truth_disarm(void)
{
	record.size = 0;
	return record.text;
}

TL_EXPORT unsigned long long oracle_samples(void)
{
	return __atomic_load_n(&samples, __ATOMIC_RELAXED);
}

static struct {
	size_t size;
	void (*callback)(void);
} foreign;

static void *foreign_thread(void *unused)
{
	(void)unused;
	if (foreign.callback)
		foreign.callback();
	else
		free(malloc(foreign.size));
	return NULL;
}

/* A thread that Python did not make: mallocs `size`, or calls back into Python. To be called
 * without the GIL. */
TL_EXPORT void truth_foreign_thread(size_t size, void (*callback)(void))
{
	pthread_t thread;

	foreign.size = size;
	foreign.callback = callback;
	if (pthread_create(&thread, NULL, foreign_thread, NULL) == 0)
		pthread_join(thread, NULL);
}

/* ---- The hooks ---- */

#define HOOKS(name, NAME, domain)                                                                  \
	static void *name##_malloc(void *ctx, size_t size)                                         \
	{                                                                                          \
		see(NAME, PY_HOOK_OBJECTS, size);                                                  \
		return original[domain].malloc(ctx, size);                                         \
	}                                                                                          \
	static void *name##_calloc(void *ctx, size_t count, size_t size)                           \
	{                                                                                          \
		see(NAME, PY_HOOK_OBJECTS, count *size);                                           \
		return original[domain].calloc(ctx, count, size);                                  \
	}                                                                                          \
	static void *name##_realloc(void *ctx, void *block, size_t size)                           \
	{                                                                                          \
		see(NAME, PY_HOOK_OBJECTS, size);                                                  \
		return original[domain].realloc(ctx, block, size);                                 \
	}                                                                                          \
	static void name##_install(void)                                                           \
	{                                                                                          \
		struct py_allocator ours;                                                          \
                                                                                                   \
		py_layout.get_allocator(domain, &original[domain]);                                \
		ours = original[domain];                                                           \
		ours.malloc = name##_malloc;                                                       \
		ours.calloc = name##_calloc;                                                       \
		ours.realloc = name##_realloc;                                                     \
		py_layout.set_allocator(domain, &ours);                                            \
	}

HOOKS(objects, "OBJ", PY_DOMAIN_OBJ)
HOOKS(memory, "MEM", PY_DOMAIN_MEM)

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);

TL_EXPORT void *malloc(size_t size)
{
	if (is_recording)
		see("LIBC", PY_HOOK_LIBC, size);
	return __libc_malloc(size);
}

TL_EXPORT void *calloc(size_t count, size_t size)
{
	if (is_recording)
		see("LIBC", PY_HOOK_LIBC, count * size);
	return __libc_calloc(count, size);
}

TL_EXPORT void *realloc(void *block, size_t size)
{
	if (is_recording)
		see("LIBC", PY_HOOK_LIBC, size);
	return __libc_realloc(block, size);
}

/* ---- Start and end ---- */

#define FIND(field, name) (*(void **)&api.field = dlsym(RTLD_DEFAULT, name))

__attribute__((constructor)) static void oracle_start(void)
{
	const char *mode = getenv("FRAME_ORACLE");

	if (!mode || py_layout_find() != TL_OK)
		return;
	FIND(thread_state, "PyThreadState_Get");
	FIND(thread_frame, "PyThreadState_GetFrame");
	FIND(frame_back, "PyFrame_GetBack");
	FIND(frame_code, "PyFrame_GetCode");
	FIND(frame_line, "PyFrame_GetLineNumber");
	FIND(code_line, "PyCode_Addr2Line");
	FIND(eval_frame, "PyEval_GetFrame");
	FIND(get_attribute, "PyObject_GetAttr");
	FIND(new_string, "PyUnicode_InternFromString");
	FIND(string_utf8, "PyUnicode_AsUTF8AndSize");
	FIND(long_value, "PyLong_AsLong");
	FIND(fetch_error, "PyErr_Fetch");
	FIND(restore_error, "PyErr_Restore");
	FIND(clear_error, "PyErr_Clear");
	FIND(increase, "Py_IncRef");
	FIND(decrease, "Py_DecRef");
	FIND(disable_gc, "PyGC_Disable");
	FIND(enable_gc, "PyGC_Enable");
	FIND(none, "_Py_NoneStruct");
	is_spoiling = getenv("FRAME_ORACLE_SPOIL") != NULL;
	is_comparing = strcmp(mode, "compare") == 0;
	objects_install();
	memory_install();
	is_recording = strcmp(mode, "record") == 0;
}

__attribute__((destructor)) static void oracle_end(void)
{
	if (is_comparing)
		dprintf(2, "frame_oracle: %llu samples %llu frames %llu mismatches %llu names\n",
			(unsigned long long)samples, (unsigned long long)frames_seen,
			(unsigned long long)mismatches, (unsigned long long)names_seen);
}
