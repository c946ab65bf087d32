/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KVM engine on this host's /dev/kvm, whatever kind it is, with guests of a few instructions:
 * registers, port and memory accesses, interrupts by message, kicks, the log of written pages, and
 * a state taken in the middle and put into another machine. A verdict a line, as tests/run wants.
 */
#include "base/bits.h"
#include "base/cleanup.h"
#include "base/endian.h"
#include "small_machine.h"
#include "state/state.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* --- The tests --- */
static void test_registers(struct small *s)
{
    /* lea eax, [ebx+ecx*2]; in eax, PORT into edx by way of eax; out PORT, eax; jmp . */
    static const uint8_t code[] = {0x8d, 0x34, 0x4b, 0xe5, PORT, 0x89, 0xc2,
                                   0x89, 0xf0, 0xe7, PORT, 0xeb, 0xfe};
    struct err err = {0};
    bool ran;

    small_enter(s, code, sizeof(code));
    s->x->cpu.slot[X86_RBX] = 1000;
    s->x->cpu.slot[X86_RCX] = 21;
    ran = small_run(s, &err);
    verdict("registers_and_ports",
            ran && s->port_value == 1042 && s->x->cpu.slot[X86_RDX] == 0x12345678 &&
                s->x->cpu.slot[X86_RSI] == 1042 && s->x->cpu.pc == CODE + 11,
            &err);
}

static void test_memory(struct small *s)
{
    /* mov eax, [REGISTER+4]; mov [REGISTER+8], ax; out PORT, eax; jmp . */
    static const uint8_t code[] = {0xa1, 4, 0, 0,    8,    0x66, 0xa3, 8,
                                   0,    0, 8, 0xe7, PORT, 0xeb, 0xfe};
    struct err err = {0};
    bool ran;

    small_enter(s, code, sizeof(code));
    ran = small_run(s, &err);
    verdict("memory_mapped_registers",
            ran && s->port_value == 0xa5a5a5a5 && s->memory_value == 0xa5a5 &&
                s->memory_at == REGISTER + 8,
            &err);
}

static bool page_dirty(struct small *s, uint64_t gpa)
{
    return atomic_fetch_and(mem_page_flags(s->mem, GPA(gpa)), (uint8_t)~PAGE_DIRTY) & PAGE_DIRTY;
}

static void test_dirty_log(struct small *s)
{
    /* mov [0x7000], eax; out PORT, eax; mov [0x9000], eax; out PORT, eax; jmp . */
    static const uint8_t code[] = {0xa3, 0,    0x70, 0, 0,    0xe7, PORT, 0xa3,
                                   0,    0x90, 0,    0, 0xe7, PORT, 0xeb, 0xfe};
    struct err err = {0};
    bool good;

    small_enter(s, code, sizeof(code));
    for (uint64_t at = 0; at < RAM; at += GUEST_PAGE_SIZE)
        (void)page_dirty(s, at);
    good = !engine_kvm_ops.track_dirty(s->engine, true, &err) && small_run(s, &err) &&
           !engine_kvm_ops.sync_dirty(s->engine, &err);
    good = good && page_dirty(s, 0x7000) && !page_dirty(s, 0x9000);
    good = good && !engine_kvm_ops.park(s->engine, 0, false, &err) && small_run(s, &err) &&
           !engine_kvm_ops.sync_dirty(s->engine, &err);
    good = good && !page_dirty(s, 0x7000) && page_dirty(s, 0x9000);
    good = good && !engine_kvm_ops.track_dirty(s->engine, false, &err);
    verdict("log_of_written_pages", good && engine_kvm_ops.sync_dirty(s->engine, &(struct err){0}),
            &err);
}

/* Read in place while it is shown; a write, and a read while it is hidden, are the board's. */
static void test_rom(struct small *s)
{
    /* mov eax, [ROM]; out PORT, eax; mov [ROM+4], eax; mov eax, [ROM]; out PORT, eax; jmp . */
    static const uint8_t code[] = {0xa1, 0,    0, 1, 8, 0xe7, PORT, 0xa3, 4,    0,   1,
                                   8,    0xa1, 0, 0, 1, 8,    0xe7, PORT, 0xeb, 0xfe};
    struct err err = {0};
    bool good;

    small_enter(s, code, sizeof(code));
    st_le32(s->rom, 0x600df00d);
    good = small_run(s, &err) && s->port_value == 0x600df00d;
    mem_show_rom(s->mem, GPA(ROM), false);
    good = good && !engine_kvm_ops.park(s->engine, 0, false, &err) && small_run(s, &err);
    good = good && s->memory_at == ROM + 4 && s->memory_value == 0x600df00d;
    good = good && s->port_value == 0xa5a5a5a5 && ld_le32((uint8_t *)s->rom + 4) == 0;
    mem_show_rom(s->mem, GPA(ROM), true);
    verdict("rom_is_shown_and_hidden", good, &err);
}

