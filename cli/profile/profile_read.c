/* DESIGN: getters take values out of the document and note the first thing that is wrong, so that
 * it is judged once, at its end.
 *
 * A field that is missing is 0, "" or NaN: an older agent did not know it. A field of a wrong kind,
 * or an index that leads nowhere, is an error.
 */
#include "profile_read.h"

#include "../../src/base/types.h"
#include "../base/keep.h"
#include "../base/region.h"
#include "reader.h"
#include "symbols.h"

#include <errno.h>
#include <fcntl.h>
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
#define PROFILE_READ_MIB_PER_HOUR (3600.0 / 1048576.0)

/* The arrays that may be large, in the order of `profile_read_arrays`. */
enum {
	READER_FUNCTIONS,
	READER_FRAMES,
	READER_STACKS,
	READER_CONTEXTS,
	READER_MAPS,
	READER_POOLS,
};

static const char *const profile_read_arrays[READER_ARRAYS] = {"functions", "frames", "stacks",
							       "contexts",  "maps",   "uncertain"};

static bool profile_read_is_since;

void profile_read_since_baseline(void)
{
	profile_read_is_since = true;
}

/* What is alive: all of it, or what came since the baseline. */
static struct estimate profile_read_live(struct reader *reader, const json_t *object,
					 const char *all, const char *since)
{
	return reader_estimate(reader, object, profile_read_is_since ? since : all);
}

static struct figures profile_read_figures(struct reader *reader, const json_t *object)
{
	static const struct reader_place places[] = {
		{"counted", offsetof(struct figures, counted)},
		{"counted_bytes", offsetof(struct figures, counted_bytes)},
		{"largest", offsetof(struct figures, largest)},
		{"sample_count", offsetof(struct figures, sample_count)},
		{"sample_bytes", offsetof(struct figures, sample_bytes)},
		{"freed_samples", offsetof(struct figures, freed_samples)},
		{"freed_sample_bytes", offsetof(struct figures, freed_sample_bytes)},
	};
	struct figures figures = {
		.count = reader_estimate(reader, object, "count"),
		.total_bytes = reader_estimate(reader, object, "total_bytes"),
		.retention = reader_number_or_nan(reader, object, "retention"),
		.live_bytes = profile_read_live(reader, object, "live_bytes", "since_bytes"),
		.live_count = profile_read_live(reader, object, "live_count", "since_count"),
	};

	reader_numbers(reader, object, places, TL_COUNT_OF(places), &figures);
	return figures;
}

/* A document without it comes from an agent that did not judge. */
static void profile_read_verdict(struct reader *reader, const json_t *object,
				 struct profile_function *function)
{
	const json_t *verdict = json_object_get(object, "verdict");

	if (verdict != NULL && !json_is_object(verdict))
		reader_complain(reader, "verdict", "an object");
	function->verdict = reader_string(reader, verdict, "word");
	function->sentence = reader_string(reader, verdict, "sentence");
	function->growth = reader_number_or_nan(reader, verdict, "bytes_per_second") *
			   PROFILE_READ_MIB_PER_HOUR;
	function->growth_low =
		reader_number_or_nan(reader, verdict, "low") * PROFILE_READ_MIB_PER_HOUR;
	function->growth_high =
		reader_number_or_nan(reader, verdict, "high") * PROFILE_READ_MIB_PER_HOUR;
}

/* A library function may be harmless in sum and leak for one of its callers: it is as bad as the
 * worst of them. */
static void profile_read_context(struct reader *reader, const json_t *object,
				 struct profile *profile)
{
	double index = reader_number(reader, object, "function");
	struct profile_function context, *function;

	if (!(index < (double)profile->function_count)) {
		reader_complain(reader, "contexts", "an array of contexts of the functions");
		return;
	}
	function = &profile->functions[(size_t)index];
	profile_read_verdict(reader, object, &context);
	if (profile_verdict_rank(context.verdict) <= profile_verdict_rank(function->verdict))
		return;
	function->verdict = context.verdict;
	function->sentence =
		region_text("for %s, %s:%.0f: %s", reader_string(reader, object, "via_function"),
			    reader_string(reader, object, "via_file"),
			    reader_number(reader, object, "via_line"), context.sentence);
}

