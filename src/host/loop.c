/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of a process over epoll(7), timerfd(2) and eventfd(2). Contract: host/loop.h.
 *
 * Invariants: registrations and timers belong to whoever holds the loop's lock (or to the loop's
 * thread when there is none); the queue of posted work has a mutex of its own, so that posting
 * needs no other lock. An epoll event carries the generation of its registration: events of a
 * registration that a callback of the same batch removed or replaced are dropped.
 * One timerfd serves all timers. It may be armed too early, never too late: moving a deadline
 * further away costs no system call, the early wake-up finds nothing due and arms again.
 */
#include "host/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { LOOP_BATCH = 32 };

struct loop_watch {
    loop_fd_fn fn; /* NULL: free place */
    void *arg;
    unsigned events; /* 0: kept, but not in epoll, so that a hang-up cannot spin */
    uint32_t generation;
    bool always; /* a regular file: epoll refuses it, it is always ready */
};

struct loop_work {
    struct loop_work *next;
    loop_fn fn;
    void *arg;
};

struct loop_timer {
    struct loop *loop;
    struct loop_timer *next;
    loop_fn fn;
    void *arg;
    uint64_t deadline_ns; /* CLOCK_MONOTONIC, UINT64_MAX: idle */
};

struct loop {
    pthread_mutex_t *lock; /* may be NULL */
    int epoll_fd, wake_fd, timer_fd;
    struct loop_watch *watches; /* by descriptor */
    size_t watch_room;
    unsigned always_count;
    uint32_t generation;
    struct loop_timer *timers;
    uint64_t armed_ns; /* when timer_fd fires, UINT64_MAX: disarmed */
    atomic_bool stop;
    pthread_mutex_t queue_lock;
    struct loop_work *queue, **queue_tail; /* under queue_lock */
};

static uint64_t loop_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void loop_wake(struct loop *loop)
{
    uint64_t one = 1;

    /* EAGAIN means the counter is full: the loop is awake anyway. */
    (void)!write(loop->wake_fd, &one, sizeof(one));
}

static void loop_drain(int fd)
{
    uint64_t count;

    (void)!read(fd, &count, sizeof(count));
}

/* --- descriptors --- */

