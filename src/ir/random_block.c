/* SPDX-License-Identifier: Apache-2.0 */
/* Random IR blocks. Contract: random_block.h. */
#include "ir/random_block.h"

static const uint8_t random_binary[] = {
    IR_ADD,  IR_SUB, IR_AND,   IR_OR,     IR_XOR,    IR_SHL,    IR_SHR,  IR_SAR,
    IR_ROR,  IR_MUL, IR_MULHU, IR_MULHS,  IR_MULHSU, IR_DIVU,   IR_DIVS, IR_REMU,
    IR_REMS, IR_LEA, IR_SETCC, IR_SELECT, IR_FLAGS,  IR_DEPOSIT};
static const uint8_t random_unary[] = {IR_MOV,     IR_IMM,    IR_PC,   IR_EXTS,   IR_EXTU,
                                       IR_EXTRACT, IR_CLZ,    IR_CTZ,  IR_POPCNT, IR_BSWAP,
                                       IR_ORCB,    IR_TESTCC, IR_FBOX, IR_FUNBOX};

uint64_t random_u64(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static unsigned random_below(uint64_t *seed, unsigned n)
{
    return (unsigned)((random_u64(seed) >> 20) % n);
}

/* Immediates that matter: small, negative, edges. */
static int64_t random_imm(uint64_t *seed)
{
    switch (random_below(seed, 4)) {
    case 0: return (int64_t)random_below(seed, 64);
    case 1: return -(int64_t)random_below(seed, 4096);
    case 2: return (int64_t)(UINT64_C(1) << random_below(seed, 64));
    default: return (int64_t)random_u64(seed);
    }
}

static void random_detail(struct ir_insn *op, uint64_t *seed)
{
    unsigned bits = op->width == IR_32 ? 32 : 64;

    switch (op->op) {
    case IR_LEA: op->aux = (uint8_t)random_below(seed, 4); break;
    case IR_EXTS:
    case IR_EXTU: op->aux = (uint8_t)random_below(seed, 3); break;
    case IR_EXTRACT:
    case IR_DEPOSIT:
        op->aux = (uint8_t)random_below(seed, bits);
        op->imm = 1 + (int64_t)random_below(seed, bits - op->aux);
        break;
    case IR_SETCC: op->aux = (uint8_t)random_below(seed, 6); break;
    case IR_FLAGS:
        op->aux = (uint8_t)random_below(seed, 3);
        op->imm = 8 * (int64_t)random_below(seed, 3);
        break;
    case IR_TESTCC: op->aux = (uint8_t)random_below(seed, 8); break;
    case IR_IMM: op->imm = random_imm(seed); break;
    case IR_PC: op->imm = 0x1000 + (int64_t)random_below(seed, 4096); break;
    default: break;
    }
}

/* A slot that may be read: a guest register or one of this instruction's temporaries. */
static ir_slot random_source(const struct ir_block *b, uint64_t *seed)
{
    unsigned temps = b->next_temp - b->global_count;

    if (temps && random_below(seed, 3) == 0)
        return (ir_slot)(b->global_count + random_below(seed, temps));
    return (ir_slot)random_below(seed, RANDOM_BASE);
}

static void random_pure(struct ir_block *b, uint64_t *seed, ir_slot dst, const ir_slot src[3])
{
    bool unary = random_below(seed, 3) == 0;
    enum ir_op code = unary ? random_unary[random_below(seed, sizeof(random_unary))]
                            : random_binary[random_below(seed, sizeof(random_binary))];
    bool wide = code >= IR_MULHU && code <= IR_MULHSU;
    enum ir_width w = !wide && random_below(seed, 3) == 0 ? IR_32 : IR_64;
    struct ir_insn *op = ir_emit(b, code, w, dst, src[0], src[1]);

    op->c = src[2];
    if (ir_op_info[code].b_may_be_imm && random_below(seed, 2)) {
        op->flags = IR_B_IMM;
        op->imm = random_imm(seed);
    }
    random_detail(op, seed);
}

/* ADD and the like, then a sign extension: the pair that interpreters fuse. */
static void random_word_pair(struct ir_block *b, uint64_t *seed, ir_slot dst)
{
    static const uint8_t ops[] = {IR_ADD, IR_SUB, IR_SHL, IR_SHR, IR_SAR, IR_MUL};
    ir_slot x = random_source(b, seed), y = random_source(b, seed), t = ir_temp(b);
    enum ir_op code = ops[random_below(seed, sizeof(ops))];

    if (random_below(seed, 2))
        ir_emit(b, code, IR_32, t, x, y);
    else
        ir_emit_imm(b, code, IR_32, t, x, random_imm(seed));
    ir_emit(b, IR_EXTS, IR_64, dst, t, 0)->aux = 2;
    if (random_below(seed, 4) == 0)
        ir_emit(b, IR_MOV, IR_64, dst, t, 0);
}

static void random_access(struct ir_block *b, uint64_t *seed, ir_slot dst)
{
    ir_slot base = random_below(seed, 40) ? RANDOM_BASE : RANDOM_BAD;
    int64_t off = (int64_t)random_below(seed, 4088);

    if (random_below(seed, 2))
        ir_store(b, random_source(b, seed), base, off, random_below(seed, 4));
    else
        ir_load(b, dst, base, off, random_below(seed, 8));
}

static void random_insn(struct ir_block *b, uint64_t *seed)
{
    ir_slot global = (ir_slot)random_below(seed, RANDOM_BASE);

    for (unsigned n = random_below(seed, 3); n > 0; n--) {
        const ir_slot src[] = {random_source(b, seed), random_source(b, seed),
                               random_source(b, seed)};

        random_pure(b, seed, ir_temp(b), src);
    }
    switch (random_below(seed, 4)) {
    case 0: random_access(b, seed, global); break;
    case 1: random_word_pair(b, seed, global); break;
    default: {
        const ir_slot src[] = {random_source(b, seed), random_source(b, seed),
                               random_source(b, seed)};

        random_pure(b, seed, global, src);
    }
    }
}

static void random_end(struct ir_block *b, uint64_t *seed, uint64_t pc)
{
    ir_slot target = random_source(b, seed), t;

    if (random_below(seed, 2))
        ir_branch(b, random_below(seed, 6), random_source(b, seed), random_source(b, seed),
                  pc + 64);
    if (random_below(seed, 3)) {
        ir_exit(b, pc);
        return;
    }
    t = ir_temp(b);
    ir_emit_imm(b, IR_AND, IR_64, t, target, -2);
    ir_jump(b, t, IR_JUMP_PLAIN);
}

void random_block(struct ir_block *b, uint64_t *seed)
{
    uint64_t pc = 0x1000;
    unsigned count = 1 + random_below(seed, 24);

    ir_begin(b, pc, 0, RANDOM_GLOBALS);
    while (count-- && ir_next_insn(b, pc, 4)) {
        random_insn(b, seed);
        pc += 4;
    }
    random_end(b, seed, pc);
}
