/* DESIGN: the program is a child in our process group and has our terminal, so what a person types
 * reaches it directly; we take our signals one at a time with sigtimedwait and pass on those that
 * somebody sent to us alone. Between signals, twice a second, its RSS is noted. What it allocates
 * we know from the agent's snapshots, in a folder of this run's own.
 */
#include "verb.h"

#include "../base/fail.h"
#include "../base/keep.h"
#include "../base/process.h"
#include "../base/show.h"
#include "../base/terminal.h"
#include "../profile/profile_find.h"
#include "../profile/profile_read.h"
#include "../view/report_head.h"
#include "../view/report_session.h"
#include "../view/report_table.h"
#include "launch.h"
#include "run_settings.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define VERB_RUN_TICK_NS    500000000L
#define VERB_RUN_GRACE_S    5.0 /* between SIGTERM and SIGKILL */
#define VERB_RUN_INTERVAL_S 10.0
#define VERB_RUN_CHART      20
#define VERB_RUN_ROWS       5
#define VERB_RUN_DEPTH      8
#define VERB_RUN_LEAK       3 /* status of --fail-on-leak */
#define VERB_RUN_MIB        1048576.0

struct verb_run {
	struct session session;
	pid_t pid;
	const char *folder;
	double duration_s; /* 0: to the program's end */
	bool kills, fails_on_leak, is_temporary, has_progress;
	double term_at_s; /* when SIGTERM was sent; 0: it was not */
	bool has_ended;   /* the program; else only the watching */
	struct timespec snapshot_time;
	struct profile *profile; /* the last one read; NULL: none */
};

static void verb_run_read_snapshot(struct verb_run *run)
{
	char *path = keep_text("%s/snapshot-%d.json", run->folder, (int)run->pid);
	char why[PROFILE_READ_WHY];
	struct stat status;

	if (stat(path, &status) == 0 && (status.st_mtim.tv_sec != run->snapshot_time.tv_sec ||
					 status.st_mtim.tv_nsec != run->snapshot_time.tv_nsec)) {
		run->snapshot_time = status.st_mtim;
		run->profile = profile_read(path, why);
	}
	free(path);
}

static void verb_run_progress(struct verb_run *run, double elapsed_s, double rss)
{
	char time[SHOW_WORD], size[SHOW_WORD];
	const struct profile_function *whose;

	verb_run_read_snapshot(run);
	fprintf(stderr, "\r\033[K%s  RSS %s ", show_duration(time, elapsed_s),
		show_size(size, rss));
	report_session_chart(stderr, &run->session, VERB_RUN_CHART);
	if (run->profile != NULL) {
		const char *verdict = profile_worst(run->profile, &whose);

		fprintf(stderr, "  live %s", show_size(size, run->profile->live_bytes.value));
		if (whose != NULL) {
			fprintf(stderr, "  %s: ", verdict);
			show_plain(stderr, whose->name);
		}
	}
}

static void verb_run_tick(struct verb_run *run)
{
	double elapsed_s = process_now() - run->session.start, rss = process_rss(run->pid);

	if (rss > 0)
		session_add(&run->session, elapsed_s, rss);
	if (run->has_progress && rss > 0)
		verb_run_progress(run, elapsed_s, rss);
	if (run->term_at_s > 0 && elapsed_s > run->term_at_s + VERB_RUN_GRACE_S)
		kill(run->pid, SIGKILL);
	if (run->duration_s > 0 && elapsed_s >= run->duration_s && run->kills &&
	    run->term_at_s <= 0) {
		run->term_at_s = elapsed_s;
		kill(run->pid, SIGTERM);
	}
}

static bool verb_run_is_over(struct verb_run *run)
{
	int status;

	if (waitpid(run->pid, &status, WNOHANG) == run->pid) {
		run->has_ended = true;
		run->session.status =
			WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		/* Who asked for its end does not call that a failure. */
		if (run->term_at_s > 0 && WIFSIGNALED(status))
			run->session.status = 0;
		return true;
	}
	return run->duration_s > 0 && !run->kills &&
	       process_now() - run->session.start >= run->duration_s;
}

