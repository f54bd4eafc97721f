/* source: the text of a line of a program, where its file is at hand. */
#ifndef TL_CLI_PROFILE_SOURCE_H
#define TL_CLI_PROFILE_SOURCE_H

#include <stdint.h>

/* The line without the blanks around it; NULL: not there. Kept. */
const char *source_line(const char *file, uint32_t line);

#endif