static int loop_grow(struct loop *loop, int fd)
{
    size_t room = loop->watch_room ? loop->watch_room : 64;
    struct loop_watch *grown;

    while (room <= (size_t)fd)
        room *= 2;
    if (room == loop->watch_room)
        return 0;
    grown = realloc(loop->watches, room * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    memset(grown + loop->watch_room, 0, (room - loop->watch_room) * sizeof(*grown));
    loop->watches = grown;
    loop->watch_room = room;
    return 0;
}

static struct loop_watch *loop_find(struct loop *loop, int fd)
{
    if (fd < 0 || (size_t)fd >= loop->watch_room || !loop->watches[fd].fn)
        return NULL;
    return &loop->watches[fd];
}

static int loop_ctl(struct loop *loop, int op, int fd, const struct loop_watch *w)
{
    struct epoll_event ev = {.events = w->events,
                             .data.u64 = (uint64_t)w->generation << 32 | (uint32_t)fd};

    return epoll_ctl(loop->epoll_fd, op, fd, &ev) < 0 ? -errno : 0;
}

/* Takes a watch from its present events to new ones. */
static int loop_set_events(struct loop *loop, int fd, struct loop_watch *w, unsigned events)
{
    unsigned before = w->events;
    int r;

    w->events = events;
    if (w->always || before == events)
        return 0;
    if (!events)
        return loop_ctl(loop, EPOLL_CTL_DEL, fd, w);
    r = loop_ctl(loop, before ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, w);
    if (r == -EPERM) {
        w->always = true;
        loop->always_count++;
        loop_wake(loop);
        return 0;
    }
    if (r < 0)
        w->events = before;
    return r;
}

int loop_watch(struct loop *loop, int fd, unsigned events, loop_fd_fn fn, void *arg)
{
    struct loop_watch *w;
    int r;

    if (fd < 0 || !fn)
        return -EINVAL;
    r = loop_grow(loop, fd);
    if (r < 0)
        return r;
    w = &loop->watches[fd];
    if (w->fn)
        return -EEXIST;
    *w = (struct loop_watch){.fn = fn, .arg = arg, .generation = ++loop->generation};
    r = loop_set_events(loop, fd, w, events);
    if (r < 0)
        w->fn = NULL;
    return r;
}

int loop_change(struct loop *loop, int fd, unsigned events)
{
    struct loop_watch *w = loop_find(loop, fd);

    return w ? loop_set_events(loop, fd, w, events) : -ENOENT;
}

void loop_unwatch(struct loop *loop, int fd)
{
    struct loop_watch *w = loop_find(loop, fd);

    if (!w)
        return;
    if (w->always)
        loop->always_count--;
    else
        (void)loop_set_events(loop, fd, w, 0);
    w->fn = NULL;
}

static void loop_dispatch(struct loop *loop, const struct epoll_event *ev)
{
    int fd = (int)(uint32_t)ev->data.u64;
    struct loop_watch *w = loop_find(loop, fd);
    unsigned events = ev->events;

    if (!w || w->generation != (uint32_t)(ev->data.u64 >> 32))
        return;
    if (events & EPOLLERR)
        events = (events & ~(unsigned)EPOLLERR) | EPOLLHUP;
    events &= w->events | EPOLLHUP;
    if (w->events && events)
        w->fn(w->arg, fd, events);
}

static void loop_run_always(struct loop *loop)
{
    for (size_t fd = 0; loop->always_count && fd < loop->watch_room; fd++) {
        struct loop_watch *w = &loop->watches[fd];

        if (w->fn && w->always && w->events)
            w->fn(w->arg, (int)fd, w->events);
    }
}

static bool loop_any_always(const struct loop *loop)
{
    for (size_t fd = 0; loop->always_count && fd < loop->watch_room; fd++)
        if (loop->watches[fd].fn && loop->watches[fd].always && loop->watches[fd].events)
            return true;
    return false;
}

/* --- posted work --- */

int loop_post(struct loop *loop, loop_fn fn, void *arg)
{
    struct loop_work *work = malloc(sizeof(*work));

    if (!work)
        return -ENOMEM;
    *work = (struct loop_work){.fn = fn, .arg = arg};
    pthread_mutex_lock(&loop->queue_lock);
    *loop->queue_tail = work;
    loop->queue_tail = &work->next;
    pthread_mutex_unlock(&loop->queue_lock);
    loop_wake(loop);
    return 0;
}

static struct loop_work *loop_take_queue(struct loop *loop)
{
    struct loop_work *work;

    pthread_mutex_lock(&loop->queue_lock);
    work = loop->queue;
    loop->queue = NULL;
    loop->queue_tail = &loop->queue;
    pthread_mutex_unlock(&loop->queue_lock);
    return work;
}

static void loop_run_queue(struct loop *loop)
{
    struct loop_work *work = loop_take_queue(loop), *next;

    for (; work; work = next) {
        next = work->next;
        work->fn(work->arg);
        free(work);
    }
}

/* --- timers --- */

/* Makes sure timer_fd fires at deadline_ns or before. */
static void loop_arm(struct loop *loop, uint64_t deadline_ns)
{
    struct itimerspec its = {.it_value.tv_sec = (time_t)(deadline_ns / 1000000000u),
                             .it_value.tv_nsec = (long)(deadline_ns % 1000000000u)};

    if (deadline_ns >= loop->armed_ns)
        return;
    loop->armed_ns = deadline_ns;
    timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &its, NULL);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_fn fn, void *arg)
{
    struct loop_timer *t = malloc(sizeof(*t));

    if (!t)
        return NULL;
    *t = (struct loop_timer){
        .loop = loop, .next = loop->timers, .fn = fn, .arg = arg, .deadline_ns = UINT64_MAX};
    loop->timers = t;
    return t;
}

void loop_timer_free(struct loop_timer *timer)
{
    struct loop_timer **link;

    if (!timer)
        return;
    for (link = &timer->loop->timers; *link != timer; link = &(*link)->next)
        ;
    *link = timer->next;
    free(timer);
}

void loop_timer_set(struct loop_timer *timer, uint64_t delay_ns)
{
    uint64_t now;

    timer->deadline_ns = UINT64_MAX;
    if (delay_ns == UINT64_MAX)
        return;
    now = loop_now_ns();
    if (delay_ns > (uint64_t)INT64_MAX - now)
        delay_ns = (uint64_t)INT64_MAX - now;
    timer->deadline_ns = now + delay_ns;
    loop_arm(timer->loop, timer->deadline_ns);
}

