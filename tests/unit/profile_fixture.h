/* profile_fixture: a process without Python: py_frame says what the test tells it to, and the settings are the test's. */
#ifndef PROFILE_FIXTURE_H
#define PROFILE_FIXTURE_H

#include "base/hash.h"
#include "process/config.h"
#include "process/native_stack.h"
#include "process/py_class.h"
#include "process/py_frame.h"
#include "profile/recorder.h"
#include "profile/sampler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

TL_INTERNAL struct config config;

/* A setup of cmocka: a profile that nobody has written to. */
static inline int start_recorder(void **state)
{
	(void)state;
	config.table_size = 200000;
	config.stack_depth = 32;
	return recorder_start(0) == TL_OK ? 0 : -1;
}

/* What a frame's `code` points at. Its line is the first one plus the instruction's number. */
struct fake_function {
	const char *name, *file;
	int32_t first_line;
};

/* The calling thread's stack, innermost first; depth 0: no Python frame. */
static _Thread_local struct py_frame fake_stack[600];
static _Thread_local size_t fake_depth;
static size_t fake_lines_decoded;

static inline void fake_push(const struct fake_function *function, int32_t instruction)
{
	memmove(fake_stack + 1, fake_stack, fake_depth * sizeof(fake_stack[0]));
	fake_stack[0] = (struct py_frame){.code = (const char *)function,
					  .instruction = instruction,
					  .at = (const char *)(intptr_t)instruction};
	fake_depth++;
}

/* The stack is this one frame. */
static inline void fake_run(const struct fake_function *function, int32_t instruction)
{
	fake_depth = 0;
	fake_push(function, instruction);
}

static const struct fake_function *fake_of(const struct py_frame *frame)
{
	return (const struct fake_function *)(const void *)frame->code;
}

TL_INTERNAL void *py_frame_thread_state(enum py_hook_layer layer)
{
	(void)layer;
	return fake_depth > 0 ? fake_stack : NULL;
}

TL_INTERNAL size_t py_frame_walk(const void *thread_state, struct py_frame *frames, size_t limit,
				 bool *is_deeper)
{
	size_t depth = thread_state != NULL ? fake_depth : 0;

	*is_deeper = depth > limit;
	if (depth > limit)
		depth = limit;
	for (size_t i = 0; i < depth; i++)
		frames[i] = fake_stack[i];
	return depth;
}

TL_INTERNAL bool py_frame_leaf(const void *thread_state, struct py_frame *frame)
{
	bool is_deeper;

	return py_frame_walk(thread_state, frame, 1, &is_deeper) == 1;
}

TL_INTERNAL struct py_frame_spot py_frame_peek(const void *thread_state, const char *otherwise)
{
	struct py_frame frame = {.code = otherwise};

	py_frame_leaf(thread_state, &frame);
	return (struct py_frame_spot){.code = frame.code, .at = frame.at};
}

TL_INTERNAL bool py_frame_interpreter_is_down(void)
{
	return false;
}

TL_INTERNAL int32_t py_frame_first_line(const struct py_frame *frame)
{
	return fake_of(frame)->first_line;
}

TL_INTERNAL int32_t py_frame_line(const struct py_frame *frame)
{
	TL_ADD(fake_lines_decoded, 1);
	return fake_of(frame)->first_line + frame->instruction;
}

TL_INTERNAL uint64_t py_frame_identity(const struct py_frame *frame)
{
	const struct fake_function *function = fake_of(frame);
	uint64_t name =
		hash_bytes(function->name, strlen(function->name), (uint64_t)function->first_line);

	return hash_bytes(function->file, strlen(function->file), name) | 1;
}

TL_INTERNAL uint64_t py_frame_line_table_identity(const struct py_frame *frame)
{
	return (uintptr_t)frame->code;
}

TL_INTERNAL const char *py_frame_stamp(const struct py_frame *frame)
{
	return (const char *)(uintptr_t)(py_frame_identity(frame) ^ (uintptr_t)frame->at << 48);
}

static size_t fake_copy(const char *name, char *buffer, size_t capacity)
{
	size_t length = strlen(name);

	if (length > capacity - 1)
		length = capacity - 1;
	memcpy(buffer, name, length);
	buffer[length] = 0;
	return length;
}

TL_INTERNAL size_t py_frame_function_name(const struct py_frame *frame, char *buffer,
					  size_t capacity)
{
	return fake_copy(fake_of(frame)->name, buffer, capacity);
}

TL_INTERNAL size_t py_frame_file_name(const struct py_frame *frame, char *buffer, size_t capacity)
{
	return fake_copy(fake_of(frame)->file, buffer, capacity);
}

/* The C frames, innermost first; of their loops nothing is known. */
static struct native_frame fake_natives[64];
static size_t fake_native_count;
static struct native_module fake_modules[] = {{.path = "/lib/agent.so"},
					      {.path = "/lib/libpython.so"},
					      {.path = "/lib/extension.so"}};

static inline void fake_push_native(uint16_t module, uint32_t offset)
{
	memmove(fake_natives + 1, fake_natives, fake_native_count * sizeof(fake_natives[0]));
	fake_natives[0] = (struct native_frame){.pc = offset, .offset = offset, .module = module};
	fake_native_count++;
}

TL_INTERNAL bool native_stack_range(struct thread *thread, struct native_range *range)
{
	(void)thread;
	(void)range;
	return true;
}

TL_INTERNAL size_t native_stack_walk(const struct native_range *range, uintptr_t until,
				     struct native_frame *frames, size_t limit)
{
	(void)range;
	(void)until;
	for (size_t i = 0; i < fake_native_count && i < limit; i++)
		frames[i] = fake_natives[i];
	return fake_native_count;
}

TL_INTERNAL uint16_t native_stack_own_module(void)
{
	return 0;
}

TL_INTERNAL uint16_t native_modules_count(void)
{
	return TL_COUNT_OF(fake_modules);
}

TL_INTERNAL const struct native_module *native_modules_at(uint16_t number)
{
	return &fake_modules[number];
}

TL_INTERNAL uint16_t native_modules_known(uintptr_t address)
{
	return address < 0x10000 ? 2 : NATIVE_MODULES_NONE;
}

TL_INTERNAL void native_modules_name_all(void)
{
}

TL_INTERNAL void native_modules_renew_lock(void)
{
}

TL_INTERNAL void py_frame_find_loops(const void *thread_state, uintptr_t low, uintptr_t high,
				     uintptr_t *loops, size_t depth)
{
	(void)thread_state;
	(void)low;
	(void)high;
	memset(loops, 0, depth * sizeof(*loops));
}

/* No classes, but where the test has a word to say. */
static bool (*fake_class_is)(uintptr_t type, uint64_t *identity);
static bool (*fake_class_name)(uintptr_t type, char *name, size_t capacity);

TL_INTERNAL bool py_class_is(uintptr_t type, uint64_t *identity)
{
	return fake_class_is != NULL && fake_class_is(type, identity);
}

TL_INTERNAL void py_class_forget(void)
{
}

TL_INTERNAL bool py_class_name(uintptr_t type, char *name, size_t capacity)
{
	return fake_class_name != NULL && fake_class_name(type, name, capacity);
}

#endif
