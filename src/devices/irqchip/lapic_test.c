/* SPDX-License-Identifier: Apache-2.0 */
/* Local APICs: priorities, destinations, start-up of CPUs, timers, errors, x2APIC, hostile state.
 */
#include "base/endian.h"
#include "base/unit_test.h"
#include "cpu/x86/x86.h"
#include "devices/core/device.h"
#include "devices/irqchip/lapic.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CPUS = 4, TPR = 0x80, PPR = 0xa0, EOI = 0xb0, LDR = 0xd0, DFR = 0xe0, SPIV = 0xf0 };
enum { ISR = 0x100, IRR = 0x200, ESR = 0x280, ICR = 0x300, ICR2 = 0x310, LVT_TIMER = 0x320 };
enum { LINT0 = 0x350, LINT1 = 0x360, LVT_ERROR = 0x370, INITIAL = 0x380, CURRENT = 0x390 };
enum { DIVIDE = 0x3e0, MSR_BASE = 0x1b, MSR_DEADLINE = 0x6e0 };

struct world {
    struct clock *clock;
    struct device *dev;
    struct x86_cpu *x[CPUS];
    bool line[CPUS];
    unsigned nmis[CPUS], inits[CPUS];
    int startup[CPUS], eoi;
};

static void world_line(void *sink, unsigned pin, bool level)
{
    ((struct world *)sink)->line[pin] = level;
}

static void world_nmi(void *arg, unsigned cpu)
{
    ((struct world *)arg)->nmis[cpu]++;
}

static void world_init(void *arg, unsigned cpu)
{
    struct world *w = (struct world *)arg;

    w->inits[cpu]++;
    x86_reset_lapic(w->x[cpu]);
    lapic_changed(w->dev, cpu);
}

static void world_startup(void *arg, unsigned cpu, uint8_t vector)
{
    ((struct world *)arg)->startup[cpu] = vector;
}

static void world_eoi(void *arg, uint8_t vector)
{
    ((struct world *)arg)->eoi = vector;
}

static uint8_t world_extint(void *arg)
{
    return 0x38;
}

/* A TSC of 2 GHz that began with the clock. */
static uint64_t world_tsc(void *arg, unsigned cpu, uint64_t tsc)
{
    uint64_t now = clock_now_ns(((struct world *)arg)->clock);

    return tsc / 2 > now ? tsc / 2 - now : 0;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    const struct lapic_sink sink = {world_nmi, world_init, world_startup, world_eoi, world_extint,
                                    world_tsc, w};
    struct lapic_cpu cpus[CPUS];
    struct err err;

    w->clock = clock_new(NULL);
    w->dev = device_new(&lapic_ops, "lapic");
    w->dev->clock = w->clock;
    for (unsigned i = 0; i < CPUS; i++) {
        struct x86_cpu *x = w->x[i] = calloc(1, sizeof(*x));

        x->cpu.index = i;
        x86_cpu_ops.reset(&x->cpu);
        cpus[i] = (struct lapic_cpu){x->lapic, &x->apic_base, &x->msr.tsc_deadline,
                                     &x->lapic_count_ns, &x->lapic_errors};
        w->startup[i] = -1;
    }
    assert_int_equal(lapic_setup(w->dev, cpus, CPUS, &sink, &err), 0);
    assert_int_equal(device_init(w->dev, &err), 0);
    for (unsigned i = 0; i < CPUS; i++)
        irq_connect(lapic_ops.irq(w->dev, i), world_line, w, i);
    clock_resume(w->clock);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    device_free(w->dev);
    clock_free(w->clock);
    for (unsigned i = 0; i < CPUS; i++)
        free(w->x[i]);
    free(w);
    return 0;
}

static void enable_all(struct world *w)
{
    for (unsigned i = 0; i < CPUS; i++)
        lapic_write(w->dev, i, SPIV, 0x1ff);
}

static void message(struct world *w, unsigned to, unsigned low, uint32_t data)
{
    lapic_message(w->dev, 0xfee00000 | to << 12 | low, data);
}

