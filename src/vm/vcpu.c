/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vCPU threads. Contract: vcpu.h.
 *
 * No wake-up is lost: whoever gives a vCPU something to do first writes it (attention bits, a
 * call, a pause reason), then looks at `asleep`, and signals under the vCPU's lock if it is set.
 * The sleeper sets `asleep` under that lock, then looks for work. A full fence stands between on
 * both sides, so one of the two sees the other.
 *
 * A call from another vCPU (vcpus_call) is served at the loop's top and in every sleep; the caller
 * serves its own calls while it waits, so two vCPUs that call each other both go on.
 */
#include "vm/vcpu.h"
#include "base/bits.h"
#include "host/sandbox_thread.h"
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Work for a vCPU's thread; lives on the caller's stack until `left` says that it is done. */
struct vcpu_call {
    struct vcpu_call *next;
    void (*fn)(struct cpu *cpu, void *arg);
    void *arg;
    struct vcpu *caller;
    atomic_uint *left;
};

struct vcpu {
    struct vcpus *group;
    struct cpu *cpu;
    unsigned index;
    pthread_t thread;
    pthread_mutex_t lock; /* guards cond, calls, gone, cpu_ns */
    pthread_cond_t cond;
    struct vcpu_call *calls;
    bool gone;          /* the thread has ended */
    uint64_t cpu_ns;    /* that it used, once it is gone */
    bool started;       /* the thread exists */
    bool parked;        /* machine lock */
    bool halted;        /* the thread's own: waits for an interrupt */
    atomic_bool asleep; /* see above */
    atomic_bool held;   /* parked by itself */
};

struct vcpus {
    struct vcpus_config config;
    atomic_uint pause; /* enum vcpu_pause; changed with the machine lock held */
    atomic_bool stop;
    pthread_cond_t changed; /* with the machine lock: parked or gone */
    struct vcpu vcpu[];
};

static void vcpu_wake(struct vcpu *v)
{
    const struct vcpus_config *config = &v->group->config;

    atomic_thread_fence(memory_order_seq_cst); /* what was written before, then `asleep` */
    if (!atomic_load(&v->asleep)) {
        if (config->engine->ops->kick)
            config->engine->ops->kick(config->engine, v->index);
        return;
    }
    pthread_mutex_lock(&v->lock);
    pthread_cond_broadcast(&v->cond);
    pthread_mutex_unlock(&v->lock);
}

static void vcpu_cpu_wake(struct cpu *cpu)
{
    vcpu_wake((struct vcpu *)cpu->owner);
}

static bool vcpu_must_park(const struct vcpu *v)
{
    return atomic_load(&v->group->pause) || atomic_load(&v->held);
}

/* --- Calls from other vCPUs --- */
static void vcpu_call_done(struct vcpu *caller, atomic_uint *left)
{
    /* After the decrement the call and `left` may be gone from the caller's stack. */
    if (atomic_fetch_sub(left, 1) == 1) {
        pthread_mutex_lock(&caller->lock);
        pthread_cond_broadcast(&caller->cond);
        pthread_mutex_unlock(&caller->lock);
    }
}

/* Serves all calls; v->lock held, given away while one runs. */
static void vcpu_serve_locked(struct vcpu *v)
{
    while (v->calls) {
        struct vcpu_call *call = v->calls;

        v->calls = call->next;
        pthread_mutex_unlock(&v->lock);
        call->fn(v->cpu, call->arg);
        vcpu_call_done(call->caller, call->left);
        pthread_mutex_lock(&v->lock);
    }
}

/* False when the thread has ended and will serve no more. */
static bool vcpu_post(struct vcpu *v, struct vcpu_call *call)
{
    bool gone;

    pthread_mutex_lock(&v->lock);
    gone = v->gone;
    if (!gone) {
        call->next = v->calls;
        v->calls = call;
        pthread_cond_broadcast(&v->cond);
    }
    pthread_mutex_unlock(&v->lock);
    if (!gone)
        cpu_attend(v->cpu, ATTENTION_KICK);
    return !gone;
}

