/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the code generator: one IR block to host code, in one forward pass.
 *
 * Host registers while translated code runs:
 *   rbp  struct cpu + CPU_BIAS, so that the first 32 slots have 8-bit displacements
 *   r15  the current data space (struct mmu_space), whose first-level TLB every access checks
 *   rbx rsi rdi r8-r11  the guest's seven hottest registers (cpu_ops.hot_globals), always, across
 *        all blocks; every other slot lives in memory
 *   rax rcx rdx r12-r14  scratch: the block's temporaries and values of its guest registers. Calls
 *        clobber the first three; memory accesses use rcx and rdx.
 * A guest register's new value stays in scratch (dirty) until the register is needed, the block is
 * left, or something may read slots; a result of 32 bits is sign-extended only then, or when its
 * upper half is used (pending). Cold ends, which may fault or call out, bring memory up to date
 * first, from a picture of the registers taken where the hot path left (struct gen_sync).
 * PC is never stored: an exit passes the offset from the guest page, cpu->jit.page is the page.
 * MXCSR is the guest's: its rounding mode, and its sticky flags until a helper collects them.
 */
#pragma once

#include "ir/ir.h"
#include "jit/emit/x86_64.h"
#include "mmu/mmu.h"
#include <posada/cpu.h>

enum { CPU_BIAS = 128, GEN_PINNED = 7 };
enum {
    GEN_CLOBBERED = 1 << RAX | 1 << RCX | 1 << RDX,
    GEN_SCRATCH = GEN_CLOBBERED | 1 << R12 | 1 << R13 | 1 << R14,
};

/* Which guest registers have host registers of their own: the same in all blocks, or those that a
 * region has chosen for itself. */
enum { GEN_PINS = 10 };
struct gen_map {
    unsigned count;
    uint8_t reg[GEN_PINS];
    ir_slot slot[GEN_PINS];
    uint16_t scratch; /* registers left for everything else */
    /* By pin: not where all other code has it; written here, so that leaving must store it. */
    uint16_t moved, written;
    uint16_t displaced; /* by standard pin: its register is another slot's here */
};

#define CPU_DISP(field) ((int32_t)offsetof(struct cpu, field) - CPU_BIAS)

static inline int32_t slot_disp(ir_slot slot)
{
    return (int32_t)slot * 8 - CPU_BIAS;
}

/* Addresses of the stubs, in the write mapping; made once (stubs.c). */
struct jit_stubs {
    const uint8_t *enter;     /* int (*)(struct cpu *, const void *host) through exec mapping */
    const uint8_t *attention; /* edx: page offset of the pc */
    const uint8_t *dispatch;  /* edx: page offset of the pc */
    const uint8_t *stale;     /* edx: page offset of the dropped code */
    const uint8_t *changed;  /* called; edx: page offset of the pc to go on at. Returns when code of
                              * the same context may go on: nothing wants attention either */
    const uint8_t *hot;      /* likewise; this jump back has counted down */
    const uint8_t *judge;    /* edx: page offset of a head whose region has been tried enough */
    const uint8_t *body;     /* edx: page offset of a head, whose block is to run */
    const uint8_t *link;     /* edx: page offset of the target; rcx: address of the rel32 */
    const uint8_t *apart;    /* likewise; the target is to be a translation without windows */
    const uint8_t *second;   /* rax: pc; looks in the jump cache's second level */
    const uint8_t *place;    /* rax: pc; looks the code's place up by the code TLB */
    const uint8_t *jump;     /* rax: pc; leaves */
    const uint8_t *load[4];  /* rax: va, edx: insn offset; returns rax, by log2 of the size */
    const uint8_t *store[4]; /* rax: va, rcx: value, edx: insn offset */
    const uint8_t *helper;   /* r15: function, rax rdx rcx: a b c, cpu->jit.insn set; rax result */
};

/* What a call of the JIT's dispatcher is told when translated code leaves. */
enum gen_exit {
    GEN_EXIT_ATTENTION,
    GEN_EXIT_DISPATCH,
    GEN_EXIT_STALE, /* the code was dropped; a jump cache may still lead there */
    GEN_EXIT_LINK,
    GEN_EXIT_HOT,   /* as LINK, by a backward jump that was made often */
    GEN_EXIT_JUDGE, /* the region at pc has been tried enough */
    GEN_EXIT_BODY,  /* in lockstep: not the region at pc, but its head's own code */
    GEN_EXIT_APART, /* as LINK, to code without windows */
    GEN_EXIT_JUMP,
    GEN_EXIT_FAULT,
    GEN_EXIT_CPU,
    GEN_EXITS
};

