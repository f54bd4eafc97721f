/* DESIGN: once a second the processes' RSS is read and the files are looked at; between, keys are
 * waited for. A key for a snapshot or a baseline asks the processes over their control sockets;
 * what they cannot be asked for is made of the last dump, and the message says so.
 */
#include "verb.h"

#include "../base/fail.h"
#include "../base/keep.h"
#include "../base/process.h"
#include "../profile/control_client.h"
#include "../profile/profile_find.h"
#include "../profile/profile_read.h"
#include "../view/screen.h"
#include "../view/top_view.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define VERB_TOP_TICK_S     1.0
#define VERB_TOP_PATIENCE_S 5 /* of a key, for a process that does not answer */
#define VERB_TOP_LIMIT      ((size_t)512 << 20)

__attribute__((format(printf, 2, 3))) static void verb_top_say(struct top_view *top,
							       const char *format, ...)
{
	va_list arguments;

	free(top->message);
	va_start(arguments, format);
	if (vasprintf(&top->message, format, arguments) < 0)
		fail("there is not enough memory");
	va_end(arguments);
}

/* Returns errno; nothing that is there is overwritten. */
static int verb_top_copy(const char *from, const char *to)
{
	char why[PROFILE_READ_WHY], *text;
	size_t length, done = 0;
	ssize_t put = 1;
	int fd, error = 0;

	text = profile_read_file(from, VERB_TOP_LIMIT, &length, why);
	if (text == NULL)
		return ENOENT;
	fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	while (fd >= 0 && done < length && put > 0) {
		put = write(fd, text + done, length - done);
		done += put > 0 ? (size_t)put : 0;
	}
	if (fd < 0 || put <= 0 || close(fd) != 0)
		error = errno;
	free(text);
	return error;
}

/* Copies what this process writes now, if it can be asked, else its last dump's. Returns errno. */
static int verb_top_write_one(const struct profile *part, const char *to, size_t *asked,
			      char why[CONTROL_CLIENT_WHY])
{
	char *fresh = NULL;

	if (profile_find_is_running(part))
		fresh = control_client_snapshot((pid_t)part->pid, why);
	*asked += fresh != NULL;
	return verb_top_copy(fresh != NULL ? fresh : part->path, to);
}

/* The snapshot, or of several processes a folder of them, into the current folder. */
static void verb_top_write(struct top_view *top)
{
	const struct profile *profile = top->service.profile;
	char name[64], *path, why[CONTROL_CLIENT_WHY] = "the process is gone";
	struct tm parts;
	time_t now = time(NULL);
	size_t asked = 0;
	int error = 0;

	localtime_r(&now, &parts);
	strftime(name, sizeof(name), "trackleak-%Y%m%d-%H%M%S", &parts);
	if (profile->parts == NULL) {
		path = keep_text("%s-%.0f.json", name, profile->pid);
		error = verb_top_write_one(profile, path, &asked, why);
	} else {
		path = keep_copy(name);
		error = mkdir(path, 0700) != 0 ? errno : 0;
		for (size_t i = 0; error == 0 && i < profile->processes; i++) {
			const struct profile *part = profile->parts[i];
			char *to = keep_text("%s/snapshot-%.0f.json", path, part->pid);

			error = verb_top_write_one(part, to, &asked, why);
			free(to);
		}
	}
	if (error != 0)
		verb_top_say(top, "%s could not be written: %s", path, strerror(error));
	else if (asked == profile->processes)
		verb_top_say(top, "written to %s, as of now", path);
	else if (asked == 0)
		verb_top_say(top, "written to %s, as of the last dump: %s", path, why);
	else
		verb_top_say(top, "written to %s, %zu of %zu as of now", path, asked,
			     profile->processes);
	free(path);
}

/* Asks every process that runs; returns how many did it. */
static size_t verb_top_ask(const struct top_view *top, const char *request,
			   char why[CONTROL_CLIENT_WHY])
{
	size_t done = 0;

	for (size_t i = 0; i < top->service.profile->processes; i++) {
		const struct profile *part = service_part(&top->service, i);
		json_t *answer = NULL;

		if (profile_find_is_running(part))
			answer = control_client_ask((pid_t)part->pid, request, why);
		done += answer != NULL;
		json_decref(answer);
	}
	return done;
}

/* Differences are counted from what is known now, and growth and verdicts begin anew in the
 * processes. */
static void verb_top_baseline(struct top_view *top)
{
	char why[CONTROL_CLIENT_WHY] = "the process is gone";
	size_t asked;

	if (verb_top_ask(top, "snapshot", why) > 0)
		service_refresh(&top->service);
	asked = verb_top_ask(top, "baseline", why);
	service_take_baseline(&top->service);
	top->by_difference = true;
	if (asked == 0)
		verb_top_say(top, "baseline taken here only, from dump %.0f: %s",
			     top->service.profile->dump, why);
	else if (asked == 1 && top->service.profile->processes == 1)
		verb_top_say(top, "baseline taken in the process: growth begins anew");
	else
		verb_top_say(top, "baseline taken in %zu of %zu processes: growth begins anew",
			     asked, top->service.profile->processes);
}

static void verb_top_sort(struct top_view *top, enum rows_sort sort)
{
	top->choice.sort = sort;
	top->by_difference = false;
	top->selected = 0;
}

