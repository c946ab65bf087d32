/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop of a vCPU under KVM: run, serve what the kernel does not, run again. Register and port
 * accesses go to the board's buses; HLT, timers and interrupts stay in the kernel.
 *
 * Kicks: whoever sets attention calls kvm_kick(), which sets `immediate_exit` and, while the vCPU
 * is `running`, sends it a signal whose handler does nothing. The vCPU clears immediate_exit
 * first, sets `running`, and looks at attention last; so a kick is seen by the look, by
 * KVM_RUN's own look at immediate_exit, or by the signal.
 *
 * A read that the guest has begun completes inside the next KVM_RUN: kvm_finish_access() does only
 * that, so that a state is never taken in the middle of an instruction.
 * Spec: Linux Documentation/virt/kvm/api.rst, section 5.
 */
#include "base/bits.h"
#include "engine/kvm/internal.h"
#include "mem/mem.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- Kicks --- */
static int kick_signal(void)
{
    return SIGRTMIN;
}

static void kick_taken(int number)
{
    (void)number; /* KVM_RUN came back, and that is all */
}

int kvm_run_init(struct err *err)
{
    struct sigaction action = {.sa_handler = kick_taken};

    if (sigaction(kick_signal(), &action, NULL))
        return err_set(err, -errno, "kvm: cannot handle signals: %s", strerror(errno));
    return 0;
}

void kvm_kick(struct engine *engine, unsigned index)
{
    struct kvm_vcpu *v = &kvm_of(engine)->vcpu[index];

    *(volatile __u8 *)&v->run->immediate_exit = 1;
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&v->running) && !pthread_equal(v->self, pthread_self()))
        (void)syscall(SYS_tgkill, v->engine->pid, atomic_load(&v->thread), kick_signal());
}

/* vCPU threads are born with all signals blocked. */
static void run_prepare_thread(struct kvm_vcpu *v)
{
    sigset_t set;

    if (v->prepared && pthread_equal(v->self, pthread_self()))
        return;
    sigemptyset(&set);
    sigaddset(&set, kick_signal());
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    v->self = pthread_self();
    atomic_store(&v->thread, (int)gettid());
    v->prepared = true;
}

/* --- Accesses --- */
/* A piece of an access that buses understand: naturally aligned, a power of two long. */
static unsigned access_piece(uint64_t at, unsigned left)
{
    unsigned size = 8;

    while (size > left || !is_aligned(at, size))
        size /= 2;
    return size;
}

static void access_memory(struct kvm_vcpu *v)
{
    struct kvm_run *run = v->run;
    uint64_t at = run->mmio.phys_addr;
    unsigned len = run->mmio.len > sizeof(run->mmio.data) ? 0 : run->mmio.len;

    kvm_count(v, KVM_STAT_MMIO);
    for (unsigned done = 0, size; done < len; done += size) {
        uint64_t val = UINT64_MAX; /* nothing there: a read floats */

        size = access_piece(at + done, len - done);
        if (!run->mmio.is_write) {
            if (!mem_io_read(v->engine->mem, GPA(at + done), size, &val))
                val = UINT64_MAX;
            memcpy(run->mmio.data + done, &val, size);
            continue;
        }
        val = 0;
        memcpy(&val, run->mmio.data + done, size);
        (void)mem_io_write(v->engine->mem, GPA(at + done), size, val);
    }
}

static void access_port(struct kvm_vcpu *v)
{
    struct kvm_run *run = v->run;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    unsigned size = run->io.size;

    kvm_count(v, KVM_STAT_PORT);
    if (run->io.data_offset + (uint64_t)size * run->io.count > v->engine->run_size)
        return; /* the kernel never says so */
    for (uint32_t i = 0; i < run->io.count; i++, data += size) {
        uint64_t val = UINT64_MAX;

        if (run->io.direction == KVM_EXIT_IO_IN) {
            if (!mem_port_read(v->engine->mem, run->io.port, size, &val))
                val = UINT64_MAX;
            memcpy(data, &val, size);
            continue;
        }
        val = 0;
        memcpy(&val, data, size);
        (void)mem_port_write(v->engine->mem, run->io.port, size, val);
    }
}

