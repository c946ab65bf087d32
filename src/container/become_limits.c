/* SPDX-License-Identifier: Apache-2.0 */
/* Limits, scheduling, memory policy of a process. Contract: container/become.h. */
#include "container/become.h"

#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

struct limits_sched_attr { /* sched_setattr(2), version 1 */
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t util_min, util_max;
};

static int limits_resources(const struct spec_process *p, struct err *err)
{
    for (unsigned i = 0; i < p->rlimit_count; i++) {
        const struct rlimit want = {p->rlimits[i].soft, p->rlimits[i].hard};
        struct rlimit now;

        if (getrlimit((__rlimit_resource_t)p->rlimits[i].resource, &now) == 0 &&
            now.rlim_cur == want.rlim_cur && now.rlim_max == want.rlim_max)
            continue;
        if (setrlimit((__rlimit_resource_t)p->rlimits[i].resource, &want) < 0)
            return err_set(err, -errno, "process.rlimits[%u]: soft %llu, hard %llu: %s", i,
                           (unsigned long long)want.rlim_cur, (unsigned long long)want.rlim_max,
                           errno == EPERM ? "a hard limit is raised by CAP_SYS_RESOURCE only"
                                          : strerror(errno));
    }
    return 0;
}

static int limits_scheduler(const struct spec_scheduler *s, struct err *err)
{
    const struct limits_sched_attr attr = {
        .size = sizeof(attr),
        .policy = (uint32_t)s->policy,
        .flags = s->flags,
        .nice = (int32_t)s->nice,
        .priority = (uint32_t)s->priority,
        .runtime = s->runtime,
        .deadline = s->deadline,
        .period = s->period,
    };

    if (s->given && syscall(SYS_sched_setattr, 0, &attr, 0) < 0)
        return err_set(err, -errno, "process.scheduler: %s", strerror(errno));
    return 0;
}

int become_affinity(const char *list, struct err *err)
{
    cpu_set_t set;
    const char *c = list;

    CPU_ZERO(&set);
    while (*c) {
        char *end;
        unsigned long first = strtoul(c, &end, 10), last = first;

        if (end != c && *end == '-')
            last = strtoul(end + 1, &end, 10);
        if (end == c || (*end && *end != ',') || first > last || last >= CPU_SETSIZE)
            return err_set(err, -EINVAL, "process.execCPUAffinity: '%s' is no list of CPUs", list);
        for (unsigned long cpu = first; cpu <= last; cpu++)
            CPU_SET(cpu, &set);
        c = end + (*end == ',');
    }
    if (sched_setaffinity(0, sizeof(set), &set) < 0)
        return err_set(err, -errno, "process.execCPUAffinity: '%s': %s", list, strerror(errno));
    return 0;
}

static int limits_oom(const struct become *b)
{
    char text[16];
    CLEANUP(fd) int fd = -1;

    if (!b->process->has_oom_score)
        return 0;
    fd = openat(b->proc, "self/oom_score_adj", O_RDWR | O_CLOEXEC);
    snprintf(text, sizeof(text), "%d", b->process->oom_score);
    if (fd >= 0 && write(fd, text, strlen(text)) > 0)
        return 0;
    if (errno == EACCES || errno == EPERM) { /* lower than ours, without the right: as it was */
        char now[16] = "";

        if (b->in_userns || (fd >= 0 && pread(fd, now, sizeof(now) - 1, 0) > 0 &&
                             atoi(now) == b->process->oom_score))
            return 0;
    }
    return err_set(b->err, -errno, "process.oomScoreAdj: %d: %s", b->process->oom_score,
                   strerror(errno));
}

int become_limit(struct become *b)
{
    const struct spec_process *p = b->process;
    int r = limits_resources(p, b->err);

    if (!r)
        r = limits_oom(b);
    if (!r)
        r = limits_scheduler(&p->scheduler, b->err);
    if (!r && p->has_ioprio && syscall(SYS_ioprio_set, 1, 0, p->ioprio) < 0)
        r = err_set(b->err, -errno, "process.ioPriority: %s", strerror(errno));
    if (!r && p->has_personality && personality((unsigned long)p->personality) < 0)
        r = err_set(b->err, -errno, "linux.personality: %s", strerror(errno));
    return r;
}
