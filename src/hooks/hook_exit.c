/* hook_exit: the doors a process leaves by: _exit, exec, and the signal that Python sends itself
 * after a Ctrl-C. The end of main and exit() come by our destructor, after the program's own.
 *
 * exit() itself ends in glibc's own _exit, which does not come here. A vfork child passes through
 * (lifecycle_end).
 */
#include "../agent/lifecycle.h"
#include "../base/types.h"
#include "../process/real_malloc.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

TL_EXPORT __attribute__((noreturn)) void _exit(int status)
{
	lifecycle_end(false);
	if (real_exit_now != NULL)
		real_exit_now(status);
	for (;;)
		syscall(SYS_exit_group, status);
}

TL_EXPORT __attribute__((noreturn)) void _Exit(int status)
{
	_exit(status);
}

/* After an uncaught KeyboardInterrupt Python ends its interpreter, restores SIGINT's default and
 * kills itself with it. */
TL_EXPORT int kill(pid_t pid, int signal)
{
	if (lifecycle_python_has_ended() && pid == getpid())
		lifecycle_end(false);
	if (real_kill != NULL)
		return real_kill(pid, signal);
	return (int)syscall(SYS_kill, pid, signal);
}

static int hook_exec_failed(int result)
{
	lifecycle_go_on();
	return result;
}

TL_EXPORT int execve(const char *path, char *const arguments[], char *const environment[])
{
	lifecycle_end(true);
	if (real_execve == NULL)
		return (int)syscall(SYS_execve, path, arguments, environment);
	return hook_exec_failed(real_execve(path, arguments, environment));
}

TL_EXPORT int execv(const char *path, char *const arguments[])
{
	return execve(path, arguments, environ);
}

TL_EXPORT int execvpe(const char *file, char *const arguments[], char *const environment[])
{
	lifecycle_end(true);
	if (real_execvpe == NULL) {
		errno = ENOSYS;
		return -1;
	}
	return hook_exec_failed(real_execvpe(file, arguments, environment));
}

TL_EXPORT int execvp(const char *file, char *const arguments[])
{
	return execvpe(file, arguments, environ);
}

TL_EXPORT int fexecve(int fd, char *const arguments[], char *const environment[])
{
	lifecycle_end(true);
	if (real_fexecve == NULL) {
		errno = ENOSYS;
		return -1;
	}
	return hook_exec_failed(real_fexecve(fd, arguments, environment));
}

TL_EXPORT int execveat(int fd, const char *path, char *const arguments[], char *const environment[],
		       int flags)
{
	lifecycle_end(true);
	if (real_execveat == NULL)
		return (int)syscall(SYS_execveat, fd, path, arguments, environment, flags);
	return hook_exec_failed(real_execveat(fd, path, arguments, environment, flags));
}

/* The variadic forms: the arguments, up to their NULL, are collected on the stack as glibc does. */
static size_t hook_count_arguments(va_list list)
{
	size_t count = 1;

	while (va_arg(list, char *) != NULL)
		count++;
	return count;
}

#define HOOK_COLLECT(first, arguments, list)                                                       \
	va_list list;                                                                              \
	va_start(list, first);                                                                     \
	char *arguments[hook_count_arguments(list) + 1];                                           \
	va_end(list);                                                                              \
	va_start(list, first);                                                                     \
	arguments[0] = (char *)(uintptr_t)(first);                                                 \
	for (size_t i = 1; (arguments[i] = va_arg(list, char *)) != NULL; i++)                     \
		;

TL_EXPORT int execl(const char *path, const char *first, ...)
{
	HOOK_COLLECT(first, arguments, list)
	va_end(list);
	return execve(path, arguments, environ);
}

TL_EXPORT int execlp(const char *file, const char *first, ...)
{
	HOOK_COLLECT(first, arguments, list)
	va_end(list);
	return execvpe(file, arguments, environ);
}

TL_EXPORT int execle(const char *path, const char *first, ...)
{
	HOOK_COLLECT(first, arguments, list)
	char *const *environment = va_arg(list, char *const *);

	va_end(list);
	return execve(path, arguments, environment);
}
