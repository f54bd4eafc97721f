/* DESIGN: a tree of a whole document would take ten times its room, and most of the time. So the
 * text is skimmed first: where does each of the document's own fields begin and end? The JSON
 * library then makes trees of the small fields, and of one element at a time of the arrays. Getters
 * take values out of the trees and note the first thing that is wrong, so that a document is judged
 * once, at its end. What stays lies in the region in use.
 *
 * A field that is missing is 0, "" or NaN: an older agent did not know it. A field of a wrong kind,
 * or an index that leads nowhere, is an error.
 */
#include "profile_read.h"

#include "../base/keep.h"
#include "../base/region.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROFILE_READ_FORMAT  "trackleak-snapshot"
#define PROFILE_READ_VERSION 1
/* A full table at STACK_DEPTH 512 stays below; a bigger file is no snapshot. */
#define PROFILE_READ_LIMIT ((size_t)512 << 20)
/* STACK_DEPTH goes to 512; deeper ones would overflow who walks the tree. */
#define PROFILE_READ_DEPTH 4096

/* of a byte a second */
#define READER_MIB_PER_HOUR (3600.0 / 1048576.0)

/* A field of the document that is an array, from its `[` to its `]`. */
struct reader_array {
	const char *at, *end;
	size_t count;
};

enum reader_arrays {
	READER_FUNCTIONS,
	READER_FRAMES,
	READER_STACKS,
	READER_CONTEXTS,
	READER_MAPS,
	READER_POOLS,
	READER_ARRAYS,
};

static const char *const reader_names[] = {"functions", "frames", "stacks",
					   "contexts",  "maps",   "uncertain"};

struct reader {
	char *why;    /* "": nothing is wrong so far */
	json_t *root; /* the fields that are no arrays */
	struct reader_array arrays[READER_ARRAYS];
};

static void reader_complain(struct reader *reader, const char *key, const char *wanted)
{
	if (reader->why[0] == '\0')
		snprintf(reader->why, PROFILE_READ_WHY, "its `%s` is not %s", key, wanted);
}

static const char *reader_skip_blanks(const char *at)
{
	return at + strspn(at, " \t\r\n");
}

/* A number that may be below 0, or NaN for null. */
static double reader_value(struct reader *reader, const json_t *value, const char *key)
{
	if (value == NULL)
		return 0;
	if (json_is_null(value))
		return NAN;
	if (!json_is_number(value)) {
		reader_complain(reader, key, "a number");
		return 0;
	}
	return json_number_value(value);
}

static double reader_number(struct reader *reader, const json_t *object, const char *key)
{
	double number = reader_value(reader, json_object_get(object, key), key);

	if (number < 0)
		reader_complain(reader, key, "a number from 0 up");
	return number;
}

static double reader_number_or_nan(struct reader *reader, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return value == NULL ? NAN : reader_value(reader, value, key);
}

static uint32_t reader_line(struct reader *reader, const json_t *value, const char *key)
{
	double number = reader_value(reader, value, key);

	if (number >= 0 && number <= UINT32_MAX)
		return (uint32_t)number;
	reader_complain(reader, key, "a line number");
	return 0;
}

static bool reader_flag(struct reader *reader, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (value != NULL && !json_is_boolean(value))
		reader_complain(reader, key, "true or false");
	return json_is_true(value);
}

static const char *reader_string(struct reader *reader, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (value == NULL || json_is_null(value))
		return "";
	if (!json_is_string(value)) {
		reader_complain(reader, key, "a string");
		return "";
	}
	return region_copy(json_string_value(value));
}

static struct estimate reader_estimate(struct reader *reader, const json_t *object, const char *key)
{
	const json_t *pair = json_object_get(object, key);
	struct estimate estimate;

