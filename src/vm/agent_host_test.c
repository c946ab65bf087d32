/* SPDX-License-Identifier: Apache-2.0 */
/* The host's side of the agent protocol against an honest, a slow and a hostile guest. */
#include "base/endian.h"
#include "base/unit_test.h"
#include "vm/agent_host.h"
#include "vm/frame.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct trial {
    struct agent_host *host;
    struct chardev *dev;
    struct buf to_guest; /* what the guest got */
    size_t guest_room;
    unsigned ready, lost, ended, started;
    unsigned exit_code;
    char why[256];
    size_t stdout_bytes, room_bytes;
    struct agent_session *session;
};

static size_t guest_receive(void *arg, const uint8_t *data, size_t len)
{
    struct trial *t = arg;
    size_t n = len < t->guest_room ? len : t->guest_room;

    assert_int_equal(buf_append(&t->to_guest, data, n), 0);
    t->guest_room -= n;
    return n;
}

static void on_ready(void *arg)
{
    ((struct trial *)arg)->ready++;
}

static void on_lost(void *arg, const char *why)
{
    ((struct trial *)arg)->lost++;
}

static void on_started(void *arg, uint32_t pid)
{
    ((struct trial *)arg)->started++;
}

static void on_output(void *arg, unsigned type, const uint8_t *data, size_t len)
{
    ((struct trial *)arg)->stdout_bytes += len;
}

static void on_room(void *arg, size_t bytes)
{
    ((struct trial *)arg)->room_bytes += bytes;
}

static void on_ended(void *arg, unsigned code, const char *why)
{
    struct trial *t = arg;

    t->ended++;
    t->exit_code = code;
    t->session = NULL;
    strcpy(t->why, why ? why : "");
}

static int setup(void **state)
{
    struct trial *t = calloc(1, sizeof(*t));
    struct agent_events events = {.ready = on_ready, .lost = on_lost, .arg = t};

    t->host = agent_host_new(&events);
    t->dev = agent_host_chardev(t->host);
    t->dev->front = (struct chardev_front){.receive = guest_receive, .arg = t};
    t->guest_room = SIZE_MAX;
    t->dev->ops->guest_open(t->dev, true);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct trial *t = *state;

    agent_host_free(t->host);
    buf_done(&t->to_guest);
    free(t);
    return 0;
}

/* The guest says one frame, in pieces of `step` bytes. */
static void say_in_steps(struct trial *t, unsigned type, unsigned channel, const void *data,
                         size_t len, size_t step)
{
    struct buf b = {0};

    assert_int_equal(frame_put(&b, type, channel, data, len), 0);
    while (b.len) {
        size_t n = b.len < step ? b.len : step;

        assert_int_equal(t->dev->ops->write(t->dev, buf_data(&b), n), n);
        buf_consume(&b, n);
    }
    buf_done(&b);
}

static void say(struct trial *t, unsigned type, unsigned channel, const void *data, size_t len)
{
    say_in_steps(t, type, channel, data, len, SIZE_MAX);
}

static void say_u32(struct trial *t, unsigned type, unsigned channel, uint32_t v)
{
    uint8_t data[4];

    st_le32(data, v);
    say(t, type, channel, data, 4);
}

static void hello(struct trial *t)
{
    static const char text[] = "\1\0\0\0arch=riscv64\0kernel=6.12\33[2J\0";

    say_in_steps(t, AGENT_HELLO, 0, text, sizeof(text) - 1, 3);
    assert_true(agent_host_ready(t->host));
}

static int start(struct trial *t)
{
    char *argv[] = {(char[]){"uname"}, (char[]){"-m"}, NULL};
    struct agent_exec exec = {.argv = argv, .open_stdin = true};
    struct agent_session_events events = {on_started, on_output, on_room, on_ended, t};

    return agent_host_exec(t->host, &exec, &events, &t->session, NULL);
}

/* The next frame the guest got; data points into the queue. */
static struct frame heard(struct trial *t)
{
    static struct frame f;

    if (f.data)
        f.data = NULL;
    assert_int_equal(frame_peek(&t->to_guest, &f), 1);
    frame_drop(&t->to_guest, &f);
    return f;
}

