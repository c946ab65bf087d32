/* SPDX-License-Identifier: Apache-2.0 */
/* A block by the interpreter's definitions, undone again. Contract: lockstep.h. */
#include "jit/lockstep.h"

#include "interp/interp.h"
#include "ir/eval.h"
#include "ir/fp.h"
#include "jit/region.h"
#include "mem/mem.h"
#include "mmu/mmu.h"
#include <immintrin.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { WRITES_MAX = 512, WRITE_BYTES = 64, TURNS_MAX = 16 };

/* The part of a CPU that a block without helpers changes. */
struct snapshot {
    uint64_t slot[CPU_SLOTS];
    uint64_t pc, instret, reserved_value;
    uintptr_t reserved_host;
    uint32_t fp_flags;
    struct cpu_fault fault;
};

struct write {
    uint8_t *host;
    unsigned len;
    /* Its bytes before and behind the op, and as the translation left them. */
    uint8_t before[WRITE_BYTES], after[WRITE_BYTES], jit[WRITE_BYTES];
};

struct lockstep {
    struct snapshot before, after;
    struct write write[WRITES_MAX];
    unsigned writes, runs;
    /* A region may be left where it jumps back, if what it wanted to check in advance fails. */
    struct snapshot turn[TURNS_MAX];
    unsigned turn_writes[TURNS_MAX];
    unsigned budget;
};

struct lockstep *lockstep_new(void)
{
    return calloc(1, sizeof(struct lockstep));
}

static void snapshot_take(struct snapshot *s, const struct cpu *cpu, unsigned slots)
{
    memcpy(s->slot, cpu->slot, slots * sizeof(s->slot[0]));
    s->pc = cpu->pc;
    s->instret = cpu->instret;
    s->reserved_host = cpu->reserved_host;
    s->reserved_value = cpu->reserved_value;
    s->fp_flags = cpu->fp_flags;
    s->fault = cpu->fault;
}

static void snapshot_put(const struct snapshot *s, struct cpu *cpu, unsigned slots)
{
    memcpy(cpu->slot, s->slot, slots * sizeof(s->slot[0]));
    cpu->pc = s->pc;
    cpu->instret = s->instret;
    cpu->reserved_host = s->reserved_host;
    cpu->reserved_value = s->reserved_value;
    cpu->fp_flags = s->fp_flags;
    cpu->fault = s->fault;
}

/* --- Memory --- */

static bool lockstep_note_write(struct lockstep *l, uint8_t *host, unsigned len)
{
    struct write *w;

    if (l->writes == WRITES_MAX || len > WRITE_BYTES)
        return false;
    w = &l->write[l->writes++];
    *w = (struct write){.host = host, .len = len};
    memcpy(w->before, host, len);
    return true;
}

/* May the bytes, all in one page, be accessed twice? True as well when the access will fault. */
static bool lockstep_touch(struct lockstep *l, struct cpu *cpu, uint64_t va, unsigned len,
                           bool write)
{
    struct cpu_translation t = {0};
    uint8_t *page, flags;

    if (cpu->ops->translate(cpu, GVA(va), write ? CPU_STORE : CPU_LOAD, true, &t) < 0)
        return true;
    page = mem_page(cpu->mem, t.gpa);
    if (!page)
        return false;
    flags = atomic_load(mem_page_flags(cpu->mem, t.gpa));
    if (flags & PAGE_SHARED || (write && flags & PAGE_CODE))
        return false;
    return !write || lockstep_note_write(l, page + (t.gpa.v & (GUEST_PAGE_SIZE - 1)), len);
}

static void lockstep_undo(struct lockstep *l)
{
    for (unsigned i = l->writes; i-- > 0;)
        memcpy(l->write[i].host, l->write[i].before, l->write[i].len);
}

static bool lockstep_access(struct lockstep *l, struct cpu *cpu, uint64_t va, unsigned len,
                            bool write)
{
    unsigned room = GUEST_PAGE_SIZE - (unsigned)(va & (GUEST_PAGE_SIZE - 1));

    if (len <= room)
        return lockstep_touch(l, cpu, va, len, write);
    return lockstep_touch(l, cpu, va, room, write) &&
           lockstep_touch(l, cpu, va + room, len - room, write);
}

