/* links: base/descriptor.c base/text.c base/folder.c base/clock.c output/log_folder.c agent/control_socket.c */
#include "agent/control_socket.h"

#include "output_fixture.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

static char runtime_dir[128];

static int setup(void **state)
{
	int result = make_folder(state);

	snprintf(runtime_dir, sizeof(runtime_dir), "%s/runtime", folder);
	mkdir(runtime_dir, 0700);
	config.runtime_dir = "";
	control_socket_temporary = temporary;
	return result;
}

static int teardown(void **state)
{
	control_socket_close();
	return remove_folder(state);
}

static const char *own_folder(void)
{
	char name[64];

	snprintf(name, sizeof(name), "trackleak-%u", (unsigned)geteuid());
	return in(temporary, name);
}

static const char *own_name(void)
{
	char name[64];

	snprintf(name, sizeof(name), "%d.sock", (int)getpid());
	return in(own_folder(), name);
}

static int dial(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

static void say(int fd, const char *words)
{
	assert_int_equal(send(fd, words, strlen(words), MSG_NOSIGNAL), strlen(words));
}

/* What the agent sends before it hangs up. */
static const char *heard(int fd)
{
	static char buffer[256];
	ssize_t got = recv(fd, buffer, sizeof(buffer) - 1, 0);

	buffer[got > 0 ? got : 0] = '\0';
	return buffer;
}

static bool is_hung_up(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static void wait_s(double seconds)
{
	nanosleep(&(struct timespec){(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)},
		  NULL);
}

static void a_request_comes_in_pieces_and_is_answered(void **state)
{
	char *line;
	size_t peer;
	int fd;

	(void)state;
	control_socket_tick();
	assert_int_equal(lines_said, 0);
	fd = dial(own_name());
	assert_true(fd >= 0);

	assert_null(control_socket_take(&peer));
	say(fd, "sta");
	assert_null(control_socket_take(&peer));
	say(fd, "tus\nmore");
	line = control_socket_take(&peer);
	assert_string_equal(line, "status");
	control_socket_answer(peer, "yes\n", 4);

	assert_string_equal(heard(fd), "yes\n");
	assert_true(is_hung_up(fd) || errno == ECONNRESET);
	assert_null(control_socket_take(&peer));
	close(fd);
}

static void the_folder_and_the_name_are_for_this_user_alone(void **state)
{
	struct stat status;

	(void)state;
	umask(0);
	control_socket_tick();
	umask(022);

	assert_int_equal(stat(own_folder(), &status), 0);
	assert_int_equal(status.st_mode & 07777, 0700);
	assert_int_equal(stat(own_name(), &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	control_socket_close();
	assert_int_not_equal(stat(own_name(), &status), 0);
}

static void the_runtime_folder_comes_first(void **state)
{
	char path[256];

	(void)state;
	config.runtime_dir = runtime_dir;
	control_socket_tick();

	snprintf(path, sizeof(path), "%s/trackleak/%d.sock", runtime_dir, (int)getpid());
	assert_int_equal(access(path, F_OK), 0);
	assert_int_not_equal(access(own_name(), F_OK), 0);
}

static void a_runtime_folder_that_is_not_there_is_passed_over(void **state)
{
	(void)state;
	config.runtime_dir = "/nowhere/at/all";
	control_socket_tick();

	assert_int_equal(access(own_name(), F_OK), 0);
	assert_int_equal(lines_said, 0);
}

static void a_planted_folder_or_name_is_not_used(void **state)
{
	char target[256];
	struct stat status;

	(void)state;
	snprintf(target, sizeof(target), "%s/target", folder);
	assert_int_equal(mkdir(target, 0700), 0);
	assert_int_equal(symlink(target, own_folder()), 0);
	control_socket_tick();
	control_socket_tick();
	assert_int_equal(lines_said, 1); /* and once only */
	assert_non_null(strstr(said, "no control socket"));

	unlink(own_folder());
	mkdir(own_folder(), 0700);
	chmod(own_folder(), 0777);
	control_socket_tick();
	assert_int_not_equal(access(own_name(), F_OK), 0);

	chmod(own_folder(), 0700);
	write_file(own_name(), "precious");
	control_socket_tick();
	assert_int_equal(stat(own_name(), &status), 0);
	assert_true(S_ISREG(status.st_mode));

	/* A link is no socket, wherever it leads: it stays, and so does what it leads to. */
	unlink(own_name());
	assert_int_equal(symlink(target, own_name()), 0);
	control_socket_tick();
	assert_int_equal(lstat(own_name(), &status), 0);
	assert_true(S_ISLNK(status.st_mode));
	unlink(own_name());
}

static void a_folder_of_somebody_else_is_not_used(void **state)
{
	(void)state;
	if (getuid() != 0)
		skip();
	mkdir(own_folder(), 0700);
	assert_int_equal(chown(own_folder(), 65534, 65534), 0);
	control_socket_tick();

	assert_int_not_equal(access(own_name(), F_OK), 0);
}

static void sockets_of_the_dead_are_removed_and_of_the_living_kept(void **state)
{
	char dead[300], living[300], other[300];
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	mkdir(own_folder(), 0700);
	snprintf(dead, sizeof(dead), "%s/%d.sock", own_folder(), (int)pid);
	snprintf(living, sizeof(living), "%s/%d.sock", own_folder(), (int)getppid());
	snprintf(other, sizeof(other), "%s/readme.sock", own_folder());
	write_file(dead, "");
	write_file(living, "");
	write_file(other, "");
	/* Our own name as a process with our pid has left it. */
	int left = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", own_name());
	assert_int_equal(bind(left, (struct sockaddr *)&address, sizeof(address)), 0);
	close(left);

	control_socket_tick();

	assert_int_not_equal(access(dead, F_OK), 0);
	assert_int_equal(access(living, F_OK), 0);
	assert_int_equal(access(other, F_OK), 0);
	left = dial(own_name());
	assert_true(left >= 0);
	close(left);
}

static void a_socket_whose_name_is_gone_is_made_anew(void **state)
{
	int fd;

	(void)state;
	control_socket_tick();
	assert_int_equal(unlink(own_name()), 0);
	control_socket_tick();

	fd = dial(own_name());
	assert_true(fd >= 0);
	close(fd);
}

/* The descriptors from DESCRIPTOR_HIGH on that are open. */
static int high_descriptors(void)
{
	int count = 0;

	for (int fd = 512; fd < 560; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void a_descriptor_that_the_program_took_over_is_left_alone(void **state)
{
	char byte = 0, path[300];
	size_t peer;
	int pipe_ends[2], fd, other;

	(void)state;
	snprintf(path, sizeof(path), "%s", own_name());
	control_socket_tick();
	fd = dial(path);
	say(fd, "sta");
	assert_null(control_socket_take(&peer));
	assert_int_equal(high_descriptors(), 2);

	/* The program closes all, and opens something of its own there. */
	assert_int_equal(pipe(pipe_ends), 0);
	for (other = 512; other < 560; other++) {
		if (fcntl(other, F_GETFD) >= 0)
			assert_int_equal(dup2(pipe_ends[1], other), other);
	}
	assert_null(control_socket_take(&peer));
	control_socket_answer(0, "x", 1);
	control_socket_tick();
	control_socket_tick();

	assert_int_equal(high_descriptors(), 3); /* the two are still the program's */
	fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK);
	assert_int_equal(read(pipe_ends[0], &byte, 1), -1);
	close(fd);
	fd = dial(path);
	assert_true(fd >= 0);
	say(fd, "status\n");
	assert_non_null(control_socket_take(&peer));
	control_socket_answer(peer, "y", 1);
	assert_string_equal(heard(fd), "y");
	close(fd);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	control_socket_close();
	for (other = 512; other < 560; other++)
		close(other);
}

static void garbage_and_endless_lines_are_given_back_to_be_refused(void **state)
{
	char endless[400];
	size_t peer;
	char *line;
	int fd;

	(void)state;
	control_socket_tick();
	fd = dial(own_name());
	memset(endless, 'x', sizeof(endless));
	endless[sizeof(endless) - 1] = '\0';
	say(fd, endless);

	line = control_socket_take(&peer);

	assert_non_null(line);
	assert_int_equal(strlen(line), 255);
	control_socket_answer(peer, "no\n", 3);
	assert_null(control_socket_take(&peer));
	close(fd);
}

static void silent_peers_lose_their_place_and_the_others_are_heard(void **state)
{
	int silent[20], fd;
	uint64_t began_ns = clock_precise_ns();
	size_t peer = 0;

	(void)state;
	control_socket_tick();
	for (size_t i = 0; i < TL_COUNT_OF(silent); i++) {
		silent[i] = dial(own_name());
		assert_true(silent[i] >= 0);
	}
	fd = dial(own_name());
	say(fd, "status\n");

	assert_null(control_socket_take(&peer)); /* it never waits */
	assert_true(clock_precise_ns() - began_ns < 900000000u);
	for (int second = 0; second < 6 && control_socket_take(&peer) == NULL; second++)
		wait_s(1.05);
	control_socket_answer(peer, "z", 1);

	assert_string_equal(heard(fd), "z");
	assert_true(is_hung_up(silent[0]));
	for (size_t i = 0; i < TL_COUNT_OF(silent); i++)
		close(silent[i]);
	close(fd);
}

static void a_peer_that_hangs_up_frees_its_place(void **state)
{
	size_t peer;

	(void)state;
	control_socket_tick();
	for (int i = 0; i < 50; i++) {
		close(dial(own_name()));
		control_socket_take(&peer);
		control_socket_take(&peer);
	}

	assert_int_equal(high_descriptors(), 1);
}

static void another_user_is_not_heard(void **state)
{
	char path[300];
	size_t peer = 0;
	int fd, status;
	pid_t child;

	(void)state;
	if (getuid() != 0)
		skip();
	control_socket_tick();
	snprintf(path, sizeof(path), "%s", own_name());
	chmod(folder, 0755);
	chmod(own_folder(), 0755); /* as if the folder's mode did not keep them out */
	chmod(own_name(), 0666);
	child = fork();
	if (child == 0) {
		if (setuid(65534) != 0)
			_exit(9);
		fd = dial(path);
		if (fd < 0)
			_exit(8);
		(void)!write(fd, "status\n", 7);
		_exit(recv(fd, &status, 1, 0) == 1 ? 7 : 0);
	}
	for (int i = 0; i < 100 && waitpid(child, &status, WNOHANG) == 0; i++) {
		assert_null(control_socket_take(&peer));
		wait_s(0.02);
	}

	assert_int_equal(status, 0);
}

static void a_forked_child_closes_its_copies_and_leaves_the_name(void **state)
{
	int status, fd;
	pid_t child;

	(void)state;
	control_socket_tick();
	fd = dial(own_name());
	child = fork();
	if (child == 0) {
		control_socket_forget();
		status = high_descriptors();
		control_socket_close();
		_exit(status);
	}
	waitpid(child, &status, 0);

	assert_int_equal(status, 0);
	assert_int_equal(access(own_name(), F_OK), 0);
	close(fd);
}

static void the_thread_that_adopts_it_gets_the_signal(void **state)
{
	sigset_t wanted;
	siginfo_t info;
	size_t peer;
	int fd;

	(void)state;
	sigemptyset(&wanted);
	sigaddset(&wanted, CONTROL_SIGNAL);
	while (sigtimedwait(&wanted, &info, &(struct timespec){0, 0}) > 0)
		continue;
	control_socket_tick();
	control_socket_adopt();
	fd = dial(own_name());

	assert_int_equal(sigtimedwait(&wanted, &info, &(struct timespec){5, 0}), CONTROL_SIGNAL);
	assert_null(control_socket_take(&peer));
	say(fd, "status\n");
	assert_int_equal(sigtimedwait(&wanted, &info, &(struct timespec){5, 0}), CONTROL_SIGNAL);
	assert_non_null(control_socket_take(&peer));
	control_socket_answer(peer, "", 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(a_request_comes_in_pieces_and_is_answered),
		TEST(the_folder_and_the_name_are_for_this_user_alone),
		TEST(a_planted_folder_or_name_is_not_used),
		TEST(a_folder_of_somebody_else_is_not_used),
		TEST(the_runtime_folder_comes_first),
		TEST(a_runtime_folder_that_is_not_there_is_passed_over),
		TEST(sockets_of_the_dead_are_removed_and_of_the_living_kept),
		TEST(a_socket_whose_name_is_gone_is_made_anew),
		TEST(a_descriptor_that_the_program_took_over_is_left_alone),
		TEST(garbage_and_endless_lines_are_given_back_to_be_refused),
		TEST(silent_peers_lose_their_place_and_the_others_are_heard),
		TEST(a_peer_that_hangs_up_frees_its_place),
		TEST(another_user_is_not_heard),
		TEST(a_forked_child_closes_its_copies_and_leaves_the_name),
		TEST(the_thread_that_adopts_it_gets_the_signal),
	};
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, CONTROL_SIGNAL);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
