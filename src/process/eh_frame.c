/* DESIGN
 *     .eh_frame_hdr: sorted {function, FDE} --binary search--> FDE -> CIE
 *     CIE's instructions, then the FDE's up to the place: a row of rules
 * It is the way that libgcc goes too. That one may abort on what it does not know, and may allocate;
 * this one knows less and ends there. Of DWARF's expressions it knows the two that compilers make
 * for functions that align their stack: a register and an offset, and what stands there. Those of
 * PLTs are for who interrupts one: no call returns into a PLT.
 *
 * A reader fetches 256 bytes at a time by safe_read: a module could in theory go while we read,
 * where the place is no live call's but was left on a stack that greenlets share. A rule is
 * remembered by the caller, so what a system call costs does not matter.
 */
#include "eh_frame.h"

#include "safe_read.h"

#include <string.h>

#define EH_WINDOW      256
#define EH_HEADER_MOST 16
#define EH_STATES      8 /* DW_CFA_remember_state inside one another */

/* DWARF's encodings of pointers: form in the lower half, what it counts from above. */
enum {
	EH_PTR_ABSOLUTE = 0x00,
	EH_PTR_UDATA4 = 0x03,
	EH_PTR_SDATA4 = 0x0b,
	EH_PTR_SDATA8 = 0x0c,
	EH_PTR_FORM = 0x0f,
	EH_PTR_FROM = 0x70,
	EH_PTR_FROM_HERE = 0x10,
	EH_PTR_OF_TABLE = 0x3b, /* 4 signed bytes, from the header's start */
	EH_PTR_OMITTED = 0xff,
};

enum {
	EH_CFA_ADVANCE = 0x40, /* with an operand in the lower 6 bits */
	EH_CFA_OFFSET = 0x80,
	EH_CFA_RESTORE = 0xc0,
	EH_CFA_OPERAND = 0x3f,
	EH_CFA_NOP = 0x00,
	EH_CFA_SET_LOC = 0x01,
	EH_CFA_ADVANCE1 = 0x02,
	EH_CFA_ADVANCE2 = 0x03,
	EH_CFA_ADVANCE4 = 0x04,
	EH_CFA_OFFSET_EXTENDED = 0x05,
	EH_CFA_RESTORE_EXTENDED = 0x06,
	EH_CFA_UNDEFINED = 0x07,
	EH_CFA_SAME_VALUE = 0x08,
	EH_CFA_REGISTER = 0x09,
	EH_CFA_REMEMBER = 0x0a,
	EH_CFA_RECALL = 0x0b,
	EH_CFA_DEF = 0x0c,
	EH_CFA_DEF_REGISTER = 0x0d,
	EH_CFA_DEF_OFFSET = 0x0e,
	EH_CFA_DEF_EXPRESSION = 0x0f,
	EH_CFA_EXPRESSION = 0x10,
	EH_CFA_OFFSET_SIGNED = 0x11,
	EH_CFA_DEF_SIGNED = 0x12,
	EH_CFA_DEF_OFFSET_SIGNED = 0x13,
	EH_CFA_VAL_OFFSET = 0x14,
	EH_CFA_VAL_OFFSET_SIGNED = 0x15,
	EH_CFA_VAL_EXPRESSION = 0x16,
	EH_CFA_ARGS_SIZE = 0x2e,
};

enum { EH_OP_DEREF = 0x06, EH_OP_BREG0 = 0x70, EH_OP_BREG31 = 0x8f };

/* The columns of DWARF's table that matter here; the return address is the last. */
enum { EH_COLUMN_RSP = 7, EH_COLUMN_RETURN = 16 };

static const int8_t eh_register_of[EH_COLUMN_RETURN] = {
	-1, -1, -1, EH_RBX, -1, -1, EH_RBP, EH_RSP, -1, -1, -1, -1, EH_R12, EH_R13, EH_R14, EH_R15};

struct eh_reader {
	uintptr_t at, end;
	uintptr_t window, window_end; /* what `bytes` holds */
	bool is_bad;
	uint8_t bytes[EH_WINDOW];
};

struct eh_entry {
	uintptr_t function;
	int64_t code_factor, data_factor;
	uint8_t encoding;
	bool has_augmentation, is_signal;
};

/* One row of the table. The return address is where it always is, or the walk ends. */
struct eh_row {
	struct eh_rule rule;
	bool has_return, is_known_frame; /* the frame's address has a shape that we know */
};

