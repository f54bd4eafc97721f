/* DESIGN: the socket stands in one of two folders, which depend on the process's environment and
 * user; both are tried, and those of this user. Whoever may write to such a folder could put a
 * socket there under any pid, so the kernel is asked who listens.
 */
#include "control_client.h"

#include "../base/keep.h"
#include "../base/lookup.h"
#include "../base/process.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CONTROL_FOLDERS 8
#define CONTROL_ANSWER  ((size_t)64 * 1024)

static double control_patience_s = CONTROL_CLIENT_S;

void control_client_set_patience(double seconds)
{
	control_patience_s = seconds;
}

/* The folders where sockets of this user's processes may be; `pid` 0: of no one of them. NULL at
 * the end. */
static char **control_folders(pid_t pid)
{
	char **folders = keep_alloc(CONTROL_FOLDERS, sizeof(*folders));
	const char *own = getenv("XDG_RUNTIME_DIR");
	const char *theirs = pid != 0 ? process_variable(pid, "XDG_RUNTIME_DIR") : NULL;
	unsigned uid = pid != 0 ? (unsigned)process_uid(pid) : (unsigned)geteuid();
	size_t count = 0;

	if (theirs != NULL && theirs[0] == '/')
		folders[count++] = keep_text("%s/trackleak", theirs);
	if (own != NULL && own[0] == '/')
		folders[count++] = keep_text("%s/trackleak", own);
	folders[count++] = keep_text("/run/user/%u/trackleak", uid);
	folders[count++] = keep_text("/tmp/trackleak-%u", uid);
	return folders;
}

static void control_set_patience(int fd, double seconds)
{
	struct timeval patience = {
		.tv_sec = (time_t)seconds,
		.tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)};

	if (patience.tv_sec == 0 && patience.tv_usec < 1000)
		patience.tv_usec = 1000; /* 0 would be for ever */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

/* -1 and errno. */
static int control_connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, error;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	control_set_patience(fd, control_patience_s);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static bool control_is_answered_by(int fd, pid_t pid)
{
	struct ucred who;
	socklen_t length = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) == 0 && who.pid == pid;
}

static int control_connect(pid_t pid, char why[CONTROL_CLIENT_WHY])
{
	char **folders = control_folders(pid);
	int error = ENOENT;

	for (size_t i = 0; folders[i] != NULL; i++) {
		int fd = control_connect_to(keep_text("%s/%d.sock", folders[i], (int)pid));

		if (fd >= 0 && control_is_answered_by(fd, pid))
			return fd;
		if (fd >= 0)
			close(fd);
		else if (errno != ENOENT)
			error = errno;
	}
	if (kill(pid, 0) != 0 && errno == ESRCH)
		snprintf(why, CONTROL_CLIENT_WHY, "there is no process %d", (int)pid);
	else if (geteuid() != 0 && process_uid(pid) != geteuid())
		snprintf(why, CONTROL_CLIENT_WHY, "process %d belongs to another user", (int)pid);
	else if (error == EAGAIN)
		snprintf(why, CONTROL_CLIENT_WHY, "process %d does not answer", (int)pid);
	else
		snprintf(why, CONTROL_CLIENT_WHY,
			 "process %d has no control socket: is it profiled?", (int)pid);
	return -1;
}

/* One line, or NULL. The buffer has CONTROL_ANSWER bytes. */
static char *control_exchange(int fd, const char *request, char *buffer)
{
	double until = process_now() + control_patience_s;
	char *line = keep_text("%s\n", request);
	size_t length = 0;
	ssize_t got = send(fd, line, strlen(line), MSG_NOSIGNAL);

	while (got > 0 && length < CONTROL_ANSWER - 1 && process_now() < until) {
		control_set_patience(fd, until - process_now());
		got = recv(fd, buffer + length, CONTROL_ANSWER - 1 - length, 0);
		length += got > 0 ? (size_t)got : 0;
		buffer[length] = '\0';
		if (strchr(buffer, '\n') != NULL)
			return buffer;
	}
	return NULL;
}

json_t *control_client_ask(pid_t pid, const char *request, char why[CONTROL_CLIENT_WHY])
{
	char *buffer = keep_alloc(CONTROL_ANSWER, 1), *line;
	int fd = control_connect(pid, why);
	json_t *answer;

	if (fd < 0) {
		free(buffer);
		return NULL;
	}
	line = control_exchange(fd, request, buffer);
	close(fd);
	answer = line != NULL ? json_loads(line, 0, NULL) : NULL;
	free(buffer);
	if (answer == NULL) {
		snprintf(why, CONTROL_CLIENT_WHY, "process %d gave no answer: has it just ended?",
			 (int)pid);
		return NULL;
	}
	if (json_is_true(json_object_get(answer, "ok")))
		return answer;
	line = (char *)json_string_value(json_object_get(answer, "error"));
	snprintf(why, CONTROL_CLIENT_WHY, "process %d: %s", (int)pid,
		 line != NULL ? line : "an answer that is none");
	json_decref(answer);
	return NULL;
}

char *control_client_snapshot(pid_t pid, char why[CONTROL_CLIENT_WHY])
{
	json_t *answer = control_client_ask(pid, "snapshot", why);
	const char *path = json_string_value(json_object_get(answer, "path"));
	struct stat here, there;
	char *inside;

	if (answer == NULL)
		return NULL;
	if (path == NULL) {
		snprintf(why, CONTROL_CLIENT_WHY, "process %d: an answer without a path", (int)pid);
		json_decref(answer);
		return NULL;
	}
	/* In a container the path is another one than here, and goes with the process. */
	inside = keep_text("/proc/%d/root%s", (int)pid, path);
	if (stat(inside, &there) != 0 || (stat(path, &here) == 0 && here.st_dev == there.st_dev &&
					  here.st_ino == there.st_ino)) {
		free(inside);
		inside = keep_copy(path);
	}
	json_decref(answer);
	return inside;
}

static void control_list(const char *folder, struct lookup *seen, pid_t **pids, size_t *room)
{
	DIR *stream = opendir(folder);
	const struct dirent *entry;

	while (stream != NULL && (entry = readdir(stream)) != NULL) {
		char *end;
		long pid = strtol(entry->d_name, &end, 10);
		size_t used = seen->used;

		if (pid <= 0 || strcmp(end, ".sock") != 0 || kill((pid_t)pid, 0) != 0 ||
		    lookup_put(seen, entry->d_name, used) != used)
			continue;
		*pids = keep_grow(*pids, used + 1, room, sizeof(**pids));
		(*pids)[used] = (pid_t)pid;
		(*pids)[used + 1] = 0;
	}
	if (stream != NULL)
		closedir(stream);
}

pid_t *control_client_pids(void)
{
	char **folders = control_folders(0);
	size_t room = 64;
	pid_t *pids = keep_alloc(room, sizeof(*pids));
	struct lookup seen = {0};

	for (size_t i = 0; folders[i] != NULL; i++)
		control_list(folders[i], &seen, &pids, &room);
	return pids;
}
