/* frame_memo: which function and line a frame is at, without looking at its names.
 *
 * A code object's address tells what it is only while the object is alive: freed, it comes back as
 * another. So every code object that is remembered is watched, and when one is freed all is
 * forgotten. A place in native code is its address, and needs no watching.
 *
 * Where frees of code objects may pass us by (frame_memo_is_sound), none is watched, and the
 * caller's frames have a stamp for `at` that changes when the code object does (py_frame_stamp).
 *
 * Runs      in any thread, inside the hooks. Finding takes no lock.
 * Promises  never a line of a function that is gone.
 * Gives up  when more code objects are watched than there is room for: the rest is looked up by
 * contents each time.
 */
#ifndef TL_PROFILE_FRAME_MEMO_H
#define TL_PROFILE_FRAME_MEMO_H

#include "../base/types.h"
#include "../process/py_frame.h"

/* The `instruction` of a frame whose `code` is an address in native code. */
#define FRAME_MEMO_NATIVE INT32_MIN

struct frame_place {
	uint32_t function;  /* of names.h; below 2^16 */
	uint32_t line;      /* in its file; 0: unknown */
	uint32_t site_line; /* of sites.h; below 2^16; 0: not asked for yet */
	bool is_remembered; /* and so true for as long as the generation lasts */
};

/* Changes when all that is remembered is to be forgotten; never 0. Atomic. A code object that was
 * found to be at a place is there as long as this is what it was before. */
TL_DATA uint32_t frame_memo_generation;

/* In all threads. */
TL_INTERNAL void frame_memo_forget_all(void);
TL_INTERNAL void frame_memo_set_sound(bool is_sound);
/* Does every free of a code object pass a hook? Whoever knows says so. Atomic. */
TL_DATA bool frame_memo_is_sound;
TL_INTERNAL void frame_memo_reset_in_child(void);

/* By `code` and `at`. False: not known. */
TL_INTERNAL bool frame_memo_find(const struct py_frame *frame, struct frame_place *place);
/* False: there is no room to watch the code object. */
TL_INTERNAL bool frame_memo_remember(const struct py_frame *frame, const struct frame_place *place);

/* A block that is watched may be about to be freed. */
TL_INTERNAL void frame_memo_freed(const void *block);

TL_INTERNAL void frame_memo_renew_locks(void); /* see recorder_renew_locks */

#endif
