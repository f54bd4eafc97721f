#define NCURSES_WIDECHAR 1
#include "screen.h"

#include "../base/fail.h"
#include "../base/keep.h"
#include "../base/show.h"

#include <curses.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <term.h>
#include <unistd.h>
#include <wchar.h>

#define SCREEN_ESCAPE_MS 50
/* A chart of what hardly moves is a flat line, not its noise. */
#define SCREEN_CHART_LEAST 0.05

static struct {
	bool is_open, has_colour, has_blocks;
	int real_stderr, kept_stderr;
	volatile sig_atomic_t is_stopped;
	chtype styles[SCREEN_BAR + 1];
} screen = {.real_stderr = -1, .kept_stderr = -1};

static void screen_stop(int signal_number)
{
	(void)signal_number;
	screen.is_stopped = 1;
}

void screen_check(void)
{
	int error = 0;
	const char *name = getenv("TERM"), *move;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		fail("top is for a terminal: for a file or a pipe there are report and watch");
	if (name == NULL || setupterm(name, STDOUT_FILENO, &error) != OK)
		fail("TERM=%s: not a terminal that is known here: try TERM=xterm, or report",
		     name != NULL ? name : "");
	move = tigetstr("cup");
	if (move == NULL || move == (char *)-1)
		fail("TERM=%s: this terminal cannot move its cursor: use report or watch", name);
}

static void screen_make_styles(void)
{
	const char *no_colour = getenv("NO_COLOR");

	screen.styles[SCREEN_STRONG] = A_BOLD;
	screen.styles[SCREEN_DIM] = A_NORMAL;
	screen.styles[SCREEN_BAD] = A_BOLD;
	screen.styles[SCREEN_BAR] = A_REVERSE;
	if (!has_colors() || (no_colour != NULL && no_colour[0] != '\0'))
		return;
	start_color();
	use_default_colors();
	init_pair(1, COLOR_RED, -1);
	init_pair(2, COLOR_YELLOW, -1);
	init_pair(3, COLOR_CYAN, -1);
	screen.styles[SCREEN_BAD] = A_BOLD | (chtype)COLOR_PAIR(1);
	screen.styles[SCREEN_WARNING] = (chtype)COLOR_PAIR(2);
	screen.styles[SCREEN_CHART] = (chtype)COLOR_PAIR(3);
	screen.styles[SCREEN_DIM] = A_DIM;
}

void screen_open(void)
{
	const struct sigaction stop = {.sa_handler = screen_stop};

	screen.real_stderr = dup(STDERR_FILENO);
	screen.kept_stderr = memfd_create("stderr", MFD_CLOEXEC);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGHUP, &stop, NULL);
	if (newterm(NULL, stdout, stdin) == NULL)
		fail("TERM=%s: this terminal cannot show it: use report or watch", getenv("TERM"));
	if (screen.kept_stderr >= 0)
		dup2(screen.kept_stderr, STDERR_FILENO);
	screen.is_open = true;
	atexit(screen_close);
	screen.has_blocks = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	if (getenv("ESCDELAY") == NULL)
		set_escdelay(SCREEN_ESCAPE_MS);
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	curs_set(0);
	screen_make_styles();
}

void screen_close(void)
{
	char text[4096];
	ssize_t length;

	if (!screen.is_open)
		return;
	screen.is_open = false;
	endwin();
	fflush(stderr);
	if (screen.kept_stderr < 0)
		return;
	dup2(screen.real_stderr, STDERR_FILENO);
	lseek(screen.kept_stderr, 0, SEEK_SET);
	while ((length = read(screen.kept_stderr, text, sizeof(text))) > 0)
		fwrite(text, 1, (size_t)length, stderr);
}

int screen_width(void)
{
	return COLS;
}

int screen_height(void)
{
	return LINES;
}

static int screen_special(wint_t key)
{
	static const struct {
		wint_t code;
		int key;
	} keys[] = {{KEY_UP, SCREEN_UP},         {KEY_DOWN, SCREEN_DOWN},
		    {KEY_PPAGE, SCREEN_PAGE_UP}, {KEY_NPAGE, SCREEN_PAGE_DOWN},
		    {KEY_HOME, SCREEN_HOME},     {KEY_END, SCREEN_END},
		    {KEY_ENTER, SCREEN_ENTER},   {KEY_BACKSPACE, SCREEN_BACKSPACE}};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (keys[i].code == key)
			return keys[i].key;
	}
	return SCREEN_NONE;
}