void vcpus_call(struct vcpus *g, unsigned caller, uint64_t mask,
                void (*fn)(struct cpu *cpu, void *fn_arg), void *fn_arg)
{
    struct vcpu_call call[VM_CPUS_MAX];
    struct vcpu *self = &g->vcpu[caller];
    atomic_uint left = 1; /* our own share keeps it above 0 until all are posted */

    for (unsigned i = 0; i < g->config.count; i++) {
        if (!(mask & BIT(i)) || i == caller)
            continue;
        call[i] = (struct vcpu_call){.fn = fn, .arg = fn_arg, .caller = self, .left = &left};
        atomic_fetch_add(&left, 1);
        if (!vcpu_post(&g->vcpu[i], &call[i]))
            atomic_fetch_sub(&left, 1);
    }
    if (mask & BIT(caller))
        fn(self->cpu, fn_arg);
    atomic_fetch_sub(&left, 1);
    pthread_mutex_lock(&self->lock);
    while (atomic_load(&left)) {
        vcpu_serve_locked(self);
        if (atomic_load(&left))
            pthread_cond_wait(&self->cond, &self->lock);
    }
    pthread_mutex_unlock(&self->lock);
}

/* --- The thread --- */
static bool vcpu_kicked(const struct vcpu *v)
{
    return atomic_load(&v->cpu->attention) & ATTENTION_KICK;
}

/* Has a sleeping vCPU a reason to go on? A parked one waits for the end of the pause only. */
static bool vcpu_has_reason(struct vcpu *v)
{
    if (atomic_load(&v->group->stop))
        return true;
    if (v->parked)
        return !vcpu_must_park(v);
    if (vcpu_kicked(v) || vcpu_must_park(v))
        return true;
    if (!v->group->config.on(v->group->config.arg, v->index))
        return false;
    return !v->halted || v->cpu->ops->wakeup_pending(v->cpu);
}

static void vcpu_sleep(struct vcpu *v)
{
    pthread_mutex_lock(&v->lock);
    atomic_store(&v->asleep, true);
    atomic_thread_fence(memory_order_seq_cst);
    for (;;) {
        vcpu_serve_locked(v);
        if (vcpu_has_reason(v))
            break;
        pthread_cond_wait(&v->cond, &v->lock);
    }
    atomic_store(&v->asleep, false);
    pthread_mutex_unlock(&v->lock);
}

static void vcpu_set_parked(struct vcpu *v, bool parked)
{
    struct vcpus *g = v->group;

    pthread_mutex_lock(g->config.lock);
    v->parked = parked;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(g->config.lock);
}

static void vcpu_debug(struct vcpu *v)
{
    struct vcpus *g = v->group;

    pthread_mutex_lock(g->config.lock);
    vcpus_ask_pause(g, VCPU_PAUSE_DEBUG);
    g->config.debug(g->config.arg, v->index);
    pthread_mutex_unlock(g->config.lock);
}

static void vcpu_fail(struct vcpu *v, const struct err *err)
{
    struct vcpus *g = v->group;

    pthread_mutex_lock(g->config.lock);
    vcpus_ask_pause(g, VCPU_PAUSE_POWER);
    g->config.failed(g->config.arg, v->index, err);
    pthread_mutex_unlock(g->config.lock);
}

/* A kick's cause is written before the kick, so clearing first and looking afterwards loses none.
 */
static void vcpu_take_kick(struct vcpu *v)
{
    atomic_fetch_and(&v->cpu->attention, ~(uint32_t)ATTENTION_KICK);
    pthread_mutex_lock(&v->lock);
    vcpu_serve_locked(v);
    pthread_mutex_unlock(&v->lock);
}

static void vcpu_check_wedged(struct vcpu *v)
{
    const struct cpu *cpu = v->cpu;
    struct err err;

    if (v->group->config.keep_wedged || !cpu->ops->wedged || !cpu->ops->wedged(cpu))
        return;
    err_set(&err, -ENOEXEC,
            "vCPU %u is stuck: there is nothing to execute at its trap handler's address 0x%llx; "
            "is that the right kernel or firmware for this machine?",
            v->index, (unsigned long long)cpu->pc);
    vcpu_fail(v, &err);
}