	if (pair == NULL)
		return (struct estimate){0, 0};
	if (!json_is_array(pair) || json_array_size(pair) != 2) {
		reader_complain(reader, key, "[value, standard error]");
		return (struct estimate){0, 0};
	}
	estimate.value = reader_value(reader, json_array_get(pair, 0), key);
	estimate.se = reader_value(reader, json_array_get(pair, 1), key);
	/* A standard error that cannot be said is none that could be summed. */
	if (isnan(estimate.se))
		estimate.se = 0;
	if (!(estimate.value >= 0) || estimate.se < 0) {
		reader_complain(reader, key, "an estimate from 0 up");
		return (struct estimate){0, 0};
	}
	return estimate;
}

/* The array of that name, NULL and 0 when there is none. */
static const json_t *reader_array(struct reader *reader, const json_t *object, const char *key,
				  size_t *count)
{
	const json_t *array = json_object_get(object, key);

	if (array != NULL && !json_is_array(array))
		reader_complain(reader, key, "an array");
	*count = json_array_size(array);
	return array;
}

static const json_t *reader_element(struct reader *reader, const json_t *array, size_t index,
				    const char *key)
{
	const json_t *element = json_array_get(array, index);

	if (!json_is_object(element))
		reader_complain(reader, key, "an array of objects");
	return element;
}

static struct figures reader_figures(struct reader *reader, const json_t *object)
{
	return (struct figures){
		.counted = reader_number(reader, object, "counted"),
		.counted_bytes = reader_number(reader, object, "counted_bytes"),
		.count = reader_estimate(reader, object, "count"),
		.total_bytes = reader_estimate(reader, object, "total_bytes"),
		.largest = reader_number(reader, object, "largest"),
		.sample_count = reader_number(reader, object, "sample_count"),
		.sample_bytes = reader_number(reader, object, "sample_bytes"),
		.freed_samples = reader_number(reader, object, "freed_samples"),
		.freed_sample_bytes = reader_number(reader, object, "freed_sample_bytes"),
		.retention = reader_number_or_nan(reader, object, "retention"),
		.live_bytes = reader_estimate(reader, object, "live_bytes"),
		.live_count = reader_estimate(reader, object, "live_count"),
	};
}

/* A document without it comes from an agent that did not judge. */
static void reader_verdict(struct reader *reader, const json_t *object,
			   struct profile_function *function)
{
	const json_t *verdict = json_object_get(object, "verdict");

	if (verdict != NULL && !json_is_object(verdict))
		reader_complain(reader, "verdict", "an object");
	function->verdict = reader_string(reader, verdict, "word");
	function->sentence = reader_string(reader, verdict, "sentence");
	function->growth =
		reader_number_or_nan(reader, verdict, "bytes_per_second") * READER_MIB_PER_HOUR;
	function->growth_low = reader_number_or_nan(reader, verdict, "low") * READER_MIB_PER_HOUR;
	function->growth_high = reader_number_or_nan(reader, verdict, "high") * READER_MIB_PER_HOUR;
}

/* A library function may be harmless in sum and leak for one of its callers: it is as bad as the
 * worst of them. */
static void reader_context(struct reader *reader, const json_t *object, struct profile *profile)
{
	double index = reader_number(reader, object, "function");
	struct profile_function context, *function;

	if (!(index < (double)profile->function_count)) {
		reader_complain(reader, "contexts", "an array of contexts of the functions");
		return;
	}
	function = &profile->functions[(size_t)index];
	reader_verdict(reader, object, &context);
	if (profile_verdict_rank(context.verdict) <= profile_verdict_rank(function->verdict))
		return;
	function->verdict = context.verdict;
	function->sentence =
		region_text("for %s, %s:%.0f: %s", reader_string(reader, object, "via_function"),
			    reader_string(reader, object, "via_file"),
			    reader_number(reader, object, "via_line"), context.sentence);
}

static void reader_function(struct reader *reader, const json_t *object,
			    struct profile_function *function)
{
	const json_t *lines = reader_array(reader, object, "lines", &function->line_count);
	const json_t *types = reader_array(reader, object, "types", &function->type_count);

