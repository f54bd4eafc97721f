/* stress SECONDS: the whole agent in one program, under a sanitizer (make stress-tsan, stress-asan, stress-ubsan). Eight
 * threads allocate, grow, map and free through the hooks, each other's blocks too; others fork, take dumps and end at
 * once. Every block holds what was written into it. Ends with 0 if all went well; what a sanitizer finds ends it earlier.
 *
 * This is one translation unit with the agent, so it may ask for dumps and for its figures. */
#include "../../trackleak.c"

#include <stdio.h>
#include <sys/wait.h>

#define STRESS_THREADS 8
#define STRESS_FORKERS 2
#define STRESS_SHARED  4096

struct stress_block {
	unsigned char *bytes;
	size_t size;
	unsigned char mark;
};

static struct {
	struct stress_block block;
	pthread_mutex_t lock;
} shared[STRESS_SHARED];
static uint64_t end_ns;
static int bad, forks, dumps, threads;

static bool is_time(void)
{
	return clock_precise_ns() < end_ns;
}

static uint32_t chance(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

static void write_mark(struct stress_block *block, uint64_t *state)
{
	block->mark = (unsigned char)chance(state);
	block->bytes[0] = block->bytes[block->size - 1] = block->mark;
}

static void check_mark(const struct stress_block *block)
{
	if (block->bytes[0] != block->mark || block->bytes[block->size - 1] != block->mark)
		TL_ADD(bad, 1);
}

static void take(struct stress_block *block, uint64_t *state)
{
	size_t size =
		chance(state) % 16 == 0 ? chance(state) % 100000 + 1 : chance(state) % 1200 + 1;
	void *bytes = NULL;

	switch (chance(state) % 7) {
	case 0:
		bytes = calloc(size, 1);
		break;
	case 1:
		bytes = realloc(NULL, size);
		break;
	case 2:
		if (posix_memalign(&bytes, 64, size) != 0)
			bytes = NULL;
		break;
	case 3:
		bytes = memalign(128, size);
		break;
	default:
		bytes = malloc(size);
	}
	if (bytes == NULL) {
		TL_ADD(bad, 1);
		return;
	}
	*block = (struct stress_block){.bytes = bytes, .size = size};
	write_mark(block, state);
}

static void resize(struct stress_block *block, uint64_t *state)
{
	size_t size = chance(state) % 3000 + 1;
	unsigned char *bytes = realloc(block->bytes, size);

	if (bytes == NULL || bytes[0] != block->mark) {
		TL_ADD(bad, 1);
		return;
	}
	block->bytes = bytes;
	block->size = size;
	write_mark(block, state);
}

static void map_some(uint64_t *state)
{
	size_t size = (chance(state) % 64 + 1) * 4096;
	char *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED) {
		TL_ADD(bad, 1);
		return;
	}
	pages[size - 1] = 1;
	munmap(pages, size);
}

/* One step of a thread: whatever block it meets, it takes, resizes or frees. */
static void step(uint64_t *state)
{
	uint32_t at = chance(state) % STRESS_SHARED;

	pthread_mutex_lock(&shared[at].lock);
	if (shared[at].block.bytes == NULL) {
		take(&shared[at].block, state);
	} else {
		check_mark(&shared[at].block);
		if (chance(state) % 3 == 0) {
			resize(&shared[at].block, state);
		} else {
			free(shared[at].block.bytes);
			shared[at].block.bytes = NULL;
		}
	}
	pthread_mutex_unlock(&shared[at].lock);
	if (chance(state) % 256 == 0)
		map_some(state);
}

static void *allocate(void *seed)
{
	uint64_t state = (uint64_t)(uintptr_t)seed;

	while (is_time())
		step(&state);
	return NULL;
}

/* The allocators of AddressSanitizer and ThreadSanitizer have locks that they do not take over a fork
 * (gcc 12), and a child waits for ever for one that another thread held. So a child has glibc's
 * behind the hooks; they are found before the first fork. */
static struct {
	void *(*take)(size_t);
	void *(*take_zeroed)(size_t, size_t);
	void *(*resize)(void *, size_t);
	void (*give_back)(void *);
	void *(*take_aligned)(size_t, size_t);
	int (*take_aligned_or_say)(void **, size_t, size_t);
	size_t (*usable_size)(void *);
} glibc;

