/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole state, taken at random points: a guest that writes memory by a sequence of random
 * numbers while its APIC timer interrupts it is stopped again and again, saved, and goes on in a
 * new machine that got nothing but the saved state and the memory. What it comes to must be what an
 * undisturbed one comes to, and its timer must go on ticking.
 * As a program of its own: moves [MOVES].
 */
#include "base/cleanup.h"
#include "base/endian.h"
#include "small_machine.h"
#include "state/state.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MEMORY = 0x800000,
    FIRST = 0x200000,
    PAGES = 1024,
    TICKS = 0x7000,
    WRITES_MIN = 20000,
    WRITES_MAX = 200000000
};
enum { IDT = 0x3000, GDT = 0x2000, VECTOR = 0x41, HANDLER = CODE + 0x80 };

/* mov dword [0xfee00320], 0x20041 (periodic); mov dword [0xfee003e0], 0xb; mov dword [0xfee00380],
 * 1000000; sti
 * 1: imul eax, eax, 1103515245; add eax, 12345; mov ebx, eax; shr ebx, 16; and ebx, PAGES - 1;
 * shl ebx, 12; xor [ebx + FIRST], eax; dec ecx; jnz 1b; cli; out PORT, eax; jmp . */
static const uint8_t code[] = {
    0xc7, 0x05, 0x20, 0x03, 0xe0, 0xfe, 0x41, 0x00, 0x02, 0x00, 0xc7, 0x05, 0xe0, 0x03,
    0xe0, 0xfe, 0x0b, 0x00, 0x00, 0x00, 0xc7, 0x05, 0x80, 0x03, 0xe0, 0xfe, 0x40, 0x42,
    0x0f, 0x00, 0xfb, 0x69, 0xc0, 0x6d, 0x4e, 0xc6, 0x41, 0x05, 0x39, 0x30, 0x00, 0x00,
    0x89, 0xc3, 0xc1, 0xeb, 0x10, 0x81, 0xe3, 0xff, 0x03, 0x00, 0x00, 0xc1, 0xe3, 0x0c,
    0x31, 0x83, 0x00, 0x00, 0x20, 0x00, 0x49, 0x75, 0xde, 0xfa, 0xe7, PORT, 0xeb, 0xfe};
/* push eax; mov eax, [TICKS]; lea eax, [eax+1]; mov [TICKS], eax; pop eax; mov dword [0xfee000b0],
 * 0 (end of interrupt); sti; retf 4: like iret, which a software KVM does not emulate here, for
 * none of it touches the flags. */
static const uint8_t handler[] = {0x50, 0xa1, 0x00, 0x70, 0x00, 0x00, 0x8d, 0x40, 0x01, 0xa3,
                                  0x00, 0x70, 0x00, 0x00, 0x58, 0xc7, 0x05, 0xb0, 0x00, 0xe0,
                                  0xfe, 0x00, 0x00, 0x00, 0x00, 0xfb, 0xca, 0x04, 0x00};
static const uint8_t gate[] = {HANDLER & 255, HANDLER >> 8, 8, 0, 0, 0x8e, 0, 0};
static const uint8_t gdt[] = {0, 0,    0,    0, 0,    0,    0, 0, 0xff, 0xff, 0,    0,
                              0, 0x9b, 0xcf, 0, 0xff, 0xff, 0, 0, 0,    0x93, 0xcf, 0};

static uint32_t moves_truth(uint32_t seed, unsigned writes, uint32_t page[PAGES])
{
    for (unsigned i = 0; i < writes; i++) {
        seed = seed * 1103515245 + 12345;
        page[seed >> 16 & (PAGES - 1)] ^= seed;
    }
    return seed;
}

static uint32_t moves_ticks(const struct small *s)
{
    uint8_t bytes[4] = {0};

    (void)!mem_read(s->mem, GPA(TICKS), bytes, sizeof(bytes));
    return ld_le32(bytes);
}

static bool moves_start(struct small *s, uint32_t seed, unsigned writes, struct err *err)
{
    if (!small_new(s, MEMORY, 0, err))
        return false;
    small_enter(s, code, sizeof(code));
    (void)!mem_write(s->mem, GPA(HANDLER), handler, sizeof(handler));
    (void)!mem_write(s->mem, GPA(IDT + VECTOR * 8), gate, sizeof(gate));
    (void)!mem_write(s->mem, GPA(GDT), gdt, sizeof(gdt));
    s->x->idt_base = IDT;
    s->x->idt_limit = 0x7ff;
    s->x->gdt_base = GDT;
    s->x->gdt_limit = sizeof(gdt) - 1;
    st_le32(s->x->lapic + 0xf0, 0x1ff); /* enabled */
    s->x->cpu.slot[X86_RAX] = seed;
    s->x->cpu.slot[X86_RCX] = writes;
    return true;
}

