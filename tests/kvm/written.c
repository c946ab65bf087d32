/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages were written: a guest writes to pages that a sequence of random numbers names, and
 * what the engine collects must be what the same sequence names here - by dirty rings, by the log,
 * with rounds longer than a ring, and while the guest runs.
 */
#include "base/endian.h"
#include "engine/dirty.h"
#include "small_machine.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BIG = 0x4000000, FIRST = 0x200000, PAGES = 8192, ROUNDS = 12, WRITES_MAX = 14000 };

/* 1: imul eax, eax, 1103515245; add eax, 12345; mov ebx, eax; shr ebx, 16; and ebx, PAGES - 1;
 * shl ebx, 12; mov [ebx + FIRST], eax; loop 1b; out PORT, eax; jmp . */
static const uint8_t writer[] = {0x69, 0xc0, 0x6d, 0x4e, 0xc6, 0x41, 0x05, 0x39, 0x30, 0,
                                 0,    0x89, 0xc3, 0xc1, 0xeb, 16,   0x81, 0xe3, 0xff, 0x1f,
                                 0,    0,    0xc1, 0xe3, 12,   0x89, 0x83, 0,    0,    0x20,
                                 0,    0xe2, 0xdf, 0xe7, PORT, 0xeb, 0xfe};

/* The pages that `writes` rounds of it from this seed on write to; the last number. */
static uint32_t writer_truth(uint32_t seed, unsigned writes, bool page[PAGES])
{
    for (unsigned i = 0; i < writes; i++) {
        seed = seed * 1103515245 + 12345;
        page[seed >> 16 & (PAGES - 1)] = true;
    }
    return seed;
}

/* Takes all pages out of the set; those of the writer's range into `page`, how many others. */
static unsigned set_pages(struct mem_dirty *set, bool page[PAGES])
{
    unsigned others = 0;
    gpa_t at;

    while (mem_dirty_next(set, &at)) {
        if (at.v >= FIRST && at.v < FIRST + (uint64_t)PAGES * GUEST_PAGE_SIZE)
            page[(at.v - FIRST) >> GUEST_PAGE_SHIFT] = true;
        else if (at.v != CODE) /* KVM may show a page that was mapped writable, and read only */
            others++;
    }
    return others;
}

static bool writer_round(struct small *s, struct mem_dirty *set, uint32_t seed, unsigned writes,
                         struct err *err)
{
    bool want[PAGES] = {false}, got[PAGES] = {false};
    uint32_t last = writer_truth(seed, writes, want);
    unsigned others;

    small_enter(s, writer, sizeof(writer));
    if (engine_collect_dirty(s->engine, set, err)) /* of loading the code */
        return false;
    (void)set_pages(set, got);
    memset(got, 0, sizeof(got));
    s->x->cpu.slot[X86_RAX] = seed;
    s->x->cpu.slot[X86_RCX] = writes;
    if (!small_run(s, err) || engine_collect_dirty(s->engine, set, err))
        return false;
    others = set_pages(set, got);
    if (s->port_value != last || others || memcmp(want, got, sizeof(want)) != 0)
        return err_set(err, -EIO, "seed %u, %u writes: other pages (%u strange ones)", seed, writes,
                       others) == 0;
    return true;
}

/* Rings need a processor that has them; see src/engine/kvm/ring.c. */
static bool has_rings(const char *name)
{
    struct kvm_abilities a;
    struct err err;

    if (!kvm_measure(&a, &err) || a.vmx || a.svm)
        return true;
    printf("skip %s: the log is used on a KVM without VT-x or AMD-V\n", name);
    return false;
}

static void test_rounds(const char *name, unsigned stress)
{
    struct mem_dirty *set = NULL;
    struct err err = {0};
    struct small s;
    bool good = small_new(&s, BIG, stress, &err) && (set = mem_dirty_new(s.mem)) &&
                !engine_track_dirty(s.engine, true, &err);

    for (unsigned i = 0; i < ROUNDS && good; i++)
        good = writer_round(&s, set, 12345 + 977 * i, i % 4 == 3 ? WRITES_MAX : 1 + 150 * i, &err);
    good = good && !engine_track_dirty(s.engine, false, &err);
    verdict(name, good, &err);
    mem_dirty_free(set);
    small_free(&s);
}

/* --- While it runs: nothing may be lost, things may come late or twice --- */
struct runner {
    struct small *s;
    atomic_bool done;
    bool ran;
    struct err err;
};

static void *runner_run(void *arg)
{
    struct runner *r = arg;

    r->ran = small_run(r->s, &r->err);
    atomic_store(&r->done, true);
    return NULL;
}

/* A copy made round by round from a running guest is the guest's memory when it has ended. */
static bool copy_is_right(struct small *s, struct mem_dirty *set, uint8_t *copy, struct err *err)
{
    struct runner r = {.s = s};
    pthread_t thread;
    bool last = false;
    gpa_t at;

    mem_dirty_add_all(set);
    if (pthread_create(&thread, NULL, runner_run, &r))
        return false;
    for (; !last; last = atomic_load(&r.done) && !mem_dirty_count(set)) {
        while (mem_dirty_next(set, &at))
            (void)!mem_read(s->mem, at, copy + at.v, GUEST_PAGE_SIZE);
        if (engine_collect_dirty(s->engine, set, err))
            break;
    }
    pthread_join(thread, NULL);
    while (mem_dirty_next(set, &at))
        (void)!mem_read(s->mem, at, copy + at.v, GUEST_PAGE_SIZE);
    if (engine_collect_dirty(s->engine, set, err))
        return false;
    while (mem_dirty_next(set, &at))
        (void)!mem_read(s->mem, at, copy + at.v, GUEST_PAGE_SIZE);
    return r.ran && !memcmp(copy, mem_page(s->mem, GPA(0)), BIG);
}

static void test_running(const char *name, unsigned stress)
{
    struct mem_dirty *set = NULL;
    uint8_t *copy = calloc(1, BIG);
    struct err err = {0};
    struct small s;
    bool good = copy && small_new(&s, BIG, stress, &err) && (set = mem_dirty_new(s.mem)) &&
                !engine_track_dirty(s.engine, true, &err);

    if (good) {
        small_enter(&s, writer, sizeof(writer));
        s.x->cpu.slot[X86_RAX] = 4711;
        s.x->cpu.slot[X86_RCX] = 3 * WRITES_MAX;
        good = copy_is_right(&s, set, copy, &err);
    }
    verdict(name, good, &err);
    mem_dirty_free(set);
    small_free(&s);
    free(copy);
}

int main(void)
{
    if (!small_there())
        return 0;
    if (has_rings("pages_by_rings_are_those_written"))
        test_rounds("pages_by_rings_are_those_written", 0);
    test_rounds("pages_by_the_log_are_those_written", STRESS_LOG);
    if (has_rings("a_copy_of_a_running_guest_by_rings"))
        test_running("a_copy_of_a_running_guest_by_rings", 0);
    test_running("a_copy_of_a_running_guest_by_the_log", STRESS_LOG);
    return small_failed();
}
