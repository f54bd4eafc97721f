/* DESIGN
 *     type object --cache, by address--> number --> name, in names
 * A class is known by its name: a class statement that runs twice makes one row. The cache spares
 * most instances the reading of the name; it looks at the type itself each time, because addresses
 * of types come back for others.
 */
#include "classes.h"

#include "../base/clock.h"
#include "../base/hash.h"
#include "../base/intern.h"
#include "../base/pages.h"
#include "../process/py_class.h"
#include "names.h"

#include <string.h>

#define CLASSES_MOST   (CLASSES_END - PY_TYPE_COUNT)
#define CLASSES_CACHED 1024u
/* Who ends the process waits for a round: it must be short (agent/reports). */
#define CLASSES_ROUND_NS UINT64_C(100000000)

struct classes_cached {
	uintptr_t class;
	uint64_t identity;
	uint32_t number;
};

static struct {
	struct intern set; /* by hash of the name; its lock is not needed */
	uint64_t *keys;
	uint32_t *names; /* by number in the set: a number of names_text */
	struct classes_cached *cache;
	uint64_t until_ns; /* of this round */
} classes;

TL_INTERNAL enum tl_err classes_start(void)
{
	classes.keys = pages_map(intern_bytes(CLASSES_MOST - 1));
	classes.names = pages_map(CLASSES_MOST * sizeof(uint32_t));
	classes.cache = pages_map(CLASSES_CACHED * sizeof(struct classes_cached));
	if (classes.keys == NULL || classes.names == NULL || classes.cache == NULL)
		return TL_ERR_SYSTEM;
	intern_start(&classes.set, classes.keys, CLASSES_MOST - 1);
	return TL_OK;
}

TL_INTERNAL void classes_reset_in_child(void)
{
	pages_clear(classes.keys, intern_bytes(CLASSES_MOST - 1));
	pages_clear(classes.names, CLASSES_MOST * sizeof(uint32_t));
	pages_clear(classes.cache, CLASSES_CACHED * sizeof(struct classes_cached));
	intern_reset(&classes.set);
}

static uint32_t classes_number_of_name(const char *name)
{
	size_t length = strlen(name);
	uint64_t key = hash_bytes(name, length, length) | 1;
	uint32_t number = intern_find(&classes.set, key), text;

	if (number != INTERN_NONE)
		return PY_TYPE_COUNT - 1 + number;
	text = names_of_text(name, length);
	number = text != 0 ? intern_reserve(&classes.set, key) : INTERN_NONE;
	if (number == INTERN_NONE)
		return PY_TYPE_OTHER;
	classes.names[number] = text;
	intern_publish(&classes.set, number, key);
	return PY_TYPE_COUNT - 1 + number;
}

static uint32_t classes_number(const struct py_type_found *found)
{
	uint64_t hash = hash_bytes(&found->class, sizeof(found->class), 0);
	struct classes_cached *cached = &classes.cache[hash % CLASSES_CACHED];
	char name[NAMES_LONGEST + 1];

	if (cached->class == found->class && cached->identity == found->identity)
		return cached->number;
	if (!py_class_name(found->class, name, sizeof(name)))
		return PY_TYPE_OTHER;
	*cached = (struct classes_cached){found->class, found->identity,
					  classes_number_of_name(name)};
	return cached->number;
}

TL_INTERNAL void classes_begin_round(void)
{
	classes.until_ns = clock_coarse_ns() + CLASSES_ROUND_NS;
	py_class_forget();
}

TL_INTERNAL unsigned classes_of_block(const void *block, size_t size, bool is_python)
{
	bool may_ask = clock_coarse_ns() < classes.until_ns;
	struct py_type_found found = py_type_of(block, size, is_python, may_ask);

	return found.class != 0 ? classes_number(&found) : found.type;
}

TL_INTERNAL const char *classes_name(unsigned number)
{
	if (number < PY_TYPE_COUNT)
		return py_type_name((enum py_type)number);
	return names_text(classes.names[number - PY_TYPE_COUNT + 1]);
}
