/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's side of a share against helpers that answer, lie, or die; and the box of a real
 * helper. */
#include "share/share.h"

#include "base/endian.h"
#include "base/iov.h"
#include "base/unit_test.h"
#include "host/file.h"
#include "host/locked_in.h"
#include "host/loop.h"
#include "host/process.h"
#include "host/sandbox_tree.h"
#include "share/window.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REQUESTS = SHARE_SLOTS + 1 };

struct asked {
    struct fs_req req; /* must be first */
    struct iovec out, in;
    uint8_t request[64], reply[64];
    bool done;
    size_t written;
};

struct fixture {
    struct loop *loop;
    struct fsdev *dev;
    int helper; /* the other side of the socket */
    uint8_t *window;
    unsigned lost, ready;
    struct asked asked[REQUESTS];
};

static void on_lost(void *arg, struct fsdev *dev)
{
    ((struct fixture *)arg)->lost++;
}

static void on_ready(void *arg)
{
    ((struct fixture *)arg)->ready++;
}

static void on_done(struct fs_req *req, size_t written)
{
    struct asked *a = container_of(req, struct asked, req);

    assert_false(a->done);
    a->done = true;
    a->written = written;
}

static struct fixture *up(void)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const struct share_config config = {.tag = "t", .path = "/x", .lost = on_lost, .arg = f};
    struct err err = {0};
    int pair[2], window = memfd_create("window", 0);

    assert_int_equal(loop_new(NULL, &f->loop, &err), 0);
    assert_int_equal(ftruncate(window, (off_t)share_window_size()), 0);
    f->window = mmap(NULL, share_window_size(), PROT_READ | PROT_WRITE, MAP_SHARED, window, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    f->helper = pair[1];
    assert_int_equal(share_link_new(f->loop, &config, pair[0], window, &f->dev, &err), 0);
    f->dev->front = (struct fsdev_front){on_ready, f};
    return f;
}

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

/* Lets the loop see what there is. */
static void turn(struct fixture *f)
{
    struct err err;

    for (int i = 0; i < 3; i++) {
        assert_int_equal(loop_post(f->loop, stop_loop, f->loop), 0);
        assert_int_equal(loop_run(f->loop, &err), 0);
    }
}

static void down(struct fixture *f)
{
    fsdev_close(f->dev);
    turn(f);
    loop_free(f->loop);
    munmap(f->window, share_window_size());
    if (f->helper >= 0)
        close(f->helper);
    free(f);
}

static int ask_with(struct fixture *f, unsigned i, size_t len, size_t room)
{
    struct asked *a = &f->asked[i];

    memset(a, 0, sizeof(*a));
    st_le64(a->request + 8, 1000 + i); /* unique */
    a->out = (struct iovec){a->request, len};
    a->in = (struct iovec){a->reply, room};
    a->req = (struct fs_req){.request = &a->out,
                             .request_count = 1,
                             .request_len = len,
                             .reply = &a->in,
                             .reply_count = room ? 1 : 0,
                             .reply_len = room,
                             .done = on_done};
    return f->dev->ops->submit(f->dev, &a->req);
}

static void ask(struct fixture *f, unsigned i)
{
    assert_int_equal(ask_with(f, i, 48, 64), 0);
}

static struct share_message hear(struct fixture *f)
{
    struct share_message m = {0};

    assert_int_equal(recv(f->helper, &m, sizeof(m), MSG_DONTWAIT), sizeof(m));
    return m;
}

static void say(struct fixture *f, uint32_t slot, uint32_t length)
{
    const struct share_message m = {.slot = slot, .reply = length};

    assert_int_equal(send(f->helper, &m, sizeof(m), 0), sizeof(m));
    turn(f);
}

static void is_eio(const struct asked *a, unsigned i)
{
    assert_true(a->done);
    assert_int_equal(a->written, 16);
    assert_int_equal(ld_le32(a->reply), 16);
    assert_int_equal((int32_t)ld_le32(a->reply + 4), -EIO);
    assert_int_equal(ld_le64(a->reply + 8), 1000 + i);
}

