/* DESIGN: CPython's own reading of its options: clusters of letters, of which the first one that
 * takes a value ends the cluster; `-c` and `-m` end the options.
 */
#include "script_name.h"

#include "../base/text.h"

#include <string.h>

/* The word behind it; NULL: it is the last. */
static const char *script_name_next(const char *word, const char *end)
{
	word += strlen(word) + 1;
	return word < end ? word : NULL;
}

/* The letter of the option in this word that takes a value, and the value if it is in the same
 * word; '\0': none does. */
static char script_name_option(const char *word, const char **value)
{
	const char *letter = word + strcspn(word, "cmWX");

	*value = *letter != '\0' && letter[1] != '\0' ? letter + 1 : NULL;
	return *letter;
}

TL_INTERNAL bool script_name_put(struct text *name, const char *words, size_t length)
{
	const char *end = words + length, *word = words, *value;

	while ((word = script_name_next(word, end)) != NULL) {
		char option = 'X';

		value = NULL;
		if (word[0] != '-' || word[1] == '\0') {
			text_put(name, word);
			return true;
		}
		if (word[1] != '-')
			option = script_name_option(word, &value);
		else if (strcmp(word, "--check-hash-based-pycs") != 0)
			option = '\0';
		if (option == '\0')
			continue;
		if (value == NULL)
			value = word = script_name_next(word, end);
		if (value == NULL)
			return true; /* it will complain, and end */
		if (option == 'c') {
			if (strncmp(value, "from multiprocessing.", 21) == 0)
				return false;
			text_put(name, "-c");
			return true;
		}
		if (option == 'm') {
			text_put(name, "-m ");
			text_put(name, value);
			return true;
		}
	}
	return true;
}