static void runs_a_command(void **state)
{
    struct trial *t = *state;
    struct frame f;

    assert_int_equal(start(t), -ENOTCONN);
    hello(t);
    assert_int_equal(t->ready, 1);
    assert_string_equal(agent_host_info(t->host, "arch"), "riscv64");
    assert_string_equal(agent_host_info(t->host, "kernel"), "6.12?[2J"); /* no escapes */
    assert_null(agent_host_info(t->host, "host"));
    assert_int_equal(start(t), 0);
    f = heard(t);
    assert_int_equal(f.type, AGENT_EXEC);
    assert_int_equal(f.channel, 1);
    assert_int_equal(f.len, 16 + 6 + 3 + 1 + 1);
    assert_int_equal(ld_le32(f.data), AGENT_EXEC_STDIN);
    assert_int_equal(ld_le32(f.data + 8), 2);
    assert_memory_equal(f.data + 16, "uname\0-m\0\0", 11);
    say_u32(t, AGENT_STARTED, 1, 99);
    say_in_steps(t, AGENT_STDOUT, 1, "riscv64\n", 8, 1);
    assert_int_equal(t->stdout_bytes, 8);
    agent_session_consumed(t->session, 8);
    f = heard(t);
    assert_int_equal(f.type, AGENT_ACK);
    assert_int_equal(ld_le32(f.data), 8);
    say_u32(t, AGENT_EXIT, 1, 7);
    assert_int_equal(t->ended, 1);
    assert_int_equal(t->exit_code, 7);
    assert_string_equal(t->why, "");
}

static void failed_command_has_a_reason(void **state)
{
    struct trial *t = *state;

    hello(t);
    assert_int_equal(start(t), 0);
    say(t, AGENT_FAILED, 1, "\x7f\0\0\0not\nfound", 13);
    assert_int_equal(t->exit_code, 127);
    assert_string_equal(t->why, "not?found");
}

static void stdin_keeps_to_the_window(void **state)
{
    struct trial *t = *state;
    static uint8_t data[AGENT_WINDOW];

    hello(t);
    assert_int_equal(start(t), 0);
    say_u32(t, AGENT_STARTED, 1, 99);
    assert_int_equal(agent_session_stdin(t->session, data, sizeof(data)), 0);
    assert_int_equal(agent_session_stdin(t->session, data, 1), -ENOBUFS);
    say_u32(t, AGENT_ACK, 1, 100);
    assert_int_equal(t->room_bytes, 100);
    assert_int_equal(agent_session_stdin(t->session, data, 101), -ENOBUFS);
    assert_int_equal(agent_session_stdin(t->session, data, 100), 0);
}

static void slow_guest_gets_all(void **state)
{
    struct trial *t = *state;
    static uint8_t data[50000];
    size_t total = 0;

    hello(t);
    t->guest_room = 10;
    assert_int_equal(start(t), 0);
    assert_int_equal(agent_session_stdin(t->session, data, sizeof(data)), 0);
    for (int i = 0; i < 100000 && total < sizeof(data) + 4 * 8; i++) {
        t->guest_room = 1 + (unsigned)i % 700;
        t->dev->ops->can_receive(t->dev);
    }
    assert_int_equal(heard(t).type, AGENT_EXEC);
    for (total = 0; total < sizeof(data);)
        total += heard(t).len;
    assert_int_equal(total, sizeof(data));
}

static void closed_channel_is_not_reused_before_exit(void **state)
{
    struct trial *t = *state;

    hello(t);
    assert_int_equal(start(t), 0);
    say_u32(t, AGENT_STARTED, 1, 99);
    say(t, AGENT_STDOUT, 1, "abc", 3);
    agent_session_close(t->session);
    heard(t); /* EXEC */
    assert_int_equal(heard(t).type, AGENT_CLOSE);
    assert_int_equal(heard(t).type, AGENT_ACK); /* what nobody took is given back */
    assert_int_equal(start(t), 0);
    assert_int_equal(heard(t).channel, 2);
    say(t, AGENT_STDOUT, 1, "abc", 3);
    assert_int_equal(heard(t).type, AGENT_ACK);
    assert_int_equal(t->stdout_bytes, 3);
    say_u32(t, AGENT_EXIT, 1, 129);
    assert_int_equal(t->ended, 0); /* nobody listens */
    assert_int_equal(start(t), 0);
    assert_int_equal(heard(t).channel, 1);
}

