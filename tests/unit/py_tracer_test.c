/* links: process/py_tracer.c */
#include "process/py_tracer.h"

#include "process/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct py_layout py_layout;
TL_INTERNAL struct config config;

static uintptr_t runtime[64]; /* stands for _PyRuntime */
static size_t slots[2];       /* indexes of the words that CPython writes to */
static size_t slot_count, sets;

static int fake_set(py_tracer tracer, void *data)
{
	(void)data;
	for (size_t i = 0; i < slot_count; i++)
		runtime[slots[i]] = (uintptr_t)tracer;
	sets++;
	return 0;
}

static py_tracer fake_get(void **data)
{
	(void)data;
	return (py_tracer)runtime[slots[0]];
}

static int ours(void *object, int event, void *data)
{
	(void)object;
	(void)event;
	(void)data;
	return 0;
}

static int tracemallocs(void *object, int event, void *data)
{
	return ours(object, event, data);
}

static int start(void **state)
{
	(void)state;
	memset(runtime, 0, sizeof(runtime));
	slots[0] = 40;
	slots[1] = 7;
	slot_count = 1;
	sets = 0;
	config.python = true;
	config.python_uses_malloc = false;
	py_layout = (struct py_layout){
		.minor = 13,
		.set_tracer = fake_set,
		.get_tracer = fake_get,
		.runtime = runtime,
		.runtime_bytes = sizeof(runtime),
	};
	return 0;
}

static void before_it_was_ever_taken_it_is_not_held(void **state)
{
	(void)state;
	assert_true(py_tracer_is_due);
	assert_false(py_tracer_is_held());
}

static void an_empty_place_is_taken_and_its_loss_is_seen(void **state)
{
	(void)state;
	assert_int_equal(py_tracer_take(ours), TL_OK);
	assert_true(py_tracer_is_held());
	fake_set(tracemallocs, NULL);
	assert_false(py_tracer_is_held());
	fake_set(NULL, NULL);
	assert_false(py_tracer_is_held());
	assert_int_equal(py_tracer_take(ours), TL_OK);
	assert_true(py_tracer_is_held());
}

static void what_is_ours_already_is_not_set_again(void **state)
{
	(void)state;
	assert_int_equal(py_tracer_take(ours), TL_OK);
	assert_int_equal(py_tracer_take(ours), TL_OK);
	assert_int_equal(sets, 1);
}

static void it_is_never_taken_from_somebody(void **state)
{
	(void)state;
	fake_set(tracemallocs, NULL);
	sets = 0;
	assert_int_equal(py_tracer_take(ours), TL_ERR_FULL);
	assert_int_equal(sets, 0);
	assert_true(runtime[40] == (uintptr_t)tracemallocs);
	assert_false(py_tracer_is_held());
}

static void where_it_is_not_found_exactly_once_it_is_given_back(void **state)
{
	(void)state;
	py_layout.runtime_bytes = 40 * sizeof(*runtime); /* the word lies just behind */
	assert_int_equal(py_tracer_take(ours), TL_ERR_UNKNOWN);
	assert_true(runtime[40] == 0);

	py_layout.runtime_bytes = sizeof(runtime);
	slot_count = 2;
	assert_int_equal(py_tracer_take(ours), TL_ERR_UNKNOWN);
	assert_true(runtime[40] == 0 && runtime[7] == 0);
}

static void what_cannot_have_it_is_told_why(void **state)
{
	(void)state;
	assert_null(py_tracer_refusal());
	py_layout.minor = 12;
	assert_non_null(strstr(py_tracer_refusal(), "3.13"));
	py_layout.minor = 14;
	py_layout.free_threaded = true;
	assert_non_null(strstr(py_tracer_refusal(), "GIL"));
	py_layout.free_threaded = false;
	py_layout.is_debug = true;
	assert_non_null(strstr(py_tracer_refusal(), "debug"));
	py_layout.is_debug = false;
	config.python_uses_malloc = true;
	assert_non_null(py_tracer_refusal());
	config.python_uses_malloc = false;
	py_layout.runtime = NULL;
	assert_non_null(py_tracer_refusal());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(before_it_was_ever_taken_it_is_not_held, start),
		cmocka_unit_test_setup(an_empty_place_is_taken_and_its_loss_is_seen, start),
		cmocka_unit_test_setup(what_is_ours_already_is_not_set_again, start),
		cmocka_unit_test_setup(it_is_never_taken_from_somebody, start),
		cmocka_unit_test_setup(where_it_is_not_found_exactly_once_it_is_given_back, start),
		cmocka_unit_test_setup(what_cannot_have_it_is_told_why, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
