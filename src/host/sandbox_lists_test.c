/* SPDX-License-Identifier: Apache-2.0 */
/* What code in a monitor's threads may rely on, by host/locked_in.h: a call that is on no list ends
 * the child. */
#include "base/unit_test.h"
#include "host/locked_in.h"
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* As many as find all arenas of malloc() taken, at which it counts the host's CPUs. */
enum { CROWD = 12, BLOCKS = 8000, SIZE = 1000 };

/* Grows and shrinks the heap; all threads are there when the first one asks. */
static bool memory_comes_and_goes(void *arg)
{
    void **blocks;
    bool fine;

    (void)pthread_barrier_wait(arg);
    blocks = calloc(BLOCKS, sizeof(*blocks));
    fine = blocks;
    for (unsigned i = 0; fine && i < BLOCKS; i++) {
        blocks[i] = malloc(SIZE);
        fine = blocks[i];
        if (fine)
            memset(blocks[i], 0x55, SIZE);
    }
    for (unsigned i = 0; blocks && i < BLOCKS; i++)
        free(blocks[i]);
    free(blocks);
    (void)pthread_barrier_wait(arg);
    return fine;
}

static void memory_needs_no_call_beyond_the_lists(void **state)
{
    static const struct {
        enum sandbox_thread kind;
        unsigned threads;
    } crowds[] = {{SANDBOX_MAIN, 1}, {SANDBOX_VCPU, CROWD}, {SANDBOX_WORKER, CROWD}};

    for (size_t i = 0; i < ARRAY_LEN(crowds); i++) {
        pthread_barrier_t all;

        assert_int_equal(pthread_barrier_init(&all, NULL, crowds[i].threads), 0);
        assert_true(locked_in_many(crowds[i].kind, crowds[i].threads, memory_comes_and_goes, &all));
        (void)pthread_barrier_destroy(&all);
    }
}

/* What is submitted to a ring of the kernel's and finds no memory there is tried again, by whoever
 * submits. */
static bool gives_way(void *arg)
{
    return sched_yield() == 0;
}

static void all_threads_may_give_way(void **state)
{
    for (unsigned kind = 0; kind < SANDBOX_THREADS; kind++)
        assert_true(locked_in((enum sandbox_thread)kind, gives_way, NULL));
}

static bool changes_nothing(void *arg)
{
    return true;
}

static bool opens_a_pipe(void *arg)
{
    int fds[2];

    return pipe(fds) == 0;
}

/* The tests by locked_in() can fail. */
static void others_end_the_trial(void **state)
{
    for (unsigned kind = 0; kind < SANDBOX_THREADS; kind++) {
        assert_true(locked_in((enum sandbox_thread)kind, changes_nothing, NULL));
        assert_false(locked_in((enum sandbox_thread)kind, opens_a_pipe, NULL));
    }
}

RUN_TESTS(cmocka_unit_test(memory_needs_no_call_beyond_the_lists),
          cmocka_unit_test(all_threads_may_give_way), cmocka_unit_test(others_end_the_trial))
