/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The software local APIC beside KVM's: a guest with interrupts off makes random accesses to the
 * kernel's APIC from a random state; the model makes the same from the same state. What was read
 * and what the page holds at the end must agree. lapic [SEED [ROUNDS]]: a verdict a line.
 */
#include "devices/irqchip/lapic.h"
#include "base/endian.h"
#include "cpu/x86/x86.h"
#include "devices/core/device.h"
#include "engine/kvm/kvm.h"
#include "mem/mem.h"
#include "small_machine.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY = 0x20000, OPS = 0x10000, OPS_COUNT = 400 };
enum { LDR = 0xd0, SPIV = 0xf0, BANKS = 0x100, BANKS_END = 0x280, ICR = 0x300, LVT = 0x320 };
enum { LVT_END = 0x380, INITIAL = 0x380, CURRENT = 0x390 };
#define APIC UINT64_C(0xfee00000)

struct op {
    uint32_t address, write, value, result;
};

struct pair {
    struct mem *mem;
    struct engine *engine;
    struct x86_cpu *x; /* KVM's, and the state both begin with */
    struct x86_cpu *model;
    struct clock *clock;
    struct device *dev;
    uint64_t random;
};

static uint64_t next(struct pair *p)
{
    p->random ^= p->random << 13;
    p->random ^= p->random >> 7;
    return p->random ^= p->random << 17;
}

static bool port_none(void *arg, gpa_t at, unsigned size, uint64_t *ret_val)
{
    return false;
}

static bool port_end(void *arg, gpa_t at, unsigned size, uint64_t val)
{
    cpu_attend(&((struct pair *)arg)->x->cpu, ATTENTION_KICK);
    return true;
}

/* --- Making both --- */
static bool pair_new(struct pair *p, struct err *err)
{
    struct engine_config config = {.cpu_ops = &x86_cpu_ops, .cpu_model = "host", .vcpus = 1};
    struct mem_io ports = {port_none, port_end, p};
    struct lapic_sink sink = {.arg = p};
    struct lapic_cpu cpu;

    config.mem = p->mem = mem_new();
    if (!p->mem || mem_add_ram(p->mem, GPA(0), MEMORY, err) ||
        engine_kvm_ops.create(&config, &p->engine, err))
        return false;
    mem_set_ports(p->mem, &ports);
    p->x = x86_of(engine_kvm_ops.vcpu(p->engine, 0));
    p->model = calloc(1, sizeof(*p->model));
    p->clock = clock_new(NULL);
    p->dev = device_new(&lapic_ops, "lapic");
    cpu = (struct lapic_cpu){p->model->lapic, &p->model->apic_base, &p->model->msr.tsc_deadline,
                             &p->model->lapic_count_ns, &p->model->lapic_errors};
    p->dev->clock = p->clock;
    return !lapic_setup(p->dev, &cpu, 1, &sink, err) && !device_init(p->dev, err) &&
           !engine_kvm_ops.map(p->engine, err);
}

static void pair_free(struct pair *p)
{
    if (p->engine)
        p->engine->ops->destroy(p->engine);
    mem_free(p->mem);
    if (p->dev)
        device_free(p->dev);
    if (p->clock)
        clock_free(p->clock);
    free(p->model);
}

/* --- A round --- */
/* Some interrupts requested and in service, some of them by level. */
static void pair_begin(struct pair *p)
{
    static const uint8_t code[] = {0xbe,
                                   0,
                                   0,
                                   OPS >> 16,
                                   0, /* mov esi, OPS */
                                   0xb9,
                                   OPS_COUNT & 255,
                                   OPS_COUNT >> 8,
                                   0,
                                   0, /* mov ecx */
                                   0x8b,
                                   0x1e, /* mov ebx, [esi] */
                                   0x8b,
                                   0x46,
                                   8, /* mov eax, [esi+8] */
                                   0x83,
                                   0x7e,
                                   4,
                                   0, /* cmp [esi+4], 0 */
                                   0x74,
                                   4, /* je read */
                                   0x89,
                                   0x03, /* mov [ebx], eax */
                                   0xeb,
                                   5, /* jmp on */
                                   0x8b,
                                   0x03, /* read: mov eax, [ebx] */
                                   0x89,
                                   0x46,
                                   12, /* mov [esi+12], eax */
                                   0x83,
                                   0xc6,
                                   16, /* on: add esi, 16 */
                                   0x49,
                                   0x75,
                                   0xe6, /* dec ecx; jnz */
                                   0xe7,
                                   PORT,
                                   0xeb,
                                   0xfe};
    struct x86_cpu *x = p->x;

    p->engine->ops->reset(p->engine, 0);
    (void)!mem_write(p->mem, GPA(CODE), code, sizeof(code));
    small_flat(x);
    for (unsigned at = BANKS; at < BANKS_END; at += 16)
        st_le32(x->lapic + at,
                (uint32_t)(next(p) & next(p) & next(p)) & (at % 0x80 ? ~0u : ~0xffffu));
    if (next(p) % 4)
        st_le32(x->lapic + SPIV, 0x1ff);
    memcpy(p->model->lapic, x->lapic, X86_LAPIC_SIZE);
    p->model->apic_base = x->apic_base;
    p->model->lapic_errors = 0;
    lapic_changed(p->dev, 0);
}

