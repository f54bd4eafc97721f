/* native_modules: the loaded files that native frames lie in, each with what tells a reader of the
 * profile which file it was: path, build id, and where it was loaded.
 *
 * Runs      native_modules_find in any thread, inside the hooks: glibc's lock-free look-up, and for
 *           a module that was not met before some system calls and a lock of its own.
 *           native_modules_name_all in the worker: it reads a file.
 * Promises  a module that was unloaded and another loaded in its place are two.
 * Gives up  when full: a place in a new module is in none.
 */
#ifndef TL_PROCESS_NATIVE_MODULES_H
#define TL_PROCESS_NATIVE_MODULES_H

#include "eh_frame.h"

#define NATIVE_MODULES_NONE UINT16_MAX
#define NATIVE_MODULES_MOST 1024
#define NATIVE_BUILD_ID     32 /* bytes at most; they are 20, or 16 */

struct native_module {
	struct eh_module range;
	uintptr_t bias; /* an address less this is one that the file itself speaks of */
	uint8_t build_id[NATIVE_BUILD_ID];
	uint8_t build_id_length; /* 0: it has none */
	bool is_named;           /* by native_modules_name_all */
	char path[256];
};

/* False where glibc is older than 2.35 or the kernel does not copy memory for us. */
TL_INTERNAL bool native_modules_start(void);
TL_INTERNAL void native_modules_renew_lock(void); /* see recorder_renew_locks */

/* The module that holds a place now. `guess`: probably this one; or NATIVE_MODULES_NONE. */
TL_INTERNAL uint16_t native_modules_find(uintptr_t place, uint16_t guess);

/* The last one that was loaded where this address is; NATIVE_MODULES_NONE: none that is known. */
TL_INTERNAL uint16_t native_modules_known(uintptr_t address);

/* Numbers run from 0 to native_modules_count() - 1. */
TL_INTERNAL const struct native_module *native_modules_at(uint16_t number);
TL_INTERNAL uint16_t native_modules_count(void);

/* Finds the paths that the loader does not know, or was given as relative ones: the program's own. */
TL_INTERNAL void native_modules_name_all(void);

#endif