	function->name = reader_string(reader, object, "function");
	function->file = reader_string(reader, object, "file");
	function->kind = reader_string(reader, object, "kind");
	function->first_line =
		reader_line(reader, json_object_get(object, "first_line"), "first_line");
	function->line = reader_line(reader, json_object_get(object, "line"), "line");
	function->figures = reader_figures(reader, object);
	function->peak_live_bytes = reader_number(reader, object, "peak_live_bytes");
	reader_verdict(reader, object, function);
	function->lines = region_alloc(function->line_count, sizeof(*function->lines));
	for (size_t i = 0; i < function->line_count; i++) {
		const json_t *line = reader_element(reader, lines, i, "lines");

		function->lines[i].line =
			reader_line(reader, json_object_get(line, "line"), "line");
		function->lines[i].figures = reader_figures(reader, line);
	}
	function->types = region_alloc(function->type_count, sizeof(*function->types));
	for (size_t i = 0; i < function->type_count; i++) {
		const json_t *type = reader_element(reader, types, i, "types");

		function->types[i].name = reader_string(reader, type, "type");
		function->types[i].bytes = reader_number(reader, type, "bytes");
	}
}

/* [parent, function, line], or [parent, -1, line, "name", "file"] */
static void reader_frame(struct reader *reader, const json_t *array, struct profile *profile,
			 size_t index)
{
	struct profile_frame *frame = &profile->frames[index];
	double parent = reader_value(reader, json_array_get(array, 0), "frames");
	double function = reader_value(reader, json_array_get(array, 1), "frames");

	*frame = (struct profile_frame){.function = PROFILE_NO_FUNCTION, .name = "", .file = ""};
	if (!json_is_array(array) || json_array_size(array) < 3 || !(parent >= 0) ||
	    parent >= (double)index || !(function >= -1) ||
	    function >= (double)profile->function_count) {
		reader_complain(reader, "frames",
				"an array of frames with their parents before them");
		return;
	}
	frame->parent = (size_t)parent;
	frame->line = reader_line(reader, json_array_get(array, 2), "frames");
	if (function >= 0) {
		frame->function = (size_t)function;
		frame->name = profile->functions[frame->function].name;
		frame->file = profile->functions[frame->function].file;
	} else if (json_is_string(json_array_get(array, 3)) &&
		   json_is_string(json_array_get(array, 4))) {
		frame->name = region_copy(json_string_value(json_array_get(array, 3)));
		frame->file = region_copy(json_string_value(json_array_get(array, 4)));
	} else {
		reader_complain(reader, "frames", "an array of frames with names");
	}
}

static void reader_stack(struct reader *reader, const json_t *object, const struct profile *profile,
			 struct profile_stack *stack)
{
	double frame = reader_number(reader, object, "frame");

	if (!(frame < (double)profile->frame_count)) {
		reader_complain(reader, "frame", "one of the frames");
		frame = 0;
	}
	stack->frame = (size_t)frame;
	stack->live_bytes = reader_estimate(reader, object, "live_bytes");
	stack->live_count = reader_estimate(reader, object, "live_count");
	stack->live_samples = reader_number(reader, object, "live_samples");
	stack->oldest_s = reader_number(reader, object, "oldest_seconds");
	stack->youngest_s = reader_number(reader, object, "youngest_seconds");
}

