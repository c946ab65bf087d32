/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store behind the block back end's contract, over a small pool of worker threads.
 * submit() only queues; a worker does the system calls; an eventfd tells the loop, where done()
 * runs with the machine lock held. No allocation after opening, and nothing a completion needs can
 * fail. A flush covers the requests completed before it was submitted, as virtio asks.
 * Not modelled: growing the disk while it is open, O_DIRECT, io_uring.
 */
#include "pool.h"

#include "host/loop.h"
#include "store.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { POOL_WORKERS = 4 };

struct req_list {
    struct blk_req *head, **tail;
};

struct pool {
    struct blockdev dev; /* must be first */
    struct blk_store *store;
    int event_fd;
    struct loop *loop;
    pthread_t worker[POOL_WORKERS];
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

static struct pool *pool_of(struct blockdev *dev)
{
    return container_of(dev, struct pool, dev);
}

/* --- Workers --- */
static void announce(const struct pool *pool)
{
    uint64_t one = 1;

    /* Fails only when the counter is full, and then the loop has been told already. */
    if (write(pool->event_fd, &one, sizeof(one)) < 0)
        return;
}

static void *pool_worker(void *arg)
{
    struct pool *pool = arg;
    struct blk_req *req;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->queued.head && !pool->closing)
            pthread_cond_wait(&pool->work, &pool->lock);
        req = list_pop(&pool->queued);
        if (!req)
            break;
        pool->running++;
        pthread_mutex_unlock(&pool->lock);
        req->result = blk_store_io(pool->store, req);
        pthread_mutex_lock(&pool->lock);
        list_push(&pool->done, req);
        if (!--pool->running)
            pthread_cond_broadcast(&pool->idle);
        announce(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Workers take no signals: those belong to the loop. They start with the first request, not with
 * the disk: by then the process is in its sandbox, and threads inherit that. */
static int pool_start_workers(struct pool *pool)
{
    sigset_t all, old;
    int r = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (!r && pool->workers < POOL_WORKERS) {
        r = pthread_create(&pool->worker[pool->workers], NULL, pool_worker, pool);
        if (!r)
            (void)pthread_setname_np(pool->worker[pool->workers++], "disk");
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return pool->workers ? 0 : -r; /* one will do */
}

static void pool_submit(struct blockdev *dev, struct blk_req *req)
{
    struct pool *pool = pool_of(dev);

    pthread_mutex_lock(&pool->lock);
    req->result = pool->workers ? 0 : pool_start_workers(pool);
    list_push(req->result ? &pool->done : &pool->queued, req);
    if (req->result)
        announce(pool);
    pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->lock);
}

/* --- Completion, on the loop --- */
static struct blk_req *take_done(struct pool *pool)
{
    struct blk_req *req;

    pthread_mutex_lock(&pool->lock);
    req = list_pop(&pool->done);
    pthread_mutex_unlock(&pool->lock);
    return req;
}

static void pool_complete(struct pool *pool)
{
    struct blk_req *req;

    while ((req = take_done(pool)))
        req->done(req, req->result);
}

static void pool_ready(void *arg, int fd, unsigned events)
{
    uint64_t count;

    if (read(fd, &count, sizeof(count)) < 0)
        return; /* a drain was here before us and another thread took the count */
    pool_complete(arg);
}

/* Waits for the workers; false when nothing is left for done() either. */
static bool pool_settle(struct pool *pool)
{
    bool more;

    pthread_mutex_lock(&pool->lock);
    while (pool->queued.head || pool->running)
        pthread_cond_wait(&pool->idle, &pool->lock);
    more = pool->done.head != NULL;
    pthread_mutex_unlock(&pool->lock);
    return more;
}

static void pool_drain(struct blockdev *dev)
{
    struct pool *pool = pool_of(dev);

    while (pool_settle(pool)) /* a done() may submit again */
        pool_complete(pool);
}

/* --- Opening and closing --- */
/* Accepts a half-open one: what was not opened is -1 or 0. */
static void pool_free(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->workers; i++)
        pthread_join(pool->worker[i], NULL);
    if (pool->event_fd >= 0) {
        loop_unwatch(pool->loop, pool->event_fd);
        (void)close(pool->event_fd);
    }
    /* The last flush told what matters; an error of what came after it has nobody to hear it. */
    (void)blk_store_close(pool->store);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->idle);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static void pool_close(struct blockdev *dev)
{
    pool_drain(dev);
    pool_free(pool_of(dev));
}

static const struct blockdev_ops pool_ops = {
    .submit = pool_submit,
    .drain = pool_drain,
    .close = pool_close,
};

static int must_use pool_watch(struct pool *pool, struct err *err)
{
    int r;

    pool->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r = pool->event_fd < 0 ? -errno
                           : loop_watch(pool->loop, pool->event_fd, EPOLLIN, pool_ready, pool);
    return r < 0 ? err_set(err, r, "disk '%s': cannot watch for completions: %s", pool->dev.name,
                           strerror(-r))
                 : 0;
}

int blk_pool_new(struct blk_store *store, struct loop *loop, struct blockdev **ret_dev,
                 struct err *err)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    int r;

    if (!pool)
        return err_set(err, -ENOMEM, "disk '%s': out of memory", store->name);
    pool->dev.ops = &pool_ops;
    pool->dev.info = store->info;
    memcpy(pool->dev.name, store->name, sizeof(pool->dev.name));
    pool->event_fd = -1;
    pool->loop = loop;
    list_init(&pool->queued);
    list_init(&pool->done);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->idle, NULL);
    r = pool_watch(pool, err);
    if (r < 0) {
        pool_free(pool);
        return r;
    }
    pool->store = store;
    *ret_dev = &pool->dev;
    return 0;
}
