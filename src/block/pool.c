/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store's requests on a few worker threads. A worker does the system calls and then calls done()
 * itself if it gets the machine lock at once; otherwise an eventfd tells the loop, which does.
 * (A worker must never wait for that lock: who drains holds it and waits for the worker.)
 * No allocation after opening, and nothing a completion needs can fail. A flush covers the requests
 * completed before it was submitted, as virtio asks.
 */
#include "pool.h"

#include "host/loop.h"
#include "host/sandbox_thread.h"
#include "req_list.h"
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

struct blk_pool {
    struct blk_store *store;
    int event_fd;
    struct loop *loop;
    pthread_mutex_t *machine; /* the machine lock; NULL: only the loop completes */
    pthread_t worker[POOL_WORKERS];
    unsigned workers;

    pthread_mutex_t lock;      /* protects what follows; taken after the machine lock */
    pthread_cond_t work, idle; /* something queued or closing; nothing queued or running */
    struct req_list queued, done;
    unsigned running;
    bool closing;
};

/* --- Completion, machine lock held --- */
static struct blk_req *pool_take_done(struct blk_pool *pool)
{
    struct blk_req *req;

    pthread_mutex_lock(&pool->lock);
    req = req_list_pop(&pool->done);
    pthread_mutex_unlock(&pool->lock);
    return req;
}

static bool pool_complete(struct blk_pool *pool)
{
    struct blk_req *req;
    bool any = false;

    while ((req = pool_take_done(pool))) {
        req->done(req, req->result);
        any = true;
    }
    return any;
}

static void pool_ready(void *arg, int fd, unsigned events)
{
    uint64_t count;

    if (read(fd, &count, sizeof(count)) < 0)
        return; /* another thread took the count */
    (void)pool_complete(arg);
}

/* Tells the loop. Fails only when the counter is full, and then the loop has been told already. */
static void pool_announce(const struct blk_pool *pool)
{
    uint64_t one = 1;

    if (write(pool->event_fd, &one, sizeof(one)) < 0)
        return;
}

/* --- Workers --- */
static void pool_hand_over(struct blk_pool *pool)
{
    if (!pool->machine || pthread_mutex_trylock(pool->machine)) {
        pool_announce(pool);
        return;
    }
    (void)pool_complete(pool);
    pthread_mutex_unlock(pool->machine);
}

static void *pool_worker(void *arg)
{
    struct blk_pool *pool = arg;
    struct blk_req *req;
    bool locked_in;

    (void)pthread_setname_np(pthread_self(), "disk");
    locked_in = !sandbox_enter_thread(SANDBOX_WORKER);
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->queued.head && !pool->closing)
            pthread_cond_wait(&pool->work, &pool->lock);
        req = req_list_pop(&pool->queued);
        if (!req)
            break;
        pool->running++;
        pthread_mutex_unlock(&pool->lock);
        req->result = locked_in ? blk_store_io(pool->store, req) : -EPERM;
        pthread_mutex_lock(&pool->lock);
        req_list_push(&pool->done, req);
        pthread_mutex_unlock(&pool->lock);
        pool_hand_over(pool);
        pthread_mutex_lock(&pool->lock);
        if (!--pool->running) /* only now: who drains without the machine lock relies on it */
            pthread_cond_broadcast(&pool->idle);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Workers take no signals: those belong to the loop. They start when the guest does, or with the
 * first request, not with the disk: by then the process is in its sandbox, and threads inherit
 * that. */
static int pool_start_workers(struct blk_pool *pool)
{
    sigset_t all, old;
    int r = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (!r && pool->workers < POOL_WORKERS) {
        r = pthread_create(&pool->worker[pool->workers], NULL, pool_worker, pool);
        if (!r)
            pool->workers++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return pool->workers ? 0 : -r; /* one will do */
}

int blk_pool_begin(struct blk_pool *pool)
{
    return pool->workers ? 0 : pool_start_workers(pool);
}

/* --- Requests --- */
void blk_pool_answer(struct blk_pool *pool, struct blk_req *req, int result)
{
    pthread_mutex_lock(&pool->lock);
    req->result = result;
    req_list_push(&pool->done, req);
    pthread_mutex_unlock(&pool->lock);
    pool_announce(pool);
}

void blk_pool_add(struct blk_pool *pool, struct blk_req *req)
{
    int r = blk_pool_begin(pool);

    if (r) {
        blk_pool_answer(pool, req, r);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    req_list_push(&pool->queued, req);
    pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->lock);
}

bool blk_pool_drain(struct blk_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->queued.head || pool->running)
        pthread_cond_wait(&pool->idle, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    return pool_complete(pool);
}

/* --- Opening and closing --- */
/* Accepts a half-open one: what was not opened is -1 or 0. */
void blk_pool_free(struct blk_pool *pool)
{
    if (!pool)
        return;
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
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->idle);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static int must_use pool_watch(struct blk_pool *pool, struct err *err)
{
    int r;

    pool->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r = pool->event_fd < 0 ? -errno
                           : loop_watch(pool->loop, pool->event_fd, EPOLLIN, pool_ready, pool);
    return r < 0 ? err_set(err, r, "disk '%s': cannot watch for completions: %s", pool->store->name,
                           strerror(-r))
                 : 0;
}

int blk_pool_new(struct blk_store *store, struct loop *loop, struct blk_pool **ret_pool,
                 struct err *err)
{
    struct blk_pool *pool = calloc(1, sizeof(*pool));
    int r;

    if (!pool)
        return err_set(err, -ENOMEM, "disk '%s': out of memory", store->name);
    *pool = (struct blk_pool){
        .store = store, .event_fd = -1, .loop = loop, .machine = loop_given_lock(loop)};
    req_list_init(&pool->queued);
    req_list_init(&pool->done);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->idle, NULL);
    r = pool_watch(pool, err);
    if (r < 0)
        blk_pool_free(pool);
    else
        *ret_pool = pool;
    return r;
}
