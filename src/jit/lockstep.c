/* SPDX-License-Identifier: Apache-2.0 */
/* A block by the interpreter's definitions, undone again. Contract: lockstep.h. */
#include "jit/lockstep.h"

#include "interp/interp.h"
#include "ir/eval.h"
#include "ir/fp.h"
#include "mem/mem.h"
#include "mmu/mmu.h"
#include <immintrin.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { WRITES_MAX = 512, WRITE_BYTES = 64 };

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
    uint8_t before[WRITE_BYTES], after[WRITE_BYTES];
};

struct lockstep {
    struct snapshot before, after;
    struct write write[WRITES_MAX];
    unsigned writes;
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
    return interp_effect(cpu, op) ? STEP_NEXT : lockstep_leave(cpu, op, here, false);
}

static bool lockstep_run(struct lockstep *l, struct cpu *cpu, const struct ir_block *block)
{
    uint64_t distance = cpu->pc - block->pc;
    enum step step = STEP_NEXT;

    for (const struct ir_insn *op = block->op; step == STEP_NEXT; op++)
        step = lockstep_op(l, cpu, block, op, distance);
    return step == STEP_LEFT;
}

bool lockstep_expect(struct lockstep *l, struct cpu *cpu, const struct ir_block *block)
{
    unsigned csr;
    bool done;

    cpu_sync_fp(cpu);
    csr = _mm_getcsr();
    snapshot_take(&l->before, cpu, block->slot_count);
    l->writes = 0;
    done = lockstep_run(l, cpu, block);
    snapshot_take(&l->after, cpu, block->slot_count);
    snapshot_put(&l->before, cpu, block->slot_count);
    _mm_setcsr(csr);
    for (unsigned i = 0; i < l->writes; i++)
        memcpy(l->write[i].after, l->write[i].host, l->write[i].len);
    for (unsigned i = l->writes; i-- > 0;)
        memcpy(l->write[i].host, l->write[i].before, l->write[i].len);
    return done;
}

/* --- Comparison --- */

static bool lockstep_same(const struct lockstep *l, const struct cpu *cpu,
                          const struct ir_block *block)
{
    const struct snapshot *s = &l->after;

    for (unsigned i = 0; i < l->writes; i++)
        if (memcmp(l->write[i].host, l->write[i].after, l->write[i].len))
            return false;
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
                memcmp(w->host, w->after, w->len) ? " differs:" : "");
        for (unsigned k = 0; k < w->len; k++)
            fprintf(stderr, " %02x/%02x", w->after[k], w->host[k]);
        fputc('\n', stderr);
    }
}

void lockstep_check(const struct lockstep *l, struct cpu *cpu, const struct ir_block *block)
{
    const struct snapshot *b = &l->before, *a = &l->after;

    cpu_sync_fp(cpu);
    if (likely(lockstep_same(l, cpu, block)))
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