static void profile_read_function(struct reader *reader, const json_t *object,
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
	function->figures = profile_read_figures(reader, object);
	function->peak_live_bytes = reader_number(reader, object, "peak_live_bytes");
	/* How old these are is not told. */
	if (!profile_read_is_since)
		function->uncertain_bytes = reader_number(reader, object, "uncertain_bytes");
	profile_read_verdict(reader, object, function);
	function->lines = region_alloc(function->line_count, sizeof(*function->lines));
	for (size_t i = 0; i < function->line_count; i++) {
		const json_t *line = reader_element(reader, lines, i, "lines");

		function->lines[i].line =
			reader_line(reader, json_object_get(line, "line"), "line");
		function->lines[i].figures = profile_read_figures(reader, line);
	}
	function->types = region_alloc(function->type_count, sizeof(*function->types));
	for (size_t i = 0; i < function->type_count; i++) {
		const json_t *type = reader_element(reader, types, i, "types");

		function->types[i].name = reader_string(reader, type, "type");
		function->types[i].bytes = reader_number(reader, type, "bytes");
	}
}

/* Its module and offset, if it has them. */
static void profile_read_native(struct reader *reader, const json_t *array,
				const struct profile *profile, struct profile_frame *frame)
{
	double module, offset;

	if (json_array_size(array) < 7)
		return;
	module = reader_value(reader, json_array_get(array, 5), "frames");
	offset = reader_value(reader, json_array_get(array, 6), "frames");
	if (!(module >= 0) || module >= (double)profile->module_count || !(offset >= 0) ||
	    offset > UINT32_MAX) {
		reader_complain(reader, "frames", "an array of frames in one of the modules");
		return;
	}
	frame->module = (size_t)module;
	frame->offset = (uint64_t)offset;
}

/* [parent, function, line], or [parent, -1, line, "name", "file"], or of native code
 * [parent, function or -1, 0, "name", "file", module, offset] */
