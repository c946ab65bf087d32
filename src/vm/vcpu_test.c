/* SPDX-License-Identifier: Apache-2.0 */
/* vCPU threads over an engine that only counts: pausing, sleeping, waking, calling each other. */
#include "base/unit_test.h"
#include "vm/vcpu.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VCPUS = 4, ROUNDS = 2000 };

/* What a vCPU does in run(). */
enum behaviour { SPIN, HALT, CALL_OTHERS, CALL_FROM_0, STEP_ONCE };

struct fixture {
    struct engine engine; /* must be first */
    struct cpu cpu[VCPUS];
    struct vcpus *vcpus;
    pthread_mutex_t lock;
    _Atomic enum behaviour behaviour;
    atomic_ullong runs[VCPUS];  /* run() calls */
    atomic_ullong calls[VCPUS]; /* calls served on each thread */
    atomic_uint off;            /* mask of vCPUs the guest keeps off */
    pthread_t thread[VCPUS];
    atomic_ullong debug_hits;
};

static bool cpu_pending(const struct cpu *cpu)
{
    return atomic_load(&cpu->irq_inputs);
}

static const struct cpu_ops cpu_ops = {.isa = "test", .wakeup_pending = cpu_pending};

static struct cpu *engine_vcpu(struct engine *engine, unsigned index)
{
    return &((struct fixture *)engine)->cpu[index];
}

static enum engine_exit engine_run(struct engine *engine, unsigned index, struct err *err)
{
    struct fixture *f = (struct fixture *)engine;

    f->thread[index] = pthread_self();
    if (f->behaviour == HALT) /* before it is counted: what is raised afterwards stays */
        atomic_store(&f->cpu[index].irq_inputs, 0);
    atomic_fetch_add(&f->runs[index], 1);
    switch ((enum behaviour)atomic_load(&f->behaviour)) {
    case HALT: return ENGINE_EXIT_HALT;
    case CALL_OTHERS: return ENGINE_EXIT_HYPERCALL;
    case CALL_FROM_0:
        if (!index)
            return ENGINE_EXIT_HYPERCALL;
        break;
    case STEP_ONCE: return ENGINE_EXIT_DEBUG;
    default: break;
    }
    while (!(atomic_exchange(&f->cpu[index].attention, 0) & ATTENTION_KICK))
        ; /* run() clears what it has seen */
    return ENGINE_EXIT_KICK;
}

static const struct engine_ops engine_ops = {
    .name = "test", .vcpu = engine_vcpu, .run = engine_run};

/* Runs on the thread of the called vCPU and nowhere else. */
static void note_call(struct cpu *cpu, void *arg)
{
    struct fixture *f = arg;

    if (atomic_load(&f->runs[cpu->index]))
        assert_true(pthread_equal(pthread_self(), f->thread[cpu->index]));
    atomic_fetch_add(&f->calls[cpu->index], 1);
}

static enum board_action on_hypercall(void *arg, struct cpu *cpu)
{
    struct fixture *f = arg;

    vcpus_call(f->vcpus, cpu->index, (1 << VCPUS) - 1, note_call, f);
    return BOARD_CONTINUE;
}

static bool is_on(void *arg, unsigned index)
{
    return !(atomic_load(&((struct fixture *)arg)->off) >> index & 1);
}

static void on_debug(void *arg, unsigned index)
{
    atomic_fetch_add(&((struct fixture *)arg)->debug_hits, 1);
}

