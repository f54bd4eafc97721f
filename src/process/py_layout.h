/* py_layout: where this process's CPython keeps what we read, for 3.8 to 3.15, shared or static,
 * with the GIL or without.
 *
 * Runs      py_layout_find from the constructor or the worker; never from a hook (it takes the
 *           loader's lock).
 * Promises  an unknown minor version gives TL_ERR_UNKNOWN and no frames, never a guess.
 */
#ifndef TL_PROCESS_PY_LAYOUT_H
#define TL_PROCESS_PY_LAYOUT_H

#include "../base/types.h"

/* CPython's PyMemAllocatorEx and PyMemAllocatorDomain, as its documentation fixes them. */
struct py_allocator {
	void *ctx;
	void *(*malloc)(void *ctx, size_t size);
	void *(*calloc)(void *ctx, size_t count, size_t size);
	void *(*realloc)(void *ctx, void *block, size_t size);
	void (*free)(void *ctx, void *block);
};
/* CPython's PyRefTracer (3.13 on): object, event, data. */
typedef int (*py_tracer)(void *object, int event, void *data);

enum py_domain { PY_DOMAIN_RAW, PY_DOMAIN_MEM, PY_DOMAIN_OBJ };

enum py_line_table {
	PY_LINES_LNOTAB,    /* 3.8, 3.9: co_lnotab, lasti in bytes */
	PY_LINES_LINETABLE, /* 3.10: PEP 626 */
	PY_LINES_LOCATIONS, /* 3.11 and later: PEP 657 */
};

/* Types whose addresses are known. */
enum py_known_type {
	PY_KNOWN_TUPLE,
	PY_KNOWN_LIST,
	PY_KNOWN_DICT,
	PY_KNOWN_FLOAT,
	PY_KNOWN_INT,
	PY_KNOWN_STR,
	PY_KNOWN_BYTES,
	PY_KNOWN_BYTEARRAY,
	PY_KNOWN_SET,
	PY_KNOWN_FUNCTION,
	PY_KNOWN_FRAME,
	PY_KNOWN_METHOD,
	PY_KNOWN_BUILTIN,
	PY_KNOWN_CONTEXT,
	PY_KNOWN_ASEND,
	PY_KNOWN_WRAPPED,
	PY_KNOWN_TYPE,
	PY_LAYOUT_TYPES
};

/* Offsets in bytes; -1 where the version has no such field. */
struct py_layout {
	int minor;          /* 8 to 15; 0: unknown or no CPython found */
	bool free_threaded; /* built with --disable-gil */
	bool is_debug;      /* built with --with-pydebug; told from 3.13 on */
	enum py_line_table line_table;

	/* Functions of the interpreter that are called. Each is a plain load, or
	 * pthread_getspecific. */
	int (*is_initialized)(void); /* Py_IsInitialized */
	void *(*current_thread_state)(
		void); /* 3.13+ PyThreadState_GetUnchecked, else _PyThreadState_UncheckedGet */
	void *(*this_threads_state)(void); /* PyGILState_GetThisThreadState */
	void (*get_allocator)(int domain, struct py_allocator *allocator);
	void (*set_allocator)(int domain, struct py_allocator *allocator);
	int (*set_tracer)(py_tracer tracer, void *data); /* PyRefTracer_SetTracer, 3.13 on */
	py_tracer (*get_tracer)(void **data);
	const void *runtime; /* &_PyRuntime; NULL: its size is not known */
	size_t runtime_bytes;
	const void *code_type;              /* &PyCode_Type */
	const void *types[PY_LAYOUT_TYPES]; /* NULL: not found */
	const char *version;                /* Py_GetVersion() */
	uintptr_t loop_start,
		loop_end; /* _PyEval_EvalFrameDefault, but what is put out of its line;
					   0: not found */

	/* The rest is for py_frame and its tests. */
	int thread_frame, cframe_current;
	int thread_loop, loop_previous, frame_is_entry; /* 3.10 and 3.11: each evaluation loop's
							   record on the C stack */
	int frame_code, frame_previous, frame_instruction, frame_owner, frame_tlbc_index;
	int code_filename, code_name, code_qualname, code_first_line, code_version, code_lines,
		code_first_traceable, code_bytes, code_tlbc;
	int object_type, bytes_length, bytes_data;
	int str_length, str_state, str_ascii_data, str_other_data;
	uint32_t str_kind_mask, str_kind_shift, str_ascii_bit;
};

TL_DATA struct py_layout py_layout;

/* Fills py_layout. TL_OK: allocators and frames can be used. TL_ERR_UNKNOWN: a CPython is there
 * (version set, the allocator functions too if found) but its frames are not known to us.
 * TL_ERR_SYSTEM: no CPython in this process. */
TL_INTERNAL enum tl_err py_layout_find(void);

#endif
