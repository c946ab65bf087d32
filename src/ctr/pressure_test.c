/* SPDX-License-Identifier: Apache-2.0 */
/* The high mark that moves by pressure: of made-up containers, and in a directory that looks like a
 * control group's. */
#include "base/cleanup.h"
#include "base/unit_test.h"
#include "ctr/pressure.h"
#include "host/file.h"
#include "host/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static const uint64_t second = 1000000;

/* A container that uses what it may, needs so much and stalls when it has less. */
static void live(struct ctr_marks *m, uint64_t *used, uint64_t need, unsigned looks)
{
    for (unsigned i = 0; i < looks; i++) {
        struct ctr_look look = {.interval_us = 2 * second};

        *used = *used < m->high ? *used : m->high;
        look.stalled_us = *used < need ? second : 0;
        look.current = *used;
        (void)ctr_marks_move(m, &look);
        if (*used < need)
            *used = need < m->high ? need : m->high;
    }
}

static void what_is_cold_is_given_back(void **state)
{
    struct ctr_marks m = {.low = 64 * MIB, .max = 1024 * MIB, .high = CTR_MARK_NONE};
    uint64_t used = 800 * MIB;

    live(&m, &used, 10 * MIB, 1000);
    assert_true(m.high == 64 * MIB && used == 64 * MIB); /* its reservation it keeps */
    live(&m, &used, 500 * MIB, 8);
    assert_true(m.high >= 500 * MIB && m.high <= 1024 * MIB && used == 500 * MIB);
}

/* The mark stays near what is in use: neither does it strangle the container again and again, nor
 * does it leave it a lot more. */
static void what_is_in_use_stays(void **state)
{
    struct ctr_marks m = {.max = CTR_MARK_NONE, .high = CTR_MARK_NONE};
    uint64_t used = 200 * MIB;
    unsigned short_of = 0;

    for (unsigned i = 0; i < 2000; i++) {
        live(&m, &used, 100 * MIB, 1);
        short_of += used < 100 * MIB;
    }
    assert_true(m.high < 130 * MIB);
    assert_in_range(short_of, 0, 20);
}

static void it_never_leaves_its_bounds(void **state)
{
    struct ctr_marks m = {.low = 10 * MIB, .max = 100 * MIB, .high = 50 * MIB};

    for (unsigned i = 0; i < 10000; i++) {
        struct ctr_look look = {.current = (uint64_t)rand() * (uint64_t)(rand() % 3),
                                .stalled_us = i % 7 ? (uint64_t)rand() : UINT64_MAX,
                                .interval_us = (uint64_t)(rand() % 3)};

        (void)ctr_marks_move(&m, &look);
        assert_in_range(m.high, 10 * MIB, 100 * MIB);
    }
}

static void write_text(int dir, const char *name, const char *text)
{
    CLEANUP(fd) int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static void stop(void *arg)
{
    loop_stop(arg);
}

/* By the timer alone. */
static void a_group_is_read_and_written(void **state)
{
    char path[] = "/tmp/pressure-XXXXXX";
    struct ctr_pressure p = {0};
    struct loop_timer *timer;
    uint64_t value, group;
    struct loop *loop;
    struct err err;
    int dir;

    assert_non_null(mkdtemp(path));
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(loop_new(NULL, &loop, &err), 0);
    assert_int_equal(ctr_pressure_watch(&p, loop, dup(dir), 0, 64 * MIB, &err), -EOPNOTSUPP);
    write_text(dir, "memory.high", "max\n");
    write_text(dir, "memory.current", "33554432\n");
    write_text(dir, "memory.pressure", "nonsense\n");
    assert_int_equal(ctr_pressure_watch(&p, loop, dup(dir), 0, 64 * MIB, &err), -EOPNOTSUPP);
    write_text(dir, "memory.pressure", "some avg10=0.00 avg60=1.50 avg300=0.00 total=77\nfull\n");
    assert_int_equal(ctr_group_stalled(dir, &value), 0);
    assert_int_equal(value, 77);
    assert_int_equal(ctr_group_number(dir, "memory.high", &value), 0);
    assert_true(value == CTR_MARK_NONE);
    assert_int_equal(ctr_pressure_watch(&p, loop, dup(dir), 0, 64 * MIB, &err), 0);
    write_text(dir, "memory.pressure", "some avg10=0.00 avg60=1.50 avg300=0.00 total=77\nfull\n");
    loop_unwatch(loop, p.trigger_fd); /* a plain file is always ready */
    timer = loop_timer_new(loop, stop, loop);
    loop_timer_set(timer, UINT64_C(2500000000));
    assert_int_equal(loop_run(loop, &err), 0);
    assert_int_equal(ctr_group_number(dir, "memory.high", &group), 0);
    assert_int_equal(group, 31 * MIB); /* a 32nd less than it uses */
    ctr_pressure_end(&p);
    ctr_pressure_end(&p);
    loop_timer_free(timer);
    loop_free(loop);
    close(dir);
    assert_int_equal(file_remove_tree(AT_FDCWD, path, &err), 0);
}

static void no_group_of_another_is_taken(void **state)
{
    int fd;

    assert_int_equal(ctr_group_open(getpid(), "/posada-0000-none", &fd), -ENOENT);
    assert_int_equal(ctr_group_open(0, "/posada-0000-none", &fd), -ENOENT);
}

RUN_TESTS(cmocka_unit_test(what_is_cold_is_given_back), cmocka_unit_test(what_is_in_use_stays),
          cmocka_unit_test(it_never_leaves_its_bounds),
          cmocka_unit_test(a_group_is_read_and_written),
          cmocka_unit_test(no_group_of_another_is_taken))
