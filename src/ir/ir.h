/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The intermediate language: linear blocks of typed three-address operations over 64-bit slots.
 *
 * A block is lifted from a straight run of guest instructions under one context key. Slots below
 * the ISA's global_count are guest registers and live across blocks; the others are temporaries,
 * dead at the block's end. No SSA, no control flow inside a block except the exits at its end:
 *     BR cc a,b -> imm      (taken exit; falls to the next op)
 *     EXIT imm | JUMP a | TRAP
 * A helper that sets cpu->fault or cpu->exit, or a memory operation that faults, leaves the block
 * at once; its guest instruction (ir_insn.insn -> ir_block.insn[]) gives the precise PC. So within
 * one guest instruction every op that may fault comes before the first write to a global, and
 * globals are written in full by the op that computes the final value.
 *
 * Widths: IR_32 computes modulo 2^32 and zero-extends the result into the slot (arm64 W and x86
 * 32-bit registers for free; RISC-V adds an EXTS). IR_F32 values sit in bits 31..0, the rest of
 * the slot is ignored on input and zero on output (FBOX/FUNBOX do RISC-V's NaN boxing).
 *
 * How other ISAs fit: see docs/adr/0002-ir.md (flags, partial registers, segments, vectors).
 */
#pragma once

#include <posada/types.h>
#include <stdbool.h>
#include <stdio.h>

struct cpu;

typedef uint16_t ir_slot; /* index into cpu->slot */

enum ir_op {
    IR_NOP,
    /* Integer; dst, a, b (b may be the immediate: IR_B_IMM). */
    IR_MOV, /* dst = a */
    IR_IMM, /* dst = imm */
    IR_PC,  /* dst = imm, an address made from the pc: translations of the block that run at another
             * virtual page add the distance */
    IR_ADD,
    IR_SUB,
    IR_AND,
    IR_OR,
    IR_XOR,
    IR_SHL, /* shift counts are taken modulo the width */
    IR_SHR,
    IR_SAR,
    IR_ROR,
    IR_MUL,
    IR_MULHU, /* high half; IR_64 only */
    IR_MULHS,
    IR_MULHSU, /* a signed, b unsigned */
    IR_DIVU,   /* RISC-V rules, total: x/0 = all ones, x%0 = x, MIN/-1 = MIN, MIN%-1 = 0 */
    IR_DIVS,
    IR_REMU,
    IR_REMS,
    IR_LEA,     /* dst = a + (b << aux), b a slot */
    IR_EXTS,    /* sign-extend the low 8 << aux bits of a to 64 (aux 0..2) */
    IR_EXTU,    /* zero-extend likewise */
    IR_EXTRACT, /* dst = a[aux + len - 1 : aux], len in imm */
    IR_DEPOSIT, /* dst = a with bits [aux, aux + imm) replaced by the low bits of b (a slot) */
    IR_CLZ,     /* of 0: the width */
    IR_CTZ,
    IR_POPCNT,
    IR_BSWAP,
    IR_ORCB,   /* each byte: 0 -> 0, else 0xff (RISC-V orc.b) */
    IR_SETCC,  /* dst = a <cc> b, aux = enum ir_cc */
    IR_SELECT, /* dst = c != 0 ? a : b, slots only */
    IR_FLAGS,  /* dst = packed flags (enum ir_flag) of operation aux (enum ir_flag_op) on a, b;
                * imm: operand bits when fewer than the width (8, 16), else 0 */
    IR_TESTCC, /* dst = condition aux (enum ir_flag_cc) over packed flags a */
    /* Memory: address = slot a + imm; value in dst (LD) or b (ST). aux = IR_MEM(size, signed). */
    IR_LD,
    IR_ST,
    IR_LR,    /* load-reserved at slot a; aux as LD */
    IR_SC,    /* dst = 0 stored / 1 failed; address a, value b, aux size */
    IR_AMO,   /* dst = old value; address a, operand b, aux as LD, c = enum ir_amo (not a slot) */
    IR_CAS,   /* dst = old value; address a, expected c, new b */
    IR_BZERO, /* zero imm bytes (a power of two) at slot a rounded down to a multiple of imm */
    IR_FENCE, /* aux = enum ir_fence */
    /* Floating point on IR_F32/IR_F64 slots; rounding mode in aux (enum ir_round); results are
     * canonical NaNs; flags accumulate in cpu->fp_flags. */
    IR_FADD,
    IR_FSUB,
    IR_FMUL,
    IR_FDIV,
    IR_FSQRT,
    IR_FMA,  /* dst = a * b + c; imm bit 0: negate product, bit 1: negate c */
    IR_FMIN, /* IEEE 754-2019 minimumNumber */
    IR_FMAX,
    IR_FCMP, /* dst = a <aux: enum ir_fcmp> b */
    IR_FCLASS,
    IR_FCVT_FF, /* width = source format; aux = rounding; the other format results */
    IR_FCVT_FI, /* float -> integer: width = source format, imm = enum ir_int; saturates */
    IR_FCVT_IF, /* integer -> float: width = result format, imm = enum ir_int */
    IR_FBOX,    /* dst = a | 0xffffffff00000000 */
    IR_FUNBOX,  /* dst = a properly boxed ? low half : canonical f32 NaN */
    /* Control. */
    IR_HELPER, /* dst = helper(cpu, a, b, c); pointer in imm; may fault or exit the block */
    IR_BR,     /* if (a <aux: ir_cc> b) leave to imm; b may be slot only */
    IR_EXIT,   /* leave to constant pc imm */
    IR_JUMP,   /* leave to the pc in slot a; aux = enum ir_jump (hint) */
    IR_TRAP,   /* raise: cause imm, value slot a */
    IR_OP_COUNT,
};

enum ir_width { IR_64, IR_32, IR_F64, IR_F32 };
enum ir_cc { IR_EQ, IR_NE, IR_LT, IR_GE, IR_LTU, IR_GEU };
enum ir_amo {
    IR_SWAP,
    IR_AMOADD,
    IR_AMOXOR,
    IR_AMOAND,
    IR_AMOOR,
    IR_MIN,
    IR_MAX,
    IR_MINU,
    IR_MAXU
};
enum ir_fence {
    IR_FENCE_FULL /* store-load too */,
    IR_FENCE_TSO /* free on x86 */,
    IR_FENCE_CODE /* fetches see earlier stores: ends its block */
};
enum ir_round { IR_RNE, IR_RTZ, IR_RDN, IR_RUP, IR_RMM };
enum ir_fcmp { IR_FEQ /* quiet */, IR_FLT /* signaling */, IR_FLE };
enum ir_int { IR_I32, IR_U32, IR_I64, IR_U64 }; /* I32/U32 results are sign-extended to 64 bits */
enum ir_jump { IR_JUMP_PLAIN, IR_JUMP_CALL, IR_JUMP_RETURN };
#define IR_F32_NAN UINT32_C(0x7fc00000) /* the canonical NaNs */
#define IR_F64_NAN UINT64_C(0x7ff8000000000000)
/* RISC-V fcsr order; also arm64 FPSR's meaning. */
enum ir_fp_flag { IR_FP_NX = 1, IR_FP_UF = 2, IR_FP_OF = 4, IR_FP_DZ = 8, IR_FP_NV = 16 };
/* Packed integer flags: x86 EFLAGS positions; arm64 NZCV = SF ZF CF(inverted on subtract) OF. */
enum ir_flag {
    IR_CF = 1 << 0,
    IR_PF = 1 << 2,
    IR_AF = 1 << 4,
    IR_ZF = 1 << 6,
    IR_SF = 1 << 7,
    IR_OF = 1 << 11
};
enum ir_flag_op { IR_FLAGS_ADD, IR_FLAGS_SUB, IR_FLAGS_LOGIC };
/* x86 condition codes without the negated half: xor the result with 1. */
enum ir_flag_cc { IR_CC_O, IR_CC_C, IR_CC_Z, IR_CC_BE, IR_CC_S, IR_CC_P, IR_CC_L, IR_CC_LE };

enum ir_operand_flag {
    IR_B_IMM = 1 << 0, /* operand b is imm */
};

/* Memory operand kind: log2 of the size in bytes, and whether a load sign-extends to 64 bits. */
enum { IR_MEM_8 = 0, IR_MEM_16 = 1, IR_MEM_32 = 2, IR_MEM_64 = 3, IR_MEM_SIGNED = 4 };
#define IR_MEM_SIZE(aux) (1u << ((aux)&3))

struct ir_insn {
    uint8_t op;    /* enum ir_op */
    uint8_t width; /* enum ir_width */
    uint8_t aux;
    uint8_t flags; /* enum ir_operand_flag */
    ir_slot dst, a, b, c;
    uint16_t insn; /* which guest instruction: index into ir_block.insn */
    uint16_t form; /* scratch for whoever executes the op; 0 from the builder */
    int64_t imm;
};

/* A C function called from guest code. It may change any state, so all slots are in memory
 * around it. On a set cpu->fault.pending or cpu->exit the block is left (result discarded):
 * with a fault, or CPU_EXIT_DEBUG, cpu->pc is this instruction and it has not retired; with
 * CPU_EXIT_HALT and CPU_EXIT_HYPERCALL it has, and cpu->pc is the next one. A helper that changes
 * cpu->context or mappings must be followed by an exit op, which alone sets cpu->pc. */
typedef uint64_t (*ir_helper)(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c);

enum { IR_MAX_OPS = 768, IR_MAX_INSNS = 64 };

struct ir_block_insn {
    uint16_t pc_offset; /* bytes from ir_block.pc */
    uint8_t length;     /* bytes; 0 for an instruction whose fetch faulted */
};

struct ir_block {
    uint64_t pc;      /* guest-virtual start */
    uint32_t context; /* key it was lifted for */
    uint16_t op_count, insn_count;
    uint16_t slot_count; /* highest slot used + 1 */
    uint16_t global_count;
    uint16_t next_temp; /* builder's: temporaries restart per guest instruction */
    uint32_t length;    /* guest bytes covered */
    struct ir_block_insn insn[IR_MAX_INSNS];
    struct ir_insn op[IR_MAX_OPS];
};

/* --- Building (used by lifts) --- */
void ir_begin(struct ir_block *b, uint64_t pc, uint32_t context, unsigned global_count);
/* Starts the next guest instruction. False when the block is full (keeps room for its largest
 * instruction, IR_MAX_INSN_OPS): end the block with an EXIT to this pc. */
enum { IR_MAX_INSN_OPS = 48 };
bool ir_next_insn(struct ir_block *b, uint64_t pc, unsigned length);
ir_slot ir_temp(struct ir_block *b); /* a fresh temporary; temporaries restart per instruction */
struct ir_insn *ir_emit(struct ir_block *b, enum ir_op op, enum ir_width w, ir_slot dst, ir_slot x,
                        ir_slot y);
struct ir_insn *ir_emit_imm(struct ir_block *b, enum ir_op op, enum ir_width w, ir_slot dst,
                            ir_slot x, int64_t imm);
/* A constant derived from the pc (auipc, adrp, link registers): IR_PC, never IR_IMM. */
void ir_pc(struct ir_block *b, ir_slot dst, uint64_t value);
void ir_load(struct ir_block *b, ir_slot dst, ir_slot base, int64_t off, unsigned mem);
void ir_store(struct ir_block *b, ir_slot val, ir_slot base, int64_t off, unsigned mem);
void ir_call(struct ir_block *b, ir_helper fn, ir_slot dst, ir_slot x, ir_slot y, ir_slot z);
void ir_exit(struct ir_block *b, uint64_t pc);
void ir_branch(struct ir_block *b, enum ir_cc cc, ir_slot x, ir_slot y, uint64_t taken_pc);
void ir_jump(struct ir_block *b, ir_slot target, enum ir_jump kind);
void ir_trap(struct ir_block *b, uint64_t cause, ir_slot value);

/* --- Facts, checks, text --- */
struct ir_op_info {
    const char *name;
    uint8_t has_dst, has_a, has_b, has_c; /* operands that are slots */
    bool may_fault;                       /* may leave the block with a fault */
    bool ends;                            /* unconditional end of the block */
    bool pure;                            /* no effect but dst: dead if dst is dead */
    bool b_may_be_imm;                    /* IR_B_IMM is legal */
    bool is_float;                        /* width is IR_F32 or IR_F64; rounds or sets flags */
};
extern const struct ir_op_info ir_op_info[IR_OP_COUNT];

/* Checks a block's form: 0, or -EINVAL with the offending op in err. */
struct err;
int must_use ir_verify(const struct ir_block *b, struct err *err);
/* Forward constant and copy propagation, backward removal of dead pure ops. In place. */
void ir_optimise(struct ir_block *b);
/* Text, one op a line; names: cpu_ops.globals. */
void ir_print(const struct ir_block *b, const char *const *names, FILE *out);