static void higher_vectors_first(void **state)
{
    struct world *w = *state;

    message(w, 0, 0, 0x41);
    assert_false(w->line[0]); /* not enabled: lost */
    enable_all(w);
    message(w, 0, 0, 0x41);
    message(w, 0, 0, 0x62);
    message(w, 0, 0, 0x41); /* one bit: merged */
    assert_true(w->line[0]);
    assert_false(w->line[1]);
    assert_int_equal(lapic_acknowledge(w->dev, 0), 0x62);
    assert_int_equal(lapic_read(w->dev, 0, PPR), 0x60);
    assert_false(w->line[0]); /* 0x41 is below what is served */
    message(w, 0, 0, 0x6f);
    assert_false(w->line[0]); /* of the same class */
    message(w, 0, 0, 0x70);
    assert_int_equal(lapic_acknowledge(w->dev, 0), 0x70);
    lapic_write(w->dev, 0, EOI, 0);
    lapic_write(w->dev, 0, EOI, 0);
    assert_int_equal(lapic_acknowledge(w->dev, 0), 0x6f);
    lapic_write(w->dev, 0, EOI, 0);
    assert_int_equal(lapic_acknowledge(w->dev, 0), 0x41);
    lapic_write(w->dev, 0, EOI, 0);
    lapic_write(w->dev, 0, EOI, 0); /* nothing to end */
    assert_int_equal(w->eoi, 0);
    assert_int_equal(lapic_acknowledge(w->dev, 0), 0xff); /* spurious */
    assert_int_equal(lapic_read(w->dev, 0, ISR + 0x70), 0);
}

static void task_priority_holds_back(void **state)
{
    struct world *w = *state;

    enable_all(w);
    lapic_set_cr8(w->dev, 2, 5);
    assert_int_equal(lapic_read(w->dev, 2, TPR), 0x50);
    message(w, 2, 0, 0x5f);
    assert_false(w->line[2]);
    lapic_write(w->dev, 2, TPR, 0x4f);
    assert_true(w->line[2]);
    assert_int_equal(lapic_cr8(w->dev, 2), 4);
    assert_int_equal(lapic_read(w->dev, 2, PPR), 0x4f);
}

static void level_vectors_report_their_end(void **state)
{
    struct world *w = *state;

    enable_all(w);
    message(w, 1, 0, 1 << 15 | 1 << 14 | 0x55);
    assert_int_equal(lapic_acknowledge(w->dev, 1), 0x55);
    assert_int_equal(w->eoi, 0);
    lapic_write(w->dev, 1, EOI, 0);
    assert_int_equal(w->eoi, 0x55);
}

static void destinations(void **state)
{
    struct world *w = *state;

    enable_all(w);
    for (unsigned i = 0; i < CPUS; i++)
        lapic_write(w->dev, i, LDR, 1u << (24 + i));
    message(w, 0x0a, 4, 0x41); /* flat: 1 and 3 */
    assert_true(!w->line[0] && w->line[1] && !w->line[2] && w->line[3]);
    message(w, 0xff, 0, 0x41);
    assert_true(w->line[0] && w->line[2]);
    for (unsigned i = 0; i < CPUS; i++) {
        (void)lapic_acknowledge(w->dev, i);
        lapic_write(w->dev, i, EOI, 0);
        lapic_write(w->dev, i, DFR, 0);
        lapic_write(w->dev, i, LDR, (i / 2 + 1) << 28 | 1u << (24 + i % 2));
    }
    message(w, 0x23, 4, 0x42); /* cluster 2: CPUs 2 and 3 */
    assert_true(!w->line[0] && !w->line[1] && w->line[2] && w->line[3]);
    message(w, 9, 0, 0x42); /* nobody */
    assert_false(w->line[0]);
}