/* Runs guest code until something needs us. */
static void vcpu_run(struct vcpu *v)
{
    struct engine *engine = v->group->config.engine;
    struct err err = {0};

    switch (engine->ops->run(engine, v->index, &err)) {
    case ENGINE_EXIT_KICK: /* the engine has cleared the bit */
        vcpu_take_kick(v);
        vcpu_check_wedged(v);
        break;
    case ENGINE_EXIT_HALT: v->halted = true; break;
    case ENGINE_EXIT_HYPERCALL:
        v->halted = v->group->config.hypercall(v->group->config.arg, v->cpu) == BOARD_HALT;
        break;
    case ENGINE_EXIT_DEBUG: vcpu_debug(v); break;
    case ENGINE_EXIT_FAILED: vcpu_fail(v, &err); break;
    }
}

static uint64_t vcpu_clock_ns(clockid_t clock)
{
    struct timespec ts = {0};

    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void vcpu_end(struct vcpu *v)
{
    pthread_mutex_lock(&v->lock);
    v->cpu_ns = vcpu_clock_ns(CLOCK_THREAD_CPUTIME_ID);
    v->gone = true;
    vcpu_serve_locked(v);
    pthread_mutex_unlock(&v->lock);
    vcpu_set_parked(v, true);
}

/* Tells the engine, where it wants to know; false: it failed, which has been reported. */
static bool vcpu_park_engine(struct vcpu *v, bool parked)
{
    struct engine *engine = v->group->config.engine;
    struct err err = {0};

    if (!engine->ops->park || !engine->ops->park(engine, v->index, parked, &err))
        return true;
    vcpu_fail(v, &err);
    return false;
}

static void vcpu_park(struct vcpu *v)
{
    (void)vcpu_park_engine(v, true);
    vcpu_set_parked(v, true);
    vcpu_sleep(v);
    vcpu_set_parked(v, false);
    v->halted = false; /* reset or loaded meanwhile, or woken for no reason: all legal */
    if (!atomic_load(&v->group->stop))
        (void)vcpu_park_engine(v, false);
}

static void vcpu_lock_in(struct vcpu *v)
{
    struct engine *engine = v->group->config.engine;
    struct err err;
    int r;

    if (engine->ops->begin)
        engine->ops->begin(engine, v->index);
    r = sandbox_enter_thread(SANDBOX_VCPU);
    if (!r)
        return;
    err_set(&err, r, "vCPU %u: its thread cannot be locked in: %s", v->index, strerror(-r));
    vcpu_fail(v, &err);
}

static void *vcpu_thread(void *arg)
{
    struct vcpu *v = (struct vcpu *)arg;
    struct vcpus *g = v->group;

    vcpu_lock_in(v);
    while (!atomic_load(&g->stop)) {
        if (vcpu_kicked(v))
            vcpu_take_kick(v);
        if (vcpu_must_park(v)) {
            vcpu_park(v);
        } else if (!g->config.on(g->config.arg, v->index)) {
            vcpu_sleep(v);
            v->halted = false;
        } else if (v->halted) {
            vcpu_sleep(v);
            v->halted = !v->cpu->ops->wakeup_pending(v->cpu);
        } else {
            vcpu_run(v);
        }
    }
    vcpu_end(v);
    return NULL;
}

/* --- The group --- */
static void vcpu_kick(struct vcpu *v)
{
    cpu_attend(v->cpu, ATTENTION_KICK);
    vcpu_wake(v);
}

static void vcpus_kick(struct vcpus *g)
{
    for (unsigned i = 0; i < g->config.count; i++)
        vcpu_kick(&g->vcpu[i]);
}

/* All parked, or ended. Machine lock held. */
static bool vcpus_all_parked(const struct vcpus *g)
{
    for (unsigned i = 0; i < g->config.count; i++)
        if (g->vcpu[i].started && !g->vcpu[i].parked)
            return false;
    return true;
}

static void vcpus_wait_parked(struct vcpus *g)
{
    while (!vcpus_all_parked(g))
        pthread_cond_wait(&g->changed, g->config.lock);
}

int vcpus_new(const struct vcpus_config *config, struct vcpus **ret_vcpus, struct err *err)
{
    struct vcpus *g = calloc(1, sizeof(*g) + config->count * sizeof(struct vcpu));

    if (!g)
        return err_set(err, -ENOMEM, "no memory for %u vCPUs", config->count);
    g->config = *config;
    atomic_store(&g->pause, VCPU_PAUSE_START);
    pthread_cond_init(&g->changed, NULL);
    for (unsigned i = 0; i < config->count; i++) {
        struct vcpu *v = &g->vcpu[i];

        v->group = g;
        v->index = i;
        v->cpu = config->engine->ops->vcpu(config->engine, i);
        pthread_mutex_init(&v->lock, NULL);
        pthread_cond_init(&v->cond, NULL);
        v->cpu->owner = v;
        v->cpu->wake = vcpu_cpu_wake;
    }
    *ret_vcpus = g;
    return 0;
}

/* Signals are the main thread's business: a vCPU thread starts with all of them blocked. */
static int vcpu_start(struct vcpu *v)
{
    sigset_t all, old;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    r = pthread_create(&v->thread, NULL, vcpu_thread, v);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    v->started = !r;
    return -r;
}

int vcpus_start(struct vcpus *g, struct err *err)
{
    for (unsigned i = 0; i < g->config.count; i++) {
        int r = vcpu_start(&g->vcpu[i]);

        if (r)
            return err_set(err, r, "cannot start the thread of vCPU %u: %s", i, strerror(-r));
    }
    return 0;
}

void vcpus_ask_pause(struct vcpus *g, enum vcpu_pause reason)
{
    atomic_fetch_or(&g->pause, (unsigned)reason);
    vcpus_kick(g);
}

void vcpus_pause(struct vcpus *g, enum vcpu_pause reason)
{
    vcpus_ask_pause(g, reason);
    vcpus_wait_parked(g);
}

void vcpus_resume(struct vcpus *g, enum vcpu_pause reason)
{
    atomic_fetch_and(&g->pause, ~(unsigned)reason);
    vcpus_kick(g);
}

unsigned vcpus_paused(const struct vcpus *g)
{
    return atomic_load(&g->pause);
}

void vcpus_hold(struct vcpus *g, unsigned index, bool hold)
{
    atomic_store(&g->vcpu[index].held, hold);
    vcpu_kick(&g->vcpu[index]);
}

void vcpus_stop(struct vcpus *g)
{
    atomic_store(&g->stop, true);
    vcpus_kick(g);
    for (unsigned i = 0; i < g->config.count; i++) {
        struct vcpu *v = &g->vcpu[i];

        if (!v->started)
            continue;
        pthread_mutex_unlock(g->config.lock); /* a last device access may wait for it */
        pthread_join(v->thread, NULL);
        pthread_mutex_lock(g->config.lock);
        v->started = false;
    }
}

/* While a thread's lock is held and it has not said that it is gone, nobody has joined it. */
static uint64_t vcpu_cpu_ns(struct vcpu *v)
{
    uint64_t ns = 0;
    clockid_t clock;

    pthread_mutex_lock(&v->lock);
    if (v->gone)
        ns = v->cpu_ns;
    else if (v->started && !pthread_getcpuclockid(v->thread, &clock))
        ns = vcpu_clock_ns(clock);
    pthread_mutex_unlock(&v->lock);
    return ns;
}

uint64_t vcpus_cpu_ns(struct vcpus *g)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < g->config.count; i++)
        sum += vcpu_cpu_ns(&g->vcpu[i]);
    return sum;
}

void vcpus_free(struct vcpus *g)
{
    if (!g)
        return;
    for (unsigned i = 0; i < g->config.count; i++) {
        pthread_cond_destroy(&g->vcpu[i].cond);
        pthread_mutex_destroy(&g->vcpu[i].lock);
    }
    pthread_cond_destroy(&g->changed);
    free(g);
}