/* A write to a doorbell is a signal, and the guest has gone on; one beside it, and one when it is
 * taken away, is the board's. */
static void test_doorbell(struct small *s)
{
    /* mov [REGISTER+16], ax; mov [REGISTER+16], ax; out PORT, eax; mov [REGISTER+20], ax;
     * mov [REGISTER+16], ax; out PORT, eax; jmp . */
    static const uint8_t code[] = {0x66, 0xa3, 16,   0,    0,    8,    0x66, 0xa3, 16,   0,
                                   0,    8,    0xe7, PORT, 0x66, 0xa3, 20,   0,    0,    8,
                                   0x66, 0xa3, 16,   0,    0,    8,    0xe7, PORT, 0xeb, 0xfe};
    int fd = eventfd(0, EFD_NONBLOCK);
    uint64_t rings = 0;
    struct err err = {0};
    bool good;

    small_enter(s, code, sizeof(code));
    s->memory_at = 0;
    good = !engine_kvm_ops.doorbell(s->engine, GPA(REGISTER + 16), fd, true) && small_run(s, &err);
    good = good && read(fd, &rings, sizeof(rings)) == sizeof(rings) && rings == 2 && !s->memory_at;
    good = good && !engine_kvm_ops.doorbell(s->engine, GPA(REGISTER + 16), fd, false);
    good = good && engine_kvm_ops.doorbell(s->engine, GPA(REGISTER + 16), fd, false);
    good = good && !engine_kvm_ops.park(s->engine, 0, false, &err) && small_run(s, &err);
    good = good && s->memory_at == REGISTER + 16 && read(fd, &rings, sizeof(rings)) < 0;
    close(fd);
    verdict("a_write_to_a_doorbell_is_a_signal", good, &err);
}

static void *kick_soon(void *arg)
{
    struct small *s = arg;
    struct timespec pause = {.tv_nsec = 100000000};

    nanosleep(&pause, NULL);
    cpu_attend(&s->x->cpu, ATTENTION_KICK);
    engine_kvm_ops.kick(s->engine, 0);
    return NULL;
}

static uint64_t port_exits(struct small *s)
{
    struct engine_stat stat;

    return engine_kvm_ops.stats(s->engine, &stat, 1) == 1 ? stat.value : 0;
}

/* Writes to a latch arrive before the next access, in order, without exits of their own; also the
 * one before a halt that a kick ends. */
static void test_latch(struct small *s)
{
    /* mov al, 1; out LATCH, al; mov al, 2; out LATCH, al; mov al, 3; out LATCH, al; out PORT, eax;
     * mov al, 4; out LATCH, al; 1: jmp 1b */
    static const uint8_t code[] = {0xb0, 1,     0xe6, LATCH, 0xb0, 2, 0xe6, LATCH, 0xb0, 3,
                                   0xe6, LATCH, 0xe7, PORT,  0xb0, 4, 0xe6, LATCH, 0xeb, 0xfe};
    struct err err = {0};
    pthread_t thread;
    uint64_t before;
    bool good;

    engine_kvm_ops.latch(s->engine, LATCH, 1);
    small_enter(s, code, sizeof(code));
    s->latched = 0;
    before = port_exits(s);
    good = small_run(s, &err) && s->latched == 0x010203 && port_exits(s) == before + 1;
    good = good && !engine_kvm_ops.park(s->engine, 0, false, &err) &&
           !pthread_create(&thread, NULL, kick_soon, s);
    if (good) {
        good = small_run(s, &err) && s->latched == 0x01020304 && port_exits(s) == before + 1;
        pthread_join(thread, NULL);
    }
    verdict("latched_writes_come_in_time", good, &err);
}