/* May the op, a memory operation or a helper, be executed twice? */
static bool lockstep_allows(struct lockstep *l, struct cpu *cpu, const struct ir_insn *op)
{
    uint64_t a = cpu->slot[op->a];
    unsigned size = IR_MEM_SIZE(op->aux);

    switch (op->op) {
    case IR_LD: return lockstep_access(l, cpu, a + (uint64_t)op->imm, size, false);
    case IR_ST: return lockstep_access(l, cpu, a + (uint64_t)op->imm, size, true);
    case IR_LR: return lockstep_access(l, cpu, a, size, false);
    case IR_SC:
    case IR_AMO:
    case IR_CAS: return lockstep_access(l, cpu, a, size, true);
    case IR_BZERO:
        return lockstep_access(l, cpu, a & ~(uint64_t)(op->imm - 1), (unsigned)op->imm, true);
    default: return false;
    }
}

/* --- Execution --- */

enum step { STEP_NEXT, STEP_LEFT, STEP_REFUSED };

static enum step lockstep_leave(struct cpu *cpu, const struct ir_insn *op, uint64_t pc,
                                bool retired)
{
    cpu->pc = pc;
    if (cpu->count_instret)
        cpu->instret += op->insn + (retired ? 1u : 0u);
    return STEP_LEFT;
}

/* distance: from where the block was lifted to where it runs, whole pages. */
static enum step lockstep_op(struct lockstep *l, struct cpu *cpu, const struct ir_block *block,
                             const struct ir_insn *op, uint64_t distance)
{
    const struct ir_op_info *info = &ir_op_info[op->op];
    uint64_t *slot = cpu->slot, a = slot[op->a], imm = (uint64_t)op->imm;
    uint64_t b = op->flags & IR_B_IMM ? imm : slot[op->b];
    uint64_t here = block->pc + block->insn[op->insn].pc_offset + distance;
    unsigned noted = l->writes;
    bool went;

    if (op->op == IR_PC) {
        slot[op->dst] = imm + distance;
        return STEP_NEXT;
    }
    if (info->pure) {
        slot[op->dst] = ir_eval(op, a, b, slot[op->c]);
        return STEP_NEXT;
    }
    if (info->is_float) {
        slot[op->dst] = fp_eval(op, a, b, slot[op->c], &cpu->fp_flags);
        return STEP_NEXT;
    }
    switch (op->op) {
    case IR_NOP:
    case IR_FENCE: return STEP_NEXT;
    case IR_BR:
        if (!ir_compare(op->aux, op->width, a, b))
            return STEP_NEXT;
        return lockstep_leave(cpu, op, imm + distance, true);
    case IR_EXIT: return lockstep_leave(cpu, op, imm + distance, true);
    case IR_JUMP: return lockstep_leave(cpu, op, a, true);
    case IR_TRAP: cpu_raise(cpu, imm, a); return lockstep_leave(cpu, op, here, false);
    default: break;
    }
    if (!lockstep_allows(l, cpu, op))
        return STEP_REFUSED;
    went = interp_effect(cpu, op);
    for (; noted < l->writes; noted++)
        memcpy(l->write[noted].after, l->write[noted].host, l->write[noted].len);
    return went ? STEP_NEXT : lockstep_leave(cpu, op, here, false);
}

/* The op it was left by; NULL: it may not be executed twice. */
static const struct ir_insn *lockstep_run(struct lockstep *l, struct cpu *cpu,
                                          const struct ir_block *block)
{
    uint64_t distance = cpu->pc - block->pc;
    const struct ir_insn *op = block->op;
    enum step step;

    while ((step = lockstep_op(l, cpu, block, op, distance)) == STEP_NEXT)
        op++;
    return step == STEP_LEFT ? op : NULL;
}

/* Where a region goes on that member `from` left by this op; -1: it is left, too. */
static int lockstep_next(const struct region_kept *r, const struct cpu *cpu, unsigned from,
                         const struct ir_insn *op, uint64_t page)
{
    if (cpu->fault.pending || (op->op != IR_BR && op->op != IR_EXIT) ||
        (op->op == IR_EXIT && r->member[from].indirect))
        return -1;
    for (unsigned i = 0; i < r->count; i++)
        if (cpu->pc == page + r->member[i].offset)
            return (int)i;
    return -1;
}

static bool lockstep_run_region(struct lockstep *l, struct cpu *cpu, const struct region_kept *r)
{
    uint64_t page = cpu->pc & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
    unsigned turns = 0;
    int member = 0;

    snapshot_take(&l->turn[0], cpu, CPU_SLOTS);
    l->turn_writes[0] = 0;
    for (;;) {
        const struct ir_insn *op = lockstep_run(l, cpu, r->member[member].lifted);

        if (!op)
            return false;
        member = lockstep_next(r, cpu, (unsigned)member, op, page);
        if (member < 0 || (r->member[member].target && turns++ == l->budget))
            return true;
        if (!r->member[member].target)
            continue;
        snapshot_take(&l->turn[turns], cpu, CPU_SLOTS);
        l->turn_writes[turns] = l->writes;
    }
}

