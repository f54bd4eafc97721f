/* names: our own copies of names, each kept once, and the functions that they name.
 *
 * A function is known by its contents (qualified name, file name, first line), never by its
 * address: code objects are freed, and their addresses come back for others. A calling place in
 * native code is known by its address, and gets its name when it is reported.
 *
 * Runs      in any thread, inside the hooks. Finding takes no lock.
 * Gives up  when full: a new function is NAMES_OTHERS, a new name is empty. Both are counted.
 */
#ifndef TL_PROFILE_NAMES_H
#define TL_PROFILE_NAMES_H

#include "../base/types.h"
#include "../process/py_frame.h"

#define NAMES_LONGEST 255 /* bytes; longer names are cut on a character */
#define NAMES_OTHERS  0u  /* the function that stands for all that found no room */

enum function_kind { FUNCTION_PYTHON, FUNCTION_NATIVE, FUNCTION_OTHERS };

struct function {
	uint64_t identity;   /* of its contents; for a native its address */
	uint32_t name, file; /* numbers for names_text; 0: none, or not known yet */
	uint32_t first_line;
	uint8_t kind;
};

TL_INTERNAL enum tl_err names_start(void);
TL_INTERNAL void names_reset_in_child(void);

/* The function's number; the same for the same contents until a fork. */
TL_INTERNAL uint32_t names_function_of_frame(const struct py_frame *frame);
TL_INTERNAL uint32_t names_function_of_address(uintptr_t address);

TL_INTERNAL const struct function *names_function(uint32_t number);
/* Numbers run from 0 (NAMES_OTHERS) to here; unused ones have kind FUNCTION_OTHERS. */
TL_INTERNAL uint32_t names_functions_end(void);
/* A name's number, kept for good; 0: no room, or empty. */
TL_INTERNAL uint32_t names_of_text(const char *text, size_t length);
/* The text of a name; valid until a fork. Number 0 is "". */
TL_INTERNAL const char *names_text(uint32_t name);

/* Names the native functions that have none yet. Reads files: for the worker. */
TL_INTERNAL void names_resolve_natives(void);

/* How many functions found no room. */
TL_INTERNAL uint64_t names_others(void);

TL_INTERNAL void names_renew_locks(void); /* see recorder_renew_locks */

#endif