struct jump_entry {
    uint64_t pc; /* all ones: empty (an odd pc never jumps) */
    const uint8_t *host;
};
/* A jump cache: a first level that code looks up inline, and behind it, with another hash, what it
 * displaced, looked up by a stub. Two hot targets that share a first-level entry would otherwise
 * go to the dispatcher for ever. */
enum { JUMP_BITS = 12, JUMP_ENTRIES = 1 << JUMP_BITS };
enum { JUMP_SECOND_BITS = 10, JUMP_TABLE = JUMP_ENTRIES + (1 << JUMP_SECOND_BITS) };
/* Of a translation's key: counts instructions; has no windows. */
enum { GEN_KEY_COUNT_BIT = 31, GEN_KEY_APART_BIT = 30 };
#define JUMP_SECOND_FACTOR UINT32_C(0x9e3779b1)

/* Behind both, for all address spaces of a vCPU: translations by where their first byte is in host
 * memory (shifted by PLACE_KEY_BITS, a context's place_key below). A new process that runs known
 * code finds it here. */
struct place_entry {
    uint64_t place; /* 0: empty */
    const uint8_t *host;
};
enum { PLACE_BITS = 15, PLACE_ENTRIES = 1 << PLACE_BITS, PLACE_KEY_BITS = 16 };

/* Backward jumps to the code at this physical address count down in cpu->hot[]. */
static inline unsigned jit_hot_index(uint64_t gpa)
{
    return (uint32_t)(gpa >> 1) * JUMP_SECOND_FACTOR >> (32 - CPU_HOT_BITS);
}

static inline unsigned jit_trial_index(uint64_t gpa)
{
    return (uint32_t)(gpa >> 1) * JUMP_SECOND_FACTOR >> (32 - CPU_TRIAL_BITS);
}

static inline unsigned place_index(uint64_t code)
{
    return (uint32_t)code * JUMP_SECOND_FACTOR >> (32 - PLACE_BITS);
}

/* The page takes part: hot functions at the same offset of different pages are common. */
static inline unsigned jump_index(uint64_t pc)
{
    return (unsigned)(pc >> 1 ^ pc >> 13) & (JUMP_ENTRIES - 1);
}

static inline unsigned jump_second_index(uint64_t pc)
{
    return JUMP_ENTRIES + ((uint32_t)pc * JUMP_SECOND_FACTOR >> (32 - JUMP_SECOND_BITS));
}

/* Where the value of a slot is during generation. */
struct gen_slot {
    int8_t reg;    /* host register, -1: memory only */
    bool pinned;   /* reg is its home */
    bool constant; /* value known; a temporary may then exist nowhere else */
    bool dirty;    /* a guest register that is newer in reg than in memory */
    bool narrow;   /* equals the sign-extension of its low half */
    bool pending;  /* narrow, but the upper half of reg is yet to be made so */
    uint64_t value;
};

/* A base register whose page has been checked for a range of offsets: `reg` is its host address, or
 * 0 when the access that checked took the slow path. Held under a slot number of its own. */
enum { GEN_WINDOWS = 2, GEN_WINDOW_SLOT = CPU_SLOTS };
struct gen_window {
    bool valid, write;
    uint8_t reg;
    ir_slot base;
    int32_t low, high; /* bytes at base + low .. base + high - 1 */
};

/* What a cold end must bring to memory: the picture of the registers where it was left. */
struct gen_sync {
    int16_t holds[16]; /* as in struct gen */
    uint16_t dirty;    /* registers of dirty guest registers */
    uint16_t pending;  /* registers to be sign-extended, pinned ones too */
};

