#include "source.h"

#include "../base/keep.h"
#include "../base/lookup.h"
#include "profile_read.h"

#include <string.h>

#define SOURCE_LIMIT ((size_t)8 << 20)

struct source_file {
	char *text; /* NULL: cannot be read */
	char **lines;
	size_t count, room;
};

static struct {
	struct lookup lookup;
	struct source_file *files;
	size_t count, room;
} source;

static struct source_file source_load(const char *path)
{
	struct source_file file = {0};
	char why[PROFILE_READ_WHY];
	size_t length;

	/* A relative path is the program's and not ours: of where it ran we know nothing. */
	if (path[0] == '/')
		file.text = profile_read_file(path, SOURCE_LIMIT, &length, why);
	for (char *at = file.text; at != NULL && *at != '\0';) {
		char *end = at + strcspn(at, "\n");

		file.lines = keep_grow(file.lines, file.count, &file.room, sizeof(char *));
		file.lines[file.count++] = at;
		at = *end == '\0' ? end : end + 1;
		*end = '\0';
	}
	return file;
}

const char *source_line(const char *path, uint32_t line)
{
	size_t at = lookup_put(&source.lookup, path, source.count);
	const struct source_file *file;
	char *text;

	if (at == source.count) {
		source.files =
			keep_grow(source.files, source.count, &source.room, sizeof(*source.files));
		source.files[source.count++] = source_load(path);
	}
	file = &source.files[at];
	if (line == 0 || line > file->count)
		return NULL;
	text = file->lines[line - 1];
	text += strspn(text, " \t");
	text[strcspn(text, "\r")] = '\0';
	return text[0] != '\0' ? text : NULL;
}