static void test_passes(void **state)
{
    struct fixture *f = up();
    struct share_message m;
    uint8_t *slot;

    ask(f, 0);
    m = hear(f);
    assert_int_equal(m.request, 48);
    assert_int_equal(m.reply, 64);
    slot = f->window + (size_t)m.slot * SHARE_SLOT_SIZE;
    assert_memory_equal(slot, f->asked[0].request, 48);
    assert_false(f->asked[0].done);
    memcpy(slot + share_reply_at(48), "an answer of 20 bytes", 20);
    say(f, m.slot, 20);
    assert_true(f->asked[0].done);
    assert_int_equal(f->asked[0].written, 20);
    assert_memory_equal(f->asked[0].reply, "an answer of 20 bytes", 20);
    down(f);
}

static void test_full_and_ready(void **state)
{
    struct fixture *f = up();
    struct share_message first = {0};

    for (unsigned i = 0; i < SHARE_SLOTS; i++) {
        ask(f, i);
        first = hear(f);
    }
    assert_int_equal(ask_with(f, SHARE_SLOTS, 48, 64), -EAGAIN);
    assert_int_equal(f->ready, 0);
    say(f, first.slot, 16);
    assert_int_equal(f->ready, 1);
    ask(f, SHARE_SLOTS);
    down(f);
}

static void test_lies(void **state)
{
    static const uint32_t slots[] = {SHARE_SLOTS, UINT32_MAX, 0, SHARE_SLOTS - 1};

    for (size_t i = 0; i < ARRAY_LEN(slots) + 2; i++) {
        struct fixture *f = up();
        struct share_message m;

        ask(f, 0);
        m = hear(f);
        if (i < ARRAY_LEN(slots) && slots[i] != m.slot)
            say(f, slots[i], 16);
        else if (i == ARRAY_LEN(slots))
            assert_int_equal(send(f->helper, &m, 4, 0), 4);
        else
            assert_int_equal(send(f->helper, f->window, 100, 0), 100);
        turn(f);
        assert_int_equal(f->lost, 1);
        is_eio(&f->asked[0], 0);
        down(f);
    }
}

/* It claims to have written more than there is room for. */
static void test_long_answer(void **state)
{
    struct fixture *f = up();
    struct share_message m;

    assert_int_equal(ask_with(f, 0, 48, 24), 0);
    m = hear(f);
    say(f, m.slot, UINT32_MAX);
    assert_int_equal(f->asked[0].written, 24);
    assert_int_equal(f->asked[0].reply[24], 0);
    say(f, m.slot, 16); /* twice */
    assert_int_equal(f->lost, 1);
    down(f);
}

static void test_dies(void **state)
{
    struct fixture *f = up();

    for (unsigned i = 0; i < 5; i++)
        ask(f, i);
    assert_int_equal(ask_with(f, 5, 48, 0), 0); /* FORGET */
    close(f->helper);
    f->helper = -1;
    turn(f);
    assert_int_equal(f->lost, 1);
    for (unsigned i = 0; i < 5; i++)
        is_eio(&f->asked[i], i);
    assert_true(f->asked[5].done && f->asked[5].written == 0);
    ask(f, 6); /* later ones the same, but not from inside submit() */
    assert_false(f->asked[6].done);
    turn(f);
    is_eio(&f->asked[6], 6);
    down(f);
}

