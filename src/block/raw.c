/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw disk images over a small pool of worker threads.
 * submit() only queues; a worker does the system calls; an eventfd tells the loop, where done()
 * runs with the machine lock held. No allocation after opening, and nothing a completion needs can
 * fail. A flush covers the requests completed before it was submitted, as virtio asks.
 * The image is locked with an open-file-description lock for as long as it is open: one writer or
 * any number of readers, across processes; the kernel drops it with the last descriptor.
 * Not modelled: growing the disk while it is open, O_DIRECT, io_uring.
 */
#include "raw.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "host/loop.h"
#include "raw_io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RAW_WORKERS = 4, RAW_BLOCK = 512 };

struct req_list {
    struct blk_req *head, **tail;
};

struct raw {
    struct blockdev dev; /* must be first */
    int fd, event_fd;
    struct loop *loop;
    pthread_t worker[RAW_WORKERS];
    unsigned workers;

    pthread_mutex_t lock;      /* protects what follows */
    pthread_cond_t work, idle; /* something queued or closing; nothing queued or running */
    struct req_list queued, done;
    unsigned running;
    bool closing;
};

static void list_init(struct req_list *list)
{
    list->head = NULL;
    list->tail = &list->head;
}

static void list_push(struct req_list *list, struct blk_req *req)
{
    req->next = NULL;
    *list->tail = req;
    list->tail = &req->next;
}

static struct blk_req *list_pop(struct req_list *list)
{
    struct blk_req *req = list->head;

    if (!req)
        return NULL;
    list->head = req->next;
    if (!list->head)
        list->tail = &list->head;
    return req;
}

static struct raw *raw_of(struct blockdev *dev)
{
    return container_of(dev, struct raw, dev);
}

/* --- Workers --- */
static int raw_run(struct raw *raw, const struct blk_req *req)
{
    const struct blk_info *info = &raw->dev.info;

    if (!range_within(req->offset, req->length, info->size) ||
        (req->offset | req->length) % info->block_size)
        return -EINVAL;
    if (info->read_only && req->op != BLK_READ && req->op != BLK_FLUSH)
        return -EROFS;
    return raw_io(raw->fd, req);
}

static void announce(const struct raw *raw)
{
    uint64_t one = 1;

    /* Fails only when the counter is full, and then the loop has been told already. */
    if (write(raw->event_fd, &one, sizeof(one)) < 0)
        return;
}

static void *raw_worker(void *arg)
{
    struct raw *raw = arg;
    struct blk_req *req;

    pthread_mutex_lock(&raw->lock);
    for (;;) {
        while (!raw->queued.head && !raw->closing)
            pthread_cond_wait(&raw->work, &raw->lock);
        req = list_pop(&raw->queued);
        if (!req)
            break;
        raw->running++;
        pthread_mutex_unlock(&raw->lock);
        req->result = raw_run(raw, req);
        pthread_mutex_lock(&raw->lock);
        list_push(&raw->done, req);
        if (!--raw->running)
            pthread_cond_broadcast(&raw->idle);
        announce(raw);
    }
    pthread_mutex_unlock(&raw->lock);
    return NULL;
}

/* Workers take no signals: those belong to the loop. They start with the first request, not with
 * the disk: by then the process is in its sandbox, and threads inherit that. */
static int raw_start_workers(struct raw *raw)
{
    sigset_t all, old;
    int r = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (!r && raw->workers < RAW_WORKERS) {
        r = pthread_create(&raw->worker[raw->workers], NULL, raw_worker, raw);
        if (!r)
            (void)pthread_setname_np(raw->worker[raw->workers++], "disk");
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return raw->workers ? 0 : -r; /* one will do */
}

static void raw_submit(struct blockdev *dev, struct blk_req *req)
{
    struct raw *raw = raw_of(dev);

    pthread_mutex_lock(&raw->lock);
    req->result = raw->workers ? 0 : raw_start_workers(raw);
    list_push(req->result ? &raw->done : &raw->queued, req);
    if (req->result)
        announce(raw);
    pthread_cond_signal(&raw->work);
    pthread_mutex_unlock(&raw->lock);
}

/* --- Completion, on the loop --- */
static struct blk_req *take_done(struct raw *raw)
{
    struct blk_req *req;

    pthread_mutex_lock(&raw->lock);
    req = list_pop(&raw->done);
    pthread_mutex_unlock(&raw->lock);
    return req;
}

static void raw_complete(struct raw *raw)
{
    struct blk_req *req;

    while ((req = take_done(raw)))
        req->done(req, req->result);
}

static void raw_ready(void *arg, int fd, unsigned events)
{
    uint64_t count;

    if (read(fd, &count, sizeof(count)) < 0)
        return; /* a drain was here before us and another thread took the count */
    raw_complete(arg);
}

/* Waits for the workers; false when nothing is left for done() either. */
static bool raw_settle(struct raw *raw)
{
    bool more;

    pthread_mutex_lock(&raw->lock);
    while (raw->queued.head || raw->running)
        pthread_cond_wait(&raw->idle, &raw->lock);
    more = raw->done.head != NULL;
    pthread_mutex_unlock(&raw->lock);
    return more;
}

static void raw_drain(struct blockdev *dev)
{
    struct raw *raw = raw_of(dev);

    while (raw_settle(raw)) /* a done() may submit again */
        raw_complete(raw);
}

/* --- Opening and closing --- */
/* Accepts a half-open one: what was not opened is -1 or 0. */
static void raw_free(struct raw *raw)
{
    pthread_mutex_lock(&raw->lock);
    raw->closing = true;
    pthread_cond_broadcast(&raw->work);
    pthread_mutex_unlock(&raw->lock);
    for (unsigned i = 0; i < raw->workers; i++)
        pthread_join(raw->worker[i], NULL);
    if (raw->event_fd >= 0) {
        loop_unwatch(raw->loop, raw->event_fd);
        (void)close(raw->event_fd);
    }
    if (raw->fd >= 0)
        (void)close(raw->fd);
    pthread_cond_destroy(&raw->work);
    pthread_cond_destroy(&raw->idle);
    pthread_mutex_destroy(&raw->lock);
    free(raw);
}

static void raw_close(struct blockdev *dev)
{
    raw_drain(dev);
    raw_free(raw_of(dev));
}

static const struct blockdev_ops raw_ops = {
    .format = "raw",
    .submit = raw_submit,
    .drain = raw_drain,
    .close = raw_close,
};

static int must_use raw_size(int fd, uint64_t *ret_size)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISBLK(st.st_mode))
        return ioctl(fd, BLKGETSIZE64, ret_size) < 0 ? -errno : 0;
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? -EISDIR : -ENODEV;
    *ret_size = (uint64_t)st.st_size;
    return 0;
}

