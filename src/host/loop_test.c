/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop: order, removal inside callbacks, timers, posting from a thread, files. */
#include "host/loop.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

struct trial {
    struct loop *loop;
    pthread_mutex_t lock;
    int pipe[2], other[2];
    char seen[64];
    struct loop_timer *timer;
};

static void trial_note(struct trial *t, char c)
{
    size_t n = strlen(t->seen);

    assert_true(n + 1 < sizeof(t->seen));
    t->seen[n] = c;
}

static int trial_setup(void **state)
{
    struct trial *t = calloc(1, sizeof(*t));

    pthread_mutex_init(&t->lock, NULL);
    assert_int_equal(loop_new(&t->lock, &t->loop, NULL), 0);
    assert_int_equal(pipe(t->pipe), 0);
    assert_int_equal(pipe(t->other), 0);
    *state = t;
    return 0;
}

static int trial_teardown(void **state)
{
    struct trial *t = *state;

    loop_free(t->loop);
    for (int i = 0; i < 2; i++) {
        close(t->pipe[i]);
        close(t->other[i]);
    }
    free(t);
    return 0;
}

static void trial_stop(void *arg)
{
    struct trial *t = arg;

    trial_note(t, 's');
    loop_stop(t->loop);
}

static void trial_read(void *arg, int fd, unsigned events)
{
    struct trial *t = arg;
    char c;

    assert_int_equal(events & EPOLLIN, EPOLLIN);
    assert_int_equal(pthread_mutex_trylock(&t->lock), EBUSY);
    assert_int_equal(read(fd, &c, 1), 1);
    trial_note(t, c);
    loop_stop(t->loop);
}

static void test_descriptor(void **state)
{
    struct trial *t = *state;

    assert_int_equal(loop_watch(t->loop, t->pipe[0], EPOLLIN, trial_read, t), 0);
    assert_int_equal(loop_watch(t->loop, t->pipe[0], EPOLLIN, trial_read, t), -EEXIST);
    assert_int_equal(write(t->pipe[1], "x", 1), 1);
    assert_int_equal(loop_run(t->loop, NULL), 0);
    assert_string_equal(t->seen, "x");
}

/* Whichever of two ready descriptors comes first removes the other: one callback only. */
static void trial_remove_both(void *arg, int fd, unsigned events)
{
    struct trial *t = arg;

    trial_note(t, 'r');
    loop_unwatch(t->loop, t->pipe[0]);
    loop_unwatch(t->loop, t->other[0]);
    assert_int_equal(loop_post(t->loop, trial_stop, t), 0);
}

static void test_removal_in_callback(void **state)
{
    struct trial *t = *state;

    assert_int_equal(loop_watch(t->loop, t->pipe[0], EPOLLIN, trial_remove_both, t), 0);
    assert_int_equal(loop_watch(t->loop, t->other[0], EPOLLIN, trial_remove_both, t), 0);
    assert_int_equal(write(t->pipe[1], "x", 1), 1);
    assert_int_equal(write(t->other[1], "x", 1), 1);
    assert_int_equal(loop_run(t->loop, NULL), 0);
    assert_string_equal(t->seen, "rs");
}

static void trial_hangup(void *arg, int fd, unsigned events)
{
    struct trial *t = arg;

    assert_int_equal(events & EPOLLHUP, EPOLLHUP);
    trial_note(t, 'h');
    assert_int_equal(loop_change(t->loop, fd, 0), 0); /* must silence the hang-up */
    loop_timer_set(t->timer, 20000000);
}

static void test_hangup_can_be_silenced(void **state)
{
    struct trial *t = *state;

    t->timer = loop_timer_new(t->loop, trial_stop, t);
    assert_int_equal(loop_watch(t->loop, t->pipe[0], EPOLLIN, trial_hangup, t), 0);
    close(t->pipe[1]);
    t->pipe[1] = -1;
    assert_int_equal(loop_run(t->loop, NULL), 0);
    assert_string_equal(t->seen, "hs");
}

static void trial_tick(void *arg)
{
    trial_note(arg, 't');
}

static void test_timers_in_order(void **state)
{
    struct trial *t = *state;
    struct loop_timer *late = loop_timer_new(t->loop, trial_stop, t);
    struct loop_timer *early = loop_timer_new(t->loop, trial_tick, t);
    struct loop_timer *off = loop_timer_new(t->loop, trial_tick, t);

    loop_timer_set(late, 1000000);
    loop_timer_set(late, 30000000); /* moved away: the first arming must not fire it */
    loop_timer_set(early, 10000000);
    loop_timer_set(off, 5000000);
    loop_timer_set(off, UINT64_MAX);
    assert_int_equal(loop_run(t->loop, NULL), 0);
    assert_string_equal(t->seen, "ts");
    loop_timer_set(off, UINT64_MAX - 1); /* saturates, never wraps into the past */
    loop_timer_set(late, 1000000);
    assert_int_equal(loop_run(t->loop, NULL), 0);
    assert_string_equal(t->seen, "tss");
}

static void *trial_thread(void *arg)
{
    struct trial *t = arg;

    for (int i = 0; i < 3; i++)
        assert_int_equal(loop_post(t->loop, trial_tick, t), 0);
    assert_int_equal(loop_post(t->loop, trial_stop, t), 0);
    return NULL;
}

static void test_post_from_thread(void **state)
{
    struct trial *t = *state;
    pthread_t thread;

    pthread_create(&thread, NULL, trial_thread, t);
    assert_int_equal(loop_run(t->loop, NULL), 0);
    pthread_join(thread, NULL);
    assert_string_equal(t->seen, "ttts");
}

static void test_regular_file_is_always_ready(void **state)
{
    struct trial *t = *state;
    FILE *f = tmpfile();

    fputs("ab", f);
    rewind(f);
    assert_int_equal(loop_watch(t->loop, fileno(f), EPOLLIN, trial_read, t), 0);
    assert_int_equal(loop_run(t->loop, NULL), 0);
    assert_int_equal(loop_run(t->loop, NULL), 0);
    assert_string_equal(t->seen, "ab");
    loop_unwatch(t->loop, fileno(f));
    fclose(f);
}

static void test_stop_before_run(void **state)
{
    struct trial *t = *state;

    loop_stop(t->loop);
    assert_int_equal(loop_run(t->loop, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_descriptor, trial_setup, trial_teardown),
        cmocka_unit_test_setup_teardown(test_removal_in_callback, trial_setup, trial_teardown),
        cmocka_unit_test_setup_teardown(test_hangup_can_be_silenced, trial_setup, trial_teardown),
        cmocka_unit_test_setup_teardown(test_timers_in_order, trial_setup, trial_teardown),
        cmocka_unit_test_setup_teardown(test_post_from_thread, trial_setup, trial_teardown),
        cmocka_unit_test_setup_teardown(test_regular_file_is_always_ready, trial_setup,
                                        trial_teardown),
        cmocka_unit_test_setup_teardown(test_stop_before_run, trial_setup, trial_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
