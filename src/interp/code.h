/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fast interpreter: blocks prepared for threaded execution, and a loop that follows the links
 * between them without going back to its caller. It means exactly what interp_run_block() means;
 * the tests compare the two.
 *
 * A link or a jump-table entry is only a guess. It is followed when the code at it has the wanted
 * pc and the CPU's context, and the code TLB maps that pc to the very bytes it was made from: so
 * remapping, address-space switches and dropped code need no unlinking.
 */
#pragma once

#include "interp/interp.h"
#include "ir/ir.h"

enum { INTERP_JUMPS = 1 << 14 };

/* Behind the ops come the links, one for each exit to a constant pc, and the instructions' table.
 */
struct interp_code {
    const uint8_t *host; /* where the bytes of pc are; NULL: never followed (dropped, two pages) */
    uint64_t pc;
    uint32_t context;
    uint16_t op_count, insn_count;
    const struct ir_block_insn *insn;
    struct ir_insn op[];
};

/* Where the code that an exit goes to is linked. Its place is in c, counted in words from the
 * start: found without knowing how many ops there are. */
static inline struct interp_code **interp_link(struct interp_code *code, const struct ir_insn *exit)
{
    return (struct interp_code **)(void *)code + exit->c;
}

/* Bytes that the prepared form of a block takes (at most). */
size_t interp_code_size(const struct ir_block *block);
/* Prepares the block; code has interp_code_size() bytes. */
void interp_code_init(struct interp_code *code, const struct ir_block *block, const uint8_t *host);

struct interp {
    struct cpu *cpu;
    struct interp_code **ret_link; /* set with INTERP_NEXT: where to link the next code, or NULL */
    struct interp_code *jump[INTERP_JUMPS]; /* indirect jumps, by interp_jump_slot(pc) */
};

static inline unsigned interp_jump_slot(uint64_t pc)
{
    return (unsigned)(pc >> 1 ^ pc >> 13) & (INTERP_JUMPS - 1);
}

/* The code for cpu->pc if the jump table has it, else NULL. */
struct interp_code *interp_at_hand(const struct interp *in);
/* Runs from code on, through links, until something is not at hand or needs the caller. */
enum interp_leave interp_run(struct interp *in, struct interp_code *code);
