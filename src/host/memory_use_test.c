/* SPDX-License-Identifier: Apache-2.0 */
/* Resident memory by kind: what is touched is counted where it belongs. */
#include "host/memory_use.h"

#include "base/unit_test.h"
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SIZE = 8 << 20 };

static void *map(int fd)
{
    void *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
                   fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);

    assert_ptr_not_equal(p, MAP_FAILED);
    return p;
}

static void *map_zero(void)
{
    int fd = open("/dev/zero", O_RDWR);
    void *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

    assert_ptr_not_equal(p, MAP_FAILED);
    close(fd);
    return p;
}

static void test_counts_by_kind(void **state)
{
    struct memory_use before = {0}, after = {0};
    int named = memfd_create("some-ram", 0), other = memfd_create("some-ram-too", 0);
    int fd = memory_use_open();

    assert_true(fd >= 0 && named >= 0 && other >= 0);
    assert_int_equal(ftruncate(named, SIZE), 0);
    assert_int_equal(ftruncate(other, SIZE), 0);
    assert_int_equal(memory_use_read(fd, "some-ram", &before), 0);
    assert_int_equal(before.named, 0);
    assert_true(before.rest > 0);
    memset(map(named), 1, SIZE / 2);
    memset(map(other), 1, SIZE / 4);
    memset(map(-1), 1, SIZE / 4);
    memset(map_zero(), 1, SIZE / 4);
    assert_int_equal(memory_use_read(fd, "some-ram", &after), 0);
    assert_in_range(after.named, SIZE / 2 + SIZE / 4, SIZE + SIZE / 4);
    assert_in_range(after.rest - before.rest, SIZE / 2, SIZE);
    close(fd);
}

static void test_says_when_it_cannot_read(void **state)
{
    struct memory_use use = {0};

    assert_true(memory_use_read(-1, "some-ram", &use) < 0);
}

RUN_TESTS(cmocka_unit_test(test_counts_by_kind), cmocka_unit_test(test_says_when_it_cannot_read))
