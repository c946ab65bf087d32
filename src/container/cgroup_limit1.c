/* SPDX-License-Identifier: Apache-2.0 */
/* Limits in version 1 groups (kernel admin-guide/cgroup-v1/). In a hybrid set-up the controllers
 * are here; a `unified` entry goes to the version 2 group. */
#include "container/cgroup.h"

#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct cgroup_setter {
    const struct cgroup *g;
    int code; /* the first failure sticks */
    struct err *err;
};

static void cgroup1_text(struct cgroup_setter *s, const char *controller, const char *file,
                         const char *text)
{
    const struct cgroup_hierarchy *h = cgroup_controller(s->g, controller);

    if (s->code || !text)
        return;
    if (!h)
        s->code = err_set(s->err, -EOPNOTSUPP, "cgroup %s: %s = %s: this host has no %s controller",
                          s->g->path, file, text, controller);
    else
        s->code = cgroup_set(s->g, h, file, text, s->err);
}

static void cgroup1_number(struct cgroup_setter *s, const char *controller, const char *file,
                           int64_t value)
{
    char text[32];

    if (value == SPEC_UNSET)
        return;
    snprintf(text, sizeof(text), "%" PRId64, value);
    cgroup1_text(s, controller, file, text);
}

/* Both limits move together, and memory+swap may never be the smaller one: the order of the two
 * writes follows from what is there. */
static void cgroup1_memory_limits(struct cgroup_setter *s, const struct spec_resources *res)
{
    const struct cgroup_hierarchy *h = cgroup_controller(s->g, "memory");
    int64_t limit = res->memory.limit, swap = res->memory.swap;
    struct err ignored;

    if (limit == -1 && swap == SPEC_UNSET && h)
        swap = -1;
    if (limit != SPEC_UNSET && swap != SPEC_UNSET && h) {
        char text[32];

        snprintf(text, sizeof(text), "%" PRId64, swap);
        /* Growing: swap first. When that is refused the limit goes first below. */
        if (cgroup_set(s->g, h, "memory.memsw.limit_in_bytes", text, &ignored) == 0)
            swap = SPEC_UNSET;
        else if (cgroup_read(s->g, h, "memory.memsw.limit_in_bytes", text, sizeof(text)) < 0 &&
                 res->memory.swap != SPEC_UNSET && swap == -1)
            swap = SPEC_UNSET; /* no swap accounting: there is nothing to lift */
    }
    if (swap == -1 && res->memory.swap == SPEC_UNSET)
        swap = SPEC_UNSET;
    cgroup1_number(s, "memory", "memory.limit_in_bytes", limit);
    cgroup1_number(s, "memory", "memory.memsw.limit_in_bytes", swap);
}

static void cgroup1_memory(struct cgroup_setter *s, const struct spec_resources *res, bool updating)
{
    const struct cgroup_hierarchy *h = cgroup_controller(s->g, "memory");
    char text[32];

    if (res->memory.check_before_update && res->memory.limit > 0 && h &&
        cgroup_read(s->g, h, "memory.usage_in_bytes", text, sizeof(text)) == 0) {
        long long used = 0;

        if (sscanf(text, "%lld", &used) == 1 && used > res->memory.limit)
            s->code =
                err_set(s->err, -EINVAL,
                        "memory limit %lld is below the %lld bytes in use (checkBeforeUpdate)",
                        (long long)res->memory.limit, used);
    }
    if (!s->code)
        cgroup1_memory_limits(s, res);
    cgroup1_number(s, "memory", "memory.soft_limit_in_bytes", res->memory.reservation);
    /* Gone from the kernel since 5.16, and the specification calls it deprecated. */
    if (res->memory.kernel != SPEC_UNSET && h)
        (void)!cgroup_read(s->g, h, "memory.kmem.limit_in_bytes", text, sizeof(text));
    if (res->memory.kernel_tcp != SPEC_UNSET)
        cgroup1_number(s, "memory", "memory.kmem.tcp.limit_in_bytes", res->memory.kernel_tcp);
    cgroup1_number(s, "memory", "memory.swappiness", res->memory.swappiness);
    if (res->memory.no_oom_killer || (updating && res->memory.has_oom))
        cgroup1_number(s, "memory", "memory.oom_control", res->memory.no_oom_killer);
}