static void profile_read_frame(struct reader *reader, const json_t *array, struct profile *profile,
			       size_t index)
{
	struct profile_frame *frame = &profile->frames[index];
	double parent = reader_value(reader, json_array_get(array, 0), "frames");
	double function = reader_value(reader, json_array_get(array, 1), "frames");

	*frame = (struct profile_frame){.function = PROFILE_NO_FUNCTION,
					.module = PROFILE_NO_MODULE,
					.name = "",
					.file = ""};
	if (!json_is_array(array) || json_array_size(array) < 3 || !(parent >= 0) ||
	    parent >= (double)index || !(function >= -1) ||
	    function >= (double)profile->function_count) {
		reader_complain(reader, "frames",
				"an array of frames with their parents before them");
		return;
	}
	frame->parent = (size_t)parent;
	frame->line = reader_line(reader, json_array_get(array, 2), "frames");
	profile_read_native(reader, array, profile, frame);
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

static void profile_read_stack(struct reader *reader, const json_t *object,
			       const struct profile *profile, struct profile_stack *stack)
{
	double frame = reader_number(reader, object, "frame");

	if (!(frame < (double)profile->frame_count)) {
		reader_complain(reader, "frame", "one of the frames");
		frame = 0;
	}
	stack->frame = (size_t)frame;
	stack->live_bytes = profile_read_live(reader, object, "live_bytes", "since_bytes");
	stack->live_count = profile_read_live(reader, object, "live_count", "since_count");
	stack->live_samples = reader_number(reader, object, "live_samples");
	stack->oldest_s = reader_number(reader, object, "oldest_seconds");
	stack->youngest_s = reader_number(reader, object, "youngest_seconds");
}

static const struct reader_place profile_read_process_places[] = {
	{"pid", offsetof(struct profile, pid)},
	{"start", offsetof(struct profile, start)},
};
static const struct reader_place profile_read_dump_places[] = {
	{"number", offsetof(struct profile, dump)},
	{"time", offsetof(struct profile, time)},
	{"elapsed_seconds", offsetof(struct profile, elapsed_s)},
};
static const struct reader_place profile_read_settings_places[] = {
	{"sample_rate", offsetof(struct profile, sample_rate)},
	{"sample_bytes", offsetof(struct profile, sample_bytes)},
	{"min_size", offsetof(struct profile, min_size)},
};
static const struct reader_place profile_read_table_places[] = {
	{"live_samples", offsetof(struct profile, live_samples)},
	{"live_capacity", offsetof(struct profile, live_capacity)},
	{"lost_samples", offsetof(struct profile, lost_samples)},
	{"thinned", offsetof(struct profile, thinned)},
	{"other_functions", offsetof(struct profile, other_functions)},
};
static const struct reader_place profile_read_memory_places[] = {
	{"rss_bytes", offsetof(struct profile, rss_bytes)},
	{"peak_rss_bytes", offsetof(struct profile, peak_rss_bytes)},
	{"peak_live_bytes", offsetof(struct profile, peak_live_bytes)},
	{"peak_live_time", offsetof(struct profile, peak_live_time)},
	{"agent_bytes", offsetof(struct profile, agent_bytes)},
	{"agent_cpu_seconds", offsetof(struct profile, agent_cpu_s)},
};
static const struct {
	const char *name;
	const struct reader_place *places;
	size_t count;
} profile_read_sections[] = {
	{"process", profile_read_process_places, TL_COUNT_OF(profile_read_process_places)},
	{"dump", profile_read_dump_places, TL_COUNT_OF(profile_read_dump_places)},
	{"settings", profile_read_settings_places, TL_COUNT_OF(profile_read_settings_places)},
	{"table", profile_read_table_places, TL_COUNT_OF(profile_read_table_places)},
	{"memory", profile_read_memory_places, TL_COUNT_OF(profile_read_memory_places)},
};

/* Of a path its last part: it is to tell a person, not the services. */
static const char *profile_read_title(const struct profile *profile)
{
	const char *slash = strrchr(profile->script, '/');

	return profile->script[0] == '\0'
		       ? profile->program
		       : region_text("%s %s", profile->program,
				     slash != NULL ? slash + 1 : profile->script);
}

static void profile_read_head(struct reader *reader, struct profile *profile)
{
	const json_t *process = json_object_get(reader->root, "process"),
		     *dump = json_object_get(reader->root, "dump"),
		     *memory = json_object_get(reader->root, "memory");

	if (!json_is_object(process) || !json_is_object(dump) || !json_is_object(memory))
		reader_complain(reader, "process, dump, memory", "there");
	for (size_t i = 0; i < TL_COUNT_OF(profile_read_sections); i++)
		reader_numbers(reader, json_object_get(reader->root, profile_read_sections[i].name),
			       profile_read_sections[i].places, profile_read_sections[i].count,
			       profile);
	profile->processes = 1;
	profile->is_forked = reader_flag(reader, process, "forked");
	profile->hostname = reader_string(reader, process, "hostname");
	profile->job_name = reader_string(reader, process, "job_name");
	profile->program = reader_string(reader, process, "program");
	profile->script = reader_string(reader, process, "script");
	profile->title = profile_read_title(profile);
	profile->python_version = reader_string(reader, process, "python_version");
	profile->is_final = reader_flag(reader, dump, "final");
	profile->baseline_time = reader_number_or_nan(reader, dump, "baseline_time");
	profile->live_bytes = reader_estimate(reader, memory, "live_bytes");
	profile->live_count = reader_estimate(reader, memory, "live_count");
}

static json_t *profile_read_object(struct reader *reader, size_t which)
{
	json_t *element = reader_next(reader, which);

	if (element != NULL && !json_is_object(element))
		reader_complain(reader, profile_read_arrays[which], "an array of objects");
	return element;
}

static void profile_read_modules(struct reader *reader, struct profile *profile)
{
	const json_t *modules =
		reader_array(reader, reader->root, "modules", &profile->module_count);

	profile->modules = region_alloc(profile->module_count, sizeof(*profile->modules));
	for (size_t i = 0; i < profile->module_count; i++) {
		const json_t *module = reader_element(reader, modules, i, "modules");

		profile->modules[i].path = reader_string(reader, module, "path");
		profile->modules[i].build_id = reader_string(reader, module, "build_id");
	}
}

static void profile_read_frames(struct reader *reader, struct profile *profile)
{
	uint32_t *depths;
	json_t *element;

	/* The root is there even when the document has no frames. */
	profile->frame_count = reader->arrays[READER_FRAMES].count;
	profile->frame_count = profile->frame_count > 0 ? profile->frame_count : 1;
	profile->frames = region_alloc(profile->frame_count, sizeof(*profile->frames));
	depths = keep_alloc(profile->frame_count, sizeof(*depths));
	profile->frames[0] = (struct profile_frame){.function = PROFILE_NO_FUNCTION,
						    .module = PROFILE_NO_MODULE,
						    .name = "<unknown>",
						    .file = ""};
	for (size_t i = 0; (element = reader_next(reader, READER_FRAMES)) != NULL; i++) {
		if (i > 0) {
			profile_read_frame(reader, element, profile, i);
			depths[i] = depths[profile->frames[i].parent] + 1;
			if (depths[i] > PROFILE_READ_DEPTH)
				reader_complain(reader, "frames",
						"of a depth that a stack can have");
		}
		json_decref(element);
	}
	free(depths);
}

static void profile_read_tails(struct reader *reader, struct profile *profile)
{
	struct profile_function judged;
	json_t *element;

	profile->map_count = reader->arrays[READER_MAPS].count;
	profile->maps = region_alloc(profile->map_count, sizeof(*profile->maps));
	for (size_t i = 0; (element = profile_read_object(reader, READER_MAPS)) != NULL; i++) {
		profile->maps[i].owner = reader_string(reader, element, "owner");
		profile->maps[i].bytes = reader_number(reader, element, "bytes");
		profile->maps[i].count = reader_number(reader, element, "count");
		json_decref(element);
	}
	profile->pool_count = reader->arrays[READER_POOLS].count;
	profile->pools = region_alloc(profile->pool_count, sizeof(*profile->pools));
	for (size_t i = 0; (element = profile_read_object(reader, READER_POOLS)) != NULL; i++) {
		profile->pools[i].type = reader_string(reader, element, "type");
		profile->pools[i].bytes = reader_number(reader, element, "bytes");
		profile->pools[i].count = reader_number(reader, element, "count");
		profile_read_verdict(reader, element, &judged);
		profile->pools[i].verdict = judged.verdict;
		profile->pools[i].sentence = judged.sentence;
		json_decref(element);
	}
}

static void profile_read_rows(struct reader *reader, struct profile *profile)
{
	json_t *element;

	for (size_t i = 0; i < READER_ARRAYS; i++) {
		if (json_object_get(reader->root, profile_read_arrays[i]) != NULL)
			reader_complain(reader, profile_read_arrays[i], "an array");
	}
	profile->function_count = reader->arrays[READER_FUNCTIONS].count;
	profile->functions = region_alloc(profile->function_count, sizeof(*profile->functions));
	for (size_t i = 0; (element = profile_read_object(reader, READER_FUNCTIONS)) != NULL; i++) {
		profile_read_function(reader, element, &profile->functions[i]);
		json_decref(element);
	}
	profile_read_modules(reader, profile);
	profile_read_frames(reader, profile);
	profile->stack_count = reader->arrays[READER_STACKS].count;
	profile->stacks = region_alloc(profile->stack_count, sizeof(*profile->stacks));
	for (size_t i = 0; (element = profile_read_object(reader, READER_STACKS)) != NULL; i++) {
		profile_read_stack(reader, element, profile, &profile->stacks[i]);
		json_decref(element);
	}
	while ((element = profile_read_object(reader, READER_CONTEXTS)) != NULL) {
		profile_read_context(reader, element, profile);
		json_decref(element);
	}
	profile_read_tails(reader, profile);
}

/* The process's own figures since the baseline are the sums of its functions'; stacks that hold
 * nothing since then are none. */
static void profile_read_sum_since(struct reader *reader, struct profile *profile)
{
	const json_t *dump = json_object_get(reader->root, "dump");
	size_t stacks = 0;

	if (!json_is_number(json_object_get(dump, "baseline_time"))) {
		reader_complain(reader, "baseline_time", "there: no baseline was taken before it");
		return;
	}
	profile->live_bytes = profile->live_count = (struct estimate){0, 0};
	for (size_t i = 0; i < profile->function_count; i++) {
		const struct figures *figures = &profile->functions[i].figures;

		profile->live_bytes = profile_add(profile->live_bytes, figures->live_bytes);
		profile->live_count = profile_add(profile->live_count, figures->live_count);
	}
	for (size_t i = 0; i < profile->stack_count; i++) {
		if (profile->stacks[i].live_bytes.value > 0)
			profile->stacks[stacks++] = profile->stacks[i];
	}
	profile->stack_count = stacks;
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
	struct reader reader = {.why = why, .names = profile_read_arrays};
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
	profile_read_head(&reader, profile);
	profile_read_rows(&reader, profile);
	if (profile_read_is_since)
		profile_read_sum_since(&reader, profile);
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
	if (profile != NULL)
		symbols_resolve(profile);
	return profile;
}
