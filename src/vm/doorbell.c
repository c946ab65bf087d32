/* SPDX-License-Identifier: Apache-2.0 */
/* Doorbells over eventfd(2). Contract: doorbell.h. */
#include "vm/doorbell.h"
#include "host/loop.h"
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct doorbell {
    struct doorbells *group;
    struct doorbell *next;
    int fd;
    gpa_t at; /* 0: nowhere */
    void (*ring)(void *ring_arg);
    void *ring_arg;
};

static void doorbell_rang(void *arg, int fd, unsigned events)
{
    const struct doorbell *bell = (const struct doorbell *)arg;
    uint64_t count;

    if (read(fd, &count, sizeof(count)) == sizeof(count))
        bell->ring(bell->ring_arg);
}

static void doorbell_free(struct doorbell *bell)
{
    if (bell->fd >= 0)
        close(bell->fd);
    free(bell);
}

static struct doorbell *doorbell_open(void *arg, void (*ring)(void *ring_arg), void *ring_arg)
{
    struct doorbells *group = (struct doorbells *)arg;
    struct doorbell *bell = calloc(1, sizeof(*bell));

    if (!bell)
        return NULL;
    *bell = (struct doorbell){.group = group, .ring = ring, .ring_arg = ring_arg};
    bell->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (bell->fd < 0 || loop_watch(group->loop, bell->fd, EPOLLIN, doorbell_rang, bell)) {
        doorbell_free(bell);
        return NULL;
    }
    bell->next = group->first;
    group->first = bell;
    return bell;
}

static bool doorbell_place(struct doorbell *bell, gpa_t gpa)
{
    struct engine *engine = bell->group->engine;
    bool placed = true;

    if (bell->at.v) /* what is not there cannot be taken away: no harm */
        (void)!engine->ops->doorbell(engine, bell->at, bell->fd, false);
    if (gpa.v)
        placed = !engine->ops->doorbell(engine, gpa, bell->fd, true);
    bell->at = placed ? gpa : GPA(0);
    return placed;
}

static const struct doorbell_ops doorbell_ops = {.open = doorbell_open, .place = doorbell_place};

/* A ring is work for another thread: with one CPU it only costs a switch of threads. */
static bool doorbells_pay(void)
{
    cpu_set_t cpus;

    return !sched_getaffinity(0, sizeof(cpus), &cpus) && CPU_COUNT(&cpus) > 1;
}

struct doorbell_maker doorbells_init(struct doorbells *d, struct loop *loop, struct engine *engine)
{
    *d = (struct doorbells){.loop = loop, .engine = engine};
    return (struct doorbell_maker){
        .ops = engine->ops->doorbell && doorbells_pay() ? &doorbell_ops : NULL, .arg = d};
}

void doorbells_done(struct doorbells *d)
{
    while (d->first) {
        struct doorbell *bell = d->first;

        d->first = bell->next;
        loop_unwatch(d->loop, bell->fd);
        doorbell_free(bell);
    }
}
