/* leaf_memo: which line a code object's instruction is at, for the calling thread, without looking
 * at names.
 *
 * A code object's address tells what it is only while the object is alive: freed, it comes back as
 * another. So every code object that a thread remembers is watched, and when one is freed all
 * threads forget all.
 *
 * Runs      in any thread, inside the hooks. Finding takes no lock.
 * Promises  never a line of a function that is gone, as long as every free of a code object passes
 *           a hook: whoever knows says so (leaf_memo_set_sound). Until then nothing is remembered.
 * Gives up  when more code objects are watched than there is room for: the rest is looked up by
 * contents each time.
 */
#ifndef TL_PROFILE_LEAF_MEMO_H
#define TL_PROFILE_LEAF_MEMO_H

#include "../base/types.h"
#include "../process/py_frame.h"

TL_INTERNAL void leaf_memo_set_sound(bool is_sound);
TL_INTERNAL void leaf_memo_reset_in_child(void);

/* The number of the line (sites.h) that was remembered for the frame; false: not known. */
TL_INTERNAL bool leaf_memo_find(const struct py_frame *frame, uint32_t *line);
TL_INTERNAL void leaf_memo_remember(const struct py_frame *frame, uint32_t line);

/* A block whose page is watched is about to be freed. */
TL_INTERNAL void leaf_memo_freed(const void *block);

TL_INTERNAL void leaf_memo_renew_locks(void); /* see recorder_renew_locks */

#endif
