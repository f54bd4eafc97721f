/* DESIGN: the logs may be hundreds of MiB, of many processes. They are read a line at a time, twice:
 * which dumps are there, and then those that are wanted. What tells lines apart (pid, start, dump,
 * kind) is found by its name in quotes, which cannot stand inside a JSON string; only lines that are
 * wanted are made trees of.
 *
 * A process is known by pid and start: in a container every program has the same pid. One that
 * became another by exec has the same start; its dumps are numbered anew then.
 */
#include "history.h"

#include "../base/fail.h"
#include "../base/keep.h"
#include "../base/lookup.h"
#include "../base/region.h"
#include "reader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HISTORY_START_S   0.01 /* starts that are closer are one */
#define HISTORY_FUNCTIONS 1000 /* of a dump, at most */

struct history_line {
	const char *text;
	double pid, start, dump, time;
	bool is_process, is_function;
};

typedef void history_visit(void *context, const struct history_line *line);

/* What stands behind `"name":`, or NULL. */
static const char *history_field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at != NULL ? at + strlen(name) : NULL;
}

static double history_number(const char *text, const char *name)
{
	const char *at = history_field(text, name);

	return at != NULL ? strtod(at, NULL) : 0;
}

/* "2026-11-21T15:34:25.164Z", with its quotes, as epoch seconds; NaN. */
static double history_time(const char *text)
{
	struct tm parts = {0};
	double seconds;

	if (text == NULL || sscanf(text, "\"%d-%d-%dT%d:%d:%lfZ\"", &parts.tm_year, &parts.tm_mon,
				   &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &seconds) != 6)
		return NAN;
	parts.tm_year -= 1900;
	parts.tm_mon--;
	return (double)timegm(&parts) + seconds;
}

static bool history_take_line(const char *text, struct history_line *line)
{
	const char *pid = history_field(text, "\"process.pid\":"),
		   *start = history_field(text, "\"process.start\":"),
		   *time = history_field(text, "\"@timestamp\":"),
		   *dump = history_field(text, "\"dump\":"),
		   *kind = history_field(text, "\"kind\":");

	if (pid == NULL || dump == NULL || kind == NULL)
		return false;
	*line = (struct history_line){
		.text = text,
		.pid = strtod(pid, NULL),
		.start = history_time(start),
		.dump = strtod(dump, NULL),
		.time = history_time(time),
		.is_process = strncmp(kind, "\"process\"", 9) == 0,
		.is_function = strncmp(kind, "\"function\"", 10) == 0,
	};
	return line->time > 0; /* not NaN */
}

static void history_read_file(const char *path, history_visit *visit, void *context)
{
	/* Not to hang on a pipe that nobody writes to. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
	struct history_line line;
	char *text = NULL;
	size_t room = 0;

	if (file == NULL)
		fail("%s: %s", path, strerror(errno));
	while (getline(&text, &room, file) > 0) {
		if (history_take_line(text, &line))
			visit(context, &line);
	}
	free(text);
	fclose(file);
}

bool history_is_file(const char *path)
{
	const char *suffix = strstr(path, ".jsonl"), *next;

	while (suffix != NULL && (next = strstr(suffix + 1, ".jsonl")) != NULL)
		suffix = next;
	if (suffix == NULL)
		return false;
	suffix += strlen(".jsonl");
	/* A log that was rotated has a number behind it. */
	return suffix[0] == '\0' ||
	       (suffix[0] == '.' && strspn(suffix + 1, "0123456789") == strlen(suffix + 1));
}

static bool history_is_new(struct lookup *seen, const struct stat *status)
{
	size_t known = seen->used;
	char inode[32];

	snprintf(inode, sizeof(inode), "%ju", (uintmax_t)status->st_ino);
	lookup_put(seen, inode, known);
	return seen->used > known;
}

static void history_read(const char *path, history_visit *visit, void *context)
{
	struct stat status;
	const struct dirent *entry;
	struct lookup seen = {0};
	DIR *stream;

	if (stat(path, &status) == 0 && !S_ISDIR(status.st_mode)) {
		history_read_file(path, visit, context);
		return;
	}
	stream = opendir(path);
	if (stream == NULL)
		fail("%s: %s", path, strerror(errno));
	while ((entry = readdir(stream)) != NULL) {
		char *file;

		if (!history_is_file(entry->d_name))
			continue;
		file = keep_text("%s/%s", path, entry->d_name);
		/* A log that is rotated meanwhile would be met again under its new name. */
		if (stat(file, &status) == 0 && access(file, R_OK) == 0 &&
		    history_is_new(&seen, &status))
			history_read_file(file, visit, context);
		free(file);
	}
	closedir(stream);
}

static bool history_is_of(const struct history *history, const struct history_line *line)
{
	return line->pid == history->pid && fabs(line->start - history->start) < HISTORY_START_S;
}

