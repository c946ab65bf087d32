/* SPDX-License-Identifier: Apache-2.0 */
/* The MMU over page tables in plain C: hits, page ends, devices, code pages, spaces, flushes. */
#include "mmu/mmu.h"

#include "base/unit_test.h"
#include "mem/mem.h"
#include "mmu/fake_cpu.h"
#include <errno.h>
#include <stdatomic.h>

#define PAGE ((uint64_t)GUEST_PAGE_SIZE)

static uint64_t load(struct fake *f, uint64_t va, unsigned size)
{
    uint64_t val = 0;

    assert_true(mmu_load(&f->cpu, va, size, &val));
    return val;
}

static void expect_fault(struct fake *f, uint64_t cause, uint64_t va)
{
    assert_true(f->cpu.fault.pending);
    assert_int_equal(f->cpu.fault.cause, cause);
    assert_int_equal(f->cpu.fault.value, va);
    f->cpu.fault.pending = false;
}

/* Sums the pages it is told. */
static void claim(void *arg, gpa_t page)
{
    *(uint64_t *)arg += page.v;
}

static void test_second_access_hits(void **state)
{
    struct fake *f = fake_new();

    assert_true(mmu_store(&f->cpu, FAKE_RAM + 8, 8, 0x1122334455667788));
    assert_int_equal(load(f, FAKE_RAM + 8, 8), 0x1122334455667788);
    assert_int_equal(f->walks, 2); /* a write entry does not serve reads */
    assert_int_equal(load(f, FAKE_RAM + 9, 2), 0x6677);
    assert_true(mmu_store(&f->cpu, FAKE_RAM + 8, 1, 0xff00));
    assert_int_equal(load(f, FAKE_RAM + 8, 8), 0x1122334455667700);
    assert_int_equal(f->walks, 2);
    fake_free(f);
}

static void test_access_over_page_end(void **state)
{
    struct fake *f = fake_new();

    /* The two halves lie in pages that are apart physically. */
    fake_map(f, 0, 0x1000, FAKE_RAM + 5 * PAGE, PAGE, "rw");
    fake_map(f, 1, 0x2000, FAKE_RAM + 2 * PAGE, PAGE, "rw");
    for (unsigned size = 2; size <= 8; size *= 2) {
        for (unsigned before = 1; before < size; before++) {
            uint64_t want = 0x8877665544332211 >> (64 - 8 * size);

            assert_true(mmu_store(&f->cpu, 0x2000 - before, size, want));
            assert_int_equal(load(f, 0x2000 - before, size), want);
        }
    }
    fake_free(f);
}

static void test_store_over_page_end_is_all_or_nothing(void **state)
{
    struct fake *f = fake_new();

    fake_map(f, 0, 0x1000, FAKE_RAM, PAGE, "rw");
    fake_map(f, 1, 0x2000, FAKE_RAM + PAGE, PAGE, "r");
    assert_false(mmu_store(&f->cpu, 0x1ffc, 8, UINT64_MAX));
    expect_fault(f, FAKE_PAGE_FAULT | CPU_STORE, 0x2000);
    assert_int_equal(load(f, 0x1ff8, 8), 0);
    assert_int_equal(load(f, 0x1ffc, 8), 0); /* readable across */
    fake_free(f);
}

static void test_devices(void **state)
{
    struct fake *f = fake_new();
    gpa_t gpa;

    assert_int_equal(load(f, FAKE_DEVICE + 4, 4), FAKE_DEVICE + 8);
    assert_true(mmu_store(&f->cpu, FAKE_DEVICE + 8, 2, 0x12345678));
    assert_int_equal(f->device_val, 0x5678);
    assert_false(mmu_store(&f->cpu, FAKE_DEVICE + 2, 4, 1));
    expect_fault(f, FAKE_MISALIGNED | CPU_STORE, FAKE_DEVICE + 2);
    assert_false(mmu_load(&f->cpu, FAKE_DEVICE + PAGE, 4, &(uint64_t){0}));
    expect_fault(f, FAKE_ACCESS | CPU_LOAD, FAKE_DEVICE + PAGE);
    assert_null(mmu_atomic(&f->cpu, FAKE_DEVICE, 4, true, &gpa));
    expect_fault(f, FAKE_ACCESS | CPU_STORE, FAKE_DEVICE);
    assert_null(mmu_atomic(&f->cpu, FAKE_RAM + 2, 4, false, &gpa));
    expect_fault(f, FAKE_MISALIGNED | CPU_LOAD, FAKE_RAM + 2);
    fake_free(f);
}