/* A guest that never leaves by itself; a lost kick hangs here until the runner ends us. */
static void test_kick(struct small *s)
{
    static const uint8_t code[] = {0x40, 0xeb, 0xfd}; /* inc eax; jmp */
    struct err err = {0};
    pthread_t thread;
    bool good;

    small_enter(s, code, sizeof(code));
    good = !pthread_create(&thread, NULL, kick_soon, s);
    good = good && engine_kvm_ops.run(s->engine, 0, &err) == ENGINE_EXIT_KICK;
    pthread_join(thread, NULL);
    good = good && !engine_kvm_ops.park(s->engine, 0, true, &err);
    verdict("kick_of_a_busy_vcpu", good && s->x->cpu.slot[X86_RAX] > 0, &err);
}

/* Halted with interrupts on: a message wakes it and the handler answers. */
static void test_message(struct small *s)
{
    /* sti; 1: hlt; jmp 1b; handler: mov eax, 77; out PORT, eax; jmp . */
    static const uint8_t code[] = {0xfb, 0xf4, 0xeb, 0xfd, 0xb8, 77,  0,
                                   0,    0,    0xe7, PORT, 0xeb, 0xfe};
    /* A gate for vector 0x40, and the descriptors that delivery reads. */
    static const uint8_t gate[] = {(CODE + 4) & 255, (CODE + 4) >> 8, 8, 0, 0, 0x8e, 0, 0};
    static const uint8_t gdt[] = {0, 0,    0,    0, 0,    0,    0, 0, 0xff, 0xff, 0,    0,
                                  0, 0x9b, 0xcf, 0, 0xff, 0xff, 0, 0, 0,    0x93, 0xcf, 0};
    struct err err = {0};

    small_enter(s, code, sizeof(code));
    s->port_value = 0;
    s->x->idt_base = 0x3000;
    s->x->idt_limit = 0x7ff;
    s->x->gdt_base = 0x2000;
    s->x->gdt_limit = sizeof(gdt) - 1;
    st_le32(s->x->lapic + 0xf0, 0x1ff); /* spurious vector register: enabled */
    (void)!mem_write(s->mem, GPA(0x3000 + 0x40 * 8), gate, sizeof(gate));
    (void)!mem_write(s->mem, GPA(0x2000), gdt, sizeof(gdt));
    if (engine_kvm_ops.set_state(s->engine, 0, &err)) {
        verdict("interrupt_by_message", false, &err);
        return;
    }
    cpu_attend(&s->x->cpu, ATTENTION_KICK);
    (void)engine_kvm_ops.run(s->engine, 0, &err); /* the state is in the kernel now */
    s->engine->ops->apic->message(s->engine, 0xfee00000, 0x40);
    verdict("interrupt_by_message", small_run(s, &err) && s->port_value == 77, &err);
}

/* Half of a sum here, the other half in a second machine that got the first one's saved state. */
static void test_state(struct small *s)
{
    /* mov ecx, 100; 1: add eax, ecx; cmp ecx, 50; jne 2f; out PORT, eax; 2: loop 1b; mov edx, eax;
     * out PORT, eax; jmp . */
    static const uint8_t code[] = {0xb9, 100,  0,    0,    0,    0x01, 0xc8, 0x83,
                                   0xf9, 50,   0x75, 2,    0xe7, PORT, 0xe2, 0xf5,
                                   0x89, 0xc2, 0xe7, PORT, 0xeb, 0xfe};
    CLEANUP(free) uint8_t *data = NULL;
    struct small other;
    struct err err = {0};
    size_t len;
    struct state_object o = {.type = "x86_64",
                             .name = "cpu",
                             .version = x86_cpu_ops.state_version,
                             .fields = x86_cpu_ops.state};
    bool good;

    small_enter(s, code, sizeof(code));
    s->x->msr.kvm_poll_control = 0; /* something that is not its value after reset */
    st_le32(s->x->xsave + 24, 0x1fc0);
    o.object = s->x;
    good = small_run(s, &err) && !state_save(&o, 1, &data, &len, &err);
    if (!small_new(&other, RAM, 0, &err)) {
        verdict("state_moves_to_another_machine", false, &err);
        small_free(&other);
        return;
    }
    (void)!mem_write(other.mem, GPA(CODE), code, sizeof(code));
    o.object = other.x;
    good = good && !state_load(&o, 1, data, len, &err) &&
           !engine_kvm_ops.set_state(other.engine, 0, &err) && small_run(&other, &err);
    verdict("state_moves_to_another_machine",
            good && other.x->cpu.slot[X86_RDX] == 5050 && ld_le32(other.x->xsave + 24) == 0x1fc0 &&
                other.port_value == 5050,
            &err);
    small_free(&other);
}

