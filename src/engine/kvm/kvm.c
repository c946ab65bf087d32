/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KVM engine's face: the virtual machine, its vCPUs, their life. Parts: internal.h. Interrupt
 * controllers: local APICs in the kernel, all others in the board ("split"), so that their state
 * has the board's layout whatever the engine.
 */
#include "engine/kvm/kvm.h"
#include "base/bits.h"
#include "engine/kvm/internal.h"
#include "mem/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
    int r;

    do
        r = ioctl(fd, request, arg);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

int kvm_ioctl_value(int fd, unsigned long request, unsigned long value)
{
    return kvm_ioctl(fd, request, (void *)(uintptr_t)value);
}

/* --- Creation --- */
static void kvm_vcpu_free(struct kvm_vcpu *v)
{
    kvm_ring_unmap(v);
    if (v->run)
        munmap(v->run, v->engine->run_size);
    if (v->fd >= 0)
        close(v->fd);
    free(v->x86);
}

static void kvm_destroy(struct engine *engine)
{
    struct kvm_engine *e = engine ? kvm_of(engine) : NULL;

    if (!e)
        return;
    for (unsigned i = 0; i < e->vcpu_count; i++)
        kvm_vcpu_free(&e->vcpu[i]);
    if (e->vm >= 0)
        close(e->vm);
    if (e->kvm >= 0)
        close(e->kvm);
    pthread_mutex_destroy(&e->ring_lock);
    pthread_mutex_destroy(&e->latch_lock);
    free(e->cpu_record);
    free(e);
}

static int kvm_make_vm(struct kvm_engine *e, unsigned stress, struct err *err)
{
    __u64 identity = KVM_IDENTITY_MAP;
    struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {KVM_PINS}};
    struct kvm_enable_cap dirty = {.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
                                   .args = {KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE}};
    int r;

    e->vm = kvm_ioctl_value(e->kvm, KVM_CREATE_VM, 0);
    if (e->vm < 0)
        return err_set(err, e->vm, "kvm: the host makes no virtual machine: %s", strerror(-e->vm));
    r = kvm_ioctl(e->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
    if (!r)
        r = kvm_ioctl_value(e->vm, KVM_SET_TSS_ADDR, KVM_TSS);
    if (!r)
        r = kvm_ioctl(e->vm, KVM_ENABLE_CAP, &split);
    if (r < 0)
        return err_set(err, r, "kvm: the host refuses an interrupt controller: %s", strerror(-r));
    e->ring = !(stress & STRESS_LOG) && kvm_ring_enable(e);
    e->manual_dirty = !e->ring && !kvm_ioctl(e->vm, KVM_ENABLE_CAP, &dirty);
    e->any_length = kvm_ioctl_value(e->kvm, KVM_CHECK_EXTENSION, KVM_CAP_IOEVENTFD_ANY_LENGTH) > 0;
    return 0;
}

static int kvm_map_run(struct kvm_engine *e, struct kvm_vcpu *v)
{
    void *run = mmap(NULL, e->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);

    if (run == MAP_FAILED)
        return -errno;
    v->run = run;
    return 0;
}

static struct x86_cpu *kvm_cpu_new(const struct engine_config *config, unsigned index)
{
    struct x86_cpu *x = aligned_alloc(64, (sizeof(*x) + 63) & ~(size_t)63);

    if (!x)
        return NULL;
    memset(x, 0, sizeof(*x));
    x->cpu.ops = config->cpu_ops;
    x->cpu.mem = config->mem;
    x->cpu.clock = config->clock;
    x->cpu.index = index;
    return x;
}

static int kvm_make_vcpu(struct kvm_engine *e, const struct engine_config *config, unsigned index,
                         struct err *err)
{
    struct kvm_vcpu *v = &e->vcpu[index];
    int r = 0;

    v->engine = e;
    v->fd = -1;
    v->x86 = kvm_cpu_new(config, index);
    e->vcpu_count = index + 1;
    if (!v->x86)
        return err_set(err, -ENOMEM, "kvm: no memory for vCPU %u", index);
    r = config->cpu_ops->init(&v->x86->cpu, config->cpu_model, err);
    if (r)
        return r;
    v->fd = kvm_ioctl_value(e->vm, KVM_CREATE_VCPU, index);
    r = v->fd < 0 ? v->fd : kvm_map_run(e, v);
    if (r >= 0)
        r = kvm_ring_map(v);
    return r < 0 ? err_set(err, r, "kvm: the host makes no vCPU %u: %s", index, strerror(-r)) : 0;
}