static void test_writes_to_code_pages_are_reported(void **state)
{
    struct fake *f = fake_new();

    assert_true(mmu_store(&f->cpu, FAKE_RAM, 8, 1)); /* now there is a write entry */
    atomic_fetch_or(mem_page_flags(f->cpu.mem, GPA(FAKE_RAM)), PAGE_CODE);
    assert_true(mmu_protect_code(f->cpu.mmu, GPA(FAKE_RAM)));
    assert_false(mmu_protect_code(f->cpu.mmu, GPA(FAKE_RAM)));
    for (unsigned i = 1; i <= 3; i++) {
        assert_true(mmu_store(&f->cpu, FAKE_RAM + 16, 4, i));
        assert_int_equal(f->code_writes, i);
        assert_int_equal(f->code_gpa, FAKE_RAM + 16);
        assert_int_equal(f->code_len, 4);
    }
    atomic_fetch_and(mem_page_flags(f->cpu.mem, GPA(FAKE_RAM)), (uint8_t)~PAGE_CODE);
    assert_true(mmu_store(&f->cpu, FAKE_RAM + 16, 4, 9));
    assert_true(mmu_store(&f->cpu, FAKE_RAM + PAGE - 2, 4, 9));
    assert_int_equal(f->code_writes, 3);
    fake_free(f);
}

static void test_code_claimed_by_others(void **state)
{
    struct fake *f = fake_new();
    const uint64_t a[2] = {1, 0};
    uint64_t found = 0;

    assert_true(mmu_store(&f->cpu, FAKE_RAM + PAGE, 8, 1));
    mmu_switch(f->cpu.mmu, a, a); /* the entry stays in a space that is not current */
    assert_true(mmu_store(&f->cpu, FAKE_RAM, 8, 1));
    atomic_fetch_or(mem_page_flags(f->cpu.mem, GPA(FAKE_RAM + PAGE)), PAGE_CODE);
    f->cpu.mmu->found_code = claim;
    f->cpu.mmu->found_arg = &found;
    mmu_protect_all_code(f->cpu.mmu);
    assert_int_equal(found, FAKE_RAM + PAGE);
    mmu_protect_all_code(f->cpu.mmu);
    assert_int_equal(found, FAKE_RAM + PAGE);
    mmu_switch(f->cpu.mmu, (const uint64_t[]){0, 0}, (const uint64_t[]){0, 0});
    assert_true(mmu_store(&f->cpu, FAKE_RAM + PAGE, 8, 1));
    assert_int_equal(f->code_writes, 1);
    fake_free(f);
}

