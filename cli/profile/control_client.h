/* control_client: asks the agent in a running process, over its control socket (docs/FORMAT.md).
 *
 * Promises  no call takes longer than CONTROL_CLIENT_S, or what was set instead; who answers is
 *           that process and none other; what is wrong is one line in `why`, and never ends the command.
 */
#ifndef TL_CLI_PROFILE_CONTROL_CLIENT_H
#define TL_CLI_PROFILE_CONTROL_CLIENT_H

#include "profile.h"

#include <jansson.h>
#include <sys/types.h>

#define CONTROL_CLIENT_S       20
#define CONTROL_CLIENT_WHY     512
#define CONTROL_CLIENT_REQUEST 254 /* bytes of a request, at most */

/* How long a call may take from now on, in seconds. */
void control_client_set_patience(double seconds);

/* The agent's answer, an object; NULL: there is none, or it refused. The caller owns it. */
json_t *control_client_ask(pid_t pid, const char *request, char why[CONTROL_CLIENT_WHY]);

/* Has the process write its snapshot now; the path, kept, or NULL. */
char *control_client_snapshot(pid_t pid, char why[CONTROL_CLIENT_WHY]);

/* Processes that have a control socket where this user can see it, each once; 0 at the end. */
pid_t *control_client_pids(void);

#endif