static void test_another_helper(void **state)
{
    struct fixture *f = up();
    struct share_message m;
    int pair[2], window = memfd_create("window", 0);

    assert_int_equal(share_reconnect(f->dev, dup(0), dup(0)), -EBUSY);
    for (unsigned i = 0; i < 2; i++)
        ask(f, i);
    close(f->helper);
    f->helper = -1;
    turn(f);
    ask(f, 2); /* its error is on its way when the new one comes */
    munmap(f->window, share_window_size());
    assert_int_equal(ftruncate(window, (off_t)share_window_size()), 0);
    f->window = mmap(NULL, share_window_size(), PROT_READ | PROT_WRITE, MAP_SHARED, window, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    f->helper = pair[1];
    assert_int_equal(share_reconnect(f->dev, pair[0], window), 0);
    turn(f);
    for (unsigned i = 0; i < 3; i++)
        is_eio(&f->asked[i], i);
    ask(f, 3);
    m = hear(f);
    memcpy(f->window + (size_t)m.slot * SHARE_SLOT_SIZE + share_reply_at(48), "new", 3);
    say(f, m.slot, 3);
    assert_true(f->asked[3].done);
    assert_memory_equal(f->asked[3].reply, "new", 3);
    assert_int_equal(f->lost, 1);
    down(f);
}

static void test_too_large(void **state)
{
    struct fixture *f = up();
    struct iovec many[300];

    ask(f, 0);
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = (struct iovec){f->window, 4096};
    f->asked[1].req = f->asked[0].req;
    f->asked[1].in = (struct iovec){f->asked[1].reply, 64};
    f->asked[1].req.reply = &f->asked[1].in;
    f->asked[1].req.request = many;
    f->asked[1].req.request_count = ARRAY_LEN(many);
    f->asked[1].req.request_len = ARRAY_LEN(many) * 4096;
    assert_int_equal(f->dev->ops->submit(f->dev, &f->asked[1].req), 0);
    turn(f);
    assert_true(f->asked[1].done);
    assert_int_equal((int32_t)ld_le32(f->asked[1].reply + 4), -EIO);
    assert_int_equal(f->lost, 0);
    down(f);
}

static void test_forgotten(void **state)
{
    struct fixture *f = up();
    struct share_message m;

    ask(f, 0);
    m = hear(f);
    f->dev->ops->forget(f->dev);
    memset(f->window + (size_t)m.slot * SHARE_SLOT_SIZE + share_reply_at(48), 'x', 64);
    say(f, m.slot, 64);
    assert_false(f->asked[0].done);
    assert_int_equal(f->asked[0].reply[0], 0);
    assert_int_equal(f->lost, 0);
    ask(f, 1);
    say(f, hear(f).slot, 16);
    assert_true(f->asked[1].done);
    down(f);
}

static void test_drain_gives_up(void **state)
{
    struct fixture *f = up();

    ask(f, 0);
    f->dev->ops->drain(f->dev); /* the helper hangs */
    is_eio(&f->asked[0], 0);
    say(f, hear(f).slot, 64);
    assert_int_equal(f->lost, 0);
    down(f);
}

/* The helper, which answers once. */
static void *answers(void *arg)
{
    struct fixture *f = arg;
    struct share_message m;

    if (recv(f->helper, &m, sizeof(m), 0) == sizeof(m)) {
        m.reply = 48;
        (void)!send(f->helper, &m, sizeof(m), 0);
    }
    return NULL;
}

static bool drains(void *arg)
{
    struct fixture *f = arg;

    ask(f, 0);
    f->dev->ops->drain(f->dev);
    return f->asked[0].done && f->asked[0].written == 48;
}

/* A guest that takes its ring back waits for the answer, on its vCPU. */
static void test_drain_waits(void **state)
{
    struct fixture *f = up();
    pthread_t helper;

    assert_int_equal(pthread_create(&helper, NULL, answers, f), 0);
    assert_true(locked_in(SANDBOX_VCPU, drains, f));
    assert_int_equal(pthread_join(helper, NULL), 0);
    down(f);
}

/* --- The box --- */
enum { BOX_TRIES = 40 };
struct box {
    unsigned count;
    struct {
        char what[60];
        bool held;
    } tried[BOX_TRIES];
    bool landlock;
    struct err err;
};

/* A child cannot speak any more: it notes what happened. */
static void note(struct box *b, const char *what, bool held)
{
    if (b->count == BOX_TRIES)
        return;
    (void)snprintf(b->tried[b->count].what, sizeof(b->tried[0].what), "%s", what);
    b->tried[b->count++].held = held;
}

static void box_try_paths(struct box *b, const struct sandbox_tree_fds *fds)
{
    static const char *const paths[] = {"/etc/passwd",   "/proc/self/status",
                                        "../etc/passwd", "/dev/null",
                                        "/tmp",          "../../../../etc"};
    struct stat root, up;

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        note(b, paths[i], open(paths[i], O_RDONLY) < 0);
        note(b, paths[i], openat(fds->root, paths[i], O_RDONLY) < 0);
        note(b, paths[i], openat(fds->proc, paths[i], O_RDONLY) < 0);
    }
    note(b, "proc is more than our descriptors", openat(fds->proc, "../status", O_RDONLY) < 0);
    note(b, "proc of others", openat(fds->proc, "../../1/root", O_PATH) < 0);
    note(b, "above the root",
         !fstat(fds->root, &root) && !fstatat(fds->root, "..", &up, 0) && root.st_ino == up.st_ino);
}

