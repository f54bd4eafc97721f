/* screen: a terminal as a page that is drawn anew: text, charts, keys.
 *
 * Promises  a name can do nothing to the terminal. It is put back as it was however the command
 *           ends; what was written to stderr meanwhile is said then.
 */
#ifndef TL_CLI_VIEW_SCREEN_H
#define TL_CLI_VIEW_SCREEN_H

#include "../profile/session.h"

/* Characters are their code points; the other keys are negative. */
enum screen_key {
	SCREEN_NONE = -1, /* nothing was pressed in time, or the size has changed */
	SCREEN_STOP = -2, /* Ctrl-C, SIGTERM, or the terminal is gone */
	SCREEN_UP = -3,
	SCREEN_DOWN = -4,
	SCREEN_PAGE_UP = -5,
	SCREEN_PAGE_DOWN = -6,
	SCREEN_HOME = -7,
	SCREEN_END = -8,
	SCREEN_ENTER = -9,
	SCREEN_ESCAPE = -10,
	SCREEN_BACKSPACE = -11,
};

enum screen_style {
	SCREEN_PLAIN,
	SCREEN_STRONG,
	SCREEN_DIM,
	SCREEN_BAD,
	SCREEN_WARNING,
	SCREEN_CHART,
	SCREEN_BAR, /* a heading, or what is selected */
};

void screen_check(void); /* fails with one line where there is no terminal that could show a page */
void screen_open(void);
void screen_close(void);
int screen_width(void);
int screen_height(void);
int screen_key(int wait_ms);
/* An empty page; what is put on it is shown by screen_show. */
void screen_clear(void);
void screen_show(void);
/* At most `width` columns of a text, and blanks in the rest of them for SCREEN_BAR. */
void screen_put(int y, int x, int width, enum screen_style style, const char *text);
/* The samples as bars, oldest left, from their lowest value to their highest. */
void screen_chart(int y, int x, int height, int width, const struct session *samples);

#endif