static int kvm_show_cpu(struct kvm_engine *e, unsigned index, const struct x86_cpuid_table *table,
                        struct err *err)
{
    struct kvm_vcpu *v = &e->vcpu[index];
    int khz = kvm_ioctl_value(v->fd, KVM_GET_TSC_KHZ, 0);

    v->x86->tsc_khz = khz > 0 ? (uint32_t)khz : 0;
    v->x86->cpuid = *table;
    x86_cpuid_place(&v->x86->cpuid, index, e->vcpu_count, v->x86->tsc_khz);
    return kvm_cpuid_push(v, err);
}

static int kvm_make_vcpus(struct kvm_engine *e, const struct engine_config *config, struct err *err)
{
    struct x86_cpuid_table *table = calloc(1, sizeof(*table));
    int r = table ? kvm_cpuid_make(e, config, table, err) : err_set(err, -ENOMEM, "kvm: no memory");

    e->cpu_record = r ? NULL : x86_cpuid_print(config->cpu_model, table);
    for (unsigned i = 0; i < config->vcpus && !r; i++)
        r = kvm_make_vcpu(e, config, i, err);
    for (unsigned i = 0; i < config->vcpus && !r; i++)
        r = kvm_show_cpu(e, i, table, err);
    free(table);
    if (!r)
        r = kvm_regs_init(e, err);
    for (unsigned i = 0; i < config->vcpus && !r; i++)
        config->cpu_ops->reset(&e->vcpu[i].x86->cpu);
    return r;
}