static void reader_head(struct reader *reader, const json_t *root, struct profile *profile)
{
	const json_t *process = json_object_get(root, "process"),
		     *dump = json_object_get(root, "dump"),
		     *settings = json_object_get(root, "settings"),
		     *table = json_object_get(root, "table"),
		     *memory = json_object_get(root, "memory");

	if (!json_is_object(process) || !json_is_object(dump) || !json_is_object(memory))
		reader_complain(reader, "process, dump, memory", "there");
	profile->processes = 1;
	profile->pid = reader_number(reader, process, "pid");
	profile->is_forked = reader_flag(reader, process, "forked");
	profile->start = reader_number(reader, process, "start");
	profile->hostname = reader_string(reader, process, "hostname");
	profile->job_name = reader_string(reader, process, "job_name");
	profile->program = reader_string(reader, process, "program");
	profile->python_version = reader_string(reader, process, "python_version");
	profile->dump = reader_number(reader, dump, "number");
	profile->time = reader_number(reader, dump, "time");
	profile->elapsed_s = reader_number(reader, dump, "elapsed_seconds");
	profile->is_final = reader_flag(reader, dump, "final");
	profile->sample_rate = reader_number(reader, settings, "sample_rate");
	profile->sample_bytes = reader_number(reader, settings, "sample_bytes");
	profile->min_size = reader_number(reader, settings, "min_size");
	profile->live_samples = reader_number(reader, table, "live_samples");
	profile->live_capacity = reader_number(reader, table, "live_capacity");
	profile->lost_samples = reader_number(reader, table, "lost_samples");
	profile->thinned = reader_number(reader, table, "thinned");
	profile->other_functions = reader_number(reader, table, "other_functions");
	profile->rss_bytes = reader_number(reader, memory, "rss_bytes");
	profile->peak_rss_bytes = reader_number(reader, memory, "peak_rss_bytes");
	profile->live_bytes = reader_estimate(reader, memory, "live_bytes");
	profile->live_count = reader_estimate(reader, memory, "live_count");
	profile->peak_live_bytes = reader_number(reader, memory, "peak_live_bytes");
	profile->peak_live_time = reader_number(reader, memory, "peak_live_time");
	profile->agent_bytes = reader_number(reader, memory, "agent_bytes");
	profile->agent_cpu_s = reader_number(reader, memory, "agent_cpu_seconds");
}

/* The next element of an array; NULL when there are no more. The caller gives it back. */
static json_t *reader_next(struct reader *reader, enum reader_arrays which)
{
	struct reader_array *array = &reader->arrays[which];
	json_error_t error;
	json_t *element;

	if (array->count == 0 || reader->why[0] != '\0')
		return NULL;
	array->count--;
	array->at++; /* past [ or a comma */
	element = json_loadb(array->at, (size_t)(array->end - array->at),
			     JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY, &error);
	if (element != NULL)
		array->at += error.position;
	array->at = reader_skip_blanks(array->at);
	if (element == NULL || *array->at != (array->count > 0 ? ',' : ']')) {
		reader_complain(reader, reader_names[which], "an array");
		json_decref(element);
		return NULL;
	}
	if (which != READER_FRAMES && !json_is_object(element))
		reader_complain(reader, reader_names[which], "an array of objects");
	return element;
}

static void reader_frames(struct reader *reader, struct profile *profile)
{
	uint32_t *depths;
	json_t *element;

	/* The root is there even when the document has no frames. */
	profile->frame_count = reader->arrays[READER_FRAMES].count;
	profile->frame_count = profile->frame_count > 0 ? profile->frame_count : 1;
	profile->frames = region_alloc(profile->frame_count, sizeof(*profile->frames));
	depths = keep_alloc(profile->frame_count, sizeof(*depths));
	profile->frames[0] = (struct profile_frame){
		.function = PROFILE_NO_FUNCTION, .name = "<unknown>", .file = ""};
	for (size_t i = 0; (element = reader_next(reader, READER_FRAMES)) != NULL; i++) {
		if (i > 0) {
			reader_frame(reader, element, profile, i);
			depths[i] = depths[profile->frames[i].parent] + 1;
			if (depths[i] > PROFILE_READ_DEPTH)
				reader_complain(reader, "frames",
						"of a depth that a stack can have");
		}
		json_decref(element);
	}
	free(depths);
}

static void reader_tails(struct reader *reader, struct profile *profile)
{
	struct profile_function judged;
	json_t *element;

	profile->map_count = reader->arrays[READER_MAPS].count;
	profile->maps = region_alloc(profile->map_count, sizeof(*profile->maps));
	for (size_t i = 0; (element = reader_next(reader, READER_MAPS)) != NULL; i++) {
		profile->maps[i].owner = reader_string(reader, element, "owner");
		profile->maps[i].bytes = reader_number(reader, element, "bytes");
		profile->maps[i].count = reader_number(reader, element, "count");
		json_decref(element);
	}
	profile->pool_count = reader->arrays[READER_POOLS].count;
	profile->pools = region_alloc(profile->pool_count, sizeof(*profile->pools));
	for (size_t i = 0; (element = reader_next(reader, READER_POOLS)) != NULL; i++) {
		profile->pools[i].type = reader_string(reader, element, "type");
		profile->pools[i].bytes = reader_number(reader, element, "bytes");
		profile->pools[i].count = reader_number(reader, element, "count");
		reader_verdict(reader, element, &judged);
		profile->pools[i].verdict = judged.verdict;
		profile->pools[i].sentence = judged.sentence;
		json_decref(element);
	}
}

