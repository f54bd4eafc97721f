#include "own_code.h"

#include "config.h"

#include <string.h>

static const char *const own_code_installed[] = {"/site-packages/", "/dist-packages/"};

/* .../python3.11/..., the standard library's folder, or python311.zip. */
static bool own_code_is_standard(const char *file)
{
	for (const char *at = file; (at = strstr(at, "/python3")) != NULL; at++) {
		const char *end = at + sizeof("/python3") - 1;

		while (*end == '.' || *end == 't' || (*end >= '0' && *end <= '9'))
			end++;
		/* A program may live in a folder of the interpreter's name: lib stands before it. */
		if (*end == '/' && ((at - file >= 4 && strncmp(at - 4, "/lib", 4) == 0) ||
				    (at - file >= 6 && strncmp(at - 6, "/lib64", 6) == 0)))
			return true;
		if (strncmp(end, "zip/", 4) == 0)
			return true;
	}
	return false;
}

/* The part of the path behind .../site-packages/, or NULL. */
static const char *own_code_in_package(const char *file)
{
	for (size_t i = 0; i < TL_COUNT_OF(own_code_installed); i++) {
		const char *at = strstr(file, own_code_installed[i]);

		if (at != NULL)
			return at + strlen(own_code_installed[i]);
	}
	return NULL;
}

/* `name` is followed by what ends a package's or a folder's name. */
static bool own_code_begins_with(const char *path, const char *name, size_t length)
{
	return strncmp(path, name, length) == 0 &&
	       (path[length] == '/' || path[length] == '\0' || name[length - 1] == '/' ||
		strcmp(path + length, ".py") == 0);
}

static bool own_code_is_named(const char *file)
{
	const char *package = own_code_in_package(file);

	for (const char *name = config.app; *name != '\0';) {
		size_t length = strcspn(name, ",");

		if (length > 0 &&
		    (own_code_begins_with(file, name, length) ||
		     (package != NULL && own_code_begins_with(package, name, length))))
			return true;
		name += length + (name[length] == ',');
	}
	return false;
}

TL_INTERNAL bool own_code_is(const char *file)
{
	if (file[0] == '\0' || own_code_is_named(file))
		return file[0] != '\0';
	return strncmp(file, "<frozen", 7) != 0 && own_code_in_package(file) == NULL &&
	       !own_code_is_standard(file);
}
