/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: small_machine.h. */
#include "small_machine.h"
#include <stdio.h>

/* --- The board: one port, one register --- */
static bool port_read(void *arg, gpa_t at, unsigned size, uint64_t *ret_val)
{
    struct small *s = arg;

    s->port_reads++;
    *ret_val = 0x12345678 >> (at.v - PORT);
    return at.v == PORT;
}

static bool port_write(void *arg, gpa_t at, unsigned size, uint64_t val)
{
    struct small *s = arg;

    if (at.v == LATCH) {
        s->latched = s->latched << 8 | val;
        return true;
    }
    s->port_value = val;
    s->port_writes++;
    if (at.v == PORT) /* ends the run */
        cpu_attend(&s->x->cpu, ATTENTION_KICK);
    return at.v == PORT;
}

static bool register_read(void *arg, gpa_t at, unsigned size, uint64_t *ret_val)
{
    *ret_val = 0xa5a5a5a5;
    return at.v >= REGISTER;
}

static bool register_write(void *arg, gpa_t at, unsigned size, uint64_t val)
{
    struct small *s = arg;

    s->memory_value = val;
    s->memory_at = at.v;
    return at.v >= REGISTER;
}

/* --- A machine at a piece of flat 32-bit code --- */
void small_free(struct small *s)
{
    if (s->engine)
        s->engine->ops->destroy(s->engine);
    mem_free(s->mem);
    *s = (struct small){0};
}

void small_flat(struct x86_cpu *x)
{
    x->cr0 = X86_CR0_PE | X86_CR0_ET;
    x86_set_flat(x, X86_CS, 8, 0xc09b);
    for (unsigned seg = 0; seg <= X86_GS; seg++)
        if (seg != X86_CS)
            x86_set_flat(x, (enum x86_segment)seg, 16, 0xc093);
    x->cpu.pc = CODE;
}

bool small_there(void)
{
    struct err err = {0};
    struct small s;
    bool there = small_new(&s, RAM, 0, &err);

    if (!there)
        printf("skip kvm: %s\n", err.text);
    small_free(&s);
    return there;
}

void small_enter(struct small *s, const uint8_t *code, size_t len)
{
    struct x86_cpu *x = s->x;

    s->engine->ops->reset(s->engine, 0);
    (void)!mem_write(s->mem, GPA(CODE), code, len);
    small_flat(x);
    x->cpu.slot[X86_RSP] = DATA;
}

static void small_connect(struct small *s)
{
    const struct mem_io ports = {port_read, port_write, s},
                        registers = {register_read, register_write, s};

    mem_set_io(s->mem, &registers);
    mem_set_ports(s->mem, &ports);
}

void small_adopt(struct small *to, struct small *from)
{
    *to = *from;
    *from = (struct small){0};
    small_connect(to);
}

bool small_new(struct small *s, uint64_t ram, unsigned stress, struct err *err)
{
    struct engine_config config = {
        .cpu_ops = &x86_cpu_ops, .cpu_model = "host", .vcpus = 1, .stress = stress};

    *s = (struct small){.mem = mem_new()};
    config.mem = s->mem;
    if (!s->mem || mem_add_ram(s->mem, GPA(0), ram, err) ||
        mem_add_rom(s->mem, GPA(ROM), GUEST_PAGE_SIZE, &s->rom, err) ||
        engine_kvm_ops.create(&config, &s->engine, err))
        return false;
    small_connect(s);
    s->x = x86_of(engine_kvm_ops.vcpu(s->engine, 0));
    return !engine_kvm_ops.map(s->engine, err);
}

bool small_run(struct small *s, struct err *err)
{
    return engine_kvm_ops.run(s->engine, 0, err) == ENGINE_EXIT_KICK &&
           !engine_kvm_ops.park(s->engine, 0, true, err);
}

static bool failed;

void verdict(const char *name, bool good, const struct err *err)
{
    failed = failed || !good;
    printf("%s %s%s%s\n", good ? "ok" : "not ok", name, *err->text ? ": " : "", err->text);
}

bool small_failed(void)
{
    return failed;
}
