/* DESIGN
 *     _PyRuntime: ... | tracer_func | tracer_data | ...
 * CPython says who stands there only to a thread that is attached to it. So the word is looked for
 * once, by our own function that has just been put there, and then read by address: by the worker,
 * which is never attached.
 */
#include "py_tracer.h"

#include "config.h"

TL_INTERNAL bool py_tracer_is_due = true;

static struct {
	py_tracer tracer;
	const uintptr_t *slot; /* atomic; NULL: not taken yet */
} py_tracer_state;

TL_INTERNAL const char *py_tracer_refusal(void)
{
	if (py_layout.minor < 13)
		return "CPython tells of each object that it makes from 3.13 on";
	if (py_layout.free_threaded)
		return "this CPython runs without the GIL";
	if (py_layout.is_debug)
		return "this is a debug build of CPython";
	if (!config.python || config.python_uses_malloc)
		return "CPython's own allocators are not watched";
	if (py_layout.set_tracer == NULL || py_layout.get_tracer == NULL ||
	    py_layout.runtime == NULL)
		return "this CPython hides what it takes";
	return NULL;
}

/* The only word of CPython's state that holds it. NULL: none, or several. */
static const uintptr_t *py_tracer_find(uintptr_t tracer)
{
	const uintptr_t *words = py_layout.runtime, *found = NULL;

	for (size_t i = 0; i < py_layout.runtime_bytes / sizeof(*words); i++) {
		if (TL_LOAD(words[i]) != tracer)
			continue;
		if (found != NULL)
			return NULL;
		found = &words[i];
	}
	return found;
}

TL_INTERNAL enum tl_err py_tracer_take(py_tracer tracer)
{
	uintptr_t there = (uintptr_t)py_layout.get_tracer(NULL);
	const uintptr_t *slot;

	if (there != 0 && there != (uintptr_t)tracer)
		return TL_ERR_FULL;
	if (there == 0)
		py_layout.set_tracer(tracer, NULL);
	slot = py_tracer_find((uintptr_t)tracer);
	if (slot == NULL) {
		py_layout.set_tracer(NULL, NULL);
		return TL_ERR_UNKNOWN;
	}
	py_tracer_state.tracer = tracer;
	__atomic_store_n(&py_tracer_state.slot, slot, __ATOMIC_RELEASE);
	return TL_OK;
}

TL_INTERNAL bool py_tracer_is_held(void)
{
	const uintptr_t *slot = __atomic_load_n(&py_tracer_state.slot, __ATOMIC_ACQUIRE);

	return slot != NULL && TL_LOAD(*slot) == (uintptr_t)py_tracer_state.tracer;
}
