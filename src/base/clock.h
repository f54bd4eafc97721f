/* clock: the times the agent knows. All by the vDSO, no syscall. */
#ifndef TL_BASE_CLOCK_H
#define TL_BASE_CLOCK_H

#include "types.h"

/* Births and lifetimes are counted in ticks of 10 ms: 32 bits of them last 497 days. */
#define CLOCK_TICKS_PER_S 100

/* Monotonic nanoseconds, a few milliseconds coarse, about 5 ns to read. */
TL_INTERNAL uint64_t clock_coarse_ns(void);
/* Monotonic nanoseconds. */
TL_INTERNAL uint64_t clock_precise_ns(void);
/* Seconds since 1970. */
TL_INTERNAL double clock_epoch_s(void);
/* CPU seconds used by the calling thread. */
TL_INTERNAL double clock_thread_cpu_s(void);

#endif
