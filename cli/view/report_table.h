/* report_table: rows as a table, for a person. */
#ifndef TL_CLI_VIEW_REPORT_TABLE_H
#define TL_CLI_VIEW_REPORT_TABLE_H

#include "../profile/profile.h"
#include "../profile/rows.h"

#include <stdio.h>

struct report_table {
	size_t top;       /* rows at most */
	double threshold; /* percent of the whole below which a row is only summed up */
	bool show_allocs; /* what was allocated too, freed or not */
	bool show_source;
	unsigned width;
	size_t depth; /* frames of a stack at most; 0: all */
};

/* How many of the rows stand above the threshold and within top. */
size_t report_table_count(const struct rows *rows, const struct rows_choice *choice,
			  const struct report_table *options);
void report_table(FILE *out, const struct profile *profile, const struct rows *rows,
		  const struct rows_choice *choice, const struct report_table *options);
/* Frames from `frame` out, a line each, with source lines; `depth` of them at most, 0: all. */
void report_table_stack(FILE *out, const struct profile *profile, size_t frame, bool with_source,
			size_t depth);
/* `name  file:line`, in what is left of a line of `width` columns after `used`. */
void report_table_place(FILE *out, const char *name, const char *file, uint32_t line, unsigned used,
			unsigned width);

#endif