static struct loop_timer *loop_earliest(struct loop *loop)
{
    struct loop_timer *best = NULL;

    for (struct loop_timer *t = loop->timers; t; t = t->next)
        if (t->deadline_ns != UINT64_MAX && (!best || t->deadline_ns < best->deadline_ns))
            best = t;
    return best;
}

/* One timer that sets itself to "now" again and again cannot keep the loop from its descriptors:
 * only what was due on entry runs. */
static void loop_run_timers(struct loop *loop)
{
    uint64_t now = loop_now_ns();
    struct loop_timer *t;

    loop_drain(loop->timer_fd);
    loop->armed_ns = UINT64_MAX;
    while ((t = loop_earliest(loop)) && t->deadline_ns <= now) {
        t->deadline_ns = UINT64_MAX;
        t->fn(t->arg);
    }
    if (t)
        loop_arm(loop, t->deadline_ns);
}

/* --- the loop itself --- */

static int loop_open(struct loop *loop, struct err *err)
{
    struct epoll_event wake = {.events = EPOLLIN, .data.u64 = UINT64_MAX};
    struct epoll_event timer = {.events = EPOLLIN, .data.u64 = UINT64_MAX - 1};

    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (loop->epoll_fd < 0 || loop->wake_fd < 0 || loop->timer_fd < 0 ||
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &wake) < 0 ||
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->timer_fd, &timer) < 0)
        return err_set(err, -errno, "cannot set up the event loop: %s", strerror(errno));
    return 0;
}

pthread_mutex_t *loop_given_lock(const struct loop *loop)
{
    return loop->lock;
}

int loop_new(pthread_mutex_t *lock, struct loop **ret_loop, struct err *err)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    int r;

    if (!loop)
        return err_set(err, -ENOMEM, "cannot set up the event loop: out of memory");
    loop->lock = lock;
    loop->armed_ns = UINT64_MAX;
    loop->queue_tail = &loop->queue;
    pthread_mutex_init(&loop->queue_lock, NULL);
    r = loop_open(loop, err);
    if (r < 0) {
        loop_free(loop);
        return r;
    }
    *ret_loop = loop;
    return 0;
}

void loop_free(struct loop *loop)
{
    struct loop_work *work, *next;

    if (!loop)
        return;
    for (work = loop->queue; work; work = next) {
        next = work->next;
        free(work);
    }
    while (loop->timers)
        loop_timer_free(loop->timers);
    if (loop->epoll_fd > 0)
        close(loop->epoll_fd);
    if (loop->wake_fd > 0)
        close(loop->wake_fd);
    if (loop->timer_fd > 0)
        close(loop->timer_fd);
    pthread_mutex_destroy(&loop->queue_lock);
    free(loop->watches);
    free(loop);
}

static void loop_handle(struct loop *loop, const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == UINT64_MAX)
            loop_drain(loop->wake_fd);
        else if (events[i].data.u64 == UINT64_MAX - 1)
            loop_run_timers(loop);
        else
            loop_dispatch(loop, &events[i]);
    }
    loop_run_queue(loop);
    loop_run_always(loop);
}

static void loop_lock(struct loop *loop)
{
    if (loop->lock)
        pthread_mutex_lock(loop->lock);
}

static void loop_unlock(struct loop *loop)
{
    if (loop->lock)
        pthread_mutex_unlock(loop->lock);
}

int loop_run(struct loop *loop, struct err *err)
{
    struct epoll_event events[LOOP_BATCH];

    while (!atomic_exchange(&loop->stop, false)) {
        bool busy;
        int n;

        loop_lock(loop);
        busy = loop_any_always(loop);
        loop_unlock(loop);
        n = epoll_wait(loop->epoll_fd, events, LOOP_BATCH, busy ? 0 : -1);
        if (n < 0 && errno != EINTR)
            return err_set(err, -errno, "event loop: cannot wait: %s", strerror(errno));
        loop_lock(loop);
        loop_handle(loop, events, n < 0 ? 0 : n);
        loop_unlock(loop);
    }
    return 0;
}

void loop_stop(struct loop *loop)
{
    atomic_store(&loop->stop, true);
    loop_wake(loop);
}
