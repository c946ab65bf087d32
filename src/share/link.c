/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor's side of a share. Contract: posada/fsdev.h, share/window.h.
 *
 * Invariants: a slot is free, or the helper has it; a slot whose request was forgotten stays the
 * helper's until it answers. What the helper writes can only end in the reply buffers of the
 * request that is in that slot, and only as many bytes as they hold.
 * A helper that ends takes nothing with it: what it had is answered with EIO, as is all that comes
 * until there is another one; a FORGET has no answer and is done. A new helper gets a new window.
 */
#include "share/share.h"

#include "base/cleanup.h"
#include "base/endian.h"
#include "base/iov.h"
#include "host/loop.h"
#include "share/window.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum { BATCH = 2 * SHARE_SLOTS, DRAIN_TURNS = 200, TURN_US = 10000 };

struct slot {
    struct fs_req *req; /* NULL: free or forgotten */
    bool busy;          /* the helper has it */
    bool failed;        /* for post: answered with EIO by ourselves */
    uint32_t room;
    uint32_t reply_at;
    struct slot *next_free;
};

struct link {
    struct fsdev dev; /* must be first */
    struct loop *loop;
    int fd; /* -1: the helper is gone */
    uint8_t *window;
    struct slot slot[SHARE_SLOTS];
    struct slot *free;
    bool full;   /* submit() said so */
    bool posted; /* link_fail_later() will run */
    bool closed; /* freed by it, then */
    void (*lost)(void *arg, struct fsdev *dev);
    void *arg;
};

static struct link *link_of(struct fsdev *dev)
{
    return container_of(dev, struct link, dev);
}

static uint8_t *slot_memory(struct link *l, const struct slot *s)
{
    return l->window + (size_t)(s - l->slot) * SHARE_SLOT_SIZE;
}

static void slot_give(struct link *l, struct slot *s)
{
    s->busy = s->failed = false;
    s->req = NULL;
    s->next_free = l->free; /* the one last used: it is in the caches */
    l->free = s;
}

static void link_ready(struct link *l)
{
    if (!l->full || !l->free)
        return;
    l->full = false;
    if (l->dev.front.ready)
        l->dev.front.ready(l->dev.front.arg);
}

/* --- Answers of our own --- */
static void slot_answer_eio(struct slot *s)
{
    struct fs_req *req = s->req;
    uint8_t header[FSDEV_IN_HEADER], answer[FSDEV_OUT_HEADER];
    size_t n = 0;

    if (req->reply_len) {
        (void)iov_read(req->request, req->request_count, 0, header, sizeof(header));
        st_le32(answer, sizeof(answer));
        st_le32(answer + 4, (uint32_t)-EIO);
        memcpy(answer + 8, header + 8, 8); /* whose answer it is */
        n = iov_fill(req->reply, req->reply_count, 0, answer, sizeof(answer));
    }
    req->done(req, n);
}

/* Every slot whose request will never be answered otherwise. */
static void link_fail(struct link *l, bool all)
{
    for (unsigned i = 0; i < SHARE_SLOTS; i++) {
        struct slot *s = &l->slot[i], failed = *s;

        if (!s->busy || (!all && !s->failed))
            continue;
        slot_give(l, s);
        if (failed.req)
            slot_answer_eio(&failed);
    }
    link_ready(l);
}

static void link_fail_later(void *arg)
{
    struct link *l = arg;

    l->posted = false;
    if (l->closed)
        free(l);
    else
        link_fail(l, l->fd < 0);
}

static void link_post(struct link *l)
{
    if (!l->posted)
        l->posted = !loop_post(l->loop, link_fail_later, l);
}

static void link_gone(struct link *l)
{
    if (l->fd < 0)
        return;
    loop_unwatch(l->loop, l->fd);
    close(l->fd);
    l->fd = -1;
    if (l->lost)
        l->lost(l->arg, &l->dev);
    link_post(l);
}

/* --- To the helper --- */
static bool slot_load(struct link *l, struct slot *s, struct fs_req *req)
{
    size_t at = share_reply_at(req->request_len);

    if (at + FSDEV_OUT_HEADER > SHARE_SLOT_SIZE)
        return false;
    s->reply_at = (uint32_t)at;
    s->room =
        (uint32_t)(req->reply_len < SHARE_SLOT_SIZE - at ? req->reply_len : SHARE_SLOT_SIZE - at);
    (void)iov_read(req->request, req->request_count, 0, slot_memory(l, s), req->request_len);
    return true;
}

static bool slot_send(struct link *l, const struct slot *s)
{
    const struct share_message m = {(uint32_t)(s - l->slot), (uint32_t)s->req->request_len,
                                    s->room};
    ssize_t n;

    do
        n = send(l->fd, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM)
        link_gone(l);
    return n >= 0;
}

static int link_submit(struct fsdev *dev, struct fs_req *req)
{
    struct link *l = link_of(dev);
    struct slot *s = l->free;

    if (!s) {
        l->full = true;
        return -EAGAIN;
    }
    l->free = s->next_free;
    s->busy = true;
    s->req = req;
    if (l->fd < 0 || !slot_load(l, s, req) || !slot_send(l, s)) {
        s->failed = true;
        link_post(l);
    }
    return 0;
}