static void reader_rows(struct reader *reader, struct profile *profile)
{
	json_t *element;

	for (size_t i = 0; i < READER_ARRAYS; i++) {
		if (json_object_get(reader->root, reader_names[i]) != NULL)
			reader_complain(reader, reader_names[i], "an array");
	}
	profile->function_count = reader->arrays[READER_FUNCTIONS].count;
	profile->functions = region_alloc(profile->function_count, sizeof(*profile->functions));
	for (size_t i = 0; (element = reader_next(reader, READER_FUNCTIONS)) != NULL; i++) {
		reader_function(reader, element, &profile->functions[i]);
		json_decref(element);
	}
	reader_frames(reader, profile);
	profile->stack_count = reader->arrays[READER_STACKS].count;
	profile->stacks = region_alloc(profile->stack_count, sizeof(*profile->stacks));
	for (size_t i = 0; (element = reader_next(reader, READER_STACKS)) != NULL; i++) {
		reader_stack(reader, element, profile, &profile->stacks[i]);
		json_decref(element);
	}
	while ((element = reader_next(reader, READER_CONTEXTS)) != NULL) {
		reader_context(reader, element, profile);
		json_decref(element);
	}
	reader_tails(reader, profile);
}

static const char *reader_skip_string(const char *at)
{
	for (at++; *at != '\0' && *at != '"'; at++)
		at += at[0] == '\\' && at[1] != '\0';
	return at;
}

/* Past a value that is judged by its brackets only, or to the end of the text. `commas`: between
 * the elements of an array. */
static const char *reader_skip(const char *at, size_t *commas)
{
	size_t depth = 0;

	*commas = 0;
	for (; *at != '\0'; at++) {
		switch (*at) {
		case '"':
			at = reader_skip_string(at);
			if (*at == '\0')
				return at;
			break;
		case '[':
		case '{':
			depth++;
			break;
		case ']':
		case '}':
			if (depth <= 1)
				return at + depth;
			depth--;
			break;
		case ',':
			if (depth == 0)
				return at;
			*commas += depth == 1;
			break;
		}
	}
	return at;
}

/* Takes one field, from its name on; returns what stands behind it, or NULL and `*bad`. */
static const char *reader_field(struct reader *reader, const char *at, const char *end,
				const char **bad)
{
	json_error_t error;
	json_t *key = json_loadb(at, (size_t)(end - at), JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY,
				 &error),
	       *value = NULL;
	const char *name = json_string_value(key), *from;
	size_t commas, which = 0;

	at += error.position;
	from = reader_skip_blanks(at);
	*bad = from;
	if (name == NULL || *from != ':') {
		json_decref(key);
		return NULL;
	}
	from = reader_skip_blanks(from + 1);
	at = reader_skip(from, &commas);
	while (which < READER_ARRAYS && strcmp(reader_names[which], name) != 0)
		which++;
	*bad = at;
	if (*at != '\0' && *from == '[' && which < READER_ARRAYS) {
		reader->arrays[which] = (struct reader_array){
			from, at, *reader_skip_blanks(from + 1) == ']' ? 0 : commas + 1};
	} else {
		value = json_loadb(from, (size_t)(at - from), JSON_DECODE_ANY, &error);
		if (value == NULL && *at != '\0')
			*bad = from + error.position;
		at = value != NULL ? at : NULL;
		json_object_set_new(reader->root, name, value);
	}
	json_decref(key);
	return at;
}

