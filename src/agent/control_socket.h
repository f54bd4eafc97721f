/* control_socket: where the `trackleak` command reaches this process: one request line, one answer.
 *
 *     $XDG_RUNTIME_DIR/trackleak/PID.sock, else /tmp/trackleak-<uid>/PID.sock
 *
 * Runs      in the worker; control_socket_close in a thread that ends the process, when there is no
 *           worker any more; control_socket_forget in a forked child. Takes no lock.
 * Promises  only this user and root are heard. The folder is ours and writable by nobody else,
 *           looked at before each use; links are not followed. No call waits for a peer: one that
 *           is slow, silent or endless is hung up on. A descriptor that the program has closed, and
 *           perhaps uses for something else by now, is neither used nor closed: the socket is made
 *           anew.
 * Gives up  when no socket can be had: one line, no control, profiling goes on.
 */
#ifndef TL_AGENT_CONTROL_SOCKET_H
#define TL_AGENT_CONTROL_SOCKET_H

#include "../base/types.h"

/* The thread that calls this gets CONTROL_SIGNAL when there is something to take. It must have it
 * blocked, and wait for it. (It may not come; something may be there all the same.) A signal that
 * nobody uses: who waits for one takes it from the whole process, too. */
#define CONTROL_SIGNAL SIGSTKFLT
TL_INTERNAL void control_socket_adopt(void);
/* Sees to it that there is a socket, and that it is ours. Once a second. */
TL_INTERNAL void control_socket_tick(void);

/* A request's line, without its end, and the peer that it came from; NULL: none now. It stays until
 * it is answered. */
TL_INTERNAL char *control_socket_take(size_t *peer);
/* Sends and hangs up. */
TL_INTERNAL void control_socket_answer(size_t peer, const char *bytes, size_t length);

TL_INTERNAL void control_socket_close(void);
/* A forked child has copies of its parent's descriptors, and no socket. */
TL_INTERNAL void control_socket_forget(void);

/* Where the /tmp of the path above is. Changed by tests only. */
TL_DATA const char *control_socket_temporary;

#endif
