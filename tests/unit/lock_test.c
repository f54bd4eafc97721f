/* links: base/lock.c */
#include "base/lock.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define THREADS 4
#define ROUNDS  200000

static struct lock lock;
static uint64_t guarded; /* by lock */

static void *count_up(void *unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		lock_take(&lock);
		guarded++;
		lock_give(&lock);
	}
	return unused;
}

static void start(pthread_t *threads, void *(*work)(void *))
{
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, NULL), 0);
}

static void join(pthread_t *threads)
{
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void nothing_is_lost_between_threads(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	guarded = 0;
	start(threads, count_up);
	join(threads);
	assert_int_equal(guarded, THREADS * ROUNDS);
	assert_int_equal(lock.is_held, 0);
}

static double cpu_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *take_once(void *unused)
{
	errno = ENOTTY;
	lock_take(&lock);
	guarded++;
	lock_give(&lock);
	return errno == ENOTTY ? unused : (void *)1;
}

/* All come while it is held for long. */
static void who_waits_long_sleeps_and_gets_it(void **state)
{
	pthread_t threads[THREADS];
	double began_s = cpu_s();

	(void)state;
	guarded = 0;
	lock_take(&lock);
	start(threads, take_once);
	usleep(300000);
	assert_int_equal(guarded, 0);
	lock_give(&lock);
	join(threads);
	assert_int_equal(guarded, THREADS);
	assert_true(cpu_s() - began_s < 0.15);
}

static void errno_is_left_alone(void **state)
{
	pthread_t thread;
	void *wrong;

	(void)state;
	lock_take(&lock);
	assert_int_equal(pthread_create(&thread, NULL, take_once, NULL), 0);
	usleep(50000);
	errno = ERANGE;
	lock_give(&lock);
	assert_int_equal(errno, ERANGE);
	assert_int_equal(pthread_join(thread, &wrong), 0);
	assert_null(wrong);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost_between_threads),
		cmocka_unit_test(who_waits_long_sleeps_and_gets_it),
		cmocka_unit_test(errno_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
