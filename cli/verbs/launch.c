#include "launch.h"

#include "../base/fail.h"
#include "../base/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *launch_library(void)
{
	const char *told = getenv("TRACKLEAK_LIBRARY");
	static const char *const places[] = {"", "/../lib"};
	char own[PATH_MAX], *found;
	ssize_t length;

	if (told != NULL && told[0] != '\0') {
		found = realpath(told, NULL);
		if (found == NULL)
			fail("TRACKLEAK_LIBRARY: %s: %s", told, strerror(errno));
		return found;
	}
	length = readlink("/proc/self/exe", own, sizeof(own) - 1);
	own[length > 0 ? length : 0] = '\0';
	if (strrchr(own, '/') != NULL)
		*strrchr(own, '/') = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		found = realpath(keep_text("%s%s/trackleak.so", own, places[i]), NULL);
		if (found != NULL)
			return found;
	}
	fail("trackleak.so is neither in %s nor in %s/../lib: TRACKLEAK_LIBRARY may name it", own,
	     own);
}

static bool launch_can_run(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

char *launch_find(const char *program)
{
	const char *path = getenv("PATH");
	char *folders = keep_copy(path != NULL ? path : "/usr/local/bin:/usr/bin:/bin");

	if (strchr(program, '/') != NULL) {
		if (!launch_can_run(program))
			fail("%s: %s", program,
			     access(program, X_OK) != 0 ? strerror(errno) : "not a program");
		return keep_copy(program);
	}
	for (char *folder; (folder = strsep(&folders, ":")) != NULL;) {
		char *candidate = keep_text("%s/%s", folder[0] != '\0' ? folder : ".", program);

		if (launch_can_run(candidate))
			return candidate;
	}
	fail("%s: no such program on PATH", program);
}

bool launch_is_python(const char *path)
{
	char *real = realpath(path, NULL), line[256];
	FILE *file = fopen(path, "re");
	bool is_python = real != NULL && strstr(strrchr(real, '/'), "python") != NULL;

	if (file != NULL && fgets(line, sizeof(line), file) != NULL && strncmp(line, "#!", 2) == 0)
		is_python |= strstr(line, "python") != NULL; /* pyenv's python3 is a shell script */
	if (file != NULL)
		fclose(file);
	free(real);
	return is_python;
}

void launch_preload(const char *library)
{
	const char *before = getenv("LD_PRELOAD");

	if (strpbrk(library, " :") != NULL)
		fail("%s: the loader takes no library whose path holds a blank or a colon",
		     library);
	setenv("LD_PRELOAD",
	       before != NULL && before[0] != '\0' ? keep_text("%s:%s", library, before) : library,
	       1);
}

pid_t launch_start(const char *path, char *const *argv, const sigset_t *mask)
{
	pid_t pid = fork();

	if (pid < 0)
		fail("the program could not be started: %s", strerror(errno));
	if (pid == 0) {
		sigprocmask(SIG_SETMASK, mask, NULL);
		execv(path, argv);
		fail_softly("%s: %s", path, strerror(errno));
		_exit(FAIL_STATUS);
	}
	return pid;
}
