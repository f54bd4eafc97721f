#include "verb.h"

#include "../../src/base/text.h"
#include "../base/keep.h"
#include "../base/lookup.h"
#include "../base/process.h"
#include "../base/region.h"
#include "../base/show.h"
#include "../base/terminal.h"
#include "../profile/control_client.h"
#include "../profile/profile_find.h"
#include "../profile/profile_read.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VERB_PS_COMMAND    100 /* bytes */
#define VERB_PS_PATIENCE_S 3   /* for one that is stopped */

/* A process, and the command line by which it is told from other services. */
struct verb_ps {
	const struct profile *profile;
	char *command;
};

/* The usual folders, and those that processes were told to use. */
static void verb_ps_find(struct profile_list *list)
{
	char **folders = profile_find_folders();
	struct lookup seen = {0};
	DIR *stream = opendir("/proc");
	const struct dirent *entry;

	for (size_t i = 0; folders[i] != NULL; i++) {
		if (lookup_put(&seen, folders[i], i) == i)
			profile_find_all(list, folders[i]);
	}
	while (stream != NULL && (entry = readdir(stream)) != NULL) {
		unsigned long pid = strtoul(entry->d_name, NULL, 10);
		char *folder = pid > 0 ? profile_find_folder_of(pid) : NULL;
		size_t known = seen.used;

		if (folder != NULL)
			lookup_put(&seen, folder, known);
		if (seen.used > known)
			profile_find_all(list, folder);
		free(folder);
	}
	if (stream != NULL)
		closedir(stream);
}

/* What has a control socket and no snapshot yet writes one now; what cannot, having just begun, is
 * told by its answer. */
static void verb_ps_ask(FILE *out, struct profile_list *list)
{
	for (const pid_t *pid = control_client_pids(); *pid != 0; pid++) {
		char why[CONTROL_CLIENT_WHY], *path;
		struct profile *profile = NULL;
		size_t i = 0;

		while (i < list->count && (list->profiles[i]->pid != (double)*pid ||
					   !profile_find_is_running(list->profiles[i])))
			i++;
		if (i < list->count)
			continue;
		path = control_client_snapshot(*pid, why);
		if (path != NULL)
			profile = profile_read(path, why);
		if (profile == NULL) {
			fprintf(out, "%8d  %s\n", (int)*pid, show_plain_text(why));
			continue;
		}
		list->profiles = region_grow(list->profiles, list->count, &list->room,
					     sizeof(struct profile *));
		list->profiles[list->count++] = profile;
	}
}

static void verb_ps_row(FILE *out, const struct verb_ps *process)
{
	const struct profile *profile = process->profile;
	char time[SHOW_WORD], rss[SHOW_WORD], live[SHOW_WORD], growth[SHOW_WORD] = "-";
	const struct profile_function *whose;
	const char *verdict = profile_worst(profile, &whose);
	char *command = show_plain_text(process->command);

	if (!isnan(profile_growth(profile)))
		snprintf(growth, sizeof(growth), "%+.1f MB/h", profile_growth(profile));
	fprintf(out, "%8.0f  %-24s %11s %11s %14s  %-8s  %.*s", profile->pid,
		show_time(time, profile->start), show_size(rss, process_rss((pid_t)profile->pid)),
		show_size(live, profile->live_bytes.value), growth, verdict, VERB_PS_COMMAND,
		command);
	if (whose != NULL) {
		fputs("  <- ", out);
		show_plain(out, whose->name);
	}
	fputc('\n', out);
	free(command);
}

/* The sum of a service of several processes, below them, and which of them is worst. */
static void verb_ps_sum(FILE *out, const struct verb_ps *processes, size_t count)
{
	double rss = 0, live = 0, growth = NAN;
	const struct profile *worst = processes[0].profile;
	const struct profile_function *whose;
	char a[SHOW_WORD], b[SHOW_WORD], name[SHOW_WORD], rate[SHOW_WORD] = "-";

	for (size_t i = 0; i < count; i++) {
		const struct profile *profile = processes[i].profile;

		rss += process_rss((pid_t)profile->pid);
		live += profile->live_bytes.value;
		growth = profile_sum(growth, profile_growth(profile));
		if (profile_find_is_worse(profile, worst))
			worst = profile;
	}
	if (!isnan(growth))
		snprintf(rate, sizeof(rate), "%+.1f MB/h", growth);
	snprintf(name, sizeof(name), "%zu processes", count);
	fprintf(out, "%8s  %-24s %11s %11s %14s  %-8s  worst: pid %.0f\n", "=", name,
		show_size(a, rss), show_size(b, live), rate, profile_worst(worst, &whose),
		worst->pid);
}

/* 0: of one service. Workers of a fleet share the command line. */
static int verb_ps_order(const struct verb_ps *a, const struct verb_ps *b)
{
	int order = strcmp(a->profile->program, b->profile->program);

	if (order == 0)
		order = strcmp(a->profile->job_name, b->profile->job_name);
	return order != 0 ? order : strcmp(a->command, b->command);
}

static int verb_ps_compare(const void *a, const void *b)
{
	const struct verb_ps *left = a, *right = b;
	int order = verb_ps_order(left, right);

	return order != 0 ? order
			  : (left->profile->pid > right->profile->pid) -
				    (left->profile->pid < right->profile->pid);
}

static int verb_ps_run(const struct verb *verb, int argc, const char **argv)
{
	const struct poptOption options[] = {POPT_TABLEEND};
	struct profile_list list = {0};
	struct verb_ps *processes;
	size_t running = 0, first = 0;
	FILE *out;

	verb_options(verb, options, argc, argv, 0, 0);
	control_client_set_patience(VERB_PS_PATIENCE_S);
	verb_ps_find(&list);
	out = terminal_open(NULL, true);
	fprintf(out, "%8s  %-24s %11s %11s %14s  %-8s  %s\n", "PID", "SINCE", "RSS", "LIVE",
		"GROWTH", "VERDICT", "COMMAND");
	verb_ps_ask(out, &list);
	processes = keep_alloc(list.count, sizeof(*processes));
	for (size_t i = 0; i < list.count; i++) {
		const struct profile *profile = list.profiles[i];

		if (profile_find_is_running(profile))
			processes[running++] =
				(struct verb_ps){profile, process_command((pid_t)profile->pid)};
	}
	if (running > 0)
		qsort(processes, running, sizeof(*processes), verb_ps_compare);
	for (size_t i = 0; i < running; i++) {
		verb_ps_row(out, &processes[i]);
		if (i + 1 < running && verb_ps_order(&processes[i], &processes[i + 1]) == 0)
			continue;
		if (i > first)
			verb_ps_sum(out, &processes[first], i + 1 - first);
		first = i + 1;
	}
	terminal_close(out, NULL);
	return 0;
}

const struct verb verb_ps = {"ps", "", "The processes that are profiled now.", "trackleak ps",
			     verb_ps_run};
