/* native_stack: the C frames of the calling thread, found by our own reading of .eh_frame (x86-64).
 *
 * Runs      in any thread, inside the hooks. No allocation, no lock, and no system call but for
 *           what is met for the first time: a place, a module, a deeper page of the stack.
 * Promises  reads the thread's own stack only, between the stack pointer and its base, every page of
 *           which was seen to be readable: no fault, whatever the tables say.
 * Gives up  where a table says nothing that eh_frame knows (code made at run time), and on a stack
 *           that does not lead to the thread's base (a coroutine's own, a signal's).
 */
#ifndef TL_PROCESS_NATIVE_STACK_H
#define TL_PROCESS_NATIVE_STACK_H

#include "../base/thread.h"
#include "native_modules.h"

#define NATIVE_STACK_DEEPEST 256

/* A call that has not returned. */
struct native_frame {
	uintptr_t pc;  /* where it goes on */
	uintptr_t end; /* its part of the stack lies below, and above the end of the frame before */
	uint32_t offset; /* of pc, as the file has it */
	uint16_t module;
};

/* False where native_modules_start is. */
TL_INTERNAL bool native_stack_start(void);

/* The module that the agent itself is. */
TL_INTERNAL uint16_t native_stack_own_module(void);

/* The part of the thread's stack that is in use, and can be read. */
struct native_range {
	uintptr_t low, high;
};

/* False: the thread runs on a stack that we do not know. */
TL_INTERNAL bool native_stack_range(struct thread *thread, struct native_range *range);

/* The frames that led here, innermost first, up to the one whose part of the stack holds `until`;
 * returns how many. The caller has asked for the range itself. */
TL_INTERNAL size_t native_stack_walk(const struct native_range *range, uintptr_t until,
				     struct native_frame *frames, size_t limit);

#endif