static void verb_run_watch(struct verb_run *run, const sigset_t *signals)
{
	struct timespec tick = {.tv_nsec = VERB_RUN_TICK_NS / 10};
	siginfo_t signal;

	while (!verb_run_is_over(run)) {
		int number = sigtimedwait(signals, &signal, &tick);

		/* What the terminal sends, it sends to the program too. */
		if (number > 0 && number != SIGCHLD && signal.si_code != SI_KERNEL)
			kill(run->pid, number);
		if (number < 0)
			verb_run_tick(run);
		tick.tv_nsec = VERB_RUN_TICK_NS;
	}
}

/* A folder of files, ours. */
static void verb_run_remove(const char *folder)
{
	DIR *stream = opendir(folder);
	const struct dirent *entry;

	while (stream != NULL && (entry = readdir(stream)) != NULL)
		unlinkat(dirfd(stream), entry->d_name, 0);
	if (stream != NULL)
		closedir(stream);
	rmdir(folder);
}

static void verb_run_report(const struct verb_run *run, const struct profile *profile,
			    const struct profile *worst)
{
	struct rows_choice choice = {.by = ROWS_STACK, .max_size = INFINITY};
	const struct report_table table = {.top = VERB_RUN_ROWS,
					   .show_source = true,
					   .width = terminal_width(),
					   .depth = VERB_RUN_DEPTH};

	if (run->has_progress)
		fputs("\r\033[K", stderr);
	fputs("\n== trackleak ==\n", stderr);
	report_session(stderr, &run->session, profile);
	if (profile == NULL) {
		fputs("no snapshot: is the program linked statically, setuid, or did it end at "
		      "once?\n",
		      stderr);
		return;
	}
	report_head(stderr, profile, worst);
	choice.by = ROWS_FUNCTION;
	struct rows rows = rows_of(profile, &choice);

	report_table(stderr, profile, &rows, &choice, &table);
	report_pools(stderr, profile);
	fputs("\nThe stacks that hold most:\n", stderr);
	choice.by = ROWS_STACK;
	rows = rows_of(profile, &choice);
	report_table(stderr, profile, &rows, &choice, &table);
	if (!run->is_temporary) {
		fputs("\nmore by: trackleak report ", stderr);
		show_plain(stderr, run->folder);
		fputc('\n', stderr);
	}
}

static int verb_run_end(struct verb_run *run)
{
	struct profile_list list = {0};
	const struct profile_function *whose;
	const struct profile *worst = NULL;
	struct profile *profile = NULL;
	bool leaks;

	profile_find_all(&list, run->folder);
	if (list.count > 0)
		profile = profile_find(run->folder, &worst);
	/* First of all: who reads the report may close the pipe. */
	if (!run->is_temporary && !session_write(&run->session, run->folder))
		fail_softly("%s: the session could not be saved: %s", run->folder, strerror(errno));
	verb_run_report(run, profile, worst);
	if (run->is_temporary && run->has_ended)
		verb_run_remove(run->folder);
	leaks = profile != NULL && strcmp(profile_worst(profile, &whose), "leaking") == 0;
	if (!run->has_ended)
		return run->fails_on_leak && leaks ? VERB_RUN_LEAK : 0;
	if (run->session.status == 0 && run->fails_on_leak && leaks)
		return VERB_RUN_LEAK;
	return run->session.status;
}

static void verb_run_make_folder(struct verb_run *run, const char *output)
{
	char *folder;

	if (output == NULL) {
		const char *temporary = getenv("TMPDIR");

		folder = keep_text("%s/trackleak-run-XXXXXX",
				   temporary != NULL && temporary[0] != '\0' ? temporary : "/tmp");
		run->is_temporary = true;
		if (mkdtemp(folder) == NULL)
			fail("%s: %s", folder, strerror(errno));
		run->folder = folder;
		return;
	}
	if (mkdir(output, 0700) != 0 && errno != EEXIST)
		fail("%s: %s", output, strerror(errno));
	folder = realpath(output, NULL);
	if (folder == NULL || access(folder, W_OK | X_OK) != 0)
		fail("%s: %s", output, strerror(errno));
	run->folder = folder;
}

