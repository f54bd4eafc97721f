/* links: base/descriptor.c base/text.c output/log_folder.c */
#include "output/log_folder.h"

#include "output_fixture.h"

#include <errno.h>

static int setup(void **state)
{
	int result = make_folder(state);

	chmod(folder, 0755);
	log_folder_temporary = temporary;
	log_folder_start(false); /* forgets what the test before picked */
	rmdir(log_dir);
	return result;
}

/* Tests that need rights to be missing run as somebody else when they are root's. */
static void become_nobody(void)
{
	if (getuid() == 0) {
		assert_int_equal(chmod(temporary, 01777), 0);
		assert_int_equal(seteuid(65534), 0);
	}
}

static int teardown(void **state)
{
	assert_int_equal(seteuid(getuid()), 0);
	return remove_folder(state);
}

static const char *picked(void)
{
	static char buffer[4096];
	struct text path = text_over(buffer, sizeof(buffer));
	int fd = log_folder_open();

	if (fd < 0)
		return "none";
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	log_folder_path(&path);
	return text_terminate(&path);
}

static const char *of_user(void)
{
	char name[64];

	snprintf(name, sizeof(name), "trackleak-%u", (unsigned)geteuid());
	return in(temporary, name);
}

static void makes_the_folder_and_its_parents(void **state)
{
	char deep[256];

	(void)state;
	snprintf(deep, sizeof(deep), "%s/a/b/c", log_dir);
	config.log_dir = deep;
	umask(0);

	assert_string_equal(picked(), deep);
	assert_int_equal(mode_of(deep), 0700);
	assert_int_equal(mode_of(in(log_dir, "a")), 0755);
	assert_string_equal(said, "");
}

static void a_readable_log_mode_makes_a_folder_that_can_be_entered(void **state)
{
	(void)state;
	config.log_mode = 0644;
	umask(077);

	assert_string_equal(picked(), log_dir);
	assert_int_equal(mode_of(log_dir), 0755);
	umask(022);
}

static void a_folder_that_was_there_keeps_its_mode(void **state)
{
	(void)state;
	mkdir(log_dir, 0750);
	chmod(log_dir, 0750);

	assert_string_equal(picked(), log_dir);
	assert_int_equal(mode_of(log_dir), 0750);
}

static void the_administrator_may_make_the_folder_a_link(void **state)
{
	(void)state;
	mkdir(in(folder, "elsewhere"), 0700);
	assert_int_equal(symlink(in(folder, "elsewhere"), log_dir), 0);

	assert_string_equal(picked(), log_dir);
}

static void a_deleted_folder_is_made_again(void **state)
{
	(void)state;
	picked();
	assert_int_equal(rmdir(log_dir), 0);

	assert_string_equal(picked(), log_dir);
	assert_true(exists(log_dir));
}

static void falls_back_when_it_cannot_be_made_and_says_so_once(void **state)
{
	(void)state;
	config.log_dir = "/proc/nothing/here";

	assert_string_equal(picked(), in(temporary, "trackleak"));
	assert_string_equal(picked(), in(temporary, "trackleak"));
	assert_int_equal(mode_of(in(temporary, "trackleak")), 0700);
	assert_int_equal(lines_said, 1);
	assert_non_null(strstr(
		said,
		"cannot write to /proc/nothing/here (No such file or directory): files go to "));
}

static void falls_back_when_it_is_there_but_may_not_be_written(void **state)
{
	(void)state;
	mkdir(log_dir, 0555);
	chmod(log_dir, 0555);
	become_nobody();

	assert_string_equal(picked(), in(temporary, "trackleak"));
	assert_int_equal(lines_said, 1);
	assert_non_null(strstr(said, "(Permission denied)"));
}

static void falls_back_when_it_is_a_file(void **state)
{
	(void)state;
	write_file(log_dir, "");

	assert_string_equal(picked(), in(temporary, "trackleak"));
	assert_file_is(log_dir, "");
}

static void a_planted_link_is_not_followed(void **state)
{
	(void)state;
	config.log_dir = "/proc/nothing";
	mkdir(in(folder, "victim"), 0700);
	assert_int_equal(symlink(in(folder, "victim"), in(temporary, "trackleak")), 0);

	assert_string_equal(picked(), of_user());
}

