/* DESIGN: the socket is bound through /proc/self/fd of the open folder, so that the folder that was
 * looked at is the one that is used, and its path may be longer than a socket's address. All
 * descriptors are non-blocking and stand high, out of the way of programs that count on the lowest
 * free one. The kernel tells the worker of a peer or of its bytes by a signal that is meant for
 * that thread alone and blocked in it, so no handler of the program's can see it: there is no
 * descriptor to wait on that the program might close.
 *
 * A peer has a slot until its line is there, or its time is over. When all slots are taken the next
 * ones wait in the kernel's queue.
 */
#include "control_socket.h"

#include "../base/clock.h"
#include "../base/descriptor.h"
#include "../base/diag.h"
#include "../base/folder.h"
#include "../base/text.h"
#include "../output/log_folder.h"
#include "../process/config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define CONTROL_PEERS       4
#define CONTROL_LINE        256
#define CONTROL_QUEUE       32
#define CONTROL_PATIENCE_NS 1000000000u
#define CONTROL_PATH        1100

TL_INTERNAL const char *control_socket_temporary = "/tmp";

/* A descriptor, and how to tell that it still is ours. */
struct control_descriptor {
	bool is_open;
	int fd;
	dev_t device;
	ino_t inode;
};

struct control_peer {
	struct control_descriptor socket;
	uint64_t until_ns;
	size_t length;
	char line[CONTROL_LINE];
};

static struct {
	struct control_descriptor listener;
	ino_t name_inode; /* of the socket's name */
	uid_t uid;        /* whom it was made for */
	char path[CONTROL_PATH];
	bool has_complained;
	struct control_peer peers[CONTROL_PEERS];
} control_socket;

static bool control_is_ours(const struct control_descriptor *descriptor)
{
	struct stat status;

	return descriptor->is_open && fstat(descriptor->fd, &status) == 0 &&
	       S_ISSOCK(status.st_mode) && status.st_dev == descriptor->device &&
	       status.st_ino == descriptor->inode;
}

static void control_drop(struct control_descriptor *descriptor)
{
	if (control_is_ours(descriptor))
		close(descriptor->fd);
	descriptor->is_open = false;
}

/* Takes a descriptor that was just made; `*descriptor` is not open when that fails. */
static void control_own(struct control_descriptor *descriptor, int fd)
{
	int high = descriptor_raise(fd);
	struct stat status;

	descriptor->is_open = high >= 0 && fstat(high, &status) == 0;
	if (!descriptor->is_open)
		return;
	descriptor->fd = high;
	descriptor->device = status.st_dev;
	descriptor->inode = status.st_ino;
}

/* Has the kernel tell this thread. Where it will not, the worker looks once a second. */
static void control_listen_to(const struct control_descriptor *descriptor)
{
	struct f_owner_ex owner = {.type = F_OWNER_TID, .pid = (pid_t)syscall(SYS_gettid)};

	fcntl(descriptor->fd, F_SETOWN_EX, &owner);
	fcntl(descriptor->fd, F_SETSIG, CONTROL_SIGNAL);
	fcntl(descriptor->fd, F_SETFL, O_NONBLOCK | O_ASYNC);
}

/* One of the two folders, made if it is missing; -1 and errno when it cannot be had or trusted. Its
 * path goes to control_socket.path. */
static int control_open_folder(bool is_runtime_dir)
{
	struct text path = text_over(control_socket.path, sizeof(control_socket.path));
	int folder;

	text_put(&path, is_runtime_dir ? config.runtime_dir : control_socket_temporary);
	text_put(&path, "/trackleak");
	if (!is_runtime_dir) {
		text_put_char(&path, '-');
		text_put_u64(&path, geteuid());
	}
	mkdir(text_terminate(&path), 0700);
	folder = descriptor_open(AT_FDCWD, control_socket.path,
				 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder < 0 || log_folder_is_private(folder))
		return folder;
	close(folder);
	errno = EPERM;
	return -1;
}

static const char *control_put_name(struct text *name, uint64_t pid)
{
	text_put_u64(name, pid);
	text_put(name, ".sock");
	return text_terminate(name);
}

/* The pid of `<pid>.sock`, else 0. */
static uint64_t control_pid_of(const char *name)
{
	uint64_t pid = 0;

	for (; *name >= '0' && *name <= '9' && pid < INT32_MAX / 10; name++)
		pid = pid * 10 + (uint64_t)(*name - '0');
	return strcmp(name, ".sock") == 0 ? pid : 0;
}

/* What killed processes left behind. */
static void control_remove_stale(int folder_fd)
{
	struct folder folder;
	const char *name;

	folder_begin(&folder, folder_fd);
	while ((name = folder_next(&folder)) != NULL) {
		uint64_t pid = control_pid_of(name);

		if (pid != 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH)
			unlinkat(folder_fd, name, 0);
	}
}

/* Binds and listens; 0 or an errno. What stands at our name is of a dead process that had our pid,
 * or of ourselves before an exec. */
