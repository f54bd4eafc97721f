/* py_frame: the Python stack of the calling thread, read by plain loads.
 *
 * Runs      inside hooks, with or without the GIL. No call into CPython but the getters of the
 *           thread's own state, no allocation, no lock, no syscall, no libc call that takes one.
 * Promises  what it returns is what CPython's own API would say at that moment
 *           (tests/whole/test_oracle.py).
 * Gives up  with an empty stack: before and after the interpreter's life, in threads that never
 *           entered Python, and where an object is not the code object it should be.
 */
#ifndef TL_PROCESS_PY_FRAME_H
#define TL_PROCESS_PY_FRAME_H

#include "py_layout.h"

/* One running Python function. Valid only until the hook that asked returns. */
struct py_frame {
	const char *code;    /* the code object */
	int32_t instruction; /* byte offset of the current instruction, -1: not started */
	const char *at;      /* the same as the frame holds it, only to be compared */
};

enum py_hook_layer {
	PY_HOOK_OBJECTS, /* called by CPython's OBJ or MEM allocator: this thread is attached */
	PY_HOOK_LIBC,    /* called from anywhere */
};

/* There is an interpreter, and it is not, or no longer, initialised. */
TL_INTERNAL bool py_frame_interpreter_is_down(void);
/* The calling thread's own PyThreadState, NULL if it has none or the interpreter is not
 * initialised. */
TL_INTERNAL void *py_frame_thread_state(enum py_hook_layer layer);
/* Does this thread hold the GIL (or, free-threaded: is it attached)? Never wrongly yes. */
TL_INTERNAL bool py_frame_thread_is_attached(void);

/* The innermost complete frames of this thread state, innermost first, at most `limit`. Returns how
 * many; *is_deeper tells whether there were more. thread_state NULL: 0. */
TL_INTERNAL size_t py_frame_walk(const void *thread_state, struct py_frame *frames, size_t limit,
				 bool *is_deeper);

/* For each of the `depth` frames that py_frame_walk has just given, where the evaluation loop that
 * runs it has something of its own on the C stack; 0: not known. Up to 3.9 it has nothing there.
 * Between `low` and `high` the stack can be read. */
TL_INTERNAL void py_frame_find_loops(const void *thread_state, uintptr_t low, uintptr_t high,
				     uintptr_t *loops, size_t depth);

/* The innermost one alone. */
TL_INTERNAL bool py_frame_leaf(const void *thread_state, struct py_frame *frame);

/* What tells a frame from others. */
struct py_frame_spot {
	const char *code, *at; /* as in py_frame */
};
/* The innermost record's or frame object's, unchecked. Where they are those of a frame that was
 * found, and that code object is alive, it is that frame. Without any frame: `otherwise`, NULL. */
TL_INTERNAL struct py_frame_spot py_frame_peek(const void *thread_state, const char *otherwise);

/* The line being executed; 0 where the code has none there. Linear in the size of the line table.
 * */
TL_INTERNAL int32_t py_frame_line(const struct py_frame *frame);
TL_INTERNAL int32_t py_frame_first_line(const struct py_frame *frame);

/* 64 bits over the contents of qualified name, file name and first line: the identity of a function
 * (its address comes back for others). Seeded with nothing: equal in every process. Never 0. */
TL_INTERNAL uint64_t py_frame_identity(const struct py_frame *frame);
/* 64 bits that change when the line table does: address, length and a piece of its contents. */
TL_INTERNAL uint64_t py_frame_line_table_identity(const struct py_frame *frame);

/* Stands for `at`, and for all that the frame's function and line are known by: another where they
 * are others, whatever object is at the code's address by then. */
TL_INTERNAL const char *py_frame_stamp(const struct py_frame *frame);

/* Copies a name as UTF-8 (lone surrogates become U+FFFD), at most capacity-1 bytes cut between
 * characters, and a NUL; a NUL inside the name becomes U+FFFD. Returns the length. The qualified
 * name is the plain one before 3.11. */
TL_INTERNAL size_t py_frame_function_name(const struct py_frame *frame, char *buffer,
					  size_t capacity);
TL_INTERNAL size_t py_frame_file_name(const struct py_frame *frame, char *buffer, size_t capacity);

/* The same of any str object, or of a copy of one that holds its characters: so many bytes from its
 * start. 0: it keeps them elsewhere, or is no str. */
TL_INTERNAL size_t py_frame_str_bytes(const char *object);
TL_INTERNAL size_t py_frame_copy_str(const char *object, char *buffer, size_t capacity);

#endif
