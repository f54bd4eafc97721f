#include "completion.h"

#include "../base/keep.h"
#include "../base/process.h"
#include "../base/show.h"
#include "../profile/control_client.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void completion_put(const char *typed, const char *candidate, const char *meaning)
{
	if (strncmp(candidate, typed, strlen(typed)) != 0)
		return;
	printf("%s\t", candidate);
	show_plain(stdout, meaning);
	putchar('\n');
}

/* Words parted by blanks, commas or `|`. `before`: what of the typed word stands before them. */
static void completion_put_choices(const char *typed, const char *before, const char *choices)
{
	for (const char *at = choices; *at != '\0'; at += strspn(at, ", |")) {
		size_t length = strcspn(at, ", |");

		completion_put(typed, keep_text("%s%.*s", before, (int)length, at), "");
		at += length;
	}
}

/* Those that can be asked: they have a control socket. */
static void completion_put_pids(const char *typed)
{
	for (const pid_t *pid = control_client_pids(); *pid != 0; pid++)
		completion_put(typed, keep_text("%d", (int)*pid), process_command(*pid));
}

static bool completion_takes_value(const struct poptOption *option)
{
	unsigned kind = option->argInfo & POPT_ARG_MASK;

	return kind != POPT_ARG_NONE && kind != POPT_ARG_VAL;
}

static bool completion_is_table(const struct poptOption *option)
{
	return (option->argInfo & POPT_ARG_MASK) == POPT_ARG_INCLUDE_TABLE;
}

static bool completion_is_end(const struct poptOption *option)
{
	return option->longName == NULL && !completion_is_table(option);
}

/* The option that `--name`, `--name=value` or `-n` stands for, or NULL. */
static const struct poptOption *completion_find(const struct poptOption *options, const char *word)
{
	const struct poptOption *found = NULL;
	size_t length = strcspn(word, "=");

	for (; !completion_is_end(options) && found == NULL; options++) {
		if (completion_is_table(options))
			found = completion_find(options->arg, word);
		else if (word[1] != '-' && word[1] == options->shortName && word[2] == '\0')
			found = options;
		else if (word[1] == '-' && strlen(options->longName) == length - 2 &&
			 strncmp(options->longName, word + 2, length - 2) == 0)
			found = options;
	}
	return found;
}

static void completion_put_options(const char *typed, const struct poptOption *options)
{
	for (; !completion_is_end(options); options++) {
		if (completion_is_table(options))
			completion_put_options(typed, options->arg);
		else
			completion_put(typed, keep_text("--%s", options->longName),
				       options->descrip);
	}
}

static void completion_put_values(const char *typed, const char *before,
				  const struct poptOption *option)
{
	if (strcmp(option->argDescrip, COMPLETION_CHOICE) == 0)
		completion_put_choices(typed, before, option->descrip);
	else if (strcmp(option->argDescrip, "FILE") == 0 ||
		 strcmp(option->argDescrip, "DIR") == 0 || strcmp(option->argDescrip, "TEXT") == 0)
		puts(":files");
}

/* `PID, FILE or DIR`, `PID this|that`, `A B, ... PID`, `FILE ...`, `... PROGRAM ...` */
static void completion_put_argument(const char *typed, const char *arguments, size_t most,
				    size_t index)
{
	bool is_program = strstr(arguments, "PROGRAM") != NULL;
	char *second = strncmp(arguments, "PID ", 4) == 0 ? keep_copy(arguments + 4) : NULL;

	if (index >= most)
		return;
	if (strstr(arguments, "PID") != NULL && (index == 0 || arguments[0] == 'A'))
		completion_put_pids(typed);
	if (second != NULL && index == 1) {
		second[strcspn(second, " ")] = '\0';
		if (strchr(second, '|') != NULL)
			completion_put_choices(typed, "", second);
	}
	if (is_program && index == 0)
		puts(":commands");
	if (is_program || strstr(arguments, "DIR") != NULL || strncmp(arguments, "FILE", 4) == 0)
		puts(":files");
}

void completion_offer(const char *arguments, size_t most, const struct poptOption *options,
		      const char *const *words)
{
	const struct poptOption *option, *open = NULL; /* waits for its value */
	bool has_options = true;
	size_t index = 0;

	for (; words[0] != NULL && words[1] != NULL; words++) {
		/* bash makes three words of --by=file. */
		if (open != NULL && strcmp(words[0], "=") == 0)
			continue;
		if (open != NULL) {
			open = NULL;
		} else if (has_options && words[0][0] == '-' && words[0][1] != '\0') {
			has_options = strcmp(words[0], "--") != 0;
			option = has_options ? completion_find(options, words[0]) : NULL;
			if (option != NULL && completion_takes_value(option) &&
			    strchr(words[0], '=') == NULL)
				open = option;
		} else {
			index++;
			/* A program's own options are its own. */
			has_options = has_options && strstr(arguments, "PROGRAM") == NULL;
		}
	}
	if (words[0] == NULL)
		return;
	if (open != NULL) {
		completion_put_values(strcmp(words[0], "=") == 0 ? "" : words[0], "", open);
	} else if (has_options && words[0][0] == '-' && strchr(words[0], '=') != NULL) {
		option = completion_find(options, words[0]);
		if (option != NULL && completion_takes_value(option))
			completion_put_values(
				words[0],
				keep_text("%.*s", (int)strcspn(words[0], "=") + 1, words[0]),
				option);
	} else if (has_options && words[0][0] == '-') {
		completion_put_options(words[0], options);
	} else {
		completion_put_argument(words[0], arguments, most, index);
	}
}
