#include "verb.h"

#include "../base/fail.h"
#include "../base/process.h"
#include "../base/region.h"
#include "../base/show.h"
#include "../base/terminal.h"
#include "../profile/profile_find.h"
#include "../view/report_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VERB_WATCH_SORT "size, count" /* as enum rows_sort */
#define VERB_WATCH_MS   1000.0        /* bcc's memleak takes ages in milliseconds */

static void verb_watch_once(FILE *out, const struct profile *profile,
			    const struct rows_choice *choice, size_t top)
{
	struct rows rows = rows_of(profile, choice);
	size_t count = rows.count < top ? rows.count : top;
	time_t now = time(NULL), dumped = (time_t)profile->time;
	char clock[SHOW_WORD], age[SHOW_WORD];
	struct tm parts;

	localtime_r(&now, &parts);
	strftime(clock, sizeof(clock), "%H:%M:%S", &parts);
	fprintf(out, "[%s] Top %zu stacks with outstanding allocations:", clock, count);
	fprintf(out, " (dump %.0f, %s ago)\n", profile->dump,
		show_duration(age, fmax(0, difftime(now, dumped))));
	for (size_t i = 0; i < count; i++) {
		const struct row *row = &rows.rows[i];

		fprintf(out, "\t%.0f bytes in %.0f allocations from stack\n",
			row->figures.live_bytes.value, row->figures.live_count.value);
		for (size_t at = row->frame; at != 0; at = profile->frames[at].parent) {
			const struct profile_frame *frame = &profile->frames[at];

			fputs("\t\t", out);
			report_table_place(out, frame->name, frame->file, frame->line, 16, 200);
			fputc('\n', out);
		}
	}
	fflush(out);
}

static int verb_watch_run(const struct verb *verb, int argc, const char **argv)
{
	char *older = "500", *min_size = "0", *max_size = NULL, *sort = "size";
	int top = 10;
	const struct poptOption options[] = {
		{"older", 'o', POPT_ARG_STRING, &older, 0, "stacks with a block of this age (500)",
		 "MS"},
		{"min-size", 'z', POPT_ARG_STRING, &min_size, 0,
		 "whose blocks have at least this mean size", "BYTES"},
		{"max-size", 'Z', POPT_ARG_STRING, &max_size, 0, "and at most this", "BYTES"},
		{"top", 'T', POPT_ARG_INT, &top, 0, "stacks at most (10)", "N"},
		{"sort", '\0', POPT_ARG_STRING, &sort, 0, VERB_WATCH_SORT, COMPLETION_CHOICE},
		POPT_TABLEEND};
	const char **words = verb_options(verb, options, argc, argv, 1, 3);
	double interval_s = words[1] != NULL ? verb_number("interval", words[1]) : 5;
	double count =
		words[1] != NULL && words[2] != NULL ? verb_number("count", words[2]) : INFINITY;
	struct rows_choice choice = {
		.by = ROWS_STACK,
		.sort = (enum rows_sort)verb_choice("sort", VERB_WATCH_SORT, sort),
		.older_s = verb_number("older", older) / VERB_WATCH_MS,
		.min_size = verb_size("min-size", min_size),
		.max_size = max_size == NULL ? INFINITY : verb_size("max-size", max_size),
	};

	struct region *region;
	struct profile *profile;
	bool is_over = false;

	if (top < 1)
		fail("--top %d: not a number from 1 up", top);
	for (double done = 0; done < count && !is_over; done++) {
		struct timespec pause = {.tv_sec = (time_t)fmin(interval_s, 1e9),
					 .tv_nsec = (long)(fmod(interval_s, 1) * 1e9)};

		if (done > 0)
			nanosleep(&pause, NULL);
		region_use(region = region_new());
		profile = profile_find(words[0], NULL);
		verb_watch_once(stdout, profile, &choice, (size_t)top);
		is_over = !profile_find_is_running(profile); /* then nothing new will come */
		region_use(NULL);
		region_free(region);
	}
	terminal_close(stdout, NULL);
	return 0;
}

const struct verb verb_watch = {
	"watch", "PID [INTERVAL [COUNT]]",
	"The stacks with outstanding allocations, as of now, again and again.",
	"trackleak watch 4711 10", verb_watch_run};