static int control_bind(int folder, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct text path = text_over(address.sun_path, sizeof(address.sun_path));
	struct stat status;

	text_put(&path, "/proc/self/fd/");
	text_put_u64(&path, (uint64_t)folder);
	text_put_char(&path, '/');
	text_put(&path, name);
	text_terminate(&path);
	if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!S_ISSOCK(status.st_mode))
			return EEXIST;
		unlinkat(folder, name, 0);
	}
	if (bind(control_socket.listener.fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    fchmodat(folder, name, 0600, 0) != 0 ||
	    listen(control_socket.listener.fd, CONTROL_QUEUE) != 0 ||
	    fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
		return errno;
	control_socket.name_inode = status.st_ino;
	return 0;
}

/* In one of the folders; 0 or an errno. */
static int control_open_in(bool is_runtime_dir)
{
	struct text path = text_over(control_socket.path, sizeof(control_socket.path));
	char buffer[32];
	struct text name = text_over(buffer, sizeof(buffer));
	int folder = control_open_folder(is_runtime_dir), fd, error;

	if (folder < 0)
		return errno;
	control_put_name(&name, (uint64_t)getpid());
	control_remove_stale(folder);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		error = errno;
	else
		control_own(&control_socket.listener, fd);
	if (fd >= 0)
		error = control_socket.listener.is_open ? control_bind(folder, buffer) : EMFILE;
	close(folder);
	if (error != 0) {
		control_drop(&control_socket.listener);
		return error;
	}
	path.length = strlen(control_socket.path);
	text_put_char(&path, '/');
	text_put(&path, buffer);
	text_terminate(&path);
	return 0;
}

static void control_open(void)
{
	int error = config.runtime_dir[0] != '\0' ? control_open_in(true) : ENOENT;

	if (error != 0)
		error = control_open_in(false);
	if (error == 0) {
		control_socket.uid = geteuid();
		control_listen_to(&control_socket.listener);
		return;
	}
	if (!control_socket.has_complained)
		diag_say("no control socket in ", control_socket.path, " (", diag_reason(error),
			 "): the trackleak command sees the files only", NULL);
	control_socket.has_complained = true;
}

/* Does the name still lead here? Cleaners delete it; a process may change its user. */
static bool control_has_name(void)
{
	struct stat status;

	return control_socket.uid == geteuid() &&
	       fstatat(AT_FDCWD, control_socket.path, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
	       status.st_ino == control_socket.name_inode;
}

TL_INTERNAL void control_socket_tick(void)
{
	int saved_errno = errno;

	if (!control_is_ours(&control_socket.listener) || !control_has_name()) {
		control_drop(&control_socket.listener);
		control_open();
	}
	errno = saved_errno;
}

TL_INTERNAL void control_socket_adopt(void)
{
	if (control_is_ours(&control_socket.listener))
		control_listen_to(&control_socket.listener);
	for (size_t i = 0; i < CONTROL_PEERS; i++) {
		if (control_is_ours(&control_socket.peers[i].socket))
			control_listen_to(&control_socket.peers[i].socket);
	}
}

static bool control_is_welcome(const struct control_descriptor *peer)
{
	struct ucred who;
	socklen_t length = sizeof(who);

	return getsockopt(peer->fd, SOL_SOCKET, SO_PEERCRED, &who, &length) == 0 &&
	       (who.uid == geteuid() || who.uid == 0);
}

/* Gives a free slot to the next one in the kernel's queue. False: there is none, or no slot. */
static bool control_accept(void)
{
	struct control_peer *peer = control_socket.peers;
	int fd;

	while (peer->socket.is_open)
		if (++peer == control_socket.peers + CONTROL_PEERS)
			return false;
	if (!control_is_ours(&control_socket.listener))
		return false;
	fd = accept4(control_socket.listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return false;
	control_own(&peer->socket, fd);
	if (peer->socket.is_open && !control_is_welcome(&peer->socket))
		control_drop(&peer->socket);
	if (!peer->socket.is_open)
		return true;
	peer->length = 0;
	peer->until_ns = clock_precise_ns() + CONTROL_PATIENCE_NS;
	control_listen_to(&peer->socket);
	return true;
}

/* Reads what is there. True: its line is whole, or too long to be one. */
static bool control_has_line(struct control_peer *peer)
{
	size_t room = sizeof(peer->line) - 1 - peer->length;
	ssize_t got;
	char *end;

	if (!control_is_ours(&peer->socket)) {
		peer->socket.is_open = false;
		return false;
	}
	got = recv(peer->socket.fd, peer->line + peer->length, room, MSG_DONTWAIT);
	if (got > 0)
		peer->length += (size_t)got;
	peer->line[peer->length] = '\0';
	end = memchr(peer->line, '\n', peer->length);
	if (end != NULL)
		*end = '\0';
	if (end != NULL || peer->length == sizeof(peer->line) - 1)
		return true;
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR) ||
	    clock_precise_ns() > peer->until_ns)
		control_drop(&peer->socket);
	return false;
}

TL_INTERNAL char *control_socket_take(size_t *peer)
{
	int saved_errno = errno;
	char *line = NULL;

	do {
		for (size_t i = 0; i < CONTROL_PEERS && line == NULL; i++) {
			if (!control_socket.peers[i].socket.is_open ||
			    !control_has_line(&control_socket.peers[i]))
				continue;
			*peer = i;
			line = control_socket.peers[i].line;
		}
	} while (line == NULL && control_accept());
	errno = saved_errno;
	return line;
}

TL_INTERNAL void control_socket_answer(size_t peer, const char *bytes, size_t length)
{
	struct control_descriptor *socket = &control_socket.peers[peer].socket;
	int saved_errno = errno;

	/* Nothing was sent to it before, and the kernel keeps more than an answer's length. */
	if (control_is_ours(socket))
		(void)!send(socket->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	control_drop(socket);
	errno = saved_errno;
}

TL_INTERNAL void control_socket_close(void)
{
	int saved_errno = errno;

	if (control_socket.listener.is_open && control_has_name())
		unlink(control_socket.path);
	control_socket_forget();
	errno = saved_errno;
}

TL_INTERNAL void control_socket_forget(void)
{
	int saved_errno = errno;

	control_drop(&control_socket.listener);
	for (size_t i = 0; i < CONTROL_PEERS; i++)
		control_drop(&control_socket.peers[i].socket);
	errno = saved_errno;
}