static void lowest_priority_is_one(void **state)
{
    struct world *w = *state;

    enable_all(w);
    for (unsigned i = 0; i < CPUS; i++) {
        lapic_write(w->dev, i, LDR, 1u << (24 + i));
        lapic_set_cr8(w->dev, i, i == 2 ? 1 : 3);
    }
    message(w, 0x0f, 4, 1 << 8 | 0x91);
    assert_true(!w->line[0] && !w->line[1] && w->line[2] && !w->line[3]);
    lapic_write(w->dev, 2, SPIV, 0xff); /* it cannot take any more */
    message(w, 0x0e, 4 | 8, 0x92);      /* redirection hint */
    assert_true(!w->line[0] && w->line[1] && !w->line[3]);
}

static void between_processors(void **state)
{
    struct world *w = *state;

    enable_all(w);
    lapic_write(w->dev, 0, ICR2, 3u << 24);
    lapic_write(w->dev, 0, ICR, 1 << 14 | 0x77);
    assert_true(w->line[3] && !w->line[1]);
    assert_int_equal(lapic_read(w->dev, 0, ICR), 1 << 14 | 0x77);
    lapic_write(w->dev, 1, ICR, 3 << 18 | 1 << 14 | 4 << 8); /* NMI to all others */
    assert_true(w->nmis[0] == 1 && w->nmis[1] == 0 && w->nmis[2] == 1 && w->nmis[3] == 1);
    lapic_write(w->dev, 1, ICR, 1 << 18 | 1 << 14 | 0x60); /* to itself */
    assert_true(w->line[1] && !w->line[2]);
    lapic_write(w->dev, 1, ICR, 2 << 18 | 1 << 14 | 0x61); /* to all */
    assert_true(w->line[0] && w->line[2]);
}

static void startup_of_a_processor(void **state)
{
    struct world *w = *state;

    lapic_write(w->dev, 2, SPIV, 0x1ff);
    lapic_write(w->dev, 0, ICR2, 2u << 24);
    lapic_write(w->dev, 0, ICR, 5 << 8 | 1 << 15 | 1 << 14);
    lapic_write(w->dev, 0, ICR, 5 << 8 | 1 << 15); /* de-assert: nothing */
    assert_int_equal(w->inits[2], 1);
    assert_int_equal(lapic_read(w->dev, 2, SPIV), 0xff);
    lapic_write(w->dev, 0, ICR, 6 << 8 | 0x9a);
    assert_int_equal(w->startup[2], 0x9a);
    assert_int_equal(w->startup[1], -1);
}

static void bad_vectors_are_errors(void **state)
{
    struct world *w = *state;

    enable_all(w);
    lapic_write(w->dev, 0, LVT_ERROR, 0xfe);
    message(w, 0, 0, 0x0f);
    lapic_write(w->dev, 0, ICR, 1 << 18 | 3);
    assert_int_equal(lapic_acknowledge(w->dev, 0), 0xfe);
    assert_int_equal(lapic_read(w->dev, 0, ESR), 0);
    lapic_write(w->dev, 0, ESR, 0);
    assert_int_equal(lapic_read(w->dev, 0, ESR), 0x60);
    (void)lapic_read(w->dev, 0, 0x40);
    lapic_write(w->dev, 0, ESR, 0);
    assert_int_equal(lapic_read(w->dev, 0, ESR), 0x80);
    lapic_write(w->dev, 1, LVT_ERROR, 3); /* an error's own vector may be bad */
    message(w, 1, 0, 1);
    assert_false(w->line[1]);
}