/* A page claimed behind a store that hit: its entry must not go unseen. */
static void test_entries_are_looked_at_before_they_go(void **state)
{
    const uint64_t code[2] = {0, 0};
    struct fake *f = fake_new();
    struct mmu *mmu = f->cpu.mmu;
    const uint64_t same_slot = FAKE_RAM + (1 + TLB_SIZE) * PAGE;

    fake_map(f, 0, same_slot, FAKE_RAM, PAGE, "rw");
    fake_map(f, 1, FAKE_RAM, FAKE_RAM, 2 * PAGE, "rw");
    for (unsigned way = 0; way < 4; way++) {
        uint64_t found = 0;

        mmu->found_code = claim;
        mmu->found_arg = &found;
        assert_true(mmu_store(&f->cpu, FAKE_RAM + PAGE, 8, 1));
        atomic_fetch_or(mem_page_flags(f->cpu.mem, GPA(FAKE_RAM + PAGE)), PAGE_CODE);
        f->cpu.attention = ATTENTION_CODE;
        switch (way) {
        case 0: mmu_flush_all(mmu); break;
        case 1: mmu_flush_page(mmu, GVA(FAKE_RAM + PAGE), NULL, NULL); break;
        case 2:
            assert_true(mmu_store(&f->cpu, same_slot, 8, 1));
            mmu_settle(mmu);
            break;
        default:
            for (uint64_t i = 1; i <= MMU_SPACES; i++)
                mmu_switch(mmu, (const uint64_t[]){i, 0}, code);
        }
        assert_int_equal(found, FAKE_RAM + PAGE);
        f->cpu.attention = 0;
        atomic_fetch_and(mem_page_flags(f->cpu.mem, GPA(FAKE_RAM + PAGE)), (uint8_t)~PAGE_CODE);
    }
    fake_free(f);
}

/* Store number i of the test below: all in one slot, the first to a page of its own. */
static void store_in_slot(struct fake *f, unsigned i)
{
    uint64_t va = FAKE_RAM + (uint64_t)i * TLB_SIZE * PAGE;

    fake_map(f, 0, va, FAKE_RAM + (i ? 1 + i % 2 : 0) * PAGE, PAGE, "rw");
    assert_true(mmu_store(&f->cpu, va, 8, i));
}

/* A block may go on storing by an entry that made room before its page was claimed. */
static void test_entries_that_made_room_are_kept(void **state)
{
    struct fake *f = fake_new();
    struct mmu *mmu = f->cpu.mmu;
    uint64_t found = 0;

    mmu->found_code = claim;
    mmu->found_arg = &found;
    for (unsigned i = 0; i < MMU_GONE; i++) {
        assert_int_equal(f->cpu.attention, i > MMU_GONE / 2 ? ATTENTION_CODE : 0);
        store_in_slot(f, i);
    }
    assert_int_equal(mmu->gone_count, MMU_GONE - 1);
    store_in_slot(f, MMU_GONE + 1); /* to the page of the entry that is there: nothing to keep */
    assert_int_equal(mmu->gone_count, MMU_GONE - 1);
    atomic_fetch_or(mem_page_flags(f->cpu.mem, GPA(FAKE_RAM)), PAGE_CODE);
    for (unsigned i = MMU_GONE; i < 2 * MMU_GONE; i++) /* no more room: not cached */
        store_in_slot(f, i);
    assert_int_equal(mmu->gone_count, MMU_GONE);
    assert_int_equal(found, 0);
    mmu_settle(mmu);
    assert_int_equal(found, FAKE_RAM);
    found = 0;
    mmu_settle(mmu);
    assert_int_equal(found, 0);
    fake_free(f);
}

static void test_spaces_keep_their_entries(void **state)
{
    struct fake *f = fake_new();
    const uint64_t a[2] = {1, 0}, b[2] = {2, 0};

    fake_map(f, 0, 0x1000, FAKE_RAM, PAGE, "rw");
    mmu_switch(f->cpu.mmu, a, a);
    assert_true(mmu_store(&f->cpu, 0x1000, 8, 0xa));
    fake_map(f, 0, 0x1000, FAKE_RAM + PAGE, PAGE, "rw");
    mmu_switch(f->cpu.mmu, b, b);
    assert_true(mmu_store(&f->cpu, 0x1000, 8, 0xb));
    mmu_switch(f->cpu.mmu, a, b);
    assert_true(mmu_store(&f->cpu, 0x1000, 8, 0xaa)); /* the old mapping is cached */
    assert_int_equal(f->walks, 2);
    assert_ptr_not_equal(f->cpu.mmu->data, f->cpu.mmu->code);
    mmu_flush_all(f->cpu.mmu);
    assert_int_equal(load(f, 0x1000, 8), 0xb);
    fake_free(f);
}