int screen_key(int wait_ms)
{
	struct pollfd terminal = {.fd = STDIN_FILENO};
	wint_t key;
	int kind;

	timeout(wait_ms);
	kind = get_wch(&key);
	/* A terminal that has gone away gives nothing, at once and for ever. */
	if (screen.is_stopped ||
	    (kind == ERR && poll(&terminal, 1, 0) > 0 && (terminal.revents & POLLHUP) != 0))
		return SCREEN_STOP;
	if (kind == ERR)
		return SCREEN_NONE;
	/* What a terminal keeps of a page that it cuts or widens, each decides for itself. */
	if (kind == KEY_CODE_YES && key == KEY_RESIZE)
		clearok(curscr, TRUE);
	if (kind == KEY_CODE_YES)
		return screen_special(key);
	switch (key) {
	case '\r':
	case '\n':
		return SCREEN_ENTER;
	case 27:
		return SCREEN_ESCAPE;
	case 8:
	case 127:
		return SCREEN_BACKSPACE;
	}
	return (int)key;
}

void screen_clear(void)
{
	erase();
}

void screen_show(void)
{
	refresh();
}

void screen_put(int y, int x, int width, enum screen_style style, const char *text)
{
	char *plain = show_plain_text(text);
	const char *at = plain;
	mbstate_t state = {0};
	int used = 0;

	width = width < COLS - x ? width : COLS - x;
	if (y < 0 || y >= LINES || width <= 0) {
		free(plain);
		return;
	}
	attrset((int)screen.styles[style]);
	move(y, x);
	while (*at != '\0') {
		wchar_t wide[2] = {L'\0', L'\0'};
		size_t length = mbrtowc(&wide[0], at, strlen(at), &state);
		int taken;

		/* A locale that does not know the character. */
		if (length == (size_t)-1 || length == (size_t)-2) {
			state = (mbstate_t){0};
			wide[0] = L'?';
			for (length = 1; ((unsigned char)at[length] & 0xC0) == 0x80;)
				length++;
		}
		at += length;
		taken = wcwidth(wide[0]);
		taken = taken < 0 ? 0 : taken;
		if (used + taken > width)
			break;
		addnwstr(wide, 1);
		used += taken;
	}
	for (; style == SCREEN_BAR && used < width; used++)
		addch(' ');
	attrset(A_NORMAL);
	free(plain);
}

/* The largest of the samples in a column's share of the time; NaN: none. */
static double screen_column(const struct session *samples, double from_s, double to_s, size_t *at)
{
	double most = NAN;

	for (; *at < samples->sample_count && samples->samples[*at].time_s < to_s; ++*at) {
		if (samples->samples[*at].time_s >= from_s)
			most = fmax(most, samples->samples[*at].rss_bytes);
	}
	return most;
}

void screen_chart(int y, int x, int height, int width, const struct session *samples)
{
	static const wchar_t blocks[] = L" \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588";
	double low = INFINITY, high = 0, level = NAN, start, step;
	size_t at = 0;

	if (samples->sample_count == 0 || height < 1 || width < 1)
		return;
	for (size_t i = 0; i < samples->sample_count; i++) {
		low = fmin(low, samples->samples[i].rss_bytes);
		high = fmax(high, samples->samples[i].rss_bytes);
	}
	low = fmin(low, high * (1 - SCREEN_CHART_LEAST));
	start = samples->samples[0].time_s;
	step = fmax(1, (samples->samples[samples->sample_count - 1].time_s - start) / (width - 1));
	attrset((int)screen.styles[SCREEN_CHART]);
	for (int column = 0; column < width; column++) {
		double from_s = start + step * column,
		       value = screen_column(samples, from_s, from_s + step, &at);
		int eighths;

		if (isnan(value) && at == samples->sample_count)
			break; /* that time has not come yet */
		level = isnan(value) ? level : value;
		/* The lowest value still is a line. */
		eighths = 1 + (int)((level - low) / fmax(high - low, 1) * (height * 8 - 1) + 0.5);
		for (int row = 0; row < height && eighths > 0; row++, eighths -= 8) {
			const wchar_t bar[] = {blocks[eighths < 8 ? eighths : 8], L'\0'};

			if (screen.has_blocks)
				mvaddnwstr(y + height - 1 - row, x + column, bar, 1);
			else
				mvaddch(y + height - 1 - row, x + column, '#');
		}
	}
	attrset(A_NORMAL);
}