/* --- The 8259's line: an interrupt whose vector the board says --- */
static int run_inject(struct kvm_vcpu *v)
{
    struct x86_cpu *x = v->x86;
    struct kvm_interrupt interrupt;

    v->run->request_interrupt_window = 0;
    if (!(atomic_load(&x->cpu.irq_inputs) & BIT(X86_IRQ_EXTINT)) || !x->acknowledge)
        return 0;
    if (!v->run->ready_for_interrupt_injection) {
        v->run->request_interrupt_window = 1;
        return 0;
    }
    interrupt.irq = x->acknowledge(x->acknowledge_arg);
    return kvm_ioctl(v->fd, KVM_INTERRUPT, &interrupt);
}

/* --- Exits --- */
/* KVM's reason for giving up: where the guest was, and the instruction if it says so. */
static void run_internal_error(const struct kvm_vcpu *v, struct err *err)
{
    const struct kvm_run *run = v->run;
    const uint8_t *bytes = run->emulation_failure.insn_bytes;
    unsigned len = run->emulation_failure.insn_size;
    struct kvm_regs regs = {0};
    char text[3 * 15 + 1] = "";
    bool known = run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION &&
                 run->emulation_failure.ndata >= 3 &&
                 run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;

    (void)kvm_ioctl(v->fd, KVM_GET_REGS, &regs);
    for (unsigned i = 0; known && i < len && i < sizeof(run->emulation_failure.insn_bytes); i++)
        snprintf(text + 3 * i, sizeof(text) - 3 * i, " %02x", bytes[i]);
    err_set(err, -EIO,
            "kvm: vCPU %u: the host's KVM gave up at 0x%llx (internal error %u%s%s); "
            "posada doctor says what this KVM is",
            v->x86->cpu.index, (unsigned long long)regs.rip, run->internal.suberror,
            *text ? ", instruction" : "", text);
}

static enum engine_exit run_failed(struct kvm_vcpu *v, struct err *err)
{
    const struct kvm_run *run = v->run;
    unsigned index = v->x86->cpu.index;

