/* DESIGN: libcurl asks in a thread, too, but in a new one for each try, and leaves behind what does
 * not answer: while a name server hung, a thread came with every try (measured with 7.88: 7 after
 * 45 s). So the question is asked here, and libcurl is told the answer.
 *
 * The answer stands in static memory, which belongs to the thread while `state` is ASKING, and
 * otherwise to whoever ships: one thread at a time. There is nothing to lock or to give back.
 */
#include "elastic_name.h"

#include "../base/clock.h"
#include "../base/text.h"
#include "../base/thread.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#define ELASTIC_NAME_STACK   ((size_t)512 * 1024)
#define ELASTIC_NAME_GOOD_NS 60000000000u

static struct {
	int state;      /* enum elastic_name_state; atomic, released with the answer */
	char name[256]; /* that was asked for; empty: none */
	char buffer[1024];
	struct text addresses;
	uint64_t answered_ns;
} elastic_name = {.state = ELASTIC_NAME_UNKNOWN};

static void elastic_name_put(struct text *text, const struct addrinfo *address)
{
	char shown[INET6_ADDRSTRLEN];
	bool is_six = address->ai_family == AF_INET6;
	const void *bytes =
		is_six ? (const void *)&((struct sockaddr_in6 *)address->ai_addr)->sin6_addr
		       : (const void *)&((struct sockaddr_in *)address->ai_addr)->sin_addr;

	if ((!is_six && address->ai_family != AF_INET) ||
	    text->capacity - text->length < INET6_ADDRSTRLEN + 4 ||
	    inet_ntop(address->ai_family, bytes, shown, sizeof(shown)) == NULL)
		return;
	text_put(text, text->length > 0 ? "," : "");
	text_put(text, is_six ? "[" : "");
	text_put(text, shown);
	text_put(text, is_six ? "]" : "");
}

static void *elastic_name_main(void *unused)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;

	thread_self.busy = true; /* never profile ourselves */
	prctl(PR_SET_NAME, "trackleak-name");
	if (getaddrinfo(elastic_name.name, NULL, &hints, &found) == 0) {
		for (const struct addrinfo *at = found; at != NULL; at = at->ai_next)
			elastic_name_put(&elastic_name.addresses, at);
		freeaddrinfo(found);
	}
	elastic_name.answered_ns = clock_precise_ns();
	__atomic_store_n(&elastic_name.state,
			 elastic_name.addresses.length > 0 ? ELASTIC_NAME_FOUND
							   : ELASTIC_NAME_UNKNOWN,
			 __ATOMIC_RELEASE);
	return unused;
}

static void elastic_name_ask(const char *name)
{
	struct text copy = text_over(elastic_name.name, sizeof(elastic_name.name));
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;

	text_put(&copy, name);
	text_terminate(&copy);
	elastic_name.addresses = text_over(elastic_name.buffer, sizeof(elastic_name.buffer));
	TL_STORE(elastic_name.state, ELASTIC_NAME_ASKING);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, ELASTIC_NAME_STACK);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	if (pthread_create(&thread, &attributes, elastic_name_main, NULL) != 0)
		TL_STORE(elastic_name.state, ELASTIC_NAME_UNKNOWN);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
}

TL_INTERNAL enum elastic_name_state elastic_name_look_up(struct text *addresses, const char *name)
{
	int state = __atomic_load_n(&elastic_name.state, __ATOMIC_ACQUIRE);

	if (state == ELASTIC_NAME_ASKING)
		return ELASTIC_NAME_ASKING;
	if (strcmp(name, elastic_name.name) != 0 ||
	    clock_precise_ns() - elastic_name.answered_ns > ELASTIC_NAME_GOOD_NS) {
		elastic_name_ask(name);
		return ELASTIC_NAME_ASKING;
	}
	if (state == ELASTIC_NAME_FOUND)
		text_put_bytes(addresses, elastic_name.buffer, elastic_name.addresses.length);
	else
		elastic_name.name[0] = '\0';
	return (enum elastic_name_state)state;
}

TL_INTERNAL void elastic_name_forget(void)
{
	TL_STORE(elastic_name.state, ELASTIC_NAME_UNKNOWN);
	elastic_name.name[0] = '\0';
}
