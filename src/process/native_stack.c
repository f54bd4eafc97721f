/* DESIGN
 *     registers here -> rule of pc -> the caller's registers -> rule of its pc -> ...
 *     rule of pc: 16,384 entries {check, rule and module}, two-way, else eh_frame
 * An entry is four words, written and read without a lock; halves of two entries do not make a check
 * (as in profile/frame_memo). What an entry says of a module holds as long as that module is there,
 * so the loader is asked for each frame whose module is not that of the frame before.
 *
 * The stack. glibc puts a thread's own record at the top of its stack, so pthread_self() is its
 * base; the first thread's is __libc_stack_end. Whether all that lies between is readable is asked
 * of the kernel once for each page (thread.h keeps how deep it was), so a thread that runs on
 * another stack, below a gap, is found out. Greenlets copy their frames to and from the thread's
 * own stack and are nothing special, but that behind the first frame of one stands what is left of
 * others: frames that may be stale, but only ever read within the stack.
 */
#include "native_stack.h"

#include "../base/pages.h"
#include "safe_read.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#define NATIVE_STACK_RULES   16384u
#define NATIVE_STACK_LARGEST ((uintptr_t)64 << 20)

struct native_place {
	struct eh_rule rule;
	uint16_t module;
	uint8_t moved; /* a bit for each register that is not as in the callee */
	uint8_t unused;
};

struct native_entry {
	uint64_t check, words[3]; /* atomic, each; pc = check ^ words */
};

_Static_assert(sizeof(struct native_place) == sizeof(uint64_t[3]), "what an entry has room for");

struct native_registers {
	uintptr_t pc, sp;
	uintptr_t values[EH_SAVED];
	unsigned lost; /* a bit for each that is not known */
};

static struct {
	struct native_entry *rules;
	uintptr_t first_base; /* of the first thread's stack */
	uint16_t own_module;
} native_stack;

TL_INTERNAL bool native_stack_start(void)
{
	const uintptr_t *end = dlsym(RTLD_DEFAULT, "__libc_stack_end");

	native_stack.rules = pages_map(NATIVE_STACK_RULES * sizeof(struct native_entry));
	if (end == NULL || native_stack.rules == NULL || !native_modules_start())
		return false;
	native_stack.first_base = *end;
	native_stack.own_module =
		native_modules_find((uintptr_t)native_stack_start, NATIVE_MODULES_NONE);
	return true;
}

/* ---- The stack ---- */

/* The end of what can be read from `sp` on; 0: not known. */
static uintptr_t native_stack_base(struct thread *thread, uintptr_t sp)
{
	const uintptr_t bases[] = {(uintptr_t)pthread_self(), native_stack.first_base};

	if (TL_MOSTLY(sp >= thread->stack_low && sp < thread->stack_base))
		return thread->stack_base;
	for (size_t i = 0; i < TL_COUNT_OF(bases); i++) {
		uintptr_t base = bases[i], known = thread->stack_low;

		if (sp >= base || base - sp > NATIVE_STACK_LARGEST)
			continue;
		if (thread->stack_base != base || known <= sp)
			known = base;
		if (!safe_read_is_there(sp, known))
			continue;
		thread->stack_low = sp & ~(uintptr_t)(SAFE_READ_PAGE - 1);
		thread->stack_base = base;
		return base;
	}
	return 0;
}

static uintptr_t native_stack_word(uintptr_t address)
{
	uintptr_t word;

	memcpy(&word, (const void *)address, sizeof(word));
	return word;
}

/* ---- Rules ---- */

static uint64_t native_stack_slot(uintptr_t pc)
{
	return (pc * 0x9e3779b97f4a7c15u) >> 32 & (NATIVE_STACK_RULES - 1);
}

static bool native_stack_remembers(uintptr_t pc, struct native_place *place)
{
	uint64_t slot = native_stack_slot(pc);

	for (unsigned way = 0; way < 2; way++) {
		const struct native_entry *entry = &native_stack.rules[slot ^ way];
		/* Who finds a place finds its module's row filled in. */
		uint64_t words[3], check = __atomic_load_n(&entry->check, __ATOMIC_ACQUIRE);

		for (size_t i = 0; i < TL_COUNT_OF(words); i++)
			check ^= words[i] = TL_LOAD(entry->words[i]);
		if (check == pc) {
			memcpy(place, words, sizeof(words));
			return true;
		}
	}
	return false;
}

static void native_stack_remember(uintptr_t pc, const struct native_place *place)
{
	uint64_t slot = native_stack_slot(pc), words[3], check = pc;
	struct native_entry *entry = &native_stack.rules[slot];

	/* Where the first way is taken, whoever was in the second is forgotten. */
	if (TL_LOAD(entry->check) != 0)
		entry = &native_stack.rules[slot ^ 1];
	memcpy(words, place, sizeof(words));
	for (size_t i = 0; i < TL_COUNT_OF(words); i++) {
		check ^= words[i];
		TL_STORE(entry->words[i], words[i]);
	}
	__atomic_store_n(&entry->check, check, __ATOMIC_RELEASE);
}

