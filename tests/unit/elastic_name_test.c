/* links: base/text.c base/clock.c base/thread.c output/elastic_name.c */
#include "base/text.h"
#include "output/elastic_name.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* In place of libc's: answers when it may. */
static struct {
	int asked, may_answer; /* atomic */
	bool knows_it;
} server;

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
		struct addrinfo **found)
{
	static struct sockaddr_in6 six = {.sin6_addr = IN6ADDR_LOOPBACK_INIT};
	static struct sockaddr_in four;
	static struct addrinfo second = {.ai_family = AF_INET, .ai_addr = (void *)&four};
	static struct addrinfo first = {
		.ai_family = AF_INET6, .ai_addr = (void *)&six, .ai_next = &second};

	(void)service;
	(void)hints;
	assert_string_equal(name, "es.example");
	__atomic_add_fetch(&server.asked, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&server.may_answer, __ATOMIC_SEQ_CST))
		usleep(1000);
	inet_pton(AF_INET, "10.1.2.3", &four.sin_addr);
	*found = &first;
	return server.knows_it ? 0 : EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *found)
{
	(void)found;
}

static char buffer[256];
static struct text addresses;

static enum elastic_name_state look_up(void)
{
	addresses = text_over(buffer, sizeof(buffer) - 1);
	return elastic_name_look_up(&addresses, "es.example");
}

static enum elastic_name_state wait_for_it(void)
{
	enum elastic_name_state state;

	while ((state = look_up()) == ELASTIC_NAME_ASKING)
		usleep(1000);
	return state;
}

static int setup(void **state)
{
	(void)state;
	elastic_name_forget();
	server.asked = 0;
	__atomic_store_n(&server.may_answer, 1, __ATOMIC_SEQ_CST);
	server.knows_it = true;
	return 0;
}

static void both_kinds_of_address_are_found_and_kept(void **state)
{
	(void)state;
	assert_int_equal(look_up(), ELASTIC_NAME_ASKING);
	assert_int_equal(wait_for_it(), ELASTIC_NAME_FOUND);
	assert_string_equal(text_terminate(&addresses), "[::1],10.1.2.3");
	assert_int_equal(look_up(), ELASTIC_NAME_FOUND);
	assert_int_equal(server.asked, 1);
}

static void what_hangs_is_asked_once(void **state)
{
	(void)state;
	__atomic_store_n(&server.may_answer, 0, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(look_up(), ELASTIC_NAME_ASKING);
		usleep(500);
	}
	__atomic_store_n(&server.may_answer, 1, __ATOMIC_SEQ_CST);

	assert_int_equal(wait_for_it(), ELASTIC_NAME_FOUND);
	assert_int_equal(server.asked, 1);
}

static void that_nobody_knows_it_is_asked_again(void **state)
{
	(void)state;
	server.knows_it = false;
	assert_int_equal(wait_for_it(), ELASTIC_NAME_UNKNOWN);
	server.knows_it = true;

	assert_int_equal(wait_for_it(), ELASTIC_NAME_FOUND);
	assert_int_equal(server.asked, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(both_kinds_of_address_are_found_and_kept, setup),
		cmocka_unit_test_setup(what_hangs_is_asked_once, setup),
		cmocka_unit_test_setup(that_nobody_knows_it_is_asked_again, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