    if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
        err_set(err, -EIO, "kvm: vCPU %u: the processor refused the guest's state (reason 0x%llx)",
                index, (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
    else if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
        run_internal_error(v, err);
    else
        err_set(err, -EIO, "kvm: vCPU %u: unexpected exit %u", index, run->exit_reason);
    return ENGINE_EXIT_FAILED;
}

/* A triple fault: on a real board it resets the machine. */
static bool run_shutdown(struct kvm_vcpu *v)
{
    return v->x86->triple_fault && v->x86->triple_fault(v->x86->triple_fault_arg);
}

static bool run_empty_rings(struct kvm_vcpu *v, enum engine_exit *ret_exit, struct err *err)
{
    int r = kvm_ring_sync(v->engine);

    kvm_count(v, KVM_STAT_RING);
    if (r >= 0)
        return true; /* 0: another thread was faster */
    err_set(err, r, "kvm: vCPU %u: cannot read which pages were written: %s", v->x86->cpu.index,
            strerror(-r));
    *ret_exit = ENGINE_EXIT_FAILED;
    return false;
}

/* True: run again. */
static bool run_serve(struct kvm_vcpu *v, enum engine_exit *ret_exit, struct err *err)
{
    kvm_latch_drain(v->engine);
    switch (v->run->exit_reason) {
    case KVM_EXIT_IO: access_port(v); return true;
    case KVM_EXIT_MMIO: access_memory(v); return true;
    case KVM_EXIT_IOAPIC_EOI:
        kvm_count(v, KVM_STAT_EOI);
        if (v->engine->eoi)
            v->engine->eoi(v->engine->eoi_arg, v->run->eoi.vector);
        return true;
    case KVM_EXIT_IRQ_WINDOW_OPEN: kvm_count(v, KVM_STAT_WINDOW); return true;
    case KVM_EXIT_DIRTY_RING_FULL: return run_empty_rings(v, ret_exit, err);
    case KVM_EXIT_INTR: return true;
    case KVM_EXIT_HLT: *ret_exit = ENGINE_EXIT_HALT; return false;
    case KVM_EXIT_DEBUG: *ret_exit = ENGINE_EXIT_DEBUG; return false;
    case KVM_EXIT_SHUTDOWN:
        if (run_shutdown(v))
            return true; /* attention is set: the machine is being reset */
        break;
    case KVM_EXIT_SYSTEM_EVENT:
        if (v->run->system_event.type == KVM_SYSTEM_EVENT_RESET && run_shutdown(v))
            return true;
        break;
    default: kvm_count(v, KVM_STAT_OTHER); break;
    }
    *ret_exit = run_failed(v, err);
    return false;
}

/* Lets KVM finish the access it left for. True: it left for another one of the same instruction,
 * which has been served. */
static bool finish_one(struct kvm_vcpu *v, int *ret)
{
    *(volatile __u8 *)&v->run->immediate_exit = 1;
    *ret = ioctl(v->fd, KVM_RUN, NULL) < 0 ? -errno : 0;
    *(volatile __u8 *)&v->run->immediate_exit = 0;
    kvm_latch_drain(v->engine); /* also what this has latched */
    if (*ret)
        return false;
    switch (v->run->exit_reason) {
    case KVM_EXIT_IO: access_port(v); return true;
    case KVM_EXIT_MMIO: access_memory(v); return true;
    default: return false;
    }
}

int kvm_finish_access(struct kvm_vcpu *v, struct err *err)
{
    enum { MOST = 4096 }; /* a string of them may be long: KVM goes back to its start in between */
    int r = 0;

    for (unsigned i = 0; i < MOST && finish_one(v, &r); i++)
        ;
    if (!r || r == -EINTR || r == -EAGAIN)
        return 0;
    return err_set(err, r, "kvm: vCPU %u: %s", v->x86->cpu.index, strerror(-r));
}

/* One stay in the guest. 0, or the error of KVM_RUN. */
static int run_once(struct kvm_vcpu *v)
{
    int r;

    *(volatile __u8 *)&v->run->immediate_exit = 0;
    atomic_store(&v->running, true);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&v->x86->cpu.attention)) {
        atomic_store(&v->running, false);
        return -EINTR;
    }
    r = ioctl(v->fd, KVM_RUN, NULL) < 0 ? -errno : 0;
    atomic_store(&v->running, false);
    return r;
}

void kvm_begin(struct engine *engine, unsigned index)
{
    run_prepare_thread(&kvm_of(engine)->vcpu[index]);
}

enum engine_exit kvm_run(struct engine *engine, unsigned index, struct err *err)
{
    struct kvm_vcpu *v = &kvm_of(engine)->vcpu[index];
    enum engine_exit exit;

    run_prepare_thread(v);
    if (!v->loaded && kvm_regs_push(v, err))
        return ENGINE_EXIT_FAILED;
    if (!v->loaded && v->debug.single_step)
        kvm_debug_push(v);
    v->loaded = true;
    for (;;) {
        uint32_t bits = atomic_exchange(&v->x86->cpu.attention, 0);
        int r;

        if (bits & ATTENTION_KICK) {
            kvm_count(v, KVM_STAT_KICK);
            return ENGINE_EXIT_KICK;
        }
        r = run_inject(v);
        if (!r)
            r = run_once(v);
        if (r == -EINTR || r == -EAGAIN)
            continue;
        if (r) {
            err_set(err, r, "kvm: vCPU %u: %s", index, strerror(-r));
            return ENGINE_EXIT_FAILED;
        }
        if (!run_serve(v, &exit, err))
            return exit;
    }
}
