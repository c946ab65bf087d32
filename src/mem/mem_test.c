/* SPDX-License-Identifier: Apache-2.0 */
/* Guest RAM: regions, ranges over their edges, flags and code-write reports. */
#include "mem/dirty.h"
#include "mem/mem.h"

#include "base/unit_test.h"
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

enum { BASE = 0x80000000, PAGES = 4, SIZE = PAGES * GUEST_PAGE_SIZE };

struct reports {
    unsigned count;
    uint64_t first, last, bytes;
};

static void on_code_write(void *arg, gpa_t gpa, uint64_t len)
{
    struct reports *r = arg;

    if (!r->count++)
        r->first = gpa.v;
    r->last = gpa.v + len - 1;
    r->bytes += len;
}

static struct mem *mem_with_ram(void)
{
    struct mem *mem = mem_new();

    assert_non_null(mem);
    assert_int_equal(mem_add_ram(mem, GPA(BASE), SIZE, NULL), 0);
    return mem;
}

static void test_regions(void **state)
{
    struct mem *mem = mem_with_ram();
    struct err err = {0};

    (void)state;
    assert_int_equal(mem_add_ram(mem, GPA(BASE + SIZE - GUEST_PAGE_SIZE), SIZE, &err), -EINVAL);
    assert_int_equal(mem_add_ram(mem, GPA(BASE + 1), SIZE, &err), -EINVAL);
    assert_int_equal(mem_add_ram(mem, GPA(0), 0, &err), -EINVAL);
    assert_int_equal(mem_add_ram(mem, GPA(UINT64_MAX - 0xfff), 0x2000, &err), -EINVAL);
    assert_int_equal(mem_add_ram(mem, GPA(BASE + SIZE), SIZE, &err), 0);
    assert_int_equal(mem_add_ram(mem, GPA(0x1000), 0x1000, &err), 0);
    assert_int_equal(mem_ram_size(mem), 2 * SIZE + 0x1000);
    assert_true(mem_is_ram(mem, GPA(BASE), 2 * SIZE));
    assert_false(mem_is_ram(mem, GPA(BASE), 2 * SIZE + 1));
    assert_false(mem_is_ram(mem, GPA(UINT64_MAX), 2));
    assert_null(mem_page(mem, GPA(BASE - 1)));
    assert_non_null(mem_page(mem, GPA(BASE + SIZE)));
    mem_free(mem);
}

static void test_copy_across_regions(void **state)
{
    struct mem *mem = mem_with_ram();
    uint8_t in[8192], out[8192] = {0};

    (void)state;
    assert_int_equal(mem_add_ram(mem, GPA(BASE + SIZE), SIZE, NULL), 0);
    for (unsigned i = 0; i < sizeof(in); i++)
        in[i] = (uint8_t)(i * 7);
    assert_int_equal(mem_write(mem, GPA(BASE + SIZE - 4000), in, sizeof(in)), 0);
    assert_int_equal(mem_read(mem, GPA(BASE + SIZE - 4000), out, sizeof(out)), 0);
    assert_memory_equal(in, out, sizeof(in));
    assert_null(mem_map(mem, GPA(BASE + SIZE - 4), 8, MEM_READ));
    assert_non_null(mem_map(mem, GPA(BASE + SIZE - 4), 4, MEM_READ));
    mem_free(mem);
}

static void test_refused_write_copies_nothing(void **state)
{
    struct mem *mem = mem_with_ram();
    const uint8_t *last = mem_map(mem, GPA(BASE + SIZE - 1), 1, MEM_READ);

    (void)state;
    assert_int_equal(mem_write(mem, GPA(BASE + SIZE - 1), "xy", 2), -EFAULT);
    assert_int_equal(*last, 0);
    assert_int_equal(mem_fill(mem, GPA(BASE - 1), 1, 2), -EFAULT);
    mem_free(mem);
}

static void test_code_writes_are_reported_by_page(void **state)
{
    struct mem *mem = mem_with_ram();
    struct reports r = {0};
    uint8_t zero[3 * GUEST_PAGE_SIZE] = {0};

    (void)state;
    mem_on_code_write(mem, on_code_write, &r);
    assert_int_equal(mem_write(mem, GPA(BASE), zero, sizeof(zero)), 0);
    assert_int_equal(r.count, 0);
    assert_int_equal(*mem_page_flags(mem, GPA(BASE)), PAGE_DIRTY);
    atomic_fetch_or(mem_page_flags(mem, GPA(BASE + GUEST_PAGE_SIZE)), PAGE_CODE);
    assert_int_equal(mem_write(mem, GPA(BASE + GUEST_PAGE_SIZE - 8), zero, GUEST_PAGE_SIZE), 0);
    assert_int_equal(r.count, 1);
    assert_int_equal(r.first, BASE + GUEST_PAGE_SIZE);
    assert_int_equal(r.bytes, GUEST_PAGE_SIZE - 8);
    mem_free(mem);
}

