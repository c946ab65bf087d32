/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether this host's /dev/kvm can carry guests. It may be there without VT-x or AMD-V: such a
 * KVM (PVM) emulates kernel-mode code an instruction at a time, a hundred times too slow, and
 * refuses VEX code. So a processor that shows neither is made to run a few thousand instructions,
 * and the rate decides; thread CPU time is taken, so that a busy host changes little.
 */
#include "base/bits.h"
#include "engine/kvm/internal.h"
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { API_VERSION = 12, SPEED_ROUNDS = 20000, SPEED_TRIES = 3, EXITS_MAX = 64 };
#define SPEED_WANTED                                                                               \
    UINT64_C(20000000) /* instructions a second: a slow emulator of a processor                    \
                        */
enum { CPUID_ECX_VMX = 5, CPUID_EXT_ECX_SVM = 2, CODE_AT = 0x1000, GUEST_SIZE = 0x4000 };
enum { EXIT_PORT = 0xf4 };

/* What the engine builds on. */
static const struct {
    int number;
    const char *name;
} probe_wanted[] = {
    {KVM_CAP_USER_MEMORY, "user memory"},
    {KVM_CAP_IMMEDIATE_EXIT, "immediate exit"},
    {KVM_CAP_SPLIT_IRQCHIP, "split irqchip"},
    {KVM_CAP_SIGNAL_MSI, "signalled messages"},
    {KVM_CAP_XSAVE, "XSAVE state"},
    {KVM_CAP_VCPU_EVENTS, "event state"},
    {KVM_CAP_DEBUGREGS, "debug register state"},
    {KVM_CAP_MP_STATE, "multiprocessor state"},
    {KVM_CAP_ADJUST_CLOCK, "adjustable clock"},
    {KVM_CAP_EXT_CPUID, "CPUID of guests"},
    {KVM_CAP_SET_TSS_ADDR, "TSS address"},
    {KVM_CAP_SET_IDENTITY_MAP_ADDR, "identity map address"},
};

static const char instead[] = "use --technique container, or a guest of --arch riscv64";

static int probe_device(int *ret_fd, struct err *err)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    if (fd >= 0) {
        *ret_fd = fd;
        return 0;
    }
    if (errno == EACCES || errno == EPERM)
        return err_set(err, -EOPNOTSUPP,
                       "technique 'hardware': you may not open /dev/kvm; join the group kvm "
                       "(usermod -aG kvm USER), or %s",
                       instead);
    return err_set(err, -EOPNOTSUPP,
                   "technique 'hardware': /dev/kvm: %s; load kvm-intel or kvm-amd, switch "
                   "virtualization on in the firmware, or %s",
                   strerror(errno), instead);
}

static const char *probe_missing(int kvm)
{
    for (unsigned i = 0; i < ARRAY_LEN(probe_wanted); i++)
        if (kvm_ioctl_value(kvm, KVM_CHECK_EXTENSION, (unsigned long)probe_wanted[i].number) <= 0)
            return probe_wanted[i].name;
    return NULL;
}

int kvm_open(int *ret_fd, struct err *err)
{
    int fd = -1, r = probe_device(&fd, err);
    const char *missing;

    if (r)
        return r;
    r = kvm_ioctl_value(fd, KVM_GET_API_VERSION, 0);
    missing = r == API_VERSION ? probe_missing(fd) : "interface version 12";
    if (!missing) {
        *ret_fd = fd;
        return 0;
    }
    close(fd);
    return err_set(err, -EOPNOTSUPP,
                   "technique 'hardware': the host's KVM has no %s; use a newer kernel, or %s",
                   missing, instead);
}

/* --- The test guest: flat 32-bit code without paging --- */
struct probe_guest {
    int vm, vcpu;
    uint8_t *memory;
    struct kvm_run *run;
    size_t run_size;
};

static void guest_done(struct probe_guest *g)
{
    if (g->run)
        munmap(g->run, g->run_size);
    if (g->memory)
        munmap(g->memory, GUEST_SIZE);
    if (g->vcpu >= 0)
        close(g->vcpu);
    if (g->vm >= 0)
        close(g->vm);
}

