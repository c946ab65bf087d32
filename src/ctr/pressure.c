/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: ctr/pressure.h. */
#include "ctr/pressure.h"

#include "base/cleanup.h"
#include "host/file.h"
#include "host/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#define MIB           (UINT64_C(1) << 20)
#define NS_PER_SECOND UINT64_C(1000000000)

/* Shares of time in which some task waits, in millionths: above one the mark rises, below the other
 * it sinks; what is between is as it should be. */
enum { SHARE_MUCH = 10000, SHARE_LITTLE = 1000, MILLION = 1000000 };
/* The first raise is an eighth, each further one twice the last, until the mark has doubled. */
enum { RAISE_PART = 8, RAISES_MAX = 3, SINK_PART = 32 };
#define RAISE_MIN (4 * MIB)
#define SINK_MIN  (MIB / 4)
/* Older kernels than 6.16 take the pages back while the mark is written: not many at a time. */
#define SINK_MAX   (8 * MIB)
#define MARK_FLOOR (4 * MIB)
/* Looks without a step down after a raise. */
enum { PATIENCE_MIN = 5, PATIENCE_MAX = 300 };

#define LOOK_NS       (2 * NS_PER_SECOND)
#define LOOK_AGAIN_NS (NS_PER_SECOND / 10)
/* Some task waits 50 ms of 500; without rights only windows of 2 s are allowed. */
#define TRIGGER       "some 50000 500000"
#define TRIGGER_USERS "some 200000 2000000"

enum { GROUP_TEXT_MAX = 4096 };

/* --- the mark --- */

static uint64_t marks_host_memory(void)
{
    struct sysinfo info;

    return sysinfo(&info) < 0 ? CTR_MARK_NONE : (uint64_t)info.totalram * info.mem_unit;
}

static uint64_t marks_clamp(const struct ctr_marks *m, uint64_t high)
{
    uint64_t floor = m->low > MARK_FLOOR ? m->low : MARK_FLOOR;

    if (high < floor)
        high = floor;
    if (m->max == CTR_MARK_NONE)
        return high < marks_host_memory() ? high : CTR_MARK_NONE;
    return high < m->max ? high : m->max;
}

static uint64_t marks_raised(struct ctr_marks *m, uint64_t current)
{
    uint64_t base = m->high != CTR_MARK_NONE && m->high > current ? m->high : current, step;

    if (m->high == CTR_MARK_NONE)
        return CTR_MARK_NONE;
    step = base / RAISE_PART << m->raises;
    if (m->raises < RAISES_MAX)
        m->raises++;
    if (m->rest < m->patience || !m->rest) { /* not the same trouble still */
        m->patience = m->patience ? 2 * m->patience : PATIENCE_MIN;
        if (m->patience > PATIENCE_MAX)
            m->patience = PATIENCE_MAX;
    }
    m->rest = m->patience;
    return base + (step > RAISE_MIN ? step : RAISE_MIN);
}

static uint64_t marks_sunk(struct ctr_marks *m, uint64_t current)
{
    uint64_t base = m->high < current ? m->high : current, step = base / SINK_PART;

    if (m->patience > PATIENCE_MIN)
        m->patience--;
    step = step < SINK_MIN ? SINK_MIN : step > SINK_MAX ? SINK_MAX : step;
    return base > step ? base - step : 0;
}

bool ctr_marks_move(struct ctr_marks *m, const struct ctr_look *look)
{
    uint64_t interval = look->interval_us ? look->interval_us : 1, before = m->high, high = before;
    uint64_t share =
        look->stalled_us > UINT64_MAX / MILLION ? MILLION : look->stalled_us * MILLION / interval;

    if (share > SHARE_MUCH) {
        high = marks_raised(m, look->current);
    } else {
        m->raises = 0;
        if (m->rest)
            m->rest--;
        else if (share < SHARE_LITTLE)
            high = marks_sunk(m, look->current);
    }
    m->high = marks_clamp(m, high);
    return m->high != before;
}

/* --- the group --- */

static int group_read(int group_fd, const char *file, char ret[static GROUP_TEXT_MAX])
{
    CLEANUP(fd) int fd = openat(group_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, ret, GROUP_TEXT_MAX - 1);

    if (n < 0)
        return -errno;
    ret[n] = '\0';
    return 0;
}

int ctr_group_number(int group_fd, const char *file, uint64_t *ret)
{
    char text[GROUP_TEXT_MAX], *end;
    int r = group_read(group_fd, file, text);

    if (r < 0)
        return r;
    if (!strncmp(text, "max", 3)) {
        *ret = CTR_MARK_NONE;
        return 0;
    }
    *ret = strtoull(text, &end, 10);
    return end == text ? -EINVAL : 0;
}

