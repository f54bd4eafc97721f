/* control_request: what a line that comes over the control socket asks for. docs/FORMAT.md lists
 * the verbs.
 *
 * Runs      anywhere. Pure: text in, request out; whatever the line holds.
 */
#ifndef TL_AGENT_CONTROL_REQUEST_H
#define TL_AGENT_CONTROL_REQUEST_H

#include "../base/types.h"

struct text;

enum control_verb {
	CONTROL_STATUS,
	CONTROL_SNAPSHOT,
	CONTROL_PAUSE,
	CONTROL_RESUME,
	CONTROL_BASELINE,
	CONTROL_SET,
};

/* The settings that may change while the program runs. */
enum control_setting {
	CONTROL_SAMPLE_RATE,
	CONTROL_SAMPLE_BYTES,
	CONTROL_DUMP_INTERVAL,
	CONTROL_MAX_OVERHEAD,
	CONTROL_SETTINGS,
};

struct control_request {
	enum control_verb verb;
	bool has[CONTROL_SETTINGS]; /* of CONTROL_SET: those to be changed, within their limits */
	double values[CONTROL_SETTINGS];
};

/* TL_ERR_REFUSED: `why` says what is wrong with it. The line is cut into words in place. */
TL_INTERNAL enum tl_err control_request_read(char *line, struct control_request *request,
					     struct text *why);

#endif
