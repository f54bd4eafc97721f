/* proc_memory: what the kernel says of this process: its memory, its age, its parents. Reads files
 * of /proc. */
#ifndef TL_PROCESS_PROC_MEMORY_H
#define TL_PROCESS_PROC_MEMORY_H

#include "../base/types.h"

struct proc_memory {
	uint64_t rss_bytes, peak_rss_bytes;
	uint64_t anonymous_bytes; /* of rss_bytes; the rest is of files, or shared */
	uint64_t stack_bytes;     /* of the main thread */
};

/* Zeros where /proc cannot be read. */
TL_INTERNAL struct proc_memory proc_memory_read(void);
/* How many threads there are beside the process's first one, if that has ended while they go on. 0:
 * it lives, or it cannot be told. */
TL_INTERNAL unsigned proc_threads_beside_ended_first(void);

struct proc_limit {
	uint64_t used_bytes, limit_bytes;
};

/* Of the control groups (v2 or v1) that this process is in, the one that is closest to its memory
 * limit. Used is what the kernel cannot drop at once: file pages that nobody touched lately are not
 * in it. Zeros where there is no limit, or none that can be read. */
TL_INTERNAL struct proc_limit proc_memory_limit(void);

/* Epoch seconds at which the process was started (the same before and after exec). 0 when it cannot
 * be read. */
TL_INTERNAL double proc_start_time(uint64_t pid);

/* Is one of the ancestors of this process a Python process that carries this library? */
TL_INTERNAL bool proc_has_profiled_ancestor(void);

/* The program's name: the last part of /proc/self/exe. */
TL_INTERNAL void proc_program_name(char *buffer, size_t capacity);

/* What the interpreter was started to run, as script_name has it; "" when this process is none. Of
 * multiprocessing's own helpers it is what their parent runs. */
TL_INTERNAL void proc_script_name(char *buffer, size_t capacity);

#endif