/* --- The whole state, to the kernel and back --- */
static void round_segments(struct x86_cpu *x)
{
    for (unsigned i = 0; i < X86_SEGMENTS; i++) {
        x->seg_selector[i] = 8 + 8 * i;
        x->seg_base[i] = i == X86_FS || i == X86_GS ? 0x7000000 + i : x->seg_base[i];
    }
    x86_set_flat(x, X86_TR, 0x40, 0x8b);
    x->seg_base[X86_TR] = 0x3400;
    x->seg_limit[X86_TR] = 0x67;
    x->gdt_base = 0x2000;
    x->gdt_limit = 0x4f;
    x->idt_base = 0x3000;
    x->idt_limit = 0x7ff;
}

static void round_registers(struct x86_cpu *x)
{
    for (unsigned i = 0; i < X86_SLOTS; i++)
        x->cpu.slot[i] = 0x1122334455667700 + i;
    x->cpu.pc = CODE + 3;
    x->rflags = 0x8d7; /* without interrupts */
    x->cr2 = 0xdead0123;
    x->cr3 = 0x8000;
    x->cr4 = 0x6b0; /* PSE, PAE, MCE or none, PGE, OSFXSR, OSXMMEXCPT */
    x->cr4 &= ~(uint64_t)0x40;
    x->cr8 = 3;
    x->efer = 1 | X86_EFER_NXE;
    for (unsigned i = 0; i < 4; i++)
        x->dr[i] = 0x1000 * (i + 1);
    x->dr6 = 0xffff0ff1;
    x->dr7 = 0x455;
}

static void round_msrs(struct x86_cpu *x)
{
    x->msr.star = UINT64_C(0x0023001000000000);
    x->msr.lstar = UINT64_C(0xffffffff81000123);
    x->msr.cstar = UINT64_C(0xffffffff81000456);
    x->msr.sfmask = 0x47700;
    x->msr.kernel_gs_base = UINT64_C(0xffff888000001000);
    x->msr.sysenter_cs = 0x10;
    x->msr.sysenter_esp = 0x7100;
    x->msr.sysenter_eip = 0x7200;
    x->msr.pat = UINT64_C(0x0007010600070106);
    x->msr.mtrr_def_type = 0xc06;
    x->msr.mtrr_fix_64k = UINT64_C(0x0606060606060606);
    x->msr.mtrr_base0 = 0x80000000;
    x->msr.mtrr_mask0 = UINT64_C(0xff80000800);
    x->msr.kvm_poll_control = 0;
}

static void round_rest(struct x86_cpu *x)
{
    st_le16(x->xsave, 0x27f);
    st_le32(x->xsave + 24, 0x1fa0);
    for (unsigned i = 0; i < 128; i++)
        x->xsave[160 + i] = (uint8_t)(i + 1); /* XMM registers */
    st_le64(x->xsave + 512, 3);
    st_le32(x->lapic + 0x80, 0x30); /* as CR8, and the priority that follows from it */
    st_le32(x->lapic + 0xa0, 0x30);
    st_le32(x->lapic + 0xf0, 0x1ff);
    st_le32(x->lapic + 0x270, 1 << 17); /* a request of vector 0x71 */
    st_le32(x->lapic + 0x320, 0x100ec);
    st_le32(x->lapic + 0x350, 0x700);
    st_le32(x->lapic + 0x3e0, 0xb);
    x->interrupt_shadow = 1;
    x->nmi_masked = true;
    x->activity = X86_HALTED;
}

static size_t field_size(const struct state_field *f)
{
    static const uint8_t size[] = {[STATE_TYPE_BOOL] = 1,
                                   [STATE_TYPE_U8] = 1,
                                   [STATE_TYPE_U16] = 2,
                                   [STATE_TYPE_U32] = 4,
                                   [STATE_TYPE_U64] = 8};

    return (size_t)size[f->type] * f->count;
}

/* Time goes on while we look. */
static bool field_is_time(const char *name)
{
    return strstr(name, "tsc") || strstr(name, "pv_clock");
}