struct gen_cold {
    uint8_t *from[4]; /* rel32s that lead here */
    uint8_t *back;
    uint16_t insn_offset;
    uint8_t kind, size, sign, reg, from_count;
    uint8_t base;  /* memory: register of the address less op->imm */
    uint8_t zero;  /* memory: register to be cleared afterwards; 0: none */
    uint16_t span; /* memory: of the window this opened, which begins at base + low; 0: none */
    int32_t low;
    int32_t off;   /* memory: to be added to it */
    int64_t value; /* store of a constant; flow: page offset of the target */
    struct gen_sync sync;
    const struct ir_insn *op;
    const struct ir_block *block; /* of the op */
};

enum { GEN_COLD_MAX = 768, GEN_FIX_MAX = 256 };

/* A jump to a region's member: where its displacement is. */
struct gen_fix {
    uint8_t *rel;
    unsigned member;
};

enum { GEN_ROUND_OTHER = 0xff }; /* equal to no enum ir_round: such code goes to the interpreter */

struct gen {
    struct x86_code c;
    const struct jit_stubs *stubs;
    const struct ir_block *block;
    const struct ir_insn *op; /* being generated */
    unsigned index;           /* of op */
    /* Callbacks of the translation store (cache.c). */
    void *arg;
    const struct ir_insn *(*keep)(void *arg, const struct ir_insn *op); /* copy that outlives us */
    const uint8_t *(*target)(void *arg, uint32_t page_offset); /* existing translation or NULL */
    unsigned rounding; /* enum ir_round the context runs under, or GEN_ROUND_OTHER */
    bool fallback;     /* leave every op to the interpreter */
    bool count;        /* keep cpu->instret exact */
    bool apart;        /* each access checks on its own: no windows */
    uint64_t page_va;
    uint64_t page_gpa;
    uint8_t *outer, *inner, *stale;
    struct gen_slot slot[CPU_SLOTS + GEN_WINDOWS];
    struct gen_window window[GEN_WINDOWS];
    int16_t holds[16];         /* scratch register -> slot whose value is in it, -1 none */
    unsigned busy;             /* scratch registers in use by the current op, bit mask */
    struct gen_map standard;   /* of all blocks */
    const struct gen_map *map; /* of what is being generated */
    /* A region: what it is, where jumps between its members are, and which member comes next. */
    struct region *region;
    struct gen_fix fix[GEN_FIX_MAX];
    unsigned fix_count;
    uint8_t kill[IR_MAX_OPS]; /* bit 0..2: a, b, c die here; enum gen_kill */
    bool narrow, pending;     /* of the current op's result; see struct gen_slot */
    bool compare_low;         /* the current comparison needs the low halves only */
    struct gen_cold cold[GEN_COLD_MAX];
    unsigned cold_count;
};

enum gen_kill {
    GEN_DEAD = 1 << 7,   /* nobody sees the result */
    GEN_EXTEND = 1 << 6, /* 32 bits, sign-extended by the next op, whose result this is at once */
};

/* Generates the block at c.at. False: not this one (too large); interpret it. Then:
 * outer: where jump caches lead; expects the pc in rax and notes the page;
 * inner: where links inside the page lead; five patchable bytes;
 * stale: where inner must jump once the block is dropped. */
bool gen_block(struct gen *g, const struct ir_block *block);
/* Before it: finds rotations in a block that ir_optimise() has seen. */
void gen_find_rotations(struct ir_block *b);
void gen_init(struct gen *g, const struct cpu_ops *ops);
unsigned gen_pinned_slot(unsigned i); /* host register of the i-th hot global */
void stubs_emit(struct x86_code *c, struct jit_stubs *ret_stubs, const struct cpu_ops *ops);

/* rcx = address of the jump cache's first-level entry for the pc in rax; uses rdx */
void gen_jump_entry(struct x86_code *c);
/* Jump to the pc in rax by way of the jump cache, or to miss. */
void gen_jump_cached(struct x86_code *c, const uint8_t *miss);

/* --- gen.c --- */
void gen_begin(struct gen *g, const struct ir_block *block); /* nothing is in scratch registers */
void gen_ops(struct gen *g);
void gen_cold_ends(struct gen *g);