/* What both must do alike. Left out: vectors below 16 (KVM knows no error status), remote IRR and
 * delivery status of local vectors (KVM lets them be written), interrupts for others, NMIs. */
static uint32_t pair_value(struct pair *p, uint32_t reg)
{
    uint32_t val = (uint32_t)next(p), vector = 16 + (uint32_t)next(p) % 240;

    if (reg == ICR) /* fixed, to itself: by shorthand or by id 0 */
        return vector | (val & 1 << 15) | 1 << 14 | (val >> 20 & 1 ? 1u << 18 : 0);
    if (reg == ICR + 16)
        return 0;
    if (reg == SPIV)
        return (val & 0xff) | (val >> 12 & 3 ? 0x100 : 0);
    if (reg == LVT) /* one-shot and periodic */
        return (val & 0x300ff) | 1 << 16;
    if (reg > LVT && reg < LVT_END)
        return val & 0x1a7ff;
    if (reg == INITIAL)
        return val | 1u << 31;
    return val;
}

static void pair_op(struct pair *p, struct op *op)
{
    static const uint16_t writes[] = {0x80,  0x80,  0xb0,    0xb0,  0xb0,  LDR,   0xe0,
                                      SPIV,  ICR,   ICR,     ICR,   0x310, 0x320, 0x330,
                                      0x340, 0x350, INITIAL, 0x3e0, 0x360, 0x370, 0x280};
    static const uint16_t reads[] = {0x20,  0x80,  0xa0,  0xa0,  0xd0,  0xe0,  0xf0,  0x280, 0x300,
                                     0x310, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370, 0x380, 0x3e0};
    uint32_t reg;

    op->write = next(p) & 1;
    reg = op->write ? writes[next(p) % ARRAY_LEN(writes)] : reads[next(p) % ARRAY_LEN(reads)];
    if (!op->write && next(p) % 2)
        reg = BANKS + (uint32_t)(next(p) % 24) * 16;
    op->value = pair_value(p, reg);
    op->address = (uint32_t)APIC + reg;
    op->result = 0;
}

static bool pair_same(uint32_t reg, uint32_t kvm, uint32_t model, const char *when)
{
    if (kvm == model)
        return true;
    printf("# register 0x%x %s: KVM 0x%x, model 0x%x\n", reg, when, kvm, model);
    return false;
}

static bool pair_compare(struct pair *p, const struct op *made)
{
    static struct op seen[OPS_COUNT];
    bool same = !mem_read(p->mem, GPA(OPS), seen, sizeof(seen));

    for (unsigned i = 0; i < OPS_COUNT && same; i++) {
        uint32_t reg = made[i].address - (uint32_t)APIC;

        if (made[i].write)
            lapic_write(p->dev, 0, reg, made[i].value);
        else
            same = pair_same(reg, seen[i].result, lapic_read(p->dev, 0, reg), "read");
    }
    for (uint32_t reg = 0x80; reg < X86_LAPIC_SIZE && same; reg += 16)
        if (reg != CURRENT)
            same = pair_same(reg, ld_le32(p->x->lapic + reg), ld_le32(p->model->lapic + reg),
                             "at the end");
    return same;
}

static bool pair_round(struct pair *p, struct err *err)
{
    static struct op ops[OPS_COUNT];

    pair_begin(p);
    for (unsigned i = 0; i < OPS_COUNT; i++)
        pair_op(p, &ops[i]);
    return !mem_write(p->mem, GPA(OPS), ops, sizeof(ops)) &&
           engine_kvm_ops.run(p->engine, 0, err) == ENGINE_EXIT_KICK &&
           !engine_kvm_ops.park(p->engine, 0, true, err) && pair_compare(p, ops);
}

int main(int argc, char **argv)
{
    struct pair p = {.random = (argc > 1 ? strtoull(argv[1], NULL, 0) : 1) * 2654435761u + 1};
    unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 0) : 100, done = 0;
    struct err err = {0};

    if (!pair_new(&p, &err)) {
        printf("skip software_apic_agrees: %s\n", err.text);
        pair_free(&p);
        return 0;
    }
    while (done < rounds && pair_round(&p, &err))
        done++;
    printf("%s software_apic_agrees with KVM's: %lu of %lu rounds%s%s\n",
           done == rounds ? "ok" : "not ok", done, rounds, *err.text ? ": " : "", err.text);
    pair_free(&p);
    return done != rounds;
}