static int kvm_build(struct kvm_engine *e, const struct engine_config *config, struct err *err)
{
    int r = kvm_open(&e->kvm, err);

    if (!r)
        r = kvm_run_init(err);
    if (!r)
        r = kvm_make_vm(e, config->stress, err);
    if (r)
        return r;
    r = kvm_ioctl_value(e->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (r < (int)sizeof(struct kvm_run))
        return err_set(err, -EIO, "kvm: the host's interface makes no sense");
    e->run_size = (size_t)r;
    r = kvm_make_vcpus(e, config, err);
    if (!r)
        kvm_latch_init(e);
    return r;
}

static int kvm_create(const struct engine_config *config, struct engine **ret_engine,
                      struct err *err)
{
    struct kvm_engine *e;
    int r;

    if (!config->vcpus || config->vcpus > KVM_VCPUS_MAX)
        return err_set(err, -EINVAL, "kvm: %u vCPUs asked for, 1 to %d are possible", config->vcpus,
                       KVM_VCPUS_MAX);
    if (config->cpu_ops != &x86_cpu_ops)
        return err_set(err, -EOPNOTSUPP, "kvm: %s guests do not run here", config->cpu_ops->isa);
    e = calloc(1, sizeof(*e));
    if (!e)
        return err_set(err, -ENOMEM, "kvm: no memory");
    e->engine.ops = &engine_kvm_ops;
    e->mem = config->mem;
    e->kvm = e->vm = -1;
    pthread_mutex_init(&e->ring_lock, NULL);
    pthread_mutex_init(&e->latch_lock, NULL);
    e->pid = (int)getpid();
    r = kvm_build(e, config, err);
    if (r) {
        kvm_destroy(&e->engine);
        return r;
    }
    *ret_engine = &e->engine;
    return 0;
}

/* --- Life --- */
static struct cpu *kvm_vcpu(struct engine *engine, unsigned index)
{
    return &kvm_of(engine)->vcpu[index].x86->cpu;
}

/* The new state reaches the kernel when the vCPU next runs. */
static void kvm_reset(struct engine *engine, unsigned index)
{
    struct kvm_vcpu *v = &kvm_of(engine)->vcpu[index];

    v->x86->cpu.ops->reset(&v->x86->cpu);
    v->loaded = false;
}

static int kvm_park(struct engine *engine, unsigned index, bool parked, struct err *err)
{
    struct kvm_vcpu *v = &kvm_of(engine)->vcpu[index];
    int r;

    if (parked) {
        kvm_latch_drain(v->engine);
        r = v->loaded ? kvm_finish_access(v, err) : 0;
        return r || !v->loaded ? r : kvm_regs_pull(v, err);
    }
    return v->loaded ? kvm_clock_go(v, err) : 0;
}

static int kvm_get_state(struct engine *engine, unsigned index, struct err *err)
{
    return 0; /* a parked vCPU's state is in struct cpu: see kvm_park() */
}

/* At once, so that what does not fit is refused now. */
static int kvm_set_state(struct engine *engine, unsigned index, struct err *err)
{
    struct kvm_vcpu *v = &kvm_of(engine)->vcpu[index];
    int r = kvm_cpuid_push(v, err);

    if (!r)
        r = kvm_regs_push(v, err);
    v->loaded = false; /* and again, clock and all, when it next runs */
    return r;
}

/* --- Debugger: hardware single step, breakpoints in the debug registers --- */
enum { DEBUG_BREAKPOINTS = 4, DR7_LOCAL_EXACT = 0x600 };

void kvm_debug_push(struct kvm_vcpu *v)
{
    const struct engine_debug *debug = &v->debug;
    struct kvm_guest_debug g = {0};

    if (debug->single_step)
        g.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
    for (unsigned i = 0; i < debug->breakpoint_count && i < DEBUG_BREAKPOINTS; i++) {
        g.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
        g.arch.debugreg[i] = debug->breakpoints[i];
        g.arch.debugreg[7] |= DR7_LOCAL_EXACT | UINT64_C(2) << i * 2;
    }
    (void)kvm_ioctl(v->fd, KVM_SET_GUEST_DEBUG, &g);
}

static void kvm_debug(struct engine *engine, unsigned index, const struct engine_debug *debug)
{
    struct kvm_vcpu *v = &kvm_of(engine)->vcpu[index];

    v->debug = *debug;
    v->loaded = false; /* a debugger changes registers without a word: they go in again */
    kvm_debug_push(v);
}

static const char *kvm_cpu_record(struct engine *engine)
{
    return kvm_of(engine)->cpu_record;
}

static unsigned kvm_stats(struct engine *engine, struct engine_stat *stats, unsigned room)
{
    static const char *const names[KVM_STAT_COUNT] = {
        [KVM_STAT_PORT] = "exits_port",     [KVM_STAT_MMIO] = "exits_mmio",
        [KVM_STAT_EOI] = "exits_eoi",       [KVM_STAT_KICK] = "exits_kick",
        [KVM_STAT_WINDOW] = "exits_window", [KVM_STAT_RING] = "exits_ring",
        [KVM_STAT_OTHER] = "exits_other",   [KVM_STAT_MESSAGES] = "interrupt_messages",
    };
    struct kvm_engine *e = kvm_of(engine);
    unsigned n = 0;

    for (; n < KVM_STAT_COUNT && n < room; n++) {
        stats[n] = (struct engine_stat){.name = names[n]};
        for (unsigned i = 0; i < e->vcpu_count; i++)
            stats[n].value += atomic_load_explicit(&e->vcpu[i].stat[n], memory_order_relaxed);
    }
    return n;
}

/* After the machine is built: running, state, interrupts, the log of written pages. */
static const uint32_t kvm_ioctls[] = {
    KVM_RUN,
    KVM_INTERRUPT,
    KVM_SIGNAL_MSI,
    KVM_SET_GSI_ROUTING,
    KVM_GET_REGS,
    KVM_SET_REGS,
    KVM_GET_SREGS,
    KVM_SET_SREGS,
    KVM_GET_XSAVE,
    KVM_SET_XSAVE,
    KVM_GET_XCRS,
    KVM_SET_XCRS,
    KVM_GET_MSRS,
    KVM_SET_MSRS,
    KVM_GET_LAPIC,
    KVM_SET_LAPIC,
    KVM_GET_MP_STATE,
    KVM_SET_MP_STATE,
    KVM_GET_VCPU_EVENTS,
    KVM_SET_VCPU_EVENTS,
    KVM_GET_DEBUGREGS,
    KVM_SET_DEBUGREGS,
    KVM_GET_CLOCK,
    KVM_SET_CLOCK,
    KVM_KVMCLOCK_CTRL,
    KVM_SET_GUEST_DEBUG,
    KVM_SET_CPUID2,
    KVM_SET_USER_MEMORY_REGION,
    KVM_GET_DIRTY_LOG,
    KVM_CLEAR_DIRTY_LOG,
    KVM_RESET_DIRTY_RINGS,
    KVM_IOEVENTFD,
    0,
};

const struct engine_ops engine_kvm_ops = {
    .name = "kvm",
    .technique = "hardware",
    .ioctls = kvm_ioctls,
    .isa = "x86_64",
    .probe = kvm_probe,
    .create = kvm_create,
    .destroy = kvm_destroy,
    .vcpu = kvm_vcpu,
    .reset = kvm_reset,
    .map = kvm_map,
    .kick = kvm_kick,
    .begin = kvm_begin,
    .park = kvm_park,
    .run = kvm_run,
    .debug = kvm_debug,
    .get_state = kvm_get_state,
    .set_state = kvm_set_state,
    .cpu_record = kvm_cpu_record,
    .stats = kvm_stats,
    .track_dirty = kvm_track_dirty,
    .sync_dirty = kvm_sync_dirty,
    .apic = &kvm_apic_ops,
    .doorbell = kvm_doorbell,
    .latch = kvm_latch,
};