/* --- gen_value.c --- */
void gen_map_set(struct gen *g, const struct gen_map *map);
/* Calls a stub that expects the registers of all other code. */
void gen_call_stub(struct gen *g, const uint8_t *stub);
bool gen_may_take(const struct gen *g);         /* is any scratch register not the current op's? */
unsigned gen_take(struct gen *g);               /* a scratch register for this op */
void gen_take_reg(struct gen *g, unsigned reg); /* this one, spilling what is in it */
unsigned gen_src(struct gen *g, ir_slot slot);  /* register that holds the value */
void gen_src_to(struct gen *g, unsigned reg, ir_slot slot); /* copies the value into reg */
bool gen_const(const struct gen *g, ir_slot slot, int64_t *ret_value);
unsigned gen_dst(struct gen *g, ir_slot slot);            /* register to compute dst in */
void gen_done(struct gen *g, ir_slot slot, unsigned reg); /* dst was computed in reg */
void gen_forget(struct gen *g, ir_slot slot);    /* dies or is redefined: no register holds it */
void gen_release(struct gen *g, unsigned mask);  /* these scratch registers will be lost */
void gen_move_away(struct gen *g, ir_slot slot); /* its value, in scratch, to another register */
void gen_flush_temps(struct gen *g);             /* somebody will read them from their slots */
void gen_flush(struct gen *g);                   /* likewise all guest registers */
void gen_settle(struct gen *g, ir_slot slot);    /* all 64 bits of its register will be used */
bool gen_is_settled(const struct gen *g);        /* gen_flush() would do nothing */
void gen_emit_sync(struct gen *g,
                   const struct gen_sync *sync); /* what gen_flush() does, at leisure */
void gen_take_sync(const struct gen *g, struct gen_sync *ret_sync);
void gen_hold_reg(struct gen *g, unsigned reg, unsigned slot); /* a value of nobody's is in it */
int gen_find_free(const struct gen *g); /* as gen_take(), but -1 rather than spill */
bool gen_is_global(const struct gen *g, ir_slot slot);
uint16_t gen_insn_offset(const struct gen *g); /* page offset of the guest insn */
struct gen_cold *gen_cold_new(struct gen *g, unsigned kind);

enum {
    COLD_LOAD,
    COLD_STORE,
    COLD_ATTENTION,
    COLD_LINK,
    COLD_BRANCH,
    COLD_OP,
    COLD_HEAD,
    COLD_BACK,
    COLD_JUDGE,
    COLD_ENTRY
};

/* --- gen_window.c --- */
/* The window that covers the access, or NULL. */
const struct gen_window *gen_window_find(const struct gen *g, const struct ir_insn *op);
/* A new window for the access and those that follow, if it is worth while; or NULL. */
struct gen_window *gen_window_open(struct gen *g, const struct ir_insn *op);
void gen_window_drop(struct gen *g, ir_slot base); /* the base register changes */
void gen_window_lose(struct gen *g, unsigned n);   /* its register is needed */

/* --- gen_width.c --- */
/* Before an op: extends the sources whose upper halves it uses, and says what its result is. */
void gen_width(struct gen *g, const struct ir_insn *op);

/* --- by family; each returns false for an op it leaves to gen_fallback() --- */
bool gen_int(struct gen *g, const struct ir_insn *op);
bool gen_mem(struct gen *g, const struct ir_insn *op);
bool gen_fp(struct gen *g, const struct ir_insn *op);
bool gen_flow(struct gen *g, const struct ir_insn *op);
void gen_note_insn(struct gen *g);
void gen_fallback(struct gen *g, const struct ir_insn *op); /* calls the interpreter for one op */
void gen_cold_mem(struct gen *g, struct gen_cold *cold);
void gen_cold_flow(struct gen *g, struct gen_cold *cold);
void gen_cold_branch(struct gen *g, struct gen_cold *cold);
/* May a jump to there be linked? Not to a page's last two bytes: the instruction may go on in the
 * next page, and what that is only the jump cache knows. */
bool gen_may_link(int64_t page_offset);
/* Brings memory up to date and goes on at the cold end's instruction, in code without windows. */
void gen_cold_apart(struct gen *g, struct gen_cold *cold);
void gen_cold_op(struct gen *g, struct gen_cold *cold);    /* interprets the op, then goes back */
void gen_compare(struct gen *g, const struct ir_insn *op); /* flags of a - b */
enum x86_cc gen_cc(unsigned cc);
/* The helper behind gen_fallback(): executes the op at a on the slots. */
uint64_t jit_interpret_op(struct cpu *cpu, uint64_t op, uint64_t unused1, uint64_t unused2);
