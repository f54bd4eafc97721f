/* eh_frame: how to get from a place in native code to its caller, as the module's .eh_frame says
 * (DWARF's call frame information; x86-64).
 *
 * Runs      anywhere. No allocation, no lock; memory of the module is read by safe_read only.
 * Promises  whatever the bytes are: an end, no fault, and no byte outside of the module is asked for.
 * Gives up  where a frame is none of the shapes that compilers make (they are those of struct
 *           eh_rule), and in signal frames.
 */
#ifndef TL_PROCESS_EH_FRAME_H
#define TL_PROCESS_EH_FRAME_H

#include "../base/types.h"

/* The registers that lead to a caller. RSP is the caller's by definition: the frame's address. */
enum eh_register { EH_RBX, EH_RBP, EH_R12, EH_R13, EH_R14, EH_R15, EH_SAVED, EH_RSP = EH_SAVED };

#define EH_KEPT INT16_MIN       /* the register is as in the callee */
#define EH_LOST (INT16_MIN + 1) /* nobody knows */

/* The frame's address (CFA) is base + offset, or what stands there; the return address stands in the
 * word below it. saved[r]: where the caller's register stands, in words from the frame's address, or
 * from RBP if the bit r of `by_rbp` is set; or EH_KEPT, or EH_LOST. */
struct eh_rule {
	int32_t offset;
	uint8_t base; /* enum eh_register */
	uint8_t is_stored;
	uint8_t by_rbp;
	uint8_t is_known; /* false: the walk ends here */
	int16_t saved[EH_SAVED];
};

/* A loaded file, as _dl_find_object has it: its addresses, and its .eh_frame_hdr. */
struct eh_module {
	uintptr_t start, end, header;
};

/* The rule for a frame whose next instruction is at `pc`, which follows a call. */
TL_INTERNAL struct eh_rule eh_frame_rule(const struct eh_module *module, uintptr_t pc);

#endif
