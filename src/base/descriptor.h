/* descriptor: files and sockets of ours, out of the program's way.
 *
 * Runs      anywhere but on the hot path. Never waits but for what open itself waits for.
 * Promises  what it gives stands at DESCRIPTOR_HIGH or above, closed on exec. A program that goes
 *           on using a number that it has closed does not meet a file of ours there, but for the two
 *           calls between which it is moved.
 * Gives up  where the limit of descriptors is lower: above stderr, as they come.
 */
#ifndef TL_BASE_DESCRIPTOR_H
#define TL_BASE_DESCRIPTOR_H

#include "types.h"

#define DESCRIPTOR_HIGH 512

/* openat, with mode 0600 for a file that is made. Every file and folder of ours is opened here. */
TL_INTERNAL int descriptor_open(int folder, const char *path, int flags);
/* Takes a descriptor that was just made, or -1, and gives the one to use in its place; -1 and errno:
 * there is none, and the one that was given is closed. */
TL_INTERNAL int descriptor_raise(int fd);

#endif