/* `near`: a module that is there for certain. False: the place is in none. */
static bool native_stack_find_place(uintptr_t pc, uint16_t near, struct native_place *place)
{
	bool is_remembered = native_stack_remembers(pc, place);
	uint16_t module;

	if (TL_MOSTLY(is_remembered && place->module == near))
		return true;
	module = native_modules_find(pc - 1, is_remembered ? place->module : near);
	if (module == NATIVE_MODULES_NONE)
		return false;
	if (is_remembered && place->module == module)
		return true;
	*place = (struct native_place){.rule = eh_frame_rule(&native_modules_at(module)->range, pc),
				       .module = module};
	for (unsigned i = 0; i < EH_SAVED; i++)
		place->moved |= (uint8_t)((place->rule.saved[i] != EH_KEPT ? 1u : 0u) << i);
	native_stack_remember(pc, place);
	return true;
}

/* ---- The walk ---- */

static bool native_stack_is_in(uintptr_t address, const struct native_range *range)
{
	return address % 8 == 0 && address >= range->low && address <= range->high - 8;
}

/* The registers of the caller; false: the walk ends. The stack pointer rises with each step. */
static bool native_stack_step(struct native_registers *registers, const struct native_place *place,
			      const struct native_range *range)
{
	const struct eh_rule *rule = &place->rule;
	uintptr_t rbp = registers->values[EH_RBP], address = registers->sp;
	unsigned lost = registers->lost;

	if (!rule->is_known)
		return false;
	if (rule->base != EH_RSP) {
		if ((lost >> rule->base & 1) != 0)
			return false;
		address = registers->values[rule->base];
	}
	address += (uintptr_t)(intptr_t)rule->offset;
	if (rule->is_stored) {
		if (!native_stack_is_in(address, range))
			return false;
		address = native_stack_word(address);
	}
	if (address <= registers->sp || !native_stack_is_in(address - 8, range))
		return false;
	registers->lost |= place->moved;
	for (unsigned left = place->moved; left != 0; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);
		bool by_rbp = (rule->by_rbp >> i & 1) != 0;
		uintptr_t at = (by_rbp ? rbp : address) + (uintptr_t)(8 * (intptr_t)rule->saved[i]);

		if (rule->saved[i] == EH_LOST || (by_rbp && (lost >> EH_RBP & 1) != 0) ||
		    !native_stack_is_in(at, range))
			continue;
		registers->values[i] = native_stack_word(at);
		registers->lost &= ~(1u << i);
	}
	registers->pc = native_stack_word(address - 8);
	registers->sp = address;
	return true;
}

TL_INTERNAL uint16_t native_stack_own_module(void)
{
	return native_stack.own_module;
}

TL_INTERNAL bool native_stack_range(struct thread *thread, struct native_range *range)
{
	range->low = (uintptr_t)__builtin_frame_address(0);
	range->high = native_stack_base(thread, range->low);
	return range->high != 0;
}

TL_INTERNAL size_t native_stack_walk(const struct native_range *range, uintptr_t until,
				     struct native_frame *frames, size_t limit)
{
	struct native_registers registers = {0};
	struct native_range here = *range;
	uint16_t module = native_stack.own_module;
	size_t depth = 0;
	bool goes_on = true;

	__asm__ volatile("leaq 1f(%%rip), %%rax\n"
			 "1:\tmovq %%rax, (%0)\n\t"
			 "movq %%rsp, 8(%0)\n\t"
			 "movq %%rbx, 16(%0)\n\t"
			 "movq %%rbp, 24(%0)\n\t"
			 "movq %%r12, 32(%0)\n\t"
			 "movq %%r13, 40(%0)\n\t"
			 "movq %%r14, 48(%0)\n\t"
			 "movq %%r15, 56(%0)"
			 :
			 : "r"(&registers)
			 : "rax", "memory");
	here.low = registers.sp; /* this function's own part of the stack is there too */
	while (goes_on && depth < limit && registers.sp <= until) {
		uintptr_t pc = registers.pc, sp = registers.sp;
		struct native_place place;

		if (pc == 0 || !native_stack_find_place(pc, module, &place))
			break;
		module = place.module;
		goes_on = native_stack_step(&registers, &place, &here);
		frames[depth++] = (struct native_frame){
			.pc = pc,
			.end = goes_on ? registers.sp : sp,
			.offset = (uint32_t)(pc - native_modules_at(module)->bias),
			.module = module,
		};
	}
	return depth;
}