static bool find_glibcs_malloc(void)
{
	void *library = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);

	if (library == NULL)
		return false;
	glibc.take = dlsym(library, "malloc");
	glibc.take_zeroed = dlsym(library, "calloc");
	glibc.resize = dlsym(library, "realloc");
	glibc.give_back = dlsym(library, "free");
	glibc.take_aligned = dlsym(library, "memalign");
	glibc.take_aligned_or_say = dlsym(library, "posix_memalign");
	glibc.usable_size = dlsym(library, "malloc_usable_size");
	return glibc.take != NULL && glibc.take_zeroed != NULL && glibc.resize != NULL &&
	       glibc.give_back != NULL && glibc.take_aligned != NULL &&
	       glibc.take_aligned_or_say != NULL && glibc.usable_size != NULL;
}

static void use_glibcs_malloc(void)
{
	real_malloc = glibc.take;
	real_calloc = glibc.take_zeroed;
	real_realloc = glibc.resize;
	real_free = glibc.give_back;
	real_memalign = glibc.take_aligned;
	real_posix_memalign = glibc.take_aligned_or_say;
	real_malloc_usable_size = glibc.usable_size;
}

/* The child's other threads are gone, some with one of our `shared` locks: it uses blocks of its own. */
static void be_child(uint64_t state)
{
	struct stress_block block;

	alarm(60);
	use_glibcs_malloc();
	for (int i = 0; i < 200; i++) {
		take(&block, &state);
		resize(&block, &state);
		check_mark(&block);
		free(block.bytes);
	}
	_exit(TL_LOAD(bad) ? 1 : 7);
}

static void *fork_children(void *seed)
{
	uint64_t state = (uint64_t)(uintptr_t)seed;

	while (is_time()) {
		int status = 0;
		pid_t pid = fork();

		if (pid == 0)
			be_child(state);
		if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
		    WEXITSTATUS(status) != 7) {
			fprintf(stderr, "stress: a child ended with %#x\n", (unsigned)status);
			TL_ADD(bad, 1);
		}
		TL_ADD(forks, 1);
		usleep(1000);
	}
	return NULL;
}

static void *dump(void *unused)
{
	thread_self.busy = true; /* as the worker is */
	while (is_time()) {
		reports_dump(false, 1000);
		reports_note();
		TL_ADD(dumps, 1);
		usleep(10000);
	}
	return unused;
}

static void *live_shortly(void *seed)
{
	uint64_t state = (uint64_t)(uintptr_t)seed;

	for (int i = 0; i < 20; i++)
		step(&state);
	return NULL;
}

static void *start_short_threads(void *unused)
{
	while (is_time()) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, live_shortly, (void *)(uintptr_t)++threads) == 0)
			pthread_join(thread, NULL);
	}
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t running[STRESS_THREADS + STRESS_FORKERS + 2];
	size_t count = 0;

	if (argc != 2 || !lifecycle_is_active() || !find_glibcs_malloc()) {
		fprintf(stderr, "usage: TRACKLEAK_ANY=1 %s SECONDS\n", argv[0]);
		return 2;
	}
	end_ns = clock_precise_ns() + strtoull(argv[1], NULL, 10) * 1000000000u;
	for (size_t i = 0; i < STRESS_SHARED; i++)
		pthread_mutex_init(&shared[i].lock, NULL);
	for (uintptr_t i = 0; i < STRESS_THREADS; i++)
		pthread_create(&running[count++], NULL, allocate, (void *)(i + 1));
	for (uintptr_t i = 0; i < STRESS_FORKERS; i++)
		pthread_create(&running[count++], NULL, fork_children, (void *)(i + 100));
	pthread_create(&running[count++], NULL, dump, NULL);
	pthread_create(&running[count++], NULL, start_short_threads, NULL);
	while (count > 0)
		pthread_join(running[--count], NULL);
	for (size_t i = 0; i < STRESS_SHARED; i++)
		free(shared[i].block.bytes);
	printf("stress: %d forks, %d dumps, %d short threads, %d wrong\n", forks, dumps, threads,
	       bad);
	return bad != 0 || forks == 0 || dumps == 0 || threads == 0;
}