/* The legacy part but the mask of MXCSR's bits, which is the processor's; the rest is unused. */
static bool round_xsave_same(const struct x86_cpu *a, const struct x86_cpu *b)
{
    return !memcmp(a->xsave, b->xsave, 28) && !memcmp(a->xsave + 32, b->xsave + 32, 384) &&
           (ld_le64(b->xsave + 512) & 3) == 3;
}

/* The first field that differs, NULL: none. */
static const char *round_difference(const struct x86_cpu *a, const struct x86_cpu *b)
{
    for (const struct state_field *f = x86_cpu_ops.state; f->name; f++)
        if (!field_is_time(f->name) && strcmp(f->name, "xsave") != 0 &&
            memcmp((const char *)a + f->offset, (const char *)b + f->offset, field_size(f)) != 0)
            return f->name;
    return round_xsave_same(a, b) ? NULL : "xsave";
}

static void test_round_trip(struct small *s)
{
    static const uint8_t code[] = {0xeb, 0xfe};
    CLEANUP(free) struct x86_cpu *before = malloc(sizeof(*before));
    const char *differs = "nothing was asked";
    struct err err = {0};
    bool good;

    small_enter(s, code, sizeof(code));
    round_segments(s->x);
    round_registers(s->x);
    round_msrs(s->x);
    round_rest(s->x);
    good = before && !engine_kvm_ops.set_state(s->engine, 0, &err);
    if (good)
        memcpy(before, s->x, sizeof(*before));
    cpu_attend(&s->x->cpu, ATTENTION_KICK); /* goes in, and comes out before the guest runs */
    good = good && engine_kvm_ops.run(s->engine, 0, &err) == ENGINE_EXIT_KICK;
    for (unsigned i = 0; good && i < X86_SLOTS; i++)
        s->x->cpu.slot[i] = 0;
    if (good) {
        memset(s->x->xsave, 0x55, sizeof(s->x->xsave));
        memset(s->x->lapic, 0x55, sizeof(s->x->lapic));
        s->x->msr.star = s->x->msr.lstar = s->x->msr.pat = s->x->msr.mtrr_base0 = 0;
        s->x->msr.kernel_gs_base = s->x->msr.sysenter_eip = s->x->msr.mtrr_fix_64k = 0;
        s->x->cr2 = s->x->cr3 = s->x->cr4 = s->x->efer = s->x->dr7 = 0;
        s->x->gdt_base = s->x->seg_base[X86_FS] = s->x->seg_limit[X86_TR] = 0;
        s->x->interrupt_shadow = s->x->activity = 0;
        s->x->nmi_masked = false;
        good = !engine_kvm_ops.park(s->engine, 0, true, &err);
    }
    if (good) { /* the version is the controller's own */
        memcpy(before->lapic + 0x30, s->x->lapic + 0x30, 4);
        if (s->x->interrupt_shadow == 3) /* AMD's processors do not tell STI from MOV SS */
            before->interrupt_shadow = 3;
        differs = round_difference(before, s->x);
    }
    if (differs && !*err.text)
        err_set(&err, -EIO, "%s", differs);
    verdict("the_whole_state_comes_back", good && !differs, &err);
}

/* MSRs that KVM saves and we do not: each is none of a guest's state here. */
static bool msr_is_no_state(uint32_t n)
{
    static const struct {
        uint32_t first, last;
    } none[] = {
        {0x11, 0x12},   /* kvm-clock's old numbers: aliases */
        {0x34, 0x34},   /* counts SMIs; there are none */
        {0x3a, 0x3a},   /* locks what is not offered */
        {0x8b, 0x8b},   /* microcode revision, read-only: the host's */
        {0x9e, 0x9e},   /* SMM */
        {0xce, 0xce},   /* platform information, read-only */
        {0xc1, 0xc8},   /* counters, with those below: none are offered */
        {0x10a, 0x10a}, /* capabilities, read-only: the host's */
        {0x17b, 0x17b}, /* all banks are on */
        {0x186, 0x189},
        {0x1c4, 0x1c5}, /* XFD: AMX, not offered */
        {0x1db, 0x1de}, /* last branches: gone with the next one */
        {0x309, 0x30c},
        {0x345, 0x345},
        {0x38d, 0x391},
        {0x3f1, 0x3f2},
        {0x400, 0x47f}, /* machine check banks: no errors are injected */
        {0x480, 0x4ff}, /* VMX, not offered; counters */
        {0x560, 0x58f}, /* processor trace, not offered */
        {0x600, 0x600},
        {0x6a0, 0x6a8},           /* shadow stacks, not offered */
        {0xd90, 0xd90},           /* MPX, not offered */
        {0x40000000, 0x4000ffff}, /* Hyper-V's */
        {0x4b564d07, 0x4b564d08}, /* an acknowledgement; migration control, not offered */
        {0xc0000104, 0xc0000104}, /* TSC ratio of nested guests */
        {0xc0000300, 0xc0000303},
        {0xc0010000, 0xc0010007},
        {0xc0010117, 0xc0010117}, /* nested guests */
        {0xc0010200, 0xc001020f},
        {0xc0010140, 0xc0010141}, /* AMD errata work-arounds, read-only */
        {0xc0011029, 0xc0011029}, /* LFENCE waits: the host's */
    };

    for (unsigned i = 0; i < ARRAY_LEN(none); i++)
        if (n >= none[i].first && n <= none[i].last)
            return true;
    return false;
}