/* Each line breaks the protocol: sessions end, the stream is closed, a new opening repairs. */
static void hostile_frames_close_the_stream(void **state)
{
    struct trial *t = *state;
    static uint8_t flood[AGENT_MAX_PAYLOAD];
    static const uint8_t long_frame[] = {AGENT_STDOUT, 0, 1, 0, 1, 0x40, 0, 0};
    static const uint8_t huge_frame[] = {AGENT_STDOUT, 0, 1, 0, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t far_channel[] = {AGENT_STDOUT, 0, 64, 0, 0, 0, 0, 0};
    static const uint8_t not_zero[] = {AGENT_STDOUT, 1, 1, 0, 0, 0, 0, 0};

    for (unsigned kind = 0; kind < 12; kind++) {
        t->dev->ops->guest_open(t->dev, true);
        t->lost = t->ended = 0;
        hello(t);
        assert_int_equal(start(t), 0);
        if (kind != 4 && kind != 5)
            say_u32(t, AGENT_STARTED, 1, 99);
        switch (kind) {
        case 0: t->dev->ops->write(t->dev, long_frame, 8); break;
        case 1: t->dev->ops->write(t->dev, huge_frame, 8); break;
        case 2: t->dev->ops->write(t->dev, far_channel, 8); break;
        case 3: t->dev->ops->write(t->dev, not_zero, 8); break;
        case 4: say(t, AGENT_STDOUT, 1, "x", 1); break; /* output before STARTED */
        case 5: say_u32(t, AGENT_EXIT, 1, 0); break;
        case 6: say_u32(t, AGENT_STARTED, 1, 5); break;
        case 7: say(t, AGENT_EXIT, 1, "123", 3); break;
        case 8: say_u32(t, AGENT_ACK, 1, 1); break; /* more than was sent */
        case 9: say_u32(t, AGENT_HELLO, 0, 2); break;
        case 10: say(t, AGENT_FAILED, 1, "\x7f\0\0\0", 4); break;
        case 11: /* beyond its window */
            for (unsigned i = 0; i <= AGENT_WINDOW / sizeof(flood); i++)
                say(t, AGENT_STDERR, 1, flood, sizeof(flood));
            break;
        default: break;
        }
        assert_int_equal(t->lost, 1);
        assert_int_equal(t->ended, 1);
        assert_int_equal(t->exit_code, 125);
        assert_false(agent_host_ready(t->host));
        assert_int_equal(start(t), -ENOTCONN);
        say(t, AGENT_HELLO, 0, "\1\0\0\0", 4); /* deaf until opened again */
        assert_false(agent_host_ready(t->host));
    }
}

static void noise_is_survived(void **state)
{
    struct trial *t = *state;
    uint32_t seed = 1;

    for (unsigned round = 0; round < 2000; round++) {
        uint8_t noise[64];

        t->dev->ops->guest_open(t->dev, true);
        hello(t);
        (void)!start(t);
        for (unsigned i = 0; i < sizeof(noise); i++) {
            seed = seed * 1664525 + 1013904223;
            noise[i] = (uint8_t)(seed >> 24) & (i % 8 < 2 || i % 8 == 4 ? 15 : i % 8 < 4 ? 1 : 0);
        }
        assert_int_equal(t->dev->ops->write(t->dev, noise, sizeof(noise)), sizeof(noise));
        buf_done(&t->to_guest);
    }
}

static void unknown_types_are_ignored(void **state)
{
    struct trial *t = *state;

    hello(t);
    say(t, 200, 0, "abc", 3);
    say(t, 200, 5, "abc", 3);
    say(t, AGENT_STDOUT, 9, "abc", 3); /* a channel nobody uses */
    assert_true(agent_host_ready(t->host));
}

static void too_long_a_command_is_refused(void **state)
{
    struct trial *t = *state;
    static char longest[AGENT_MAX_PAYLOAD + 1];
    char *argv[] = {longest, NULL};
    struct agent_exec exec = {.argv = argv};
    struct agent_session_events events = {on_started, on_output, on_room, on_ended, t};

    hello(t);
    memset(longest, 'x', AGENT_MAX_PAYLOAD);
    assert_int_equal(agent_host_exec(t->host, &exec, &events, &t->session, NULL), -E2BIG);
    for (unsigned i = 1; i < AGENT_CHANNELS; i++)
        assert_int_equal(start(t), 0);
    assert_int_equal(start(t), -EBUSY);
}

#define TRIAL(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
RUN_TESTS(TRIAL(runs_a_command), TRIAL(failed_command_has_a_reason),
          TRIAL(stdin_keeps_to_the_window), TRIAL(slow_guest_gets_all),
          TRIAL(closed_channel_is_not_reused_before_exit), TRIAL(hostile_frames_close_the_stream),
          TRIAL(noise_is_survived), TRIAL(unknown_types_are_ignored),
          TRIAL(too_long_a_command_is_refused))