static void one_shot_and_periodic_timers(void **state)
{
    struct world *w = *state;

    enable_all(w);
    lapic_write(w->dev, 0, DIVIDE, 3); /* by 16 */
    lapic_write(w->dev, 0, LVT_TIMER, 0x30);
    lapic_write(w->dev, 0, INITIAL, 1000);
    clock_advance(w->clock, 1007);
    assert_int_equal(lapic_read(w->dev, 0, CURRENT), 1000 - 62);
    clock_advance(w->clock, 14992);
    assert_false(w->line[0]);
    clock_advance(w->clock, 1);
    assert_true(w->line[0]);
    assert_int_equal(lapic_read(w->dev, 0, CURRENT), 0);
    assert_int_equal(lapic_acknowledge(w->dev, 0), 0x30);
    lapic_write(w->dev, 0, EOI, 0);
    clock_advance(w->clock, 100000);
    assert_false(w->line[0]);

    lapic_write(w->dev, 1, DIVIDE, 0xb);
    lapic_write(w->dev, 1, LVT_TIMER, 1 << 17 | 0x31);
    lapic_write(w->dev, 1, INITIAL, 200000);
    for (unsigned i = 0; i < 3; i++) {
        clock_advance(w->clock, 200000);
        assert_int_equal(lapic_acknowledge(w->dev, 1), 0x31);
        lapic_write(w->dev, 1, EOI, 0);
        assert_false(w->line[1]);
    }
    clock_advance(w->clock, 50000);
    assert_int_equal(lapic_read(w->dev, 1, CURRENT), 150000);
    lapic_write(w->dev, 1, SPIV, 0xff); /* masks, counts on */
    clock_advance(w->clock, 200000);
    assert_false(w->line[1]);
    assert_int_equal(lapic_read(w->dev, 1, LVT_TIMER), 3 << 16 | 0x31);
}

static void deadline_timer(void **state)
{
    struct world *w = *state;
    uint64_t val;

    enable_all(w);
    assert_true(lapic_write_msr(w->dev, 0, MSR_DEADLINE, 5000)); /* another mode: ignored */
    assert_true(lapic_read_msr(w->dev, 0, MSR_DEADLINE, &val) && val == 0);
    lapic_write(w->dev, 0, INITIAL, 77);
    lapic_write(w->dev, 0, LVT_TIMER, 2 << 17 | 0x40);
    assert_int_equal(lapic_read(w->dev, 0, INITIAL), 0); /* disarmed by the change */
    assert_true(lapic_write_msr(w->dev, 0, MSR_DEADLINE, 5000));
    clock_advance(w->clock, 2499);
    assert_false(w->line[0]);
    assert_true(lapic_read_msr(w->dev, 0, MSR_DEADLINE, &val) && val == 5000);
    clock_advance(w->clock, 1);
    assert_true(w->line[0]);
    assert_true(lapic_read_msr(w->dev, 0, MSR_DEADLINE, &val) && val == 0);
}

static void wires_of_old(void **state)
{
    struct world *w = *state;

    lapic_ops.input(w->dev, LAPIC_LINT0, true);
    assert_false(w->line[0]); /* masked after reset */
    enable_all(w);
    lapic_write(w->dev, 0, LINT0, 7 << 8);
    assert_true(w->line[0] && !w->line[1]);
    message(w, 0, 0, 0x99);
    assert_int_equal(lapic_acknowledge(w->dev, 0), 0x99);
    assert_true(w->line[0]); /* ExtINT knows no priority */
    assert_int_equal(lapic_acknowledge(w->dev, 0), 0x38);
    lapic_ops.input(w->dev, LAPIC_LINT0, false);
    assert_false(w->line[0]);
    lapic_write(w->dev, 1, LINT1, 4 << 8);
    lapic_ops.input(w->dev, LAPIC_LINT1, true);
    assert_true(w->nmis[1] == 1 && w->nmis[0] == 0);
}