static void cgroup1_cpu(struct cgroup_setter *s, const struct spec_resources *res)
{
    int64_t period = res->cpu.period == 0 ? SPEC_UNSET : res->cpu.period;
    int64_t quota = res->cpu.quota == 0 ? SPEC_UNSET : res->cpu.quota;

    if (res->cpu.shares)
        cgroup1_number(s, "cpu", "cpu.shares", res->cpu.shares);
    /* A shorter period may not fit the old quota: one order or the other works. */
    if (period != SPEC_UNSET) {
        const struct cgroup_hierarchy *h = cgroup_controller(s->g, "cpu");
        char text[32];

        snprintf(text, sizeof(text), "%" PRId64, period);
        if (!h || quota == SPEC_UNSET || cgroup_write(s->g, h, "cpu.cfs_period_us", text) < 0) {
            cgroup1_number(s, "cpu", "cpu.cfs_quota_us", quota);
            cgroup1_number(s, "cpu", "cpu.cfs_period_us", period);
            quota = SPEC_UNSET;
        }
    }
    cgroup1_number(s, "cpu", "cpu.cfs_quota_us", quota);
    cgroup1_number(s, "cpu", "cpu.cfs_burst_us", res->cpu.burst);
    cgroup1_number(s, "cpu", "cpu.rt_period_us",
                   res->cpu.rt_period ? res->cpu.rt_period : SPEC_UNSET);
    cgroup1_number(s, "cpu", "cpu.rt_runtime_us",
                   res->cpu.rt_runtime ? res->cpu.rt_runtime : SPEC_UNSET);
    cgroup1_number(s, "cpu", "cpu.idle", res->cpu.idle);
    cgroup1_text(s, "cpuset", "cpuset.cpus",
                 res->cpu.cpus && *res->cpu.cpus ? res->cpu.cpus : NULL);
    cgroup1_text(s, "cpuset", "cpuset.mems",
                 res->cpu.mems && *res->cpu.mems ? res->cpu.mems : NULL);
}

static void cgroup1_block(struct cgroup_setter *s, const struct spec_resources *res)
{
    static const char *const files[SPEC_THROTTLES] = {
        "blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device",
        "blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device"};
    const struct cgroup_hierarchy *h = cgroup_controller(s->g, "blkio");
    char text[64];
    bool weighs = res->block.weight > 0 || res->block.weight_count;
    bool bfq = weighs && h && cgroup_read(s->g, h, "blkio.weight", text, sizeof(text)) < 0;
    const char *weight = bfq ? "blkio.bfq.weight" : "blkio.weight";

    if (res->block.weight > 0)
        cgroup1_number(s, "blkio", weight, res->block.weight);
    for (unsigned i = 0; i < res->block.weight_count; i++) {
        const struct spec_throttle *w = &res->block.weights[i];

        snprintf(text, sizeof(text), "%u:%u %" PRIu64, w->major, w->minor, w->value);
        cgroup1_text(s, "blkio", bfq ? "blkio.bfq.weight_device" : "blkio.weight_device", text);
    }
    for (unsigned kind = 0; kind < SPEC_THROTTLES; kind++)
        for (unsigned i = 0; i < res->block.throttle_count[kind]; i++) {
            const struct spec_throttle *t = &res->block.throttle[kind][i];

            snprintf(text, sizeof(text), "%u:%u %" PRIu64, t->major, t->minor, t->value);
            cgroup1_text(s, "blkio", files[kind], text);
        }
}

void cgroup_rdma_line(const struct spec_rdma *r, char *buf, size_t size)
{
    char handles[24] = "max", objects[24] = "max";

    if (r->handles >= 0)
        snprintf(handles, sizeof(handles), "%" PRId64, r->handles);
    if (r->objects >= 0)
        snprintf(objects, sizeof(objects), "%" PRId64, r->objects);
    snprintf(buf, size, "%.64s hca_handle=%s hca_object=%s", r->device, handles, objects);
}

static void cgroup1_rest(struct cgroup_setter *s, const struct spec_resources *res)
{
    char file[64], text[64];

    if (res->pids != SPEC_UNSET && res->pids != 0)
        cgroup1_text(s, "pids", "pids.max",
                     res->pids < 0 ? "max"
                                   : (snprintf(text, sizeof(text), "%" PRId64, res->pids), text));
    for (unsigned i = 0; i < res->huge_count; i++) {
        snprintf(file, sizeof(file), "hugetlb.%s.limit_in_bytes", res->huge[i].name);
        snprintf(text, sizeof(text), "%" PRIu64, res->huge[i].value);
        cgroup1_text(s, "hugetlb", file, text);
    }
    if (res->class_id != SPEC_UNSET)
        cgroup1_number(s, "net_cls", "net_cls.classid", res->class_id);
    for (unsigned i = 0; i < res->priority_count; i++) {
        snprintf(text, sizeof(text), "%.32s %" PRIu64, res->priorities[i].name,
                 res->priorities[i].value);
        cgroup1_text(s, "net_prio", "net_prio.ifpriomap", text);
    }
    for (unsigned i = 0; i < res->rdma_count; i++) {
        char line[160];

        cgroup_rdma_line(&res->rdma[i], line, sizeof(line));
        cgroup1_text(s, "rdma", "rdma.max", line);
    }
}