static int must_use raw_measure(struct raw *raw, const char *path, struct err *err)
{
    uint64_t size = 0;
    int r = raw_size(raw->fd, &size);

    if (r < 0)
        return err_set(err, -ENOEXEC,
                       "disk '%s': no disk image: neither a regular file nor a block device", path);
    if (!size || size % RAW_BLOCK)
        return err_set(err, -ENOEXEC,
                       "disk '%s': it has %" PRIu64 " bytes, but a raw disk is a whole number of "
                       "512-byte sectors; is it cut off, or of another format?",
                       path, size);
    raw->dev.info.size = size;
    return 0;
}

static int must_use raw_lock(const struct raw *raw, const char *path, struct err *err)
{
    bool write = !raw->dev.info.read_only;
    struct flock lock = {.l_type = write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};

    if (fcntl(raw->fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    if (errno != EAGAIN && errno != EACCES)
        return err_set(err, -errno, "disk '%s': cannot lock it: %s", path, strerror(errno));
    return err_set(err, -EBUSY,
                   "disk '%s': in use by another guest or program; stop that one, or %s", path,
                   write ? "open it read-only in both" : "wait until it no longer writes");
}

static int must_use raw_open_file(struct raw *raw, const char *path, struct err *err)
{
    bool read_only = raw->dev.info.read_only;
    int r;

    /* O_NONBLOCK: a FIFO must not make us wait before we can refuse it. */
    raw->fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
    if (raw->fd < 0) {
        bool denied = !read_only && (errno == EACCES || errno == EROFS || errno == EPERM);

        return err_set(err, -errno, "disk '%s': %s%s", path, strerror(errno),
                       denied ? "; it may be readable with the read-only option" : "");
    }
    r = raw_measure(raw, path, err);
    return r < 0 ? r : raw_lock(raw, path, err);
}

static int must_use raw_watch(struct raw *raw, struct err *err)
{
    int r;

    raw->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r = raw->event_fd < 0 ? -errno : loop_watch(raw->loop, raw->event_fd, EPOLLIN, raw_ready, raw);
    return r < 0 ? err_set(err, r, "disk '%s': cannot watch for completions: %s", raw->dev.name,
                           strerror(-r))
                 : 0;
}

static struct raw *raw_new(bool read_only, const char *name, struct loop *loop)
{
    struct raw *raw = calloc(1, sizeof(*raw));

    if (!raw)
        return NULL;
    raw->dev.ops = &raw_ops;
    raw->dev.info = (struct blk_info){
        .block_size = RAW_BLOCK,
        .read_only = read_only,
        .can_discard = !read_only,
        .can_write_zeroes = !read_only,
    };
    (void)snprintf(raw->dev.name, sizeof(raw->dev.name), "%s", name);
    raw->fd = raw->event_fd = -1;
    raw->loop = loop;
    list_init(&raw->queued);
    list_init(&raw->done);
    pthread_mutex_init(&raw->lock, NULL);
    pthread_cond_init(&raw->work, NULL);
    pthread_cond_init(&raw->idle, NULL);
    return raw;
}

int raw_open(const char *path, bool read_only, const char *name, struct loop *loop,
             struct blockdev **ret_dev, struct err *err)
{
    struct raw *raw = raw_new(read_only, name, loop);
    int r;

    if (!raw)
        return err_set(err, -ENOMEM, "disk '%s': out of memory", name);
    r = raw_open_file(raw, path, err);
    if (!r)
        r = raw_watch(raw, err);
    if (r < 0) {
        raw_free(raw);
        return r;
    }
    *ret_dev = &raw->dev;
    return 0;
}
