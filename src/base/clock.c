#include "clock.h"

#include <time.h>

static uint64_t clock_read_ns(clockid_t clock)
{
	struct timespec now = {0};

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

TL_INTERNAL uint64_t clock_coarse_ns(void)
{
	return clock_read_ns(CLOCK_MONOTONIC_COARSE);
}

TL_INTERNAL uint64_t clock_precise_ns(void)
{
	return clock_read_ns(CLOCK_MONOTONIC);
}

TL_INTERNAL double clock_epoch_s(void)
{
	return (double)clock_read_ns(CLOCK_REALTIME) / 1e9;
}

TL_INTERNAL double clock_thread_cpu_s(void)
{
	return (double)clock_read_ns(CLOCK_THREAD_CPUTIME_ID) / 1e9;
}
