/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent of the host's architecture, run here over a socket pair as the guest would run it over
 * its port: what it promises, and what it does when the host does not keep the protocol.
 * argv: the program is in AGENT_PROGRAM.
 */
#include "base/endian.h"
#include "base/unit_test.h"
#include <errno.h>
#include <posada/agent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TIMEOUT_SECONDS = 20 };

struct peer {
    int fd;
    pid_t pid;
    uint8_t payload[AGENT_MAX_PAYLOAD];
    unsigned type, channel;
    uint32_t len;
};

struct outcome {
    unsigned end; /* AGENT_EXIT or AGENT_FAILED */
    uint32_t code;
    char out[4096], err[4096];
    size_t out_len, err_len;
};

/* Frames */

static void peer_send(struct peer *p, unsigned type, unsigned channel, const void *data, size_t len)
{
    uint8_t head[8] = {(uint8_t)type};

    st_le16(head + 2, (uint16_t)channel);
    st_le32(head + 4, (uint32_t)len);
    assert_int_equal(send(p->fd, head, 8, MSG_NOSIGNAL), 8);
    if (len)
        assert_int_equal(send(p->fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void peer_send_u32(struct peer *p, unsigned type, unsigned channel, uint32_t value)
{
    uint8_t b[4];

    st_le32(b, value);
    peer_send(p, type, channel, b, 4);
}

static bool peer_read(struct peer *p, void *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = recv(p->fd, (char *)data + at, len - at, 0);

        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

/* False when the stream has ended (or nothing comes for TIMEOUT_SECONDS). */
static bool peer_receive(struct peer *p)
{
    uint8_t head[8];

    if (!peer_read(p, head, 8))
        return false;
    p->type = head[0];
    p->channel = ld_le16(head + 2);
    p->len = ld_le32(head + 4);
    assert_int_equal(head[1], 0);
    assert_true(p->len <= AGENT_MAX_PAYLOAD);
    return peer_read(p, p->payload, p->len);
}

static void peer_expect(struct peer *p, unsigned type)
{
    assert_true(peer_receive(p));
    assert_int_equal(p->type, type);
}

/* Set-up: each test has an agent of its own. */

static int peer_setup(void **state)
{
    const struct timeval limit = {TIMEOUT_SECONDS, 0};
    struct peer *p = calloc(1, sizeof(*p));
    int pair[2];
    char fd[16];

    assert_non_null(p);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    (void)snprintf(fd, sizeof(fd), "%d", pair[1]);
    p->pid = fork();
    if (p->pid == 0) {
        (void)close(pair[0]);
        (void)execl(getenv("AGENT_PROGRAM"), "agent", "--fd", fd, (char *)NULL);
        _exit(99);
    }
    (void)close(pair[1]);
    p->fd = pair[0];
    *state = p;
    return 0;
}

/* Closes our end and gives the agent's exit status. */
static int peer_end(struct peer *p)
{
    int status = -1;

    if (p->fd >= 0)
        (void)close(p->fd);
    p->fd = -1;
    if (p->pid > 0)
        assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    p->pid = 0;
    return status;
}

static int peer_teardown(void **state)
{
    (void)peer_end(*state);
    free(*state);
    return 0;
}

/* Commands */

static size_t exec_put(uint8_t *at, const char *s)
{
    memcpy(at, s, strlen(s) + 1);
    return strlen(s) + 1;
}

struct exec {
    const char *argv[8];
    const char *env, *user, *workdir;
    uint32_t flags;
    uint16_t rows, columns;
};

static void peer_exec(struct peer *p, unsigned channel, const struct exec *e)
{
    uint8_t b[4096];
    size_t n = 16;
    uint32_t argc = 0;

    st_le32(b, e->flags);
    st_le16(b + 4, e->rows);
    st_le16(b + 6, e->columns);
    for (; e->argv[argc]; argc++)
        n += exec_put(b + n, e->argv[argc]);
    st_le32(b + 8, argc);
    st_le32(b + 12, e->env ? 1 : 0);
    if (e->env)
        n += exec_put(b + n, e->env);
    n += exec_put(b + n, e->user ? e->user : "");
    n += exec_put(b + n, e->workdir ? e->workdir : "");
    peer_send(p, AGENT_EXEC, channel, b, n);
}

static void outcome_add(char *text, size_t *len, size_t room, const struct peer *p)
{
    assert_true(*len + p->len < room);
    memcpy(text + *len, p->payload, p->len);
    *len += p->len;
}

/* Collects a command's output until its end, acknowledging it. */
static void peer_finish(struct peer *p, unsigned channel, struct outcome *o)
{
    memset(o, 0, sizeof(*o));
    for (;;) {
        assert_true(peer_receive(p));
        if (p->type == AGENT_STDOUT)
            outcome_add(o->out, &o->out_len, sizeof(o->out), p);
        else if (p->type == AGENT_STDERR)
            outcome_add(o->err, &o->err_len, sizeof(o->err), p);
        else if (p->type == AGENT_EXIT || p->type == AGENT_FAILED)
            break;
        assert_int_equal(p->channel, channel);
        if ((p->type == AGENT_STDOUT || p->type == AGENT_STDERR) && p->len)
            peer_send_u32(p, AGENT_ACK, channel, p->len);
    }
    o->end = p->type;
    o->code = ld_le32(p->payload);
}

static void peer_run(struct peer *p, const struct exec *e, struct outcome *o)
{
    peer_exec(p, 1, e);
    peer_finish(p, 1, o);
}

#define SHELL(text)                                                                                \
    {                                                                                              \
        "/bin/sh", "-c", (text)                                                                    \
    }

static void test_hello(void **state)
{
    struct peer *p = *state;

    peer_expect(p, AGENT_HELLO);
    assert_int_equal(ld_le32(p->payload), AGENT_VERSION);
    assert_memory_equal(p->payload + 4, "arch=", 5);
    assert_int_equal(p->payload[p->len - 1], 0);
    peer_send(p, AGENT_PING, 0, NULL, 0);
    peer_expect(p, AGENT_HELLO);
    assert_int_equal(WEXITSTATUS(peer_end(p)), 0);
}

static void test_output_and_code(void **state)
{
    struct peer *p = *state;
    struct outcome o;

    peer_expect(p, AGENT_HELLO);
    peer_run(p, &(struct exec){.argv = SHELL("echo out; echo err >&2; exit 7")}, &o);
    assert_int_equal(o.end, AGENT_EXIT);
    assert_int_equal(o.code, 7);
    assert_string_equal(o.out, "out\n");
    assert_string_equal(o.err, "err\n");
    peer_run(p, &(struct exec){.argv = SHELL("kill -9 $$")}, &o);
    assert_int_equal(o.code, 137);
}

static void test_cannot_run(void **state)
{
    struct peer *p = *state;
    struct outcome o;

    peer_expect(p, AGENT_HELLO);
    peer_run(p, &(struct exec){.argv = {"no-such-command"}}, &o);
    assert_int_equal(o.end, AGENT_FAILED);
    assert_int_equal(o.code, 127);
    peer_run(p, &(struct exec){.argv = {"/etc/passwd"}}, &o);
    assert_int_equal(o.end, AGENT_FAILED);
    assert_int_equal(o.code, 126);
    peer_run(p, &(struct exec){.argv = {"/bin/true"}, .workdir = "/no/such/folder"}, &o);
    assert_int_equal(o.code, 126);
    peer_run(p, &(struct exec){.argv = {"/bin/true"}, .user = "no-such-user"}, &o);
    assert_int_equal(o.code, 126);
    peer_run(p, &(struct exec){.argv = {"/bin/true"}}, &o); /* the channel is free again */
    assert_int_equal(o.end, AGENT_EXIT);
    assert_int_equal(o.code, 0);
}

static void test_environment(void **state)
{
    struct peer *p = *state;
    struct outcome o;

    peer_expect(p, AGENT_HELLO);
    peer_run(p, &(struct exec){.argv = SHELL("echo $A:$PATH; pwd"), .env = "A=b", .workdir = "/"},
             &o);
    assert_string_equal(o.out, "b:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
                               "/\n");
    peer_run(p, &(struct exec){.argv = SHELL("echo $PATH"), .env = "PATH=/bin"}, &o);
    assert_string_equal(o.out, "/bin\n");
}

static void test_no_input_is_empty(void **state)
{
    struct peer *p = *state;
    struct outcome o;

    peer_expect(p, AGENT_HELLO);
    peer_run(p, &(struct exec){.argv = {"cat"}}, &o);
    assert_int_equal(o.code, 0);
    assert_int_equal(o.out_len, 0);
}

/* Through cat and back, within both windows; the sum tells loss and order. */
static void test_much_input(void **state)
{
    enum { TOTAL = 1000000 };
    struct peer *p = *state;
    uint32_t sent = 0, acked = 0, got = 0;
    bool ended = false;
    uint8_t data[AGENT_MAX_PAYLOAD];

    peer_expect(p, AGENT_HELLO);
    peer_exec(p, 1, &(struct exec){.argv = {"cat"}, .flags = AGENT_EXEC_STDIN});
    do {
        while (sent < TOTAL && sent - acked + sizeof(data) <= AGENT_WINDOW) {
            uint32_t n = TOTAL - sent < sizeof(data) ? TOTAL - sent : (uint32_t)sizeof(data);

            for (uint32_t i = 0; i < n; i++)
                data[i] = (uint8_t)((sent + i) % 251);
            peer_send(p, AGENT_STDIN, 1, data, n);
            sent += n;
        }
        if (sent == TOTAL && !ended)
            peer_send(p, AGENT_STDIN, 1, NULL, 0);
        ended = sent == TOTAL;
        assert_true(peer_receive(p));
        if (p->type == AGENT_ACK)
            acked += ld_le32(p->payload);
        for (uint32_t i = 0; p->type == AGENT_STDOUT && i < p->len; i++)
            assert_int_equal(p->payload[i], (got + i) % 251);
        if (p->type == AGENT_STDOUT && p->len) {
            got += p->len;
            peer_send_u32(p, AGENT_ACK, 1, p->len);
        }
    } while (p->type != AGENT_EXIT);
    assert_int_equal(got, TOTAL);
    assert_int_equal(acked, TOTAL);
}

/* A flood stops at the window; the end comes only when what was said is acknowledged. */
static void test_window(void **state)
{
    struct peer *p = *state;
    const struct timeval brief = {0, 300000}, limit = {TIMEOUT_SECONDS, 0};
    struct outcome o;
    uint32_t got = 0;

    peer_expect(p, AGENT_HELLO);
    peer_exec(p, 1, &(struct exec){.argv = {"yes"}});
    peer_expect(p, AGENT_STARTED);
    (void)setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof(brief));
    while (peer_receive(p))
        got += p->len;
    assert_int_equal(got, AGENT_WINDOW);
    (void)setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    /* The stream goes on for others meanwhile. */
    peer_exec(p, 2, &(struct exec){.argv = {"/bin/echo", "two"}});
    peer_finish(p, 2, &o);
    assert_string_equal(o.out, "two\n");
    peer_send_u32(p, AGENT_SIGNAL, 1, SIGKILL);
    peer_send_u32(p, AGENT_ACK, 1, AGENT_WINDOW);
    do {
        assert_true(peer_receive(p));
        if (p->type == AGENT_STDOUT && p->len)
            peer_send_u32(p, AGENT_ACK, 1, p->len);
    } while (p->type != AGENT_EXIT);
    assert_int_equal(ld_le32(p->payload), 137);
}

static void test_terminal(void **state)
{
    struct peer *p = *state;
    struct outcome o;
    uint8_t size[4];

    peer_expect(p, AGENT_HELLO);
    peer_exec(p, 1,
              &(struct exec){.argv = SHELL("tty >/dev/null && stty size; read x; stty size"),
                             .flags = AGENT_EXEC_TTY | AGENT_EXEC_STDIN,
                             .rows = 33,
                             .columns = 99});
    peer_expect(p, AGENT_STARTED);
    peer_expect(p, AGENT_STDOUT);
    assert_memory_equal(p->payload, "33 99\r\n", 7);
    peer_send_u32(p, AGENT_ACK, 1, p->len);
    st_le16(size, 40);
    st_le16(size + 2, 50);
    peer_send(p, AGENT_RESIZE, 1, size, 4);
    peer_send(p, AGENT_STDIN, 1, "x\n", 2);
    peer_finish(p, 1, &o);
    assert_non_null(strstr(o.out, "40 50\r\n"));
    assert_int_equal(o.code, 0);
    /* End of input behind an unfinished line ends a reader all the same. */
    peer_exec(p, 1, &(struct exec){.argv = {"cat"}, .flags = AGENT_EXEC_TTY | AGENT_EXEC_STDIN});
    peer_expect(p, AGENT_STARTED);
    peer_send(p, AGENT_STDIN, 1, "ab", 2);
    peer_send(p, AGENT_STDIN, 1, NULL, 0);
    peer_finish(p, 1, &o);
    assert_int_equal(o.code, 0);
}

static void test_left_behind(void **state)
{
    struct peer *p = *state;
    struct outcome o;

    peer_expect(p, AGENT_HELLO);
    /* A child that keeps the pipes open does not keep the command alive. */
    peer_run(p, &(struct exec){.argv = SHELL("sleep 30 & echo $!")}, &o);
    assert_int_equal(o.code, 0);
    assert_true(atoi(o.out) > 0);
    (void)kill(atoi(o.out), SIGKILL);
}

static bool process_ends(pid_t pid)
{
    for (int i = 0; i < 200; i++) {
        char path[64], line[256] = "";
        FILE *f;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        f = fopen(path, "r");
        if (!f)
            return true;
        (void)!fgets(line, sizeof(line), f);
        (void)fclose(f);
        if (strstr(line, ") Z"))
            return true;
        (void)usleep(20000);
    }
    return false;
}

static pid_t peer_start_sleeper(struct peer *p, unsigned channel, uint32_t flags)
{
    peer_exec(p, channel, &(struct exec){.argv = {"sleep", "100"}, .flags = flags});
    peer_expect(p, AGENT_STARTED);
    return (pid_t)ld_le32(p->payload);
}

static void test_close_hangs_up(void **state)
{
    struct peer *p = *state;
    pid_t plain, tty, left;

    peer_expect(p, AGENT_HELLO);
    plain = peer_start_sleeper(p, 1, 0);
    tty = peer_start_sleeper(p, 2, AGENT_EXEC_TTY);
    peer_send(p, AGENT_CLOSE, 1, NULL, 0);
    peer_expect(p, AGENT_EXIT);
    assert_int_equal(ld_le32(p->payload), 128 + SIGHUP);
    assert_true(process_ends(plain));
    peer_send(p, AGENT_CLOSE, 2, NULL, 0);
    peer_expect(p, AGENT_EXIT);
    assert_true(process_ends(tty));
    left = peer_start_sleeper(p, 1, 0); /* the whole stream goes */
    assert_int_equal(WEXITSTATUS(peer_end(p)), 0);
    assert_true(process_ends(left));
}

static void test_all_channels(void **state)
{
    struct peer *p = *state;
    unsigned ended = 0;

    peer_expect(p, AGENT_HELLO);
    for (unsigned c = 1; c < AGENT_CHANNELS; c++)
        peer_exec(p, c, &(struct exec){.argv = {"echo", "hi"}});
    while (ended < AGENT_CHANNELS - 1) {
        assert_true(peer_receive(p));
        ended += p->type == AGENT_EXIT;
        if (p->type == AGENT_EXIT)
            assert_int_equal(ld_le32(p->payload), 0);
    }
}

static void test_shutdown(void **state)
{
    struct peer *p = *state;
    const struct timespec limit = {TIMEOUT_SECONDS, 0};
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGUSR2);
    (void)sigaddset(&set, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    peer_expect(p, AGENT_HELLO);
    peer_send_u32(p, AGENT_SHUTDOWN, 0, AGENT_POWEROFF);
    assert_int_equal(sigtimedwait(&set, NULL, &limit), SIGUSR2);
    peer_send_u32(p, AGENT_SHUTDOWN, 0, AGENT_REBOOT);
    assert_int_equal(sigtimedwait(&set, NULL, &limit), SIGTERM);
}

/* Whatever is wrong ends the stream (in a guest: starts it anew), and never the agent's sanity. */
static void peer_expect_refusal(struct peer *p)
{
    int status;

    while (peer_receive(p))
        ;
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    p->pid = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 2);
}

static void test_refuses_long_frame(void **state)
{
    struct peer *p = *state;
    const uint8_t head[8] = {AGENT_STDIN, 0, 1, 0, 1, 64, 0, 0}; /* 16385 */

    assert_int_equal(send(p->fd, head, 8, MSG_NOSIGNAL), 8);
    peer_expect_refusal(p);
}

static void test_refuses_bad_channel(void **state)
{
    peer_send(*state, AGENT_PING, AGENT_CHANNELS, NULL, 0);
    peer_expect_refusal(*state);
}

static void test_refuses_second_exec(void **state)
{
    struct peer *p = *state;

    peer_exec(p, 1, &(struct exec){.argv = {"sleep", "100"}});
    peer_exec(p, 1, &(struct exec){.argv = {"sleep", "100"}});
    peer_expect_refusal(p);
}

static void test_refuses_much_ack(void **state)
{
    struct peer *p = *state;

    peer_exec(p, 1, &(struct exec){.argv = {"sleep", "100"}});
    peer_send_u32(p, AGENT_ACK, 1, 1);
    peer_expect_refusal(p);
}

static void test_refuses_much_input(void **state)
{
    static const uint8_t data[AGENT_MAX_PAYLOAD], head[8] = {AGENT_STDIN, 0, 1, 0, 0, 64, 0, 0};
    struct peer *p = *state;
    const struct timeval limit = {TIMEOUT_SECONDS, 0};

    (void)setsockopt(p->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    peer_exec(p, 1, &(struct exec){.argv = {"sleep", "100"}, .flags = AGENT_EXEC_STDIN});
    /* A pipe takes 64 KiB and the window 128 KiB, so 13 are too many; the agent may see it before
     * we have sent them all. */
    for (int i = 0; i < 13; i++)
        if (send(p->fd, head, 8, MSG_NOSIGNAL) < 0 ||
            send(p->fd, data, sizeof(data), MSG_NOSIGNAL) < 0)
            break;
    peer_expect_refusal(p);
}

static void test_fails_malformed_exec(void **state)
{
    static const uint8_t huge[16] = {[8] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct peer *p = *state;
    uint8_t open_end[24] = {[8] = 1};

    peer_expect(p, AGENT_HELLO);
    peer_send(p, AGENT_EXEC, 1, huge, sizeof(huge));
    peer_expect(p, AGENT_FAILED);
    peer_send(p, AGENT_EXEC, 1, huge, 3);
    peer_expect(p, AGENT_FAILED);
    memset(open_end + 16, 'x', 8); /* no NUL */
    peer_send(p, AGENT_EXEC, 1, open_end, sizeof(open_end));
    peer_expect(p, AGENT_FAILED);
    assert_int_equal(ld_le32(p->payload), 126);
}

/* Frames that are well formed and make no sense; only commands that do nothing are run. */
static void test_survives_noise(void **state)
{
    struct peer *p = *state;
    const struct timeval brief = {0, 50000};
    uint32_t seed = 12345;
    uint8_t data[64];
    int status;

    (void)setsockopt(p->fd, SOL_SOCKET, SO_SNDTIMEO, &brief, sizeof(brief));
    for (int i = 0; i < 3000; i++) {
        uint8_t head[8] = {0};
        size_t len;

        for (size_t j = 0; j < sizeof(data); j++)
            data[j] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
        len = data[0] % 32;
        head[0] = data[1] % 16 == AGENT_SHUTDOWN ? 0 : data[1] % 16;
        head[2] = data[2] % AGENT_CHANNELS;
        head[4] = (uint8_t)len;
        if (send(p->fd, head, 8, MSG_NOSIGNAL) != 8 ||
            send(p->fd, data + 8, len, MSG_NOSIGNAL) != (ssize_t)len)
            break;
    }
    (void)shutdown(p->fd, SHUT_WR);
    while (peer_receive(p))
        ;
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    p->pid = 0;
    assert_true(WIFEXITED(status));
}

#define AGENT_TEST(fn) cmocka_unit_test_setup_teardown(fn, peer_setup, peer_teardown)

RUN_TESTS(AGENT_TEST(test_hello), AGENT_TEST(test_output_and_code), AGENT_TEST(test_cannot_run),
          AGENT_TEST(test_environment), AGENT_TEST(test_no_input_is_empty),
          AGENT_TEST(test_much_input), AGENT_TEST(test_window), AGENT_TEST(test_terminal),
          AGENT_TEST(test_left_behind), AGENT_TEST(test_close_hangs_up),
          AGENT_TEST(test_all_channels), AGENT_TEST(test_shutdown),
          AGENT_TEST(test_refuses_long_frame), AGENT_TEST(test_refuses_bad_channel),
          AGENT_TEST(test_refuses_second_exec), AGENT_TEST(test_refuses_much_ack),
          AGENT_TEST(test_refuses_much_input), AGENT_TEST(test_fails_malformed_exec),
          AGENT_TEST(test_survives_noise))