static struct history_dump *history_dump(struct history *history, const struct history_line *line)
{
	for (size_t i = history->count; i-- > 0;) {
		if (history->dumps[i].time == line->time)
			return &history->dumps[i];
	}
	history->dumps = region_grow(history->dumps, history->count, &history->room,
				     sizeof(*history->dumps));
	history->dumps[history->count] =
		(struct history_dump){.number = line->dump, .time = line->time, .least = SIZE_MAX};
	return &history->dumps[history->count++];
}

static void history_note_dump(void *context, const struct history_line *line)
{
	struct history *history = context;
	struct history_dump *dump;
	const char *functions;

	if (!history_is_of(history, line))
		return;
	dump = history_dump(history, line);
	dump->functions += line->is_function;
	if (!line->is_process)
		return;
	dump->rss_bytes = history_number(line->text, "\"rss_bytes\":");
	dump->live_bytes = history_number(line->text, "\"live_bytes\":");
	functions = history_field(line->text, "\"functions\":");
	if (functions != NULL)
		dump->least = (size_t)fmin(fmax(0, strtod(functions, NULL)), HISTORY_FUNCTIONS);
}

static int history_by_time(const void *a, const void *b)
{
	const struct history_dump *left = a, *right = b;

	return (left->time > right->time) - (left->time < right->time);
}

/* Leaves the dumps that are whole, of what the process is now, in their order. */
static struct history *history_find_dumps(struct history *history)
{
	size_t whole = 0;

	history_read(history->path, history_note_dump, history);
	if (history->count > 0)
		qsort(history->dumps, history->count, sizeof(*history->dumps), history_by_time);
	for (size_t i = 0; i < history->count; i++) {
		if (whole > 0 && history->dumps[i].number <= history->dumps[whole - 1].number)
			whole = 0;
		if (history->dumps[i].functions >= history->dumps[i].least)
			history->dumps[whole++] = history->dumps[i];
	}
	history->count = history->kept = whole;
	return history;
}

struct history *history_of(const struct profile *process, const char *path)
{
	struct history *history = region_alloc(1, sizeof(*history));
	char *folder = region_copy(process->path), *slash = strrchr(folder, '/');

	if (slash != NULL)
		*slash = '\0';
	*history = (struct history){
		.path = path != NULL    ? path
			: slash != NULL ? folder
					: ".",
		.pid = process->pid,
		.start = process->start,
	};
	return history_find_dumps(history);
}

static void history_note_process(void *context, const struct history_line *line)
{
	struct history *history = context;

	if (!line->is_process)
		return;
	history->pid = line->pid;
	history->start = line->start;
}

struct history *history_of_file(const char *path)
{
	struct history *history = region_alloc(1, sizeof(*history));

	history->path = path;
	history_read(path, history_note_process, history);
	if (history->pid == 0)
		fail("%s: no dump of a process in these lines", path);
	return history_find_dumps(history);
}

void history_thin(struct history *history, size_t most)
{
	size_t rss = 0, live = 0, count = 0, steps = most - 2;
	struct history_dump *dumps = history->dumps;

	if (history->count <= most)
		return;
	for (size_t i = 0; i < history->count; i++) {
		rss = dumps[i].rss_bytes > dumps[rss].rss_bytes ? i : rss;
		live = dumps[i].live_bytes > dumps[live].live_bytes ? i : live;
	}
	for (size_t i = 0, step = 0; i < history->count; i++) {
		bool is_step = i == step * (history->count - 1) / (steps - 1);

		step += is_step;
		if (is_step || i == rss || i == live)
			dumps[count++] = dumps[i];
	}
	history->count = count;
}

/* A dump that is wanted, and what is made of it. */
struct history_made {
	const struct history_dump *dump;
	struct profile *profile;
	size_t room;
};

struct history_maker {
	const struct history *history;
	struct history_made *made; /* by time */
	size_t count, most;        /* functions of each */
};

/* A figure and its standard error, which stands in a field of its own. */
static struct estimate history_estimate(struct reader *reader, const json_t *object,
					const char *name, const char *error)
{
	return (struct estimate){reader_number(reader, object, name),
				 reader_number(reader, object, error)};
}

static void history_read_function(struct reader *reader, const json_t *object,
				  struct profile_function *function)
{
	const json_t *types = reader_array(reader, object, "types", &function->type_count);
	struct figures *figures = &function->figures;