static void a_fall_back_that_others_can_write_is_not_trusted(void **state)
{
	(void)state;
	config.log_dir = "/proc/nothing";
	mkdir(in(temporary, "trackleak"), 0770);
	chmod(in(temporary, "trackleak"), 0770);

	assert_string_equal(picked(), of_user());
}

static void a_fall_back_of_another_user_is_not_trusted(void **state)
{
	(void)state;
	if (getuid() != 0)
		skip(); /* only root can make folders of two users */
	config.log_dir = "/proc/nothing";
	mkdir(in(temporary, "trackleak"), 0700); /* root could write there */
	assert_int_equal(chown(in(temporary, "trackleak"), 65534, 65534), 0);

	assert_string_equal(picked(), of_user());
}

static void a_log_mode_for_all_does_not_open_the_fall_back_to_all(void **state)
{
	(void)state;
	config.log_dir = "/proc/nothing";
	config.log_mode = 0666;

	assert_string_equal(picked(), in(temporary, "trackleak"));
	assert_string_equal(picked(), in(temporary, "trackleak"));
	assert_int_equal(mode_of(in(temporary, "trackleak")), 0755);
}

static void says_once_when_there_is_no_folder_at_all(void **state)
{
	(void)state;
	config.log_dir = "/proc/nothing";
	log_folder_temporary = "/proc/nothing-either";

	assert_string_equal(picked(), "none");
	assert_string_equal(picked(), "none");
	assert_int_equal(lines_said, 1);
	assert_non_null(strstr(said, "no files are written"));

	config.log_dir = log_dir; /* and takes one as soon as there is */
	assert_string_equal(picked(), log_dir);
}

static void a_process_that_gives_up_its_rights_moves_to_a_folder_of_its_own(void **state)
{
	(void)state;
	if (getuid() != 0)
		skip(); /* only root can give up its rights */
	config.log_dir = "/proc/nothing";
	assert_string_equal(picked(), in(temporary, "trackleak"));

	become_nobody();
	assert_string_equal(picked(), of_user());
	assert_int_equal(lines_said, 2);
}

static void a_relative_folder_is_where_the_program_was_started(void **state)
{
	char start[4096];

	(void)state;
	assert_non_null(getcwd(start, sizeof(start)));
	assert_int_equal(chdir(folder), 0);
	config.log_dir = "logs";
	log_folder_start(false);
	assert_int_equal(chdir("/"), 0);

	assert_string_equal(picked(), log_dir);
	assert_int_equal(chdir(start), 0);
}

static void a_silent_start_says_nothing_of_a_fall_back(void **state)
{
	(void)state;
	config.log_dir = "/proc/nothing";
	log_folder_start(true);

	assert_string_equal(picked(), in(temporary, "trackleak"));
	assert_string_equal(said, "");
}

static void knows_a_folder_where_others_can_plant_files(void **state)
{
	int fd = open(temporary, O_RDONLY);

	(void)state;
	assert_true(log_folder_is_shared(fd));
	fchmod(fd, 0775);
	assert_false(log_folder_is_shared(fd));
	fchmod(fd, 01777);
	close(fd);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_FOLDER(makes_the_folder_and_its_parents),
		IN_A_FOLDER(a_readable_log_mode_makes_a_folder_that_can_be_entered),
		IN_A_FOLDER(a_folder_that_was_there_keeps_its_mode),
		IN_A_FOLDER(the_administrator_may_make_the_folder_a_link),
		IN_A_FOLDER(a_deleted_folder_is_made_again),
		IN_A_FOLDER(falls_back_when_it_cannot_be_made_and_says_so_once),
		IN_A_FOLDER(falls_back_when_it_is_there_but_may_not_be_written),
		IN_A_FOLDER(falls_back_when_it_is_a_file),
		IN_A_FOLDER(a_planted_link_is_not_followed),
		IN_A_FOLDER(a_fall_back_that_others_can_write_is_not_trusted),
		IN_A_FOLDER(a_fall_back_of_another_user_is_not_trusted),
		IN_A_FOLDER(a_log_mode_for_all_does_not_open_the_fall_back_to_all),
		IN_A_FOLDER(says_once_when_there_is_no_folder_at_all),
		IN_A_FOLDER(a_process_that_gives_up_its_rights_moves_to_a_folder_of_its_own),
		IN_A_FOLDER(a_relative_folder_is_where_the_program_was_started),
		IN_A_FOLDER(a_silent_start_says_nothing_of_a_fall_back),
		IN_A_FOLDER(knows_a_folder_where_others_can_plant_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
