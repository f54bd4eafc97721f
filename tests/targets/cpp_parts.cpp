// cpp_parts [nothing]: leaks 73,513 bytes by every way C++ and libc offer; with `nothing` it leaks nothing of its own.
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <new>

static bool leaks; // set before constructors that follow it in this file
static char *volatile held[64];
static int held_count;

static void hold(void *block)
{
	held[held_count++] = static_cast<char *>(block);
}

struct alignas(64) Line {
	char bytes[64];
};

__attribute__((constructor(101))) static void look_at_arguments(int argc, char **argv, char **)
{
	leaks = argc < 2 || strcmp(argv[1], "nothing") != 0;
}

struct Static {
	Static()
	{
		if (leaks)
			hold(std::malloc(512));
	}
	~Static()
	{
		if (leaks)
			hold(std::malloc(64));
	}
};
static Static constructed_before_main;

static void at_exit()
{
	hold(std::malloc(32));
}

static void *print_into_new_block(const char *format, ...)
{
	va_list arguments;
	char *text = nullptr;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = nullptr;
	va_end(arguments);
	return text;
}

int main()
{
	void *block = nullptr;

	if (!leaks)
		return 0;
	std::atexit(at_exit);
	hold(std::malloc(1024));
	hold(std::calloc(2, 1024));
	if (posix_memalign(&block, 64, 1024) == 0)
		hold(block);
	hold(memalign(64, 1024));
	hold(aligned_alloc(64, 1024));
	hold(new char);
	hold(new char[512]);
	hold(new (std::nothrow) char);
	hold(new (std::nothrow) char[512]);
	hold(new Line);
	hold(new Line[512]);
	hold(new (std::nothrow) Line);
	hold(new (std::nothrow) Line[512]);
	hold(strndup("leaked", 4));
	hold(print_into_new_block("%d", 7));
	hold(std::malloc(64)); // between two snapshots of the sample this is taken from
	// And what is healthy: a peak that is gone again, by each pair.
	std::free(std::malloc(200000));
	delete[] new char[100000];
	delete new Line;
	block = std::malloc(100);
	block = std::realloc(block, 50000);
	std::free(block);
	return 0;
}