struct eh_machine {
	struct eh_row row, first, kept[EH_STATES]; /* first: as the CIE leaves it */
	unsigned kept_count;
	uintptr_t place;
};

/* ---- Reading ---- */

static void eh_read_from(struct eh_reader *reader, uintptr_t from, uintptr_t end)
{
	reader->at = from;
	reader->end = end;
	reader->window = reader->window_end = 0;
	reader->is_bad = from > end;
}

static uint8_t eh_byte(struct eh_reader *reader)
{
	if (reader->is_bad || reader->at >= reader->end) {
		reader->is_bad = true;
		return 0;
	}
	if (reader->at < reader->window || reader->at >= reader->window_end) {
		size_t left = reader->end - reader->at;
		size_t bytes = left < EH_WINDOW ? left : EH_WINDOW;

		if (!safe_read((const void *)reader->at, reader->bytes, bytes)) {
			reader->is_bad = true;
			return 0;
		}
		reader->window = reader->at;
		reader->window_end = reader->at + bytes;
	}
	return reader->bytes[reader->at++ - reader->window];
}

static uint64_t eh_word(struct eh_reader *reader, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)eh_byte(reader) << (8 * i);
	return value;
}

static uint64_t eh_leb(struct eh_reader *reader, bool is_signed)
{
	uint64_t value = 0;
	uint8_t byte;
	unsigned shift = 0;

	do {
		byte = eh_byte(reader);
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while ((byte & 0x80) != 0 && !reader->is_bad);
	if (is_signed && shift < 64 && (byte & 0x40) != 0)
		value |= ~UINT64_C(0) << shift;
	return value;
}

static uint64_t eh_uleb(struct eh_reader *reader)
{
	return eh_leb(reader, false);
}

static int64_t eh_sleb(struct eh_reader *reader)
{
	return (int64_t)eh_leb(reader, true);
}

static void eh_skip(struct eh_reader *reader, uint64_t bytes)
{
	if (bytes > reader->end - reader->at)
		reader->is_bad = true;
	else
		reader->at += bytes;
}

static uintptr_t eh_pointer(struct eh_reader *reader, uint8_t encoding)
{
	uintptr_t here = reader->at, value;

	switch (encoding & EH_PTR_FORM) {
	case EH_PTR_UDATA4:
		value = (uintptr_t)eh_word(reader, 4);
		break;
	case EH_PTR_SDATA4:
		value = (uintptr_t)(int64_t)(int32_t)eh_word(reader, 4);
		break;
	case EH_PTR_ABSOLUTE:
	case EH_PTR_SDATA8:
		value = (uintptr_t)eh_word(reader, 8);
		break;
	default:
		reader->is_bad = true;
		return 0;
	}
	if ((encoding & EH_PTR_FROM) == EH_PTR_FROM_HERE)
		return value + here;
	if ((encoding & EH_PTR_FROM) != 0)
		reader->is_bad = true;
	return value;
}

/* ---- Entries ---- */

/* The FDE that the table has for a place; 0: none. */
static uintptr_t eh_find_entry(struct eh_reader *reader, const struct eh_module *module,
			       uintptr_t place)
{
	int64_t wanted = (int64_t)(place - module->header);
	uint64_t low = 0, high;
	uint8_t version, encoding, count_encoding, table_encoding;
	int32_t entry = 0;

	/* 4 bytes of encodings, a pointer, the number of rows. */
	eh_read_from(reader, module->header, module->end);
	if (module->end - module->header > EH_HEADER_MOST)
		reader->end = module->header + EH_HEADER_MOST;
	version = eh_byte(reader);
	encoding = eh_byte(reader);
	count_encoding = eh_byte(reader);
	table_encoding = eh_byte(reader);
	eh_pointer(reader, encoding);
	if (version != 1 || encoding == EH_PTR_OMITTED || count_encoding != EH_PTR_UDATA4 ||
	    table_encoding != EH_PTR_OF_TABLE)
		return 0;
	high = eh_word(reader, 4);

	uintptr_t table = reader->at;

	if (reader->is_bad || high == 0 || high > (module->end - table) / 8)
		return 0;
	reader->end = table + high * 8;
	while (low < high) {
		uint64_t middle = (low + high) / 2;
		int32_t function;

		reader->at = table + middle * 8;
		function = (int32_t)eh_word(reader, 4);
		if (function > wanted) {
			high = middle;
		} else {
			low = middle + 1;
			entry = (int32_t)eh_word(reader, 4);
		}
	}
	return low == 0 || reader->is_bad ? 0 : module->header + (uintptr_t)(int64_t)entry;
}

/* Begins to read an entry, up to its end. Where it says what it belongs to; 0: nothing that we know.
 */
static uintptr_t eh_enter(struct eh_reader *reader, const struct eh_module *module, uintptr_t at)
{
	uint64_t length;

	if (at < module->start || at >= module->end || module->end - at < 4)
		return 0;
	eh_read_from(reader, at, at + 4);
	length = eh_word(reader, 4);
	if (reader->is_bad || length == 0 || length == UINT32_MAX ||
	    length > module->end - reader->at)
		return 0;
	reader->end = reader->at + length;
	return reader->at;
}

/* The head of a CIE; the reader stands at its instructions then. */
static bool eh_read_common(struct eh_reader *reader, const struct eh_module *module, uintptr_t at,
			   struct eh_entry *entry)
{
	char augmentation[8] = "";
	size_t length = 0;
	uint8_t version;
	uint64_t data;

	if (eh_enter(reader, module, at) == 0 || eh_word(reader, 4) != 0)
		return false;
	version = eh_byte(reader);
	while (length < sizeof(augmentation) - 1 &&
	       (augmentation[length] = (char)eh_byte(reader)) != 0)
		length++;
	if ((version != 1 && version != 3) || augmentation[length] != 0 || reader->is_bad)
		return false;
	entry->code_factor = (int64_t)eh_uleb(reader);
	entry->data_factor = eh_sleb(reader);
	if ((version == 1 ? eh_byte(reader) : eh_uleb(reader)) != EH_COLUMN_RETURN)
		return false;
	entry->encoding = EH_PTR_ABSOLUTE;
	entry->has_augmentation = augmentation[0] == 'z';
	if (!entry->has_augmentation)
		return length == 0 && !reader->is_bad;
	data = eh_uleb(reader);
	if (reader->is_bad || data > reader->end - reader->at)
		return false;

	uintptr_t instructions = reader->at + data;

	for (size_t i = 1; i < length; i++) {
		if (augmentation[i] == 'R')
			entry->encoding = eh_byte(reader);
		else if (augmentation[i] == 'L')
			eh_byte(reader);
		else if (augmentation[i] == 'P') /* an encoding, and a pointer in it */
			eh_pointer(reader, eh_byte(reader) & (EH_PTR_FORM | EH_PTR_FROM));
		else if (augmentation[i] == 'S')
			entry->is_signal = true;
		else
			return false;
	}
	reader->at = instructions;
	return !reader->is_bad;
}

/* ---- The table's program ---- */

static void eh_set_register(struct eh_row *row, uint64_t column, int16_t rule, bool by_rbp)
{
	int which = column < EH_COLUMN_RETURN ? eh_register_of[column] : -1;

	if (column == EH_COLUMN_RETURN)
		row->has_return = rule == -1 && !by_rbp;
	if (which < 0 || which == EH_RSP)
		return;
	row->rule.saved[which] = rule;
	row->rule.by_rbp &= (uint8_t) ~(1u << which);
	row->rule.by_rbp |= (uint8_t)((by_rbp ? 1u : 0u) << which);
}

/* Saved in memory, `bytes` from the frame's address or from RBP. */
static void eh_set_saved(struct eh_row *row, uint64_t column, int64_t bytes, bool by_rbp)
{
	bool is_told = bytes % 8 == 0 && bytes / 8 > EH_LOST && bytes / 8 <= INT16_MAX;

	eh_set_register(row, column, (int16_t)(is_told ? bytes / 8 : EH_LOST), by_rbp);
}

/* As the CIE has it. */
static void eh_restore(struct eh_machine *machine, uint64_t column)
{
	int which = column < EH_COLUMN_RETURN ? eh_register_of[column] : -1;
	const struct eh_row *first = &machine->first;

	if (column == EH_COLUMN_RETURN)
		machine->row.has_return = first->has_return;
	else if (which >= 0 && which != EH_RSP)
		eh_set_register(&machine->row, column, first->rule.saved[which],
				(first->rule.by_rbp >> which & 1) != 0);
}

static void eh_set_frame(struct eh_row *row, uint64_t column, int64_t bytes, bool is_stored)
{
	int which = column < EH_COLUMN_RETURN ? eh_register_of[column] : -1;

	row->is_known_frame = which >= 0 && bytes == (int32_t)bytes;
	row->rule.base = (uint8_t)(which >= 0 ? which : 0);
	row->rule.offset = (int32_t)bytes;
	row->rule.is_stored = is_stored;
}

/* `register + bytes`, and is what stands there meant? The column; UINT64_MAX: another expression. */
static uint64_t eh_read_expression(struct eh_reader *reader, int64_t *bytes, bool *is_stored)
{
	uint64_t length = eh_uleb(reader);
	uintptr_t end = reader->at + length;
	uint64_t column = UINT64_MAX;
	uint8_t operation;

	*bytes = 0;
	*is_stored = false;
	if (length > reader->end - reader->at) {
		reader->is_bad = true;
		return column;
	}
	operation = length > 0 ? eh_byte(reader) : 0;
	if (operation >= EH_OP_BREG0 && operation <= EH_OP_BREG31) {
		column = operation - EH_OP_BREG0;
		*bytes = eh_sleb(reader);
		if (reader->at + 1 == end && eh_byte(reader) == EH_OP_DEREF)
			*is_stored = true;
		if (reader->at != end)
			column = UINT64_MAX;
	}
	reader->at = end;
	return column;
}

/* The instructions that change a register's rule; false: it is none of them. */
static bool eh_run_register(struct eh_machine *machine, struct eh_reader *reader,
			    const struct eh_entry *entry, uint8_t code)
{
	struct eh_row *row = &machine->row;
	int64_t bytes;
	bool is_stored;
	uint64_t column, of;

	if (code < EH_CFA_OFFSET_EXTENDED || code > EH_CFA_ARGS_SIZE)
		return false;
	switch (code) {
	case EH_CFA_OFFSET_EXTENDED:
		column = eh_uleb(reader);
		eh_set_saved(row, column, (int64_t)eh_uleb(reader) * entry->data_factor, false);
		return true;
	case EH_CFA_OFFSET_SIGNED:
		column = eh_uleb(reader);
		eh_set_saved(row, column, eh_sleb(reader) * entry->data_factor, false);
		return true;
	case EH_CFA_RESTORE_EXTENDED:
		eh_restore(machine, eh_uleb(reader));
		return true;
	case EH_CFA_UNDEFINED:
		eh_set_register(row, eh_uleb(reader), EH_LOST, false);
		return true;
	case EH_CFA_SAME_VALUE:
		eh_set_register(row, eh_uleb(reader), EH_KEPT, false);
		return true;
	case EH_CFA_REGISTER:
	case EH_CFA_VAL_OFFSET:
	case EH_CFA_VAL_OFFSET_SIGNED:
		eh_set_register(row, eh_uleb(reader), EH_LOST, false);
		eh_uleb(reader);
		return true;
	case EH_CFA_EXPRESSION:
	case EH_CFA_VAL_EXPRESSION:
		column = eh_uleb(reader);
		of = eh_read_expression(reader, &bytes, &is_stored);
		if (code == EH_CFA_EXPRESSION && of < EH_COLUMN_RETURN &&
		    eh_register_of[of] == EH_RBP && !is_stored)
			eh_set_saved(row, column, bytes, true);
		else
			eh_set_register(row, column, EH_LOST, false);
		return true;
	default:
		return false;
	}
}

/* Those that change the frame's address. */
static bool eh_run_frame(struct eh_machine *machine, struct eh_reader *reader,
			 const struct eh_entry *entry, uint8_t code)
{
	static const uint8_t columns[] = {
		[EH_RBX] = 3,  [EH_RBP] = 6,  [EH_R12] = 12, [EH_R13] = 13,
		[EH_R14] = 14, [EH_R15] = 15, [EH_RSP] = 7};
	struct eh_row *row = &machine->row;
	uint64_t column = row->is_known_frame ? columns[row->rule.base] : UINT64_MAX;
	int64_t bytes = row->rule.offset;
	bool is_stored = false;

	switch (code) {
	case EH_CFA_DEF:
		column = eh_uleb(reader);
		bytes = (int64_t)eh_uleb(reader);
		break;
	case EH_CFA_DEF_SIGNED:
		column = eh_uleb(reader);
		bytes = eh_sleb(reader) * entry->data_factor;
		break;
	case EH_CFA_DEF_REGISTER:
		column = eh_uleb(reader);
		break;
	case EH_CFA_DEF_OFFSET:
		bytes = (int64_t)eh_uleb(reader);
		break;
	case EH_CFA_DEF_OFFSET_SIGNED:
		bytes = eh_sleb(reader) * entry->data_factor;
		break;
	case EH_CFA_DEF_EXPRESSION:
		column = eh_read_expression(reader, &bytes, &is_stored);
		if (!is_stored)
			column = UINT64_MAX;
		break;
	default:
		return false;
	}
	eh_set_frame(row, column, bytes, is_stored);
	return true;
}

/* True: the rest is about places behind ours, or cannot be read. */
static bool eh_run_one(struct eh_machine *machine, struct eh_reader *reader,
		       const struct eh_entry *entry, uintptr_t place)
{
	uint8_t code = eh_byte(reader), operand = code & EH_CFA_OPERAND;

	switch (code & ~EH_CFA_OPERAND) {
	case EH_CFA_ADVANCE:
		machine->place += operand * (uintptr_t)entry->code_factor;
		return machine->place > place;
	case EH_CFA_OFFSET:
		eh_set_saved(&machine->row, operand, (int64_t)eh_uleb(reader) * entry->data_factor,
			     false);
		return false;
	case EH_CFA_RESTORE:
		eh_restore(machine, operand);
		return false;
	default:
		break;
	}
	switch (code) {
	case EH_CFA_NOP:
		return false;
	case EH_CFA_ARGS_SIZE:
		eh_uleb(reader);
		return false;
	case EH_CFA_SET_LOC:
		machine->place = eh_pointer(reader, entry->encoding);
		return machine->place > place;
	case EH_CFA_ADVANCE1:
	case EH_CFA_ADVANCE2:
	case EH_CFA_ADVANCE4:
		machine->place += (uintptr_t)eh_word(reader, 1u << (code - EH_CFA_ADVANCE1)) *
				  (uintptr_t)entry->code_factor;
		return machine->place > place;
	case EH_CFA_REMEMBER:
		if (machine->kept_count == EH_STATES)
			reader->is_bad = true;
		else
			machine->kept[machine->kept_count++] = machine->row;
		return false;
	case EH_CFA_RECALL:
		if (machine->kept_count == 0)
			reader->is_bad = true;
		else
			machine->row = machine->kept[--machine->kept_count];
		return false;
	default:
		break;
	}
	if (!eh_run_register(machine, reader, entry, code) &&
	    !eh_run_frame(machine, reader, entry, code))
		reader->is_bad = true;
	return false;
}

static void eh_run(struct eh_machine *machine, struct eh_reader *reader,
		   const struct eh_entry *entry, uintptr_t place)
{
	while (reader->at < reader->end && !reader->is_bad)
		if (eh_run_one(machine, reader, entry, place))
			return;
}

TL_INTERNAL struct eh_rule eh_frame_rule(const struct eh_module *module, uintptr_t pc)
{
	const struct eh_rule unknown = {0};
	uintptr_t place = pc - 1; /* of the call, maybe the last of its function */
	struct eh_machine machine = {
		.row = {.rule = {.saved = {EH_KEPT, EH_KEPT, EH_KEPT, EH_KEPT, EH_KEPT, EH_KEPT}}}};
	struct eh_reader reader, common;
	struct eh_entry entry = {0};
	uintptr_t at, belongs;

	if (module->header < module->start || module->header >= module->end)
		return unknown;
	at = eh_find_entry(&reader, module, place);
	belongs = eh_enter(&reader, module, at);
	if (belongs == 0 ||
	    !eh_read_common(&common, module, belongs - (uintptr_t)eh_word(&reader, 4), &entry))
		return unknown;
	entry.function = eh_pointer(&reader, entry.encoding);
	if (place - entry.function >= eh_pointer(&reader, entry.encoding & EH_PTR_FORM) ||
	    entry.is_signal || reader.is_bad)
		return unknown;
	if (entry.has_augmentation)
		eh_skip(&reader, eh_uleb(&reader));
	machine.place = entry.function;
	eh_run(&machine, &common, &entry, UINTPTR_MAX);
	machine.first = machine.row;
	eh_run(&machine, &reader, &entry, place);
	if (reader.is_bad || common.is_bad || !machine.row.has_return ||
	    !machine.row.is_known_frame)
		return unknown;
	machine.row.rule.is_known = true;
	return machine.row.rule;
}