static void test_more_spaces_than_room(void **state)
{
    struct fake *f = fake_new();

    for (uint64_t i = 0; i < UINT64_C(3) * MMU_SPACES; i++) {
        uint64_t data[2] = {i, 1}, code[2] = {i, 2};

        fake_map(f, 0, 0x1000, FAKE_RAM + i % FAKE_PAGES * PAGE, PAGE, "rw");
        mmu_switch(f->cpu.mmu, data, code);
        assert_ptr_not_equal(f->cpu.mmu->data, f->cpu.mmu->code);
        assert_true(mmu_store(&f->cpu, 0x1000, 8, i));
        assert_int_equal(f->walks, i + 1);
    }
    fake_free(f);
}

static bool match_first(void *arg, const uint64_t key[2])
{
    return key[0] == *(const uint64_t *)arg;
}

static void test_flush_by_key(void **state)
{
    struct fake *f = fake_new();
    const uint64_t a[2] = {1, 0}, b[2] = {2, 0};
    uint64_t one = 1;

    mmu_switch(f->cpu.mmu, a, a);
    (void)load(f, FAKE_RAM, 8);
    mmu_switch(f->cpu.mmu, b, b);
    (void)load(f, FAKE_RAM, 8);
    mmu_flush_matching(f->cpu.mmu, match_first, &one);
    (void)load(f, FAKE_RAM, 8);
    assert_int_equal(f->walks, 2);
    mmu_switch(f->cpu.mmu, a, a);
    (void)load(f, FAKE_RAM, 8);
    assert_int_equal(f->walks, 3);
    fake_free(f);
}

static void test_flush_of_a_page(void **state)
{
    struct fake *f = fake_new();

    fake_map(f, 0, 0x1000, FAKE_RAM, PAGE, "r");
    fake_map(f, 1, 0x2000, FAKE_RAM, PAGE, "r");
    (void)load(f, 0x1000, 8);
    (void)load(f, 0x2000, 8);
    mmu_flush_page(f->cpu.mmu, GVA(0x1008), NULL, NULL);
    (void)load(f, 0x2000, 8);
    assert_int_equal(f->walks, 2);
    (void)load(f, 0x1000, 8);
    assert_int_equal(f->walks, 3);
    fake_free(f);
}

static void test_flush_finds_pieces_of_large_pages(void **state)
{
    const uint64_t sizes[] = {1 << 21, 1 << 30, UINT64_C(1) << 39};

    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        struct fake *f = fake_new();

        fake_map(f, 0, 0, FAKE_RAM, sizes[i], "r");
        (void)load(f, 3 * PAGE, 8);
        mmu_flush_page(f->cpu.mmu, GVA(sizes[i] - 1), NULL, NULL);
        (void)load(f, 3 * PAGE, 8);
        assert_int_equal(f->walks, 2);
        mmu_flush_page(f->cpu.mmu, GVA(sizes[i]), NULL, NULL); /* the next large page */
        (void)load(f, 3 * PAGE, 8);
        assert_int_equal(f->walks, 2);
        fake_free(f);
    }
}

/* Protection lets a large page be cached by pieces: a flush of one address finds them all. */
static void test_flush_finds_pieces_that_protection_left(void **state)
{
    struct fake *f = fake_new();

    fake_map(f, 0, 0, FAKE_RAM, 1 << 21, "r");
    f->map[0].piece = PAGE;
    (void)load(f, 3 * PAGE, 8);
    (void)load(f, 5 * PAGE, 8);
    mmu_flush_page(f->cpu.mmu, GVA(3 * PAGE), NULL, NULL);
    (void)load(f, 5 * PAGE, 8);
    assert_int_equal(f->walks, 3);
    fake_free(f);
}