static void box_try_calls(struct box *b, const struct sandbox_tree_fds *fds)
{
    char *const argv[] = {(char[]){"x"}, NULL};

    note(b, "a device", mknodat(fds->root, "dev", S_IFCHR | 0666, 0x103) < 0);
    note(b, "set-user-ID", syscall(SYS_fchmodat, fds->root, "f", 04755) < 0);
    note(b, "a program", execve("/program", argv, argv + 1) < 0);
    note(b, "a socket", socket(AF_INET, SOCK_STREAM, 0) < 0);
    note(b, "a mount", mount("/", "/", NULL, MS_BIND, NULL) < 0);
    note(b, "another root", chroot("/") < 0);
    note(b, "a namespace", syscall(SYS_unshare, 0x10000000) < 0);
    note(b, "a file by handle", syscall(SYS_open_by_handle_at, fds->root, "", O_RDONLY) < 0);
    note(b, "a process", syscall(SYS_fork) < 0);
    note(b, "a signal", kill(1, 0) < 0);
    note(b, "code",
         mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ||
             syscall(SYS_mprotect, (uintptr_t)note & ~4095ul, 4096ul, 7) < 0);
}

static void box_child(struct box *b, const char *share, const char *outside, bool read_only)
{
    const struct sandbox_tree config = {.name = "test", .path = share, .read_only = read_only};
    struct sandbox_tree_fds fds;
    int fd;

    if (sandbox_enter_tree(&config, &fds, &b->err) < 0)
        _exit(1);
    fd = openat(fds.root, "new", O_RDWR | O_CREAT, 0644);
    note(b, "its own work", read_only ? fd < 0 : fd >= 0);
    note(b, "its own files", openat(fds.root, "f", O_RDONLY) >= 0);
    box_try_paths(b, &fds);
    box_try_calls(b, &fds);
    _exit(0);
}

static bool box_has_namespaces(void)
{
    pid_t pid = fork();
    int status = 1;

    if (pid == 0)
        _exit(unshare((geteuid() ? CLONE_NEWUSER : 0) | CLONE_NEWNS) < 0);
    return process_wait(pid, &status) == 0 && !status;
}

static void box_run(bool read_only)
{
    struct box *b =
        mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char base[] = "/tmp/posada-box-XXXXXX", share[64], file[80];
    int status = -1;
    pid_t pid;

    assert_non_null(mkdtemp(base));
    (void)snprintf(share, sizeof(share), "%s/share", base);
    (void)snprintf(file, sizeof(file), "%s/f", share);
    assert_int_equal(mkdir(share, 0755), 0);
    close(open(file, O_WRONLY | O_CREAT, 0644));
    (void)snprintf(file, sizeof(file), "%s/program", share);
    close(open(file, O_WRONLY | O_CREAT, 0755));
    pid = fork();
    if (pid == 0)
        box_child(b, share, base, read_only);
    assert_int_equal(process_wait(pid, &status), 0);
    if (status)
        fail_msg("%s", b->err.text);
    for (unsigned i = 0; i < b->count; i++)
        if (!b->tried[i].held)
            fail_msg("in the box: %s", b->tried[i].what);
    assert_true(b->count > 30);
    assert_int_equal(file_remove_tree(AT_FDCWD, base, NULL), 0);
    munmap(b, sizeof(*b));
}

static void test_box(void **state)
{
    if (!box_has_namespaces())
        skip();
    box_run(false);
    box_run(true);
}

RUN_TESTS(cmocka_unit_test(test_passes), cmocka_unit_test(test_full_and_ready),
          cmocka_unit_test(test_lies), cmocka_unit_test(test_long_answer),
          cmocka_unit_test(test_dies), cmocka_unit_test(test_another_helper),
          cmocka_unit_test(test_too_large), cmocka_unit_test(test_forgotten),
          cmocka_unit_test(test_drain_gives_up), cmocka_unit_test(test_drain_waits),
          cmocka_unit_test(test_box))