static void on_failed(void *arg, unsigned index, const struct err *err)
{
    fail_msg("vCPU %u failed", index);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct vcpus_config config = {.engine = &f->engine,
                                  .count = VCPUS,
                                  .lock = &f->lock,
                                  .hypercall = on_hypercall,
                                  .on = is_on,
                                  .debug = on_debug,
                                  .failed = on_failed,
                                  .arg = f};
    struct err err;

    pthread_mutex_init(&f->lock, NULL);
    f->engine.ops = &engine_ops;
    for (unsigned i = 0; i < VCPUS; i++) {
        f->cpu[i].ops = &cpu_ops;
        f->cpu[i].index = i;
    }
    pthread_mutex_lock(&f->lock);
    assert_int_equal(vcpus_new(&config, &f->vcpus, &err), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    vcpus_stop(f->vcpus);
    vcpus_free(f->vcpus);
    pthread_mutex_unlock(&f->lock);
    free(f);
    return 0;
}

static void start(struct fixture *f, enum behaviour behaviour)
{
    struct err err;

    atomic_store(&f->behaviour, behaviour);
    assert_int_equal(vcpus_start(f->vcpus, &err), 0);
    vcpus_resume(f->vcpus, VCPU_PAUSE_START);
}

static void nap(void)
{
    const struct timespec ts = {.tv_nsec = 200000};

    nanosleep(&ts, NULL);
}

/* Waits, the lock given away, until the counter reaches a value; a lost wake-up fails here, after
 * ten seconds. */
static void reach(struct fixture *f, atomic_ullong *counter, unsigned long long value)
{
    unsigned tries = 50000;

    pthread_mutex_unlock(&f->lock);
    while (atomic_load(counter) < value && --tries)
        nap();
    pthread_mutex_lock(&f->lock);
    if (!tries)
        fail_msg("stuck at %llu of %llu", atomic_load(counter), value);
}

static void pause_stops_all(void **state)
{
    struct fixture *f = *state;
    unsigned long long before[VCPUS];

    start(f, SPIN);
    for (unsigned i = 0; i < VCPUS; i++)
        reach(f, &f->runs[i], 1);
    for (unsigned round = 0; round < 50; round++) {
        vcpus_pause(f->vcpus, VCPU_PAUSE_USER);
        vcpus_pause(f->vcpus, VCPU_PAUSE_DEBUG);
        for (unsigned i = 0; i < VCPUS; i++)
            before[i] = atomic_load(&f->runs[i]);
        vcpus_resume(f->vcpus, VCPU_PAUSE_USER); /* one reason is left */
        nap();
        for (unsigned i = 0; i < VCPUS; i++)
            assert_int_equal(atomic_load(&f->runs[i]), before[i]);
        vcpus_resume(f->vcpus, VCPU_PAUSE_DEBUG);
    }
    reach(f, &f->runs[0], before[0] + 1);
}

static void one_vcpu_is_held(void **state)
{
    struct fixture *f = *state;

    vcpus_hold(f->vcpus, 2, true);
    start(f, SPIN);
    reach(f, &f->runs[3], 1);
    nap();
    assert_int_equal(atomic_load(&f->runs[2]), 0);
    vcpus_hold(f->vcpus, 2, false);
    reach(f, &f->runs[2], 1);
}

/* An interrupt raised at any moment of falling asleep ends the sleep. */
static void no_wake_up_is_lost(void **state)
{
    struct fixture *f = *state;

    start(f, HALT);
    reach(f, &f->runs[0], 1);
    for (unsigned i = 1; i < ROUNDS; i++) {
        unsigned long long before = atomic_load(&f->runs[0]);

        cpu_irq(&f->cpu[0], 1, true);
        for (unsigned spin = 0; spin < i % 64; spin++)
            atomic_signal_fence(memory_order_seq_cst); /* another moment each time */
        while (atomic_load(&f->runs[0]) == before && cpu_pending(&f->cpu[0]))
            sched_yield();
        reach(f, &f->runs[0], before + 1);
    }
    assert_true(atomic_load(&f->runs[1]) <= 3); /* the others sleep, they do not spin */
}

static void a_vcpu_that_is_off_runs_nothing(void **state)
{
    struct fixture *f = *state;

    atomic_store(&f->off, 1 << 1);
    start(f, SPIN);
    reach(f, &f->runs[0], 1);
    cpu_irq(&f->cpu[1], 1, true);
    nap();
    assert_int_equal(atomic_load(&f->runs[1]), 0);
    atomic_store(&f->off, 0);
    cpu_attend(&f->cpu[1], ATTENTION_KICK);
    reach(f, &f->runs[1], 1);
}

/* All call all others at once, without end: nobody waits for ever, each call is served once. */
static void vcpus_call_each_other(void **state)
{
    struct fixture *f = *state;
    unsigned long long runs = 0, calls = 0;

    start(f, CALL_OTHERS);
    reach(f, &f->runs[0], ROUNDS);
    vcpus_pause(f->vcpus, VCPU_PAUSE_USER);
    for (unsigned i = 0; i < VCPUS; i++) {
        runs += atomic_load(&f->runs[i]);
        calls += atomic_load(&f->calls[i]);
    }
    assert_int_equal(calls, runs * VCPUS);
}

static void calls_reach_those_who_sleep_or_are_off(void **state)
{
    struct fixture *f = *state;

    atomic_store(&f->off, 1 << 3);
    start(f, HALT);
    for (unsigned i = 0; i < 3; i++)
        reach(f, &f->runs[i], 1);
    vcpus_pause(f->vcpus, VCPU_PAUSE_USER);
    atomic_store(&f->behaviour, CALL_OTHERS);
    for (unsigned i = 1; i < 3; i++)
        vcpus_hold(f->vcpus, i, true); /* parked while vCPU 0 goes on */
    vcpus_resume(f->vcpus, VCPU_PAUSE_USER);
    reach(f, &f->calls[1], 10);
    reach(f, &f->calls[3], 10);
}

/* The others are in run() and come out for the call alone. */
static void calls_reach_those_who_run(void **state)
{
    struct fixture *f = *state;

    start(f, CALL_FROM_0);
    reach(f, &f->runs[0], ROUNDS);
    reach(f, &f->calls[3], ROUNDS - 1);
}

static void debug_stops_everybody(void **state)
{
    struct fixture *f = *state;

    start(f, STEP_ONCE);
    reach(f, &f->debug_hits, 1); /* of whoever came first */
    vcpus_pause(f->vcpus, VCPU_PAUSE_USER);
    assert_true(vcpus_paused(f->vcpus) & VCPU_PAUSE_DEBUG);
    assert_in_range(atomic_load(&f->debug_hits), 1, VCPUS);
}

static void stop_before_start(void **state)
{
    assert_non_null(*state); /* teardown stops threads that never were */
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

RUN_TESTS(TEST(pause_stops_all), TEST(one_vcpu_is_held), TEST(no_wake_up_is_lost),
          TEST(a_vcpu_that_is_off_runs_nothing), TEST(vcpus_call_each_other),
          TEST(calls_reach_those_who_sleep_or_are_off), TEST(calls_reach_those_who_run),
          TEST(debug_stops_everybody), TEST(stop_before_start))