static void test_second_level(void **state)
{
    const uint64_t same_slot = 0x1000 + TLB_SIZE * PAGE;
    struct fake *f = fake_new();

    fake_map(f, 0, 0x1000, FAKE_RAM, PAGE, "r");
    fake_map(f, 1, same_slot, FAKE_RAM + PAGE, PAGE, "rw");
    fake_map(f, 2, UINT64_C(1) << 30, FAKE_RAM, 1 << 21, "rw");
    fake_map(f, 3, UINT64_C(1) << 31, FAKE_RAM, 1 << 16, "rw");
    assert_true(mmu_store(&f->cpu, same_slot, 8, 5));
    for (unsigned i = 0; i < 3; i++) { /* each displaces the other */
        (void)load(f, 0x1000, 8);
        assert_int_equal(load(f, same_slot, 8), 5);
    }
    assert_int_equal(f->walks, 2); /* the store's served the loads, too */
    assert_false(mmu_store(&f->cpu, 0x1000, 8, 1));
    expect_fault(f, FAKE_PAGE_FAULT | CPU_STORE, 0x1000);
    f->walks = 0;
    for (uint64_t at = 0; at < 4 * PAGE; at += PAGE) /* one entry for all pieces */
        assert_true(mmu_store(&f->cpu, (UINT64_C(1) << 30) + at, 8, at));
    assert_int_equal(f->walks, 1);
    assert_int_equal(load(f, (UINT64_C(1) << 31) + 3 * PAGE, 8), 3 * PAGE);
    mmu_flush_page(f->cpu.mmu, GVA((UINT64_C(1) << 31) + PAGE), NULL, NULL);
    fake_map(f, 3, UINT64_C(1) << 31, FAKE_RAM + PAGE, 1 << 16, "rw");
    assert_int_equal(load(f, (UINT64_C(1) << 31) + 2 * PAGE, 8),
                     3 * PAGE); /* not a size it keeps */
    assert_int_equal(load(f, (UINT64_C(1) << 31) + PAGE, 8), 2 * PAGE);
    mmu_flush_all(f->cpu.mmu);
    f->walks = 0;
    assert_int_equal(load(f, same_slot, 8), PAGE); /* as stored through the large page */
    assert_int_equal(f->walks, 1);
    fake_free(f);
}

static void test_empty_entries_never_hit(void **state)
{
    struct fake *f = fake_new();

    memset(f->map, 0, sizeof(f->map));
    for (uint64_t va = 0; va < (uint64_t)TLB_SIZE * PAGE; va += PAGE) {
        uint64_t val, high = va - (UINT64_C(1) << 62);

        assert_false(mmu_load(&f->cpu, va, 1, &val));
        expect_fault(f, FAKE_PAGE_FAULT | CPU_LOAD, va);
        assert_false(mmu_store(&f->cpu, high, 8, 0));
        expect_fault(f, FAKE_PAGE_FAULT | CPU_STORE, high);
    }
    fake_free(f);
}

/* Flushes visit the filled groups of a table only: none may be forgotten, for no kind of access. */
static void test_flush_finds_every_group(void **state)
{
    struct fake *f = fake_new();
    uint64_t val, step = TLB_GROUP * PAGE;

    for (unsigned i = 0; i < TLB_GROUPS; i++) {
        memset(f->map, 0, sizeof(f->map));
        fake_map(f, 0, i * step + PAGE, FAKE_RAM, PAGE, "rwx");
        (void)load(f, i * step + PAGE, 8);
        assert_true(mmu_store(&f->cpu, i * step + PAGE, 8, 0));
        assert_non_null(mmu_fetch_host(&f->cpu, i * step + PAGE));
    }
    memset(f->map, 0, sizeof(f->map));
    assert_true(mmu_load(&f->cpu, PAGE, 8, &val)); /* still there */
    mmu_flush_all(f->cpu.mmu);
    for (unsigned i = 0; i < TLB_GROUPS; i++) {
        assert_false(mmu_load(&f->cpu, i * step + PAGE, 8, &val));
        expect_fault(f, FAKE_PAGE_FAULT | CPU_LOAD, i * step + PAGE);
        assert_false(mmu_store(&f->cpu, i * step + PAGE, 8, 0));
        expect_fault(f, FAKE_PAGE_FAULT | CPU_STORE, i * step + PAGE);
        assert_null(mmu_fetch_host(&f->cpu, i * step + PAGE));
        expect_fault(f, FAKE_PAGE_FAULT | CPU_FETCH, i * step + PAGE);
    }
    fake_free(f);
}