static void cgroup1_unified(struct cgroup_setter *s, const struct spec_resources *res)
{
    const struct cgroup_hierarchy *h = cgroup_unified(s->g);

    for (const struct json *c = res->unified ? res->unified->child : NULL; c && !s->code;
         c = c->next)
        s->code = h ? cgroup_set(s->g, h, c->name, c->text, s->err)
                    : err_set(s->err, -EOPNOTSUPP,
                              "linux.resources.unified: %s: this host has no cgroup v2 hierarchy",
                              c->name);
}

int cgroup_limit_v1(const struct cgroup *g, const struct spec_resources *res, bool updating,
                    struct err *err)
{
    struct cgroup_setter s = {.g = g, .err = err};

    cgroup1_memory(&s, res, updating);
    cgroup1_cpu(&s, res);
    cgroup1_block(&s, res);
    cgroup1_rest(&s, res);
    cgroup1_unified(&s, res);
    return s.code;
}

const struct spec_device_rule cgroup_default_rules[] = {
    {true, 'c', -1, -1, .mknod = true}, /* making is harmless */
    {true, 'b', -1, -1, .mknod = true},     {true, 'c', 1, 3, true, true, true}, /* null */
    {true, 'c', 1, 5, true, true, true},                                         /* zero */
    {true, 'c', 1, 7, true, true, true},                                         /* full */
    {true, 'c', 1, 8, true, true, true},                                         /* random */
    {true, 'c', 1, 9, true, true, true},                                         /* urandom */
    {true, 'c', 5, 0, true, true, true},                                         /* tty */
    {true, 'c', 5, 1, true, true, true},                                         /* console */
    {true, 'c', 5, 2, true, true, true},                                         /* ptmx */
    {true, 'c', 136, -1, true, true, true},                                      /* pts */
};
const unsigned cgroup_default_rule_count = ARRAY_LEN(cgroup_default_rules);

/* Two files, opened once: every opening of a cgroup's file builds its state anew. */
struct cgroup1_rules {
    struct cgroup_setter s;
    int files[2]; /* devices.deny, devices.allow */
};

static void cgroup1_rule(struct cgroup1_rules *r, const struct spec_device_rule *d)
{
    char text[64], major[24] = "*", minor[24] = "*";

    if (d->major >= 0)
        snprintf(major, sizeof(major), "%" PRId64, d->major);
    if (d->minor >= 0)
        snprintf(minor, sizeof(minor), "%" PRId64, d->minor);
    snprintf(text, sizeof(text), "%c %s:%s %s%s%s", d->type, major, minor, d->read ? "r" : "",
             d->write ? "w" : "", d->mknod ? "m" : "");
    if (!r->s.code && write(r->files[d->allow], text, strlen(text)) < 0)
        r->s.code = err_set(r->s.err, -errno, "cgroup %s: devices.%s = %s: %s", r->s.g->path,
                            d->allow ? "allow" : "deny", text, strerror(errno));
}

int cgroup_devices_v1(const struct cgroup *g, const struct spec_resources *res, struct err *err)
{
    const struct cgroup_hierarchy *h = cgroup_controller(g, "devices");
    struct cgroup1_rules r = {.s = {.g = g, .err = err}};
    CLEANUP(fd) int deny = r.files[false] = cgroup_open(g, h, "devices.deny", O_WRONLY);
    CLEANUP(fd) int allow = r.files[true] = cgroup_open(g, h, "devices.allow", O_WRONLY);

    if (deny < 0 || allow < 0)
        return err_set(err, deny < 0 ? deny : allow, "cgroup %s: device rules: %s", g->path,
                       strerror(deny < 0 ? -deny : -allow));
    for (unsigned i = 0; i < res->device_count; i++)
        cgroup1_rule(&r, &res->devices[i]);
    for (unsigned i = 0; i < cgroup_default_rule_count; i++)
        cgroup1_rule(&r, &cgroup_default_rules[i]);
    return r.s.code;
}
