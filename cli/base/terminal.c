#include "terminal.h"

#include "fail.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct {
	FILE *pager; /* NULL: none */
} terminal;

unsigned terminal_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	if (columns != NULL && atoi(columns) > 0)
		return (unsigned)atoi(columns);
	return TERMINAL_PIPE_WIDTH;
}

static bool terminal_is_stdout(const char *path)
{
	return path == NULL || strcmp(path, "-") == 0;
}

FILE *terminal_open(const char *path, bool with_pager)
{
	const char *pager = getenv("PAGER");
	FILE *out;

	if (!terminal_is_stdout(path)) {
		out = fopen(path, "we");
		if (out == NULL)
			fail("%s: %s", path, strerror(errno));
		return out;
	}
	/* less with F goes away by itself when all fits on the screen. */
	if (with_pager && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO)) {
		setenv("LESS", "FRX", 0);
		terminal.pager =
			popen(pager != NULL && pager[0] != '\0'
				      ? pager
				      : "command -v less >/dev/null && exec less; exec cat",
			      "we");
		/* A reader who has seen enough closes the pipe. */
		if (terminal.pager != NULL) {
			signal(SIGPIPE, SIG_IGN);
			return terminal.pager;
		}
	}
	return stdout;
}

void terminal_close(FILE *out, const char *path)
{
	bool is_lost;

	if (out == terminal.pager) {
		pclose(out);
		return;
	}
	is_lost = ferror(out) != 0;
	is_lost |= fflush(out) != 0;
	if (!terminal_is_stdout(path))
		is_lost |= fclose(out) != 0;
	if (is_lost)
		fail("%s could not be written: %s",
		     terminal_is_stdout(path) ? "standard output" : path, strerror(errno));
}