/* --- From the helper --- */
static void slot_finish(struct link *l, struct slot *s, uint32_t length)
{
    struct fs_req *req = s->req;
    size_t n = length < s->room ? length : s->room;

    if (req && n)
        n = iov_fill(req->reply, req->reply_count, 0, slot_memory(l, s) + s->reply_at, n);
    slot_give(l, s);
    if (req)
        req->done(req, n);
}

/* 1: a message was taken; 0: none now (wait: for a turn's time); negative: the helper is gone, or
 * not to be trusted. */
static int link_take(struct link *l, bool wait)
{
    struct share_message m;
    ssize_t n = recv(l->fd, &m, sizeof(m), wait ? 0 : MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n != sizeof(m) || m.slot >= SHARE_SLOTS || !l->slot[m.slot].busy || l->slot[m.slot].failed)
        return -EPROTO;
    slot_finish(l, &l->slot[m.slot], m.reply);
    return 1;
}

static void link_receive(struct link *l, bool wait)
{
    int r = 1;

    for (unsigned i = 0; r > 0 && i < BATCH && l->fd >= 0; i++)
        r = link_take(l, wait && !i);
    if (r < 0)
        link_gone(l);
    link_ready(l);
}

static void link_event(void *arg, int fd, unsigned events)
{
    link_receive(arg, false);
}

/* --- Life --- */
static void link_forget(struct fsdev *dev)
{
    struct link *l = link_of(dev);

    for (unsigned i = 0; i < SHARE_SLOTS; i++)
        l->slot[i].req = NULL;
    l->full = false;
}

static bool link_busy(const struct link *l)
{
    for (unsigned i = 0; i < SHARE_SLOTS; i++)
        if (l->slot[i].busy && l->slot[i].req)
            return true;
    return false;
}

static void link_drain(struct fsdev *dev)
{
    struct link *l = link_of(dev);

    for (unsigned i = 0; l->fd >= 0 && link_busy(l) && i < DRAIN_TURNS; i++) {
        link_fail(l, false);
        link_receive(l, true);
    }
    for (unsigned i = 0; i < SHARE_SLOTS; i++) {
        struct slot *s = &l->slot[i], late = *s;

        s->req = NULL; /* the slot stays the helper's */
        if (s->busy && late.req)
            slot_answer_eio(&late);
    }
}

static void link_close(struct fsdev *dev)
{
    struct link *l = link_of(dev);

    link_forget(dev);
    if (l->fd >= 0) {
        loop_unwatch(l->loop, l->fd);
        close(l->fd);
    }
    (void)munmap(l->window, share_window_size());
    l->closed = true;
    if (!l->posted)
        free(l);
}

void fsdev_close(struct fsdev *dev)
{
    if (dev)
        dev->ops->close(dev);
}

/* How long a receive that waits does so: a vCPU drains, too, and may not poll(2). */
static int link_set_patience(int fd)
{
    const struct timeval turn = {.tv_usec = TURN_US};

    return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &turn, sizeof(turn)) < 0 ? -errno : 0;
}

static void *link_map(int window_fd)
{
    void *memory =
        mmap(NULL, share_window_size(), PROT_READ | PROT_WRITE, MAP_SHARED, window_fd, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

int share_reconnect(struct fsdev *dev, int link_fd, int window_fd)
{
    struct link *l = link_of(dev);
    CLEANUP(fd) int fd = link_fd;
    CLEANUP(fd) int window = window_fd;
    void *memory;
    int r;

    if (l->fd >= 0)
        return -EBUSY;
    memory = link_map(window);
    r = memory ? link_set_patience(fd) : -ENOMEM;
    if (!r)
        r = loop_watch(l->loop, fd, EPOLLIN, link_event, l);
    if (r < 0) {
        if (memory)
            (void)munmap(memory, share_window_size());
        return r;
    }
    (void)munmap(l->window, share_window_size());
    l->window = memory;
    link_fail(l, true); /* what the old one had: no answer will come */
    l->fd = take_fd(&fd);
    return 0;
}

static const struct fsdev_ops link_ops = {
    .submit = link_submit, .forget = link_forget, .drain = link_drain, .close = link_close};

int share_link_new(struct loop *loop, const struct share_config *config, int link_fd, int window_fd,
                   struct fsdev **ret_dev, struct err *err)
{
    struct link *l = calloc(1, sizeof(*l));
    CLEANUP(fd) int fd = link_fd;
    CLEANUP(fd) int window = window_fd;
    void *memory = link_map(window);
    int r = l && memory ? link_set_patience(fd) : -ENOMEM;

    if (!r)
        r = loop_watch(loop, fd, EPOLLIN, link_event, l);
    if (r < 0) {
        if (memory)
            (void)munmap(memory, share_window_size());
        free(l);
        return err_set(err, r, "share '%s': its helper: %s", config->path, strerror(-r));
    }
    l->dev.ops = &link_ops;
    (void)snprintf(l->dev.tag, sizeof(l->dev.tag), "%s", config->tag);
    l->loop = loop;
    l->fd = take_fd(&fd);
    l->window = memory;
    l->lost = config->lost;
    l->arg = config->arg;
    for (unsigned i = 0; i < SHARE_SLOTS; i++)
        slot_give(l, &l->slot[i]);
    *ret_dev = &l->dev;
    return 0;
}