/* The document's own fields; returns NULL, or where it is none. */
static const char *reader_skim(struct reader *reader, const char *text, const char *end)
{
	const char *at = reader_skip_blanks(text), *bad;

	reader->root = json_object();
	do {
		at = reader_skip_blanks(at + 1);
		if (*at == '}')
			break;
		at = reader_field(reader, at, end, &bad);
		if (at == NULL)
			return bad;
		at = reader_skip_blanks(at);
	} while (*at == ',');
	if (*at != '}')
		return at;
	at = reader_skip_blanks(at + 1);
	return at == end ? NULL : at;
}

static bool profile_read_knows(const json_t *root, char why[PROFILE_READ_WHY])
{
	const char *format = json_string_value(json_object_get(root, "format"));
	const json_t *version = json_object_get(root, "version");

	if (format == NULL || strcmp(format, PROFILE_READ_FORMAT) != 0)
		snprintf(why, PROFILE_READ_WHY, "not a snapshot of TrackLeak");
	else if (!json_is_integer(version) || json_integer_value(version) < 1)
		snprintf(why, PROFILE_READ_WHY, "a snapshot without a version");
	else if (json_integer_value(version) > PROFILE_READ_VERSION)
		snprintf(why, PROFILE_READ_WHY,
			 "a snapshot of format %lld, and this trackleak reads up to %d: use a "
			 "newer one",
			 (long long)json_integer_value(version), PROFILE_READ_VERSION);
	else
		return true;
	return false;
}

struct profile *profile_parse(const char *text, size_t length, const char *path,
			      char why[PROFILE_READ_WHY])
{
	struct reader reader = {.why = why};
	struct profile *profile;
	const char *bad;

	why[0] = '\0';
	if (length == 0) {
		snprintf(why, PROFILE_READ_WHY, "empty");
		return NULL;
	}
	if (text[strspn(text, " \t\r\n")] != '{') {
		snprintf(why, PROFILE_READ_WHY, "not a snapshot of TrackLeak");
		return NULL;
	}
	bad = reader_skim(&reader, text, text + length);
	if (bad == text + length)
		snprintf(why, PROFILE_READ_WHY, "cut short after %zu bytes", length);
	else if (bad != NULL)
		snprintf(why, PROFILE_READ_WHY, "not a snapshot of TrackLeak: no JSON at byte %td",
			 bad - text);
	if (bad != NULL || !profile_read_knows(reader.root, why)) {
		json_decref(reader.root);
		return NULL;
	}
	profile = region_alloc(1, sizeof(*profile));
	profile->path = path;
	reader_head(&reader, reader.root, profile);
	reader_rows(&reader, profile);
	json_decref(reader.root);
	if (why[0] != '\0')
		return NULL;
	return profile;
}

char *profile_read_file(const char *path, size_t limit, size_t *length, char why[PROFILE_READ_WHY])
{
	/* Not to hang on a pipe that nobody writes to. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	char *text = NULL;
	size_t done = 0;
	ssize_t got = 1;

	if (fd < 0 || fstat(fd, &status) != 0) {
		snprintf(why, PROFILE_READ_WHY, "%s", strerror(errno));
	} else if (!S_ISREG(status.st_mode)) {
		snprintf(why, PROFILE_READ_WHY, "not a file");
	} else if ((size_t)status.st_size > limit) {
		snprintf(why, PROFILE_READ_WHY, "larger than %zu MiB", limit >> 20);
	} else {
		text = keep_alloc((size_t)status.st_size + 1, 1);
		while (done < (size_t)status.st_size && got > 0) {
			got = read(fd, text + done, (size_t)status.st_size - done);
			done += got > 0 ? (size_t)got : 0;
		}
		if (got < 0) {
			snprintf(why, PROFILE_READ_WHY, "%s", strerror(errno));
			free(text);
			text = NULL;
		}
		*length = done;
	}
	if (fd >= 0)
		close(fd);
	return text;
}

struct profile *profile_read(const char *path, char why[PROFILE_READ_WHY])
{
	size_t length;
	char *text = profile_read_file(path, PROFILE_READ_LIMIT, &length, why);
	struct profile *profile;

	if (text == NULL)
		return NULL;
	profile = profile_parse(text, length, path, why);
	free(text);
	return profile;
}