static bool msr_is_ours(uint32_t n)
{
    for (unsigned i = 0; i < X86_MSR_COUNT; i++)
        if (x86_msrs[i].number == n)
            return true;
    return false;
}

static void test_msrs(void)
{
    union {
        struct kvm_msr_list head;
        uint32_t room[1 + 1024];
    } list = {.room = {1024}};
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    struct err err = {0};
    bool good = kvm >= 0 && !ioctl(kvm, KVM_GET_MSR_INDEX_LIST, &list);

    for (unsigned i = 0; good && i < list.head.nmsrs; i++)
        if (!msr_is_ours(list.room[1 + i]) && !msr_is_no_state(list.room[1 + i])) {
            good = false;
            err_set(&err, -ENOENT, "KVM saves MSR 0x%x, and we do not", list.room[1 + i]);
        }
    close(kvm);
    verdict("no_msr_that_kvm_saves_is_forgotten", good, &err);
}

/* One instruction at a time, and a register changed in between, as a debugger does. */
static void test_debugger(struct small *s)
{
    static const uint8_t code[] = {0x40, 0x40, 0xe7, PORT, 0xeb, 0xfe}; /* inc eax, twice; out */
    static const struct engine_debug step = {.single_step = true}, off = {0};
    struct err err = {0};
    bool good;

    small_enter(s, code, sizeof(code));
    engine_kvm_ops.debug(s->engine, 0, &step);
    good = engine_kvm_ops.run(s->engine, 0, &err) == ENGINE_EXIT_DEBUG &&
           !engine_kvm_ops.park(s->engine, 0, true, &err);
    good = good && s->x->cpu.pc == CODE + 1 && s->x->cpu.slot[X86_RAX] == 1;
    s->x->cpu.slot[X86_RAX] = 100;
    engine_kvm_ops.debug(s->engine, 0, &off);
    good = good && !engine_kvm_ops.park(s->engine, 0, false, &err);
    verdict("single_step_and_changed_registers", good && small_run(s, &err) && s->port_value == 101,
            &err);
}

static void test_triple_fault(struct small *s)
{
    static const uint8_t code[] = {0x0f, 0x0b}; /* ud2 without an interrupt table */
    struct err err = {0}, none = {0};

    small_enter(s, code, sizeof(code));
    s->x->idt_limit = 0;
    verdict("triple_fault_without_a_board",
            engine_kvm_ops.run(s->engine, 0, &err) == ENGINE_EXIT_FAILED && *err.text, &none);
}

static void test_measure(void)
{
    struct kvm_abilities a;
    struct err err = {0}, none = {0};
    int r = kvm_measure(&a, &err);

    /* Whatever the host is: usable, or refused in a sentence that says what to do instead. */
    verdict("measurement_has_a_verdict",
            a.device && a.ran && a.kernel_speed && (!r || strstr(err.text, "--technique")), &none);
}

int main(void)
{
    struct small s;
    struct err err = {0};

    if (!small_new(&s, RAM, 0, &err)) {
        printf("skip kvm: %s\n", err.text);
        small_free(&s);
        return 0;
    }
    test_measure();
    test_registers(&s);
    test_memory(&s);
    test_dirty_log(&s);
    test_rom(&s);
    test_doorbell(&s);
    test_kick(&s);
    test_latch(&s);
    test_message(&s);
    test_state(&s);
    test_round_trip(&s);
    test_msrs();
    test_debugger(&s);
    test_triple_fault(&s);
    small_free(&s);
    return small_failed();
}
