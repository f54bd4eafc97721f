/* own_code: is a file the program's own code, or a library's?
 *
 * Runs      anywhere. Pure but for the settings.
 */
#ifndef TL_PROCESS_OWN_CODE_H
#define TL_PROCESS_OWN_CODE_H

#include "../base/types.h"

/* Not the standard library, not frozen, and not an installed package, unless TRACKLEAK_APP names
 * the package or a folder above the file. */
TL_INTERNAL bool own_code_is(const char *file);

#endif
