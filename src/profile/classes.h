/* classes: a number for each kind of thing that a block may hold: first those of py_type, then the
 * classes that were met, by name.
 *
 * Runs      where contexts does, one at a time; the caller holds a lock that keeps the block alive.
 * Gives up  when full: an instance of one more class is PY_TYPE_OTHER.
 */
#ifndef TL_PROFILE_CLASSES_H
#define TL_PROFILE_CLASSES_H

#include "../process/py_type.h"

#define CLASSES_BITS 12 /* of a number */
#define CLASSES_END  (1u << CLASSES_BITS)

TL_INTERNAL enum tl_err classes_start(void);
TL_INTERNAL void classes_reset_in_child(void);

/* Before a round of looking at blocks: for a while it may ask the kernel, then no more until the
 * next round. */
TL_INTERNAL void classes_begin_round(void);
/* The number of what the block holds. PY_TYPE_NOT_LOOKED: this round has no time for it.
 * `is_python`: see py_type_of. */
TL_INTERNAL unsigned classes_of_block(const void *block, size_t size, bool is_python);
/* As it is shown; "" where it is not known. Valid until a fork. */
TL_INTERNAL const char *classes_name(unsigned number);

#endif
