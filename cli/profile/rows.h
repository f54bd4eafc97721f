/* rows: a profile grouped by function, file, line, stack, type or module.
 *
 * Promises  unless something is left out (include, exclude, sizes, ages, leaks), the rows add up to
 *           the profile's live bytes, whatever the grouping.
 */
#ifndef TL_CLI_PROFILE_ROWS_H
#define TL_CLI_PROFILE_ROWS_H

#include "profile.h"

#include <regex.h>

enum rows_by { ROWS_FUNCTION, ROWS_FILE, ROWS_LINE, ROWS_STACK, ROWS_TYPE, ROWS_MODULE };
enum rows_sort { ROWS_SIZE, ROWS_COUNT, ROWS_GROWTH };

struct row {
	char *key;                               /* the same in every snapshot */
	const char *name, *file;                 /* name "": the file is the name */
	uint32_t line;                           /* 0: none */
	struct figures figures;                  /* of stacks and types, the live ones only */
	double peak_live_bytes;                  /* NaN: not kept */
	double uncertain_bytes;                  /* of the live ones; 0 where it is not kept */
	double growth, growth_low, growth_high;  /* MiB/h; NaN: cannot be said */
	double oldest_s, youngest_s;             /* of stacks; NaN */
	const struct profile_function *function; /* whose verdict; NULL */
	size_t frame; /* innermost, of a stack; of others the frame of the stack that holds most */
	double frame_bytes;
};

struct rows {
	struct row *rows;
	size_t count, room;
	bool has_totals; /* the figures other than the live ones are there */
};

struct rows_choice {
	enum rows_by by;
	enum rows_sort sort;
	bool peak;                          /* figures at the process's maximum */
	bool leaks;                         /* only functions that are leaking or growing */
	double older_s, min_size, max_size; /* older_s 0, min 0, max INFINITY: all */
	const regex_t *include, *exclude;   /* on a frame's `function file`; NULL: all */
};

/* Fails with one line where the choice asks for what a snapshot does not hold. Sorted; by size,
 * what is certain counts. */
struct rows rows_of(const struct profile *profile, const struct rows_choice *choice);
/* The bytes a row is measured by: live now, or at the peak. */
double rows_bytes(const struct row *row, const struct rows_choice *choice);
/* For each stack, is it wanted: age, size of its blocks, include and exclude over all its frames?
 * */
bool *rows_wanted_stacks(const struct profile *profile, const struct rows_choice *choice);
/* The last part of a path, or the module's name of a native place. */
const char *rows_module(const char *name, const char *file);

#endif