/* What a short watched run wants of the agent, where the person has not said otherwise. */
static void verb_run_defaults(const struct verb_run *run, const char *path)
{
	double interval_s = VERB_RUN_INTERVAL_S;

	if (run->duration_s > 0)
		interval_s = fmin(interval_s, fmax(1, floor(run->duration_s / 4)));
	setenv("TRACKLEAK_DUMP_INTERVAL", keep_text("%.0f", interval_s), 0);
	setenv("TRACKLEAK_STARTUP_DELAY", "0", 0);
	setenv("TRACKLEAK_QUIET", "1", 0);
	if (!launch_is_python(path))
		setenv("TRACKLEAK_ANY", "1", 0);
}

static char *verb_run_command(const char *const *words)
{
	char *command = keep_copy("");

	for (size_t i = 0; words[i] != NULL; i++)
		command = keep_text("%s%s%s", command, i > 0 ? " " : "", words[i]);
	return show_plain_text(command);
}

static int verb_run_run(const struct verb *verb, int argc, const char **argv)
{
	char *duration = "0", *interval = NULL, *rss = "0", *heap = "0", *output = NULL;
	int kills = 0, fails_on_leak = 0;
	const struct poptOption options[] = {
		{"output", 'o', POPT_ARG_STRING, &output, 0,
		 "keep snapshots, logs and session here, for `report DIR`", "DIR"},
		{"duration", '\0', POPT_ARG_STRING, &duration, 0,
		 "watch so long; the program goes on", "SECONDS"},
		{"kill", '\0', POPT_ARG_NONE, &kills, 0, "end the program after --duration", NULL},
		{"interval", '\0', POPT_ARG_STRING, &interval, 0, "between snapshots (10)",
		 "SECONDS"},
		{"rss-threshold", '\0', POPT_ARG_STRING, &rss, 0, "alert when RSS grows by more",
		 "MB"},
		{"heap-threshold", '\0', POPT_ARG_STRING, &heap, 0,
		 "alert when what is alive grows by more", "BYTES"},
		{"fail-on-leak", '\0', POPT_ARG_NONE, &fails_on_leak, 0,
		 "end with 3 when something is leaking", NULL},
		{NULL, '\0', POPT_ARG_INCLUDE_TABLE, run_settings_options(), 0, "Settings:", NULL},
		POPT_TABLEEND};
	const char **words = verb_options(verb, options, argc, argv, 1, SIZE_MAX);
	struct verb_run run = {.kills = kills,
			       .fails_on_leak = fails_on_leak,
			       .has_progress = isatty(STDERR_FILENO)};
	char *path = launch_find(words[0]), *library = launch_library();
	sigset_t signals, before;

	run.duration_s = verb_number("duration", duration);
	run.session.rss_threshold_bytes = verb_number("rss-threshold", rss) * VERB_RUN_MIB;
	run.session.heap_threshold_bytes = verb_size("heap-threshold", heap);
	run.session.command = verb_run_command(words);
	run.session.status = -1;
	if (kills && run.duration_s <= 0)
		fail("--kill goes with --duration");
	run_settings_apply();
	if (interval != NULL)
		setenv("TRACKLEAK_DUMP_INTERVAL",
		       keep_text("%.0f", fmax(1, verb_number("interval", interval))), 1);
	verb_run_make_folder(&run, output);
	setenv("TRACKLEAK_LOG_DIR", run.folder, 1);
	verb_run_defaults(&run, path);
	launch_preload(library);
	sigemptyset(&signals);
	for (size_t i = 0; i < 8; i++)
		sigaddset(&signals, (int[]){SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2,
					    SIGCHLD, SIGWINCH}[i]);
	sigprocmask(SIG_BLOCK, &signals, &before);
	run.session.start = process_now();
	run.pid = launch_start(path, (char *const *)words, &before);
	verb_run_watch(&run, &signals);
	return verb_run_end(&run);
}

const struct verb verb_run = {
	"run", "[options] [--] PROGRAM [ARGS...]",
	"Profile a program from its first instruction, and report at its end.",
	"trackleak run --output session --rss-threshold 200 python3 app.py --port 8000",
	verb_run_run};
