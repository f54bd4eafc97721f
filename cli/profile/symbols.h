/* symbols: names, files and lines for native frames, from the files that they lie in (elfutils).
 *
 * A file is believed only if its build id is that of the file that was profiled; if it is not, or
 * gone, the debug file of that build id in /usr/lib/debug is. What was inlined becomes frames of its
 * own. C++ names are demangled where there is a libstdc++.
 *
 * Promises  a frame that nothing is known of stays as it is: `<native libfoo.so.1+0x1234>`.
 */
#ifndef TL_CLI_PROFILE_SYMBOLS_H
#define TL_CLI_PROFILE_SYMBOLS_H

#include "profile.h"

void symbols_resolve(struct profile *profile);

#endif
