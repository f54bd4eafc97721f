#include "pressure.h"

#include "../process/proc_memory.h"

#define PRESSURE_SLACK 5u /* per cent of the limit: a program that breathes is not news */

static const unsigned pressure_steps[] = {80, 90, 95};
static size_t pressure_step; /* how many of them are crossed */

static bool pressure_is_at(const struct proc_limit *memory, unsigned percent)
{
	return memory->used_bytes >= memory->limit_bytes / 100 * percent;
}

TL_INTERNAL bool pressure_has_risen(void)
{
	struct proc_limit memory = proc_memory_limit();
	size_t before;

	if (memory.limit_bytes == 0)
		return false;
	while (pressure_step > 0 &&
	       !pressure_is_at(&memory, pressure_steps[pressure_step - 1] - PRESSURE_SLACK))
		pressure_step--;
	before = pressure_step;
	while (pressure_step < TL_COUNT_OF(pressure_steps) &&
	       pressure_is_at(&memory, pressure_steps[pressure_step]))
		pressure_step++;
	return pressure_step > before;
}