/* --- One leg: runs until kicked or done --- */
struct kicker {
    struct small *s;
    long ns;
};

static void *moves_kick(void *arg)
{
    const struct kicker *k = arg;
    struct timespec pause = {.tv_nsec = k->ns};

    nanosleep(&pause, NULL);
    cpu_attend(&k->s->x->cpu, ATTENTION_KICK);
    engine_kvm_ops.kick(k->s->engine, 0);
    return NULL;
}

static bool moves_leg(struct small *s, long ns, struct err *err)
{
    struct kicker k = {s, ns};
    pthread_t thread;
    bool good;

    if (pthread_create(&thread, NULL, moves_kick, &k))
        return false;
    good = small_run(s, err);
    pthread_join(thread, NULL);
    atomic_store(&s->x->cpu.attention, 0); /* one that came when it was done */
    return good;
}

/* Everything of s into a new machine, which then is s. */
static bool moves_move(struct small *s, struct err *err)
{
    CLEANUP(free) uint8_t *data = NULL;
    struct state_object o = {.object = s->x,
                             .type = "x86_64",
                             .name = "cpu",
                             .version = x86_cpu_ops.state_version,
                             .fields = x86_cpu_ops.state};
    struct small *next = calloc(1, sizeof(*next));
    size_t len;

    if (!next || state_save(&o, 1, &data, &len, err) || !small_new(next, MEMORY, 0, err)) {
        free(next);
        return false;
    }
    o.object = next->x;
    memcpy(mem_page(next->mem, GPA(0)), mem_page(s->mem, GPA(0)), MEMORY);
    if (state_load(&o, 1, data, len, err) || engine_kvm_ops.set_state(next->engine, 0, err))
        return false;
    small_free(s);
    small_adopt(s, next);
    free(next);
    return true;
}

static bool moves_result_is_right(const struct small *s, uint32_t seed, unsigned writes,
                                  struct err *err)
{
    uint32_t want[PAGES] = {0}, last = moves_truth(seed, writes, want);

    if (s->port_value != last)
        return err_set(err, -EIO, "it came to %llx", (unsigned long long)s->port_value) == 0;
    for (unsigned i = 0; i < PAGES; i++) {
        const uint8_t *page = mem_page(s->mem, GPA(FIRST + (uint64_t)i * GUEST_PAGE_SIZE));

        if (ld_le32(page) != want[i])
            return err_set(err, -EIO, "page %u differs", i) == 0;
    }
    return true;
}

struct moves_count {
    unsigned legs, ticked;
};

static bool moves_try(uint32_t first, unsigned writes, unsigned moves, struct moves_count *count,
                      struct err *err)
{
    uint32_t seed = first;
    struct small s;
    bool good = moves_start(&s, seed, writes, err);

    *count = (struct moves_count){0};
    while (good && !s.port_writes) {
        uint32_t before = moves_ticks(&s);

        seed = seed * 69069 + 1;
        good =
            moves_leg(&s, 300000 + (long)(seed >> 8) % (count->legs < 8 ? 4000000 : 60000000), err);
        count->ticked += moves_ticks(&s) != before;
        if (good && !s.port_writes && count->legs < moves)
            good = moves_move(&s, err);
        else if (good && !s.port_writes)
            good = !engine_kvm_ops.park(s.engine, 0, false, err);
        count->legs++;
    }
    good = good && moves_result_is_right(&s, first, writes, err);
    small_free(&s);
    return good;
}

/* More and more writes until the guest lives for some legs, whatever its speed. */
static void moves_test(uint32_t first, unsigned moves)
{
    struct moves_count count = {0};
    struct err err = {0};
    unsigned writes = WRITES_MIN;
    bool good = true;

    for (; good && writes <= WRITES_MAX && (count.legs < 6 || count.ticked < 3); writes *= 4)
        good = moves_try(first, writes, moves, &count, &err);
    if (good && (count.legs < 6 || count.ticked < 3))
        good = err_set(&err, -EIO, "%u legs, %u with ticks", count.legs, count.ticked) == 0;
    verdict("a_guest_moves_at_random_points", good, &err);
}

int main(int argc, char **argv)
{
    if (!small_there())
        return 0;
    moves_test(20261127, argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 20);
    return small_failed();
}