int ctr_group_stalled(int group_fd, uint64_t *ret_us)
{
    char text[GROUP_TEXT_MAX];
    unsigned long long total;
    int r = group_read(group_fd, "memory.pressure", text);

    if (r < 0)
        return r;
    if (sscanf(text, "some avg10=%*f avg60=%*f avg300=%*f total=%llu", &total) != 1)
        return -EINVAL;
    *ret_us = total;
    return 0;
}

int ctr_group_open(pid_t pid, const char *group, int *ret_fd)
{
    char proc[40], text[GROUP_TEXT_MAX], path[GROUP_TEXT_MAX + 32], *line, *at = NULL, *rest = text;
    int r;

    (void)snprintf(proc, sizeof(proc), "/proc/%d/cgroup", pid);
    r = group_read(AT_FDCWD, proc, text);
    while (!r && !at && (line = strsep(&rest, "\n")))
        if (!strncmp(line, "0::", 3) && (at = strstr(line, group)))
            at[strlen(group)] = '\0'; /* it may have made groups of its own below */
    if (r < 0 || !at)
        return r ? r : -ENOENT;
    (void)snprintf(path, sizeof(path), "/sys/fs/cgroup%s", line + 3);
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd < 0 ? -errno : 0;
}

/* --- watching --- */

static uint64_t pressure_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

/* O_NONBLOCK: the container's own tasks take the pages back, as they go on. */
static int pressure_write(const struct ctr_pressure *p)
{
    CLEANUP(fd)
    int fd = openat(p->group_fd, "memory.high", O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    char text[32] = "max";

    if (p->marks.high != CTR_MARK_NONE)
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)p->marks.high);
    return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static bool pressure_look(struct ctr_pressure *p, struct ctr_look *ret)
{
    uint64_t stalled, now = pressure_now();

    if (ctr_group_stalled(p->group_fd, &stalled) < 0 ||
        ctr_group_number(p->group_fd, "memory.current", &ret->current) < 0)
        return false;
    ret->stalled_us = stalled - p->stalled_us;
    ret->interval_us = (now - p->when_ns) / 1000;
    p->stalled_us = stalled;
    p->when_ns = now;
    return true;
}

/* Soon again after a raise: what grows fast shall not wait for the next trigger. */
static void pressure_on_timer(void *arg)
{
    struct ctr_pressure *p = arg;
    uint64_t before = p->marks.high;
    struct ctr_look look;

    if (!pressure_look(p, &look))
        return; /* it is just ending */
    if (ctr_marks_move(&p->marks, &look) && pressure_write(p) < 0)
        p->marks.high = before;
    loop_timer_set(p->timer, p->marks.high > before ? LOOK_AGAIN_NS : LOOK_NS);
}

static void pressure_on_trigger(void *arg, int fd, unsigned events)
{
    struct ctr_pressure *p = arg;

    if (events & EPOLLHUP) { /* the group is gone */
        loop_unwatch(p->loop, fd);
        close(take_fd(&p->trigger_fd));
        return;
    }
    pressure_on_timer(p);
}

/* Where the kernel takes none, the timer alone has to do. */
static void pressure_set_trigger(struct ctr_pressure *p)
{
    p->trigger_fd = openat(p->group_fd, "memory.pressure", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (p->trigger_fd < 0)
        return;
    if ((write(p->trigger_fd, TRIGGER, sizeof(TRIGGER)) < 0 &&
         write(p->trigger_fd, TRIGGER_USERS, sizeof(TRIGGER_USERS)) < 0) ||
        loop_watch(p->loop, p->trigger_fd, EPOLLPRI, pressure_on_trigger, p) < 0)
        close(take_fd(&p->trigger_fd));
}

int ctr_pressure_watch(struct ctr_pressure *p, struct loop *loop, int group_fd, uint64_t low,
                       uint64_t max, struct err *err)
{
    struct ctr_look look;

    *p = (struct ctr_pressure){.loop = loop,
                               .timer = loop_timer_new(loop, pressure_on_timer, p),
                               .group_fd = group_fd,
                               .trigger_fd = -1,
                               .marks = {.low = low, .max = max}};
    if (!p->timer || !pressure_look(p, &look) ||
        ctr_group_number(group_fd, "memory.high", &p->marks.high) < 0) {
        ctr_pressure_end(p);
        return err_set(err, -EOPNOTSUPP,
                       "its control group tells no pressure (a kernel without PSI, or psi=0)");
    }
    pressure_set_trigger(p);
    loop_timer_set(p->timer, LOOK_NS);
    return 0;
}

void ctr_pressure_end(struct ctr_pressure *p)
{
    if (!p->loop)
        return;
    if (p->trigger_fd >= 0) {
        loop_unwatch(p->loop, p->trigger_fd);
        close(take_fd(&p->trigger_fd));
    }
    loop_timer_free(p->timer);
    close(take_fd(&p->group_fd));
    p->loop = NULL;
}