static void test_host_pointer_back_to_address(void **state)
{
    struct mem *mem = mem_with_ram();
    const uint8_t *host = mem_page(mem, GPA(BASE + GUEST_PAGE_SIZE));
    gpa_t gpa;

    (void)state;
    assert_true(mem_host_to_gpa(mem, host + 5, &gpa));
    assert_int_equal(gpa.v, BASE + GUEST_PAGE_SIZE + 5);
    assert_false(mem_host_to_gpa(mem, &gpa, &gpa));
    mem_free(mem);
}

static void on_rom(void *arg, unsigned n)
{
    *(unsigned *)arg += n + 1;
}

/* A loader writes it, DMA does not; it can be hidden. */
static void test_rom(void **state)
{
    struct mem *mem = mem_with_ram();
    unsigned changes = 0;
    uint8_t byte = 7;
    uint64_t size;
    bool shown;
    void *host;
    gpa_t gpa;

    assert_int_equal(mem_add_rom(mem, GPA(BASE + SIZE), SIZE, &host, NULL), 0);
    assert_int_equal(mem_add_rom(mem, GPA(BASE), SIZE, &host, NULL), -EINVAL); /* over RAM */
    assert_int_equal(mem_add_rom(mem, GPA(BASE + 4 * SIZE), 5, &host, NULL), -EINVAL);
    assert_int_equal(mem_load(mem, GPA(BASE + 2 * SIZE - 1), &byte, 1), 0);
    assert_int_equal(mem_load(mem, GPA(BASE + 2 * SIZE - 1), "ab", 2), -EFAULT);
    assert_int_equal(mem_write(mem, GPA(BASE + SIZE), &byte, 1), -EFAULT);
    assert_false(mem_is_ram(mem, GPA(BASE + SIZE), 1));
    assert_int_equal(mem_ram_size(mem), SIZE);
    assert_true(mem_rom(mem, 0, &gpa, &size, &host, &shown));
    assert_true(shown && size == SIZE && gpa.v == BASE + SIZE);
    assert_int_equal(((uint8_t *)host)[SIZE - 1], 7);
    assert_false(mem_rom(mem, 1, &gpa, &size, &host, &shown));
    mem_on_rom(mem, on_rom, &changes);
    mem_show_rom(mem, GPA(BASE + SIZE), true); /* it is */
    mem_show_rom(mem, GPA(BASE + SIZE), false);
    mem_show_rom(mem, GPA(BASE), false); /* no ROM */
    assert_int_equal(changes, 1);
    assert_true(mem_rom(mem, 0, &gpa, &size, &host, &shown) && !shown);
    mem_free(mem);
}

static void test_written_pages_of_two_regions(void **state)
{
    struct mem *mem = mem_with_ram();
    struct mem_dirty *set;
    gpa_t page;

    (void)state;
    assert_int_equal(mem_add_ram(mem, GPA(BASE + 4 * SIZE), SIZE, NULL), 0);
    set = mem_dirty_new(mem);
    assert_non_null(set);
    assert_int_equal(mem_dirty_take(set), 0);
    assert_int_equal(mem_write(mem, GPA(BASE + 4 * SIZE + 5), "x", 1), 0);
    assert_int_equal(mem_write(mem, GPA(BASE + SIZE - 1), "x", 1), 0);
    assert_int_equal(mem_dirty_take(set), 2);
    assert_int_equal(mem_write(mem, GPA(BASE + SIZE - 9), "x", 1), 0);
    assert_int_equal(mem_dirty_take(set), 1); /* it is in there already */
    assert_int_equal(mem_dirty_count(set), 2);
    assert_true(mem_dirty_next(set, &page));
    assert_int_equal(page.v, BASE + SIZE - GUEST_PAGE_SIZE);
    assert_true(mem_dirty_next(set, &page));
    assert_int_equal(page.v, BASE + 4 * SIZE);
    assert_false(mem_dirty_next(set, &page));
    mem_dirty_add_all(set);
    assert_int_equal(mem_dirty_count(set), 2 * SIZE / GUEST_PAGE_SIZE);
    mem_dirty_free(set);
    mem_free(mem);
}

RUN_TESTS(cmocka_unit_test(test_regions), cmocka_unit_test(test_copy_across_regions),
          cmocka_unit_test(test_refused_write_copies_nothing),
          cmocka_unit_test(test_code_writes_are_reported_by_page),
          cmocka_unit_test(test_host_pointer_back_to_address), cmocka_unit_test(test_rom),
          cmocka_unit_test(test_written_pages_of_two_regions))