static int guest_map(struct probe_guest *g, int kvm)
{
    struct kvm_userspace_memory_region region = {.memory_size = GUEST_SIZE};
    int size = kvm_ioctl_value(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    void *p = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return -ENOMEM;
    g->memory = p;
    if (size < (int)sizeof(struct kvm_run))
        return -EIO;
    g->run_size = (size_t)size;
    p = mmap(NULL, g->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu, 0);
    if (p == MAP_FAILED)
        return -errno;
    g->run = p;
    region.userspace_addr = (uint64_t)(uintptr_t)g->memory;
    return kvm_ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static int guest_new(struct probe_guest *g, int kvm)
{
    __u64 identity = KVM_IDENTITY_MAP;

    *g = (struct probe_guest){.vcpu = -1};
    g->vm = kvm_ioctl_value(kvm, KVM_CREATE_VM, 0);
    if (g->vm < 0)
        return g->vm;
    (void)kvm_ioctl(g->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
    (void)kvm_ioctl_value(g->vm, KVM_SET_TSS_ADDR, KVM_TSS);
    g->vcpu = kvm_ioctl_value(g->vm, KVM_CREATE_VCPU, 0);
    return g->vcpu < 0 ? g->vcpu : guest_map(g, kvm);
}

/* Puts the vCPU at the code in flat protected mode. */
static int guest_enter(struct probe_guest *g)
{
    struct kvm_segment flat = {
        .limit = UINT32_MAX, .selector = 0x10, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1};
    struct kvm_regs regs = {.rip = CODE_AT, .rsp = CODE_AT, .rflags = X86_FLAGS_RESET};
    struct kvm_sregs s;
    int r = kvm_ioctl(g->vcpu, KVM_GET_SREGS, &s);

    if (r)
        return r;
    s.ds = s.es = s.fs = s.gs = s.ss = s.cs = flat;
    s.cs.selector = 8;
    s.cs.type = 11;
    s.cr0 |= X86_CR0_PE;
    r = kvm_ioctl(g->vcpu, KVM_SET_SREGS, &s);
    return r ? r : kvm_ioctl(g->vcpu, KVM_SET_REGS, &regs);
}

static uint64_t probe_cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Runs code up to its write to EXIT_PORT; how long that took. */
static int guest_run(struct probe_guest *g, const uint8_t *code, size_t len, uint64_t *ret_ns)
{
    uint64_t start;
    int r;

    memcpy(g->memory + CODE_AT, code, len);
    r = guest_enter(g);
    start = probe_cpu_ns();
    for (unsigned i = 0; i < EXITS_MAX && !r; i++) {
        r = kvm_ioctl(g->vcpu, KVM_RUN, NULL);
        if (!r && g->run->exit_reason == KVM_EXIT_IO && g->run->io.port == EXIT_PORT) {
            *ret_ns = probe_cpu_ns() - start;
            return 0;
        }
        if (!r && g->run->exit_reason != KVM_EXIT_INTR)
            r = -EIO;
    }
    return r ? r : -ETIME;
}

static void measure_speed(struct probe_guest *g, struct kvm_abilities *a)
{
    /* mov ecx, SPEED_ROUNDS; 1: dec ecx; jnz 1b; out EXIT_PORT, al */
    static const uint8_t code[] = {
        0xb9, SPEED_ROUNDS & 255, SPEED_ROUNDS >> 8, 0, 0, 0x49, 0x75, 0xfd, 0xe6, EXIT_PORT};
    uint64_t ns, best = UINT64_MAX;

    for (unsigned i = 0; i < SPEED_TRIES; i++)
        if (!guest_run(g, code, sizeof(code), &ns) && ns < best)
            best = ns;
    a->ran = best != UINT64_MAX;
    if (a->ran)
        a->kernel_speed = 2 * UINT64_C(1000000000) * SPEED_ROUNDS / (best ? best : 1);
}

static void measure_vex(struct probe_guest *g, struct kvm_abilities *a)
{
    /* andn eax, ecx, edx; out EXIT_PORT, al */
    static const uint8_t code[] = {0xc4, 0xe2, 0x70, 0xf2, 0xc2, 0xe6, EXIT_PORT};
    unsigned eax, ebx = 0, ecx, edx;
    uint64_t ns;

    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(ebx & bit_BMI)) {
        a->vex = true; /* neither host nor guest has any */
        return;
    }
    a->vex = !guest_run(g, code, sizeof(code), &ns);
}

static void probe_processor(struct kvm_abilities *a)
{
    unsigned eax, ebx, ecx, edx;

    a->vmx = __get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & BIT(CPUID_ECX_VMX);
    a->svm = __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && ecx & BIT(CPUID_EXT_ECX_SVM);
}

bool kvm_is_hardware(void)
{
    struct kvm_abilities a = {0};

    probe_processor(&a);
    return a.vmx || a.svm;
}

static int measure_judge(const struct kvm_abilities *a, struct err *err)
{
    if (!a->ran)
        return err_set(err, -EOPNOTSUPP,
                       "technique 'hardware': /dev/kvm opens, but a test guest did not run; %s",
                       instead);
    if (a->kernel_speed < SPEED_WANTED || !a->vex)
        return err_set(err, -EOPNOTSUPP,
                       "technique 'hardware': this /dev/kvm is a software one: the processor shows "
                       "no %s, kernel code runs at %llu million instructions a second%s; %s",
                       a->vmx || a->svm ? "usable VT-x or AMD-V" : "VT-x or AMD-V",
                       (unsigned long long)(a->kernel_speed / 1000000),
                       a->vex ? "" : " and VEX code not at all", instead);
    return 0;
}

int kvm_measure(struct kvm_abilities *ret, struct err *err)
{
    struct probe_guest guest;
    int kvm = -1, r;

    *ret = (struct kvm_abilities){0};
    probe_processor(ret);
    r = probe_device(&kvm, err);
    if (r)
        return r;
    ret->device = true;
    ret->api = kvm_ioctl_value(kvm, KVM_GET_API_VERSION, 0);
    ret->missing = probe_missing(kvm);
    if (!guest_new(&guest, kvm)) {
        measure_speed(&guest, ret);
        measure_vex(&guest, ret);
    }
    guest_done(&guest);
    close(kvm);
    if (ret->api == API_VERSION && !ret->missing)
        return measure_judge(ret, err);
    r = kvm_open(&kvm, err); /* for its sentence */
    if (!r)
        close(kvm);
    return r;
}

/* A processor that shows the extensions is believed: making a test guest costs more than the
 * start of a real one. */
int kvm_probe(struct err *err)
{
    struct kvm_abilities a;
    int kvm, r;

    if (!kvm_is_hardware())
        return kvm_measure(&a, err);
    r = kvm_open(&kvm, err);
    if (!r)
        close(kvm);
    return r;
}