	function->name = reader_string(reader, object, "function");
	function->file = reader_string(reader, object, "file");
	function->kind = function->sentence = "";
	function->line = reader_line(reader, json_object_get(object, "line"), "line");
	function->verdict = reader_string(reader, object, "verdict");
	function->growth = reader_number_or_nan(reader, object, "growth_mb_per_hour");
	function->growth_low = reader_number_or_nan(reader, object, "growth_low");
	function->growth_high = reader_number_or_nan(reader, object, "growth_high");
	figures->count.value = reader_number(reader, object, "count");
	figures->total_bytes.value = reader_number(reader, object, "total_bytes");
	figures->retention = reader_number_or_nan(reader, object, "retention_pct") / 100;
	figures->live_bytes = history_estimate(reader, object, "live_bytes", "live_bytes_se");
	figures->live_count = history_estimate(reader, object, "live_count", "live_count_se");
	function->uncertain_bytes =
		fmax(0, reader_number_or_nan(reader, object, "uncertain_bytes")); /* null: 0 */
	function->lines = region_alloc(0, sizeof(*function->lines)); /* none, as a pointer */
	function->types = region_alloc(function->type_count, sizeof(*function->types));
	for (size_t i = 0; i < function->type_count; i++) {
		const json_t *type = reader_element(reader, types, i, "types");

		function->types[i].name = reader_string(reader, type, "type");
		function->types[i].bytes = reader_number(reader, type, "bytes");
	}
}

static void history_read_process(struct reader *reader, const json_t *object,
				 struct profile *profile)
{
	profile->rss_bytes = reader_number(reader, object, "rss_bytes");
	profile->live_bytes = history_estimate(reader, object, "live_bytes", "live_bytes_se");
	profile->live_count = history_estimate(reader, object, "live_count", "live_count_se");
}

static struct history_made *history_made_of(const struct history_maker *maker, double time)
{
	size_t low = 0, high = maker->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (maker->made[middle].dump->time < time)
			low = middle + 1;
		else
			high = middle;
	}
	return low < maker->count && maker->made[low].dump->time == time ? &maker->made[low] : NULL;
}

/* Where a function that holds so much goes; NULL: nowhere, so many hold more. */
static struct profile_function *history_place(struct history_made *made, size_t most, double live)
{
	struct profile *profile = made->profile;
	struct profile_function *least = profile->functions;

	if (profile->function_count < most) {
		profile->functions = region_grow(profile->functions, profile->function_count,
						 &made->room, sizeof(*profile->functions));
		return &profile->functions[profile->function_count++];
	}
	for (size_t i = 1; i < most; i++) {
		if (profile->functions[i].figures.live_bytes.value <
		    least->figures.live_bytes.value)
			least = &profile->functions[i];
	}
	return live > least->figures.live_bytes.value ? least : NULL;
}

static void history_add_line(void *context, const struct history_line *line)
{
	struct history_maker *maker = context;
	struct history_made *made = history_made_of(maker, line->time);
	struct profile_function *place = NULL;
	char why[READER_WHY] = "";
	struct reader reader = {.why = why};
	json_t *object;

	if (made == NULL || !history_is_of(maker->history, line) ||
	    (!line->is_function && !line->is_process))
		return;
	if (line->is_function)
		place = history_place(made, maker->most,
				      history_number(line->text, "\"live_bytes\":"));
	if (line->is_function && place == NULL)
		return;
	object = json_loads(line->text, 0, NULL);
	if (line->is_process)
		history_read_process(&reader, object, made->profile);
	else
		history_read_function(&reader, object, place);
	json_decref(object);
	if (object == NULL || why[0] != '\0')
		fail("%s: a line of dump %.0f: %s", maker->history->path, line->dump,
		     object == NULL ? "no JSON" : why);
}

static struct profile *history_begin(const struct history *history, const struct history_dump *dump)
{
	struct profile *profile = region_alloc(1, sizeof(*profile));

	*profile = (struct profile){
		.path = region_text("dump %.0f", dump->number),
		.processes = 1,
		.pid = history->pid,
		.start = history->start,
		.time = dump->time,
		.dump = dump->number,
		.hostname = "",
		.job_name = "",
		.program = "",
		.script = "",
		.title = "",
		.python_version = "",
		.frames = region_alloc(1, sizeof(struct profile_frame)),
		.frame_count = 1,
	};
	profile->frames[0] = (struct profile_frame){
		.function = PROFILE_NO_FUNCTION, .name = "<unknown>", .file = ""};
	return profile;
}

static struct profile **history_make(const struct history *history, size_t first, size_t count,
				     size_t most)
{
	struct history_maker maker = {.history = history, .count = count, .most = most};
	struct profile **profiles = region_alloc(count, sizeof(*profiles));

	maker.made = region_alloc(count, sizeof(*maker.made));
	for (size_t i = 0; i < count; i++) {
		maker.made[i].dump = &history->dumps[first + i];
		maker.made[i].profile = profiles[i] = history_begin(history, maker.made[i].dump);
	}
	history_read(history->path, history_add_line, &maker);
	return profiles;
}

struct profile *history_profile(const struct history *history, size_t dump)
{
	return history_make(history, dump, 1, SIZE_MAX)[0];
}

void history_fill(struct history *history, size_t most)
{
	history->profiles = history_make(history, 0, history->count, most);
}