/* Returns whether the rows are to be made anew. */
static bool verb_top_type(struct top_view *top, int key)
{
	size_t length = strlen(top->filter);
	char bytes[MB_LEN_MAX + 1] = "";

	if (key == SCREEN_ENTER || key == SCREEN_ESCAPE) {
		top->is_typing = false;
		if (key == SCREEN_ESCAPE)
			top->filter[0] = '\0';
	} else if (key == SCREEN_BACKSPACE) {
		while (length > 0 && ((unsigned char)top->filter[length - 1] & 0xC0) == 0x80)
			length--;
		top->filter[length > 0 ? length - 1 : 0] = '\0';
	} else if (key >= ' ' && wctomb(bytes, (wchar_t)key) > 0 &&
		   length + strlen(bytes) < sizeof(top->filter)) {
		strcat(top->filter, bytes);
	}
	top->selected = 0;
	return true;
}

static void verb_top_move(struct top_view *top, int key)
{
	size_t *at = top->page == TOP_SITES ? &top->selected : &top->scroll;
	size_t page = top_view_page(top);
	size_t last = top->page != TOP_SITES ? SIZE_MAX / 2
		      : top->row_count > 0   ? top->row_count - 1
					     : 0;
	size_t step = key == SCREEN_PAGE_UP || key == SCREEN_PAGE_DOWN ? page : 1;

	switch (key) {
	case SCREEN_UP:
	case 'k':
	case SCREEN_PAGE_UP:
		*at -= *at < step ? *at : step;
		break;
	case SCREEN_DOWN:
	case 'j':
	case SCREEN_PAGE_DOWN:
		*at = *at + step < last ? *at + step : last;
		break;
	case SCREEN_HOME:
		*at = 0;
		break;
	case SCREEN_END:
		*at = last;
		break;
	}
}

/* A key on the page of sites. Returns whether the rows are to be made anew. */
static bool verb_top_key(struct top_view *top, int key)
{
	switch (key) {
	case 's':
		verb_top_sort(top, ROWS_SIZE);
		return true;
	case 'n':
		verb_top_sort(top, ROWS_COUNT);
		return true;
	case 'g':
		verb_top_sort(top, ROWS_GROWTH);
		return true;
	case 'd':
		if (top->service.baseline == NULL)
			verb_top_say(top, "there is no baseline yet: b takes one");
		verb_top_sort(top, ROWS_SIZE);
		top->by_difference = top->service.baseline != NULL;
		return true;
	case 'v':
		top->choice.by = top->choice.by == ROWS_MODULE ? ROWS_FUNCTION : top->choice.by + 1;
		/* A snapshot holds types of all functions together only. */
		top->choice.by += top->choice.by == ROWS_TYPE && top->choice.leaks;
		top->selected = 0;
		return true;
	case 'l':
		top->choice.leaks = !top->choice.leaks;
		return true;
	case 'b':
		verb_top_baseline(top);
		return true;
	case 'B':
		service_drop_baseline(&top->service);
		top->by_difference = false;
		return true;
	case '/':
		top->is_typing = true;
		break;
	case SCREEN_ESCAPE:
		top->filter[0] = '\0';
		return true;
	case 'w':
		verb_top_write(top);
		break;
	case 'p':
		top->is_paused = !top->is_paused;
		break;
	case 'h':
	case '?':
		top_view_help(top);
		break;
	case SCREEN_ENTER:
		top_view_open(top);
		break;
	}
	return false;
}

static void verb_top_tick(struct top_view *top)
{
	double elapsed_s = process_now() - top->rss.start, rss = service_rss(&top->service);

	if (top->is_paused)
		return;
	if (service_refresh(&top->service))
		top_view_arrange(top);
	if (rss <= 0)
		return; /* it has ended */
	session_add(&top->rss, elapsed_s, rss);
	session_add(&top->live, elapsed_s, top->service.profile->live_bytes.value);
}

static void verb_top_loop(struct top_view *top)
{
	double next = 0;

	for (;;) {
		double now = process_now();
		int key;

		if (now >= next || next > now + VERB_TOP_TICK_S) {
			verb_top_tick(top);
			next = now + VERB_TOP_TICK_S;
		}
		top_view_draw(top);
		key = screen_key((int)(fmax(0, next - process_now()) * 1000) + 1);
		if (key == SCREEN_STOP)
			return;
		if (key == SCREEN_NONE)
			continue;
		free(top->message);
		top->message = NULL;
		if (top->is_typing) {
			if (verb_top_type(top, key))
				top_view_arrange(top);
		} else if (top->page != TOP_SITES && (key == SCREEN_ESCAPE || key == 'q')) {
			top_view_close(top);
		} else if (key == 'q') {
			return;
		} else {
			verb_top_move(top, key);
			if (top->page == TOP_SITES && verb_top_key(top, key))
				top_view_arrange(top);
		}
	}
}

static int verb_top_run(const struct verb *verb, int argc, const char **argv)
{
	const struct poptOption options[] = {POPT_TABLEEND};
	const char **words = verb_options(verb, options, argc, argv, 0, 1);
	struct top_view top = {.choice = {.sort = ROWS_GROWTH, .max_size = INFINITY}};

	screen_check();
	control_client_set_patience(VERB_TOP_PATIENCE_S);
	service_open(&top.service, words[0]);
	top.rss.start = process_now();
	top_view_arrange(&top);
	screen_open();
	verb_top_loop(&top);
	screen_close();
	return 0;
}

const struct verb verb_top = {
	"top", "[PID, FILE or DIR]",
	"A live screen: charts of RSS and live bytes, and the sites that grow.",
	"trackleak top 4711", verb_top_run};