bool lockstep_expect(struct lockstep *l, struct cpu *cpu, const struct ir_block *block,
                     const struct region_kept *region)
{
    unsigned csr, slots = region ? CPU_SLOTS : block->slot_count;
    bool done;

    cpu_sync_fp(cpu);
    csr = _mm_getcsr();
    snapshot_take(&l->before, cpu, slots);
    l->writes = 0;
    cpu->jit.budget = l->budget = l->runs++ % TURNS_MAX;
    done = region ? lockstep_run_region(l, cpu, region) : lockstep_run(l, cpu, block) != NULL;
    snapshot_take(&l->after, cpu, slots);
    snapshot_put(&l->before, cpu, slots);
    _mm_setcsr(csr);
    lockstep_undo(l);
    return done;
}

/* --- Comparison --- */

/* Puts memory as it must be after so many writes; false: it is not. */
static bool lockstep_same_memory(struct lockstep *l, unsigned writes)
{
    bool same = true;

    for (unsigned i = 0; i < l->writes; i++)
        memcpy(l->write[i].jit, l->write[i].host, l->write[i].len);
    lockstep_undo(l);
    for (unsigned i = 0; i < writes; i++)
        memcpy(l->write[i].host, l->write[i].after, l->write[i].len);
    for (unsigned i = 0; i < l->writes; i++)
        same &= !memcmp(l->write[i].host, l->write[i].jit, l->write[i].len);
    return same;
}

static bool lockstep_same(const struct snapshot *s, const struct cpu *cpu,
                          const struct ir_block *block)
{
    return !memcmp(s->slot, cpu->slot, block->global_count * sizeof(s->slot[0])) &&
           s->pc == cpu->pc && s->instret == cpu->instret && s->fp_flags == cpu->fp_flags &&
           s->reserved_host == cpu->reserved_host && s->fault.pending == cpu->fault.pending &&
           (!s->fault.pending ||
            (s->fault.cause == cpu->fault.cause && s->fault.value == cpu->fault.value));
}

static void lockstep_print_value(const char *name, uint64_t before, uint64_t plain, uint64_t jit)
{
    fprintf(stderr,
            "%-8s before %#018" PRIx64 " interpreted %#018" PRIx64 " translated %#018" PRIx64
            "%s\n",
            name, before, plain, jit, plain == jit ? "" : "  <--");
}

static void lockstep_print_writes(const struct lockstep *l)
{
    for (unsigned i = 0; i < l->writes; i++) {
        const struct write *w = &l->write[i];

        fprintf(stderr, "write %u of %u bytes:%s", i, w->len,
                memcmp(w->host, w->jit, w->len) ? " differs:" : "");
        for (unsigned k = 0; k < w->len; k++)
            fprintf(stderr, " %02x/%02x", w->host[k], w->jit[k]);
        fputc('\n', stderr);
    }
}

void lockstep_check(struct lockstep *l, struct cpu *cpu, const struct ir_block *block, bool turned)
{
    unsigned turns = l->budget - cpu->jit.budget;
    const struct snapshot *b = &l->before, *a = turned ? &l->turn[turns] : &l->after;
    bool same = lockstep_same_memory(l, turned ? l->turn_writes[turns] : l->writes);

    cpu_sync_fp(cpu);
    if (likely(same && lockstep_same(a, cpu, block)))
        return;
    fprintf(stderr, "lockstep: the translation of this block differs:\n");
    ir_print(block, cpu->ops->globals, stderr);
    for (unsigned i = 0; i < block->global_count; i++)
        lockstep_print_value(cpu->ops->globals[i], b->slot[i], a->slot[i], cpu->slot[i]);
    lockstep_print_value("pc", b->pc, a->pc, cpu->pc);
    lockstep_print_value("instret", b->instret, a->instret, cpu->instret);
    lockstep_print_value("fflags", b->fp_flags, a->fp_flags, cpu->fp_flags);
    lockstep_print_value("reserved", b->reserved_host, a->reserved_host, cpu->reserved_host);
    lockstep_print_value("fault", b->fault.pending, a->fault.pending, cpu->fault.pending);
    lockstep_print_value("cause", b->fault.cause, a->fault.cause, cpu->fault.cause);
    lockstep_print_value("value", b->fault.value, a->fault.value, cpu->fault.value);
    lockstep_print_writes(l);
    abort();
}
