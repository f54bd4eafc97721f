/* report_json: the same rows for programs: one JSON document (docs/FORMAT.md). */
#ifndef TL_CLI_VIEW_REPORT_JSON_H
#define TL_CLI_VIEW_REPORT_JSON_H

#include "../profile/profile.h"
#include "../profile/rows.h"

#include <stdio.h>

/* The first `count` rows. */
void report_json(FILE *out, const struct profile *profile, const struct rows *rows, size_t count,
		 const struct rows_choice *choice);
/* Who, when and how much: fields, with a comma after the last. */
void report_json_head(FILE *out, const struct profile *profile);
/* One `"key":number` and the comma after it. */
void report_json_number(FILE *out, const char *key, double number);
void report_json_string(FILE *out, const char *key, const char *string);

#endif