static void test_zero_and_debugger(void **state)
{
    struct fake *f = fake_new();
    uint8_t bytes[80];

    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(mmu_poke(&f->cpu, FAKE_RAM + PAGE - 8, bytes, sizeof(bytes)), 0);
    assert_true(mmu_zero(&f->cpu, FAKE_RAM + PAGE + 33, 64));
    assert_int_equal(mmu_peek(&f->cpu, FAKE_RAM + PAGE - 8, bytes, sizeof(bytes)), 0);
    assert_int_equal(bytes[7], 0xff);
    assert_int_equal(bytes[8], 0);
    assert_int_equal(bytes[71], 0);
    assert_int_equal(bytes[72], 0xff);
    assert_int_equal(mmu_peek(&f->cpu, FAKE_DEVICE, bytes, 4), -EFAULT);
    assert_false(f->cpu.fault.pending);
    fake_free(f);
}

static void test_fetch_stops_at_a_third_page(void **state)
{
    struct fake *f = fake_new();
    struct mmu_fetcher fetcher;
    uint64_t claimed = 0;
    uint16_t half;

    fake_map(f, 0, 0x1000, FAKE_RAM + 3 * PAGE, PAGE, "x");
    fake_map(f, 1, 0x2000, FAKE_RAM + PAGE, 2 * PAGE, "x");
    assert_int_equal(mem_fill(f->cpu.mem, GPA(FAKE_RAM + PAGE), 0x5a, PAGE), 0);
    mmu_fetcher_init(&fetcher, &f->cpu, claim, &claimed);
    assert_true(fetcher.fetch.half(&fetcher.fetch, 0x1ffe, &half));
    assert_int_equal(half, 0);
    assert_true(fetcher.fetch.half(&fetcher.fetch, 0x2000, &half));
    assert_int_equal(half, 0x5a5a);
    assert_int_equal(claimed, 2 * FAKE_RAM + 4 * PAGE);
    assert_false(fetcher.fetch.half(&fetcher.fetch, 0x3000, &half));
    assert_false(f->cpu.fault.pending);
    fake_free(f);
}

static void test_no_fast_fills_nothing(void **state)
{
    struct fake *f = fake_new();

    f->cpu.mmu->no_fast = true;
    (void)load(f, FAKE_RAM, 8);
    (void)load(f, FAKE_RAM, 8);
    assert_int_equal(f->walks, 2);
    fake_free(f);
}

RUN_TESTS(cmocka_unit_test(test_second_access_hits), cmocka_unit_test(test_access_over_page_end),
          cmocka_unit_test(test_store_over_page_end_is_all_or_nothing),
          cmocka_unit_test(test_devices), cmocka_unit_test(test_writes_to_code_pages_are_reported),
          cmocka_unit_test(test_code_claimed_by_others),
          cmocka_unit_test(test_entries_are_looked_at_before_they_go),
          cmocka_unit_test(test_entries_that_made_room_are_kept),
          cmocka_unit_test(test_spaces_keep_their_entries),
          cmocka_unit_test(test_more_spaces_than_room), cmocka_unit_test(test_flush_by_key),
          cmocka_unit_test(test_flush_of_a_page),
          cmocka_unit_test(test_flush_finds_pieces_of_large_pages),
          cmocka_unit_test(test_flush_finds_pieces_that_protection_left),
          cmocka_unit_test(test_second_level), cmocka_unit_test(test_empty_entries_never_hit),
          cmocka_unit_test(test_flush_finds_every_group), cmocka_unit_test(test_zero_and_debugger),
          cmocka_unit_test(test_fetch_stops_at_a_third_page),
          cmocka_unit_test(test_no_fast_fills_nothing))
