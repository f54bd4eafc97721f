/* show: names, sizes and times as a person reads them, and JSON strings.
 *
 * Promises  a name can do nothing to a terminal: control and bidi characters and what is no UTF-8
 *           are shown as \xNN or \uNNNN.
 */
#ifndef TL_CLI_BASE_SHOW_H
#define TL_CLI_BASE_SHOW_H

#include <stddef.h>
#include <stdio.h>

#define SHOW_WORD 40 /* bytes for one of the words below */

void show_plain(FILE *out, const char *name);
/* The same as a string that is kept. */
char *show_plain_text(const char *name);
void show_json(FILE *out, const char *string); /* with its quotes */
/* A number for JSON; NaN is null. */
void show_json_number(FILE *out, double number);

/* 512 B, 1.5 KiB, 12.34 MiB; at most 10 characters. The buffer has SHOW_WORD bytes. */
const char *show_size(char *buffer, double bytes);
const char *show_signed_size(char *buffer, double bytes);  /* +1.5 KiB */
const char *show_count(char *buffer, double count);        /* 12,345 */
const char *show_signed_count(char *buffer, double count); /* +12,345 */
const char *show_duration(char *buffer, double seconds);   /* 4.2 s, 12 min, 3.1 h, 2.5 d */
const char *show_time(char *buffer, double epoch_seconds); /* 2026-11-21 08:51:02 UTC */

#endif