static void x2apic_mode(void **state)
{
    struct world *w = *state;
    uint64_t val, base;

    assert_true(lapic_page(w->dev, 1, &base) && base == 0xfee00000);
    assert_false(lapic_read_msr(w->dev, 1, 0x802, &val)); /* not in that mode */
    assert_true(lapic_read_msr(w->dev, 1, MSR_BASE, &val));
    assert_false(lapic_write_msr(w->dev, 1, MSR_BASE, (val & ~UINT64_C(0x800)) | 0x400));
    assert_true(lapic_write_msr(w->dev, 1, MSR_BASE, val | 0x400));
    assert_false(lapic_write_msr(w->dev, 1, MSR_BASE, val)); /* only by way of off */
    assert_false(lapic_page(w->dev, 1, &base));
    assert_true(lapic_read_msr(w->dev, 1, 0x802, &val) && val == 1);
    assert_true(lapic_read_msr(w->dev, 1, 0x80d, &val) && val == 2); /* logical id */
    assert_true(lapic_write_msr(w->dev, 1, 0x80f, 0x1ff));
    assert_false(lapic_write_msr(w->dev, 1, 0x802, 5));
    assert_false(lapic_write_msr(w->dev, 1, 0x80b, 1));
    assert_false(lapic_write_msr(w->dev, 1, 0x808, UINT64_C(1) << 32));
    assert_false(lapic_read_msr(w->dev, 1, 0x80b, &val));
    assert_false(lapic_read_msr(w->dev, 1, 0x80e, &val)); /* no DFR */
    assert_true(lapic_write_msr(w->dev, 1, 0x83f, 0x45));
    assert_int_equal(lapic_acknowledge(w->dev, 1), 0x45);
    lapic_write(w->dev, 2, SPIV, 0x1ff);
    assert_true(lapic_write_msr(w->dev, 1, 0x830, UINT64_C(2) << 32 | 0x46));
    assert_true(w->line[2]);
    assert_true(lapic_read_msr(w->dev, 1, 0x830, &val) && val == (UINT64_C(2) << 32 | 0x46));
}

/* Whatever a loaded state says, time goes on and accesses end. */
static void hostile_state(void **state)
{
    struct world *w = *state;
    uint64_t x = 88172645463325252u;

    for (unsigned round = 0; round < 20000; round++) {
        struct x86_cpu *cpu = w->x[round % CPUS];

        for (unsigned i = 0; i < X86_LAPIC_SIZE; i += 8) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            st_le64(cpu->lapic + i, x);
        }
        cpu->apic_base = 0xfee00000 | (x >> 8 & 3) << 10;
        cpu->lapic_count_ns = x >> 10 & 1 ? x : x >> 44;
        cpu->msr.tsc_deadline = x >> 20;
        lapic_changed(w->dev, round % CPUS);
        device_settle_all(&(struct device_set){{w->dev}, 1});
        clock_advance(w->clock, x >> 50);
        lapic_write(w->dev, round % CPUS, (uint32_t)(x >> 5 & 0x3f0), (uint32_t)(x >> 32));
        (void)lapic_read(w->dev, round % CPUS, (uint32_t)(x >> 7 & 0xfff));
        (void)lapic_acknowledge(w->dev, round % CPUS);
        lapic_message(w->dev, x, (uint32_t)(x >> 21));
    }
    assert_true(clock_now_ns(w->clock) > 0);
}

static void counts_of_cpus(void **state)
{
    struct device *dev = device_new(&lapic_ops, "none");
    struct lapic_sink sink = {0};
    struct err err;

    assert_int_equal(lapic_setup(dev, NULL, 0, &sink, &err), -EINVAL);
    assert_int_equal(lapic_setup(dev, NULL, LAPIC_CPUS_MAX + 1, &sink, &err), -EINVAL);
    assert_int_equal(device_init(dev, &err), -EINVAL);
    device_free(dev);
}

int main(void)
{
#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(higher_vectors_first),
        IN_A_WORLD(task_priority_holds_back),
        IN_A_WORLD(level_vectors_report_their_end),
        IN_A_WORLD(destinations),
        IN_A_WORLD(lowest_priority_is_one),
        IN_A_WORLD(between_processors),
        IN_A_WORLD(startup_of_a_processor),
        IN_A_WORLD(bad_vectors_are_errors),
        IN_A_WORLD(one_shot_and_periodic_timers),
        IN_A_WORLD(deadline_timer),
        IN_A_WORLD(wires_of_old),
        IN_A_WORLD(x2apic_mode),
        IN_A_WORLD(hostile_state),
        cmocka_unit_test(counts_of_cpus),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
