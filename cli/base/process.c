#include "process.h"

#include "keep.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PROCESS_COMMAND 4096
#define PROCESS_ENVIRON ((size_t)4 << 20)

/* The start of a file of /proc, NUL-terminated; returns its length. */
static size_t process_file(pid_t pid, const char *name, char *buffer, size_t size)
{
	char path[64];
	size_t length = 0;
	ssize_t got = 1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && got > 0 && length < size - 1) {
		got = read(fd, buffer + length, size - 1 - length);
		length += got > 0 ? (size_t)got : 0;
	}
	if (fd >= 0)
		close(fd);
	buffer[length] = '\0';
	return length;
}

double process_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double process_start_time(pid_t pid)
{
	char buffer[1024];
	struct timespec since_boot;
	const char *at;

	if (process_file(pid, "stat", buffer, sizeof(buffer)) == 0)
		return 0;
	/* The 20th word after the program's name, which stands in parentheses and may hold any. */
	at = strrchr(buffer, ')');
	if (at != NULL && at[1] == ' ' && (at[2] == 'Z' || at[2] == 'X'))
		return 0; /* it has ended, and its parent has not asked how */
	for (int word = 0; at != NULL && word < 20; word++)
		at = strchr(at + 1, ' ');
	if (at == NULL)
		return 0;
	clock_gettime(CLOCK_BOOTTIME, &since_boot);
	return process_now() - (double)since_boot.tv_sec - (double)since_boot.tv_nsec / 1e9 +
	       strtod(at, NULL) / (double)sysconf(_SC_CLK_TCK);
}

double process_rss(pid_t pid)
{
	char buffer[256];
	const char *resident;

	if (process_file(pid, "statm", buffer, sizeof(buffer)) == 0)
		return 0;
	resident = strchr(buffer, ' ');
	return resident == NULL ? 0 : strtod(resident, NULL) * (double)sysconf(_SC_PAGESIZE);
}

char *process_command(pid_t pid)
{
	char buffer[PROCESS_COMMAND];
	size_t length = process_file(pid, "cmdline", buffer, sizeof(buffer));

	while (length > 0 && buffer[length - 1] == '\0')
		length--;
	for (size_t i = 0; i < length; i++) {
		if (buffer[i] == '\0')
			buffer[i] = ' ';
	}
	return keep_copy(buffer);
}

char *process_variable(pid_t pid, const char *name)
{
	char *environ_text = keep_alloc(PROCESS_ENVIRON, 1), *found = NULL;
	size_t whole = process_file(pid, "environ", environ_text, PROCESS_ENVIRON);
	size_t length = strlen(name);

	for (size_t at = 0; at < whole; at += strlen(environ_text + at) + 1) {
		if (strncmp(environ_text + at, name, length) == 0 &&
		    environ_text[at + length] == '=')
			found = keep_copy(environ_text + at + length + 1);
	}
	free(environ_text);
	return found;
}

uid_t process_uid(pid_t pid)
{
	char buffer[4096];
	const char *line;

	if (process_file(pid, "status", buffer, sizeof(buffer)) == 0)
		return (uid_t)-1;
	/* Real, effective, saved, file system. */
	line = strstr(buffer, "\nUid:\t");
	line = line != NULL ? strchr(line + 6, '\t') : NULL;
	return line != NULL ? (uid_t)strtoul(line, NULL, 10) : (uid_t)-1;
}
