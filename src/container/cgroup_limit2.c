/* SPDX-License-Identifier: Apache-2.0 */
/* Limits in a version 2 group (kernel cgroup-v2.rst). Configurations speak version 1: the
 * conversions are those the runtime-spec and the other runtimes have agreed on. */
#include "container/cgroup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct cgroup_setter {
    const struct cgroup *g;
    const struct cgroup_hierarchy *h;
    int code; /* the first failure sticks */
    struct err *err;
};

static void cgroup2_text(struct cgroup_setter *s, const char *file, const char *text)
{
    if (!s->code && text && *text)
        s->code = cgroup_set(s->g, s->h, file, text, s->err);
}

static void cgroup2_number(struct cgroup_setter *s, const char *file, int64_t value)
{
    char text[32];

    if (value == SPEC_UNSET)
        return;
    if (value < 0)
        snprintf(text, sizeof(text), "max");
    else
        snprintf(text, sizeof(text), "%" PRId64, value);
    cgroup2_text(s, file, text);
}

/* memory.swap.max counts swap alone, the configuration memory and swap together. */
static void cgroup2_memory(struct cgroup_setter *s, const struct spec_resources *res)
{
    int64_t limit = res->memory.limit, swap = res->memory.swap;
    char text[32];

    if (res->memory.check_before_update && limit > 0 &&
        cgroup_read(s->g, s->h, "memory.current", text, sizeof(text)) == 0) {
        long long used = 0;

        if (sscanf(text, "%lld", &used) == 1 && used > limit)
            s->code =
                err_set(s->err, -EINVAL,
                        "memory limit %lld is below the %lld bytes in use (checkBeforeUpdate)",
                        (long long)limit, used);
    }
    if (limit == 0)
        limit = SPEC_UNSET;
    if (swap != SPEC_UNSET && swap > 0) {
        if (limit == SPEC_UNSET || limit < 0 || swap < limit) {
            s->code = err_set(s->err, -EINVAL,
                              "linux.resources.memory.swap: %" PRId64
                              " counts memory and swap together, so it needs a limit not above it",
                              swap);
            return;
        }
        swap -= limit;
    } else if (swap == 0) {
        swap = SPEC_UNSET;
    }
    cgroup2_number(s, "memory.swap.max", swap);
    cgroup2_number(s, "memory.max", limit);
    cgroup2_number(s, "memory.low",
                   res->memory.reservation == 0 ? SPEC_UNSET : res->memory.reservation);
    if (!s->code && res->memory.no_oom_killer)
        s->code = err_set(s->err, -EOPNOTSUPP,
                          "linux.resources.memory.disableOOMKiller: cgroup v2 has no such switch");
}

/* 10^((l^2 + 125 l) / 612 - 7/34) with l = log2(shares): the curve runtimes have agreed on. By
 * hand, for libm would be all of it that is used. */
int64_t cgroup_weight_of_shares(int64_t shares)
{
    /* log2 in 1/65536, then 10^((l^2 + 125 l) / 612 - 7/34) by the same means. */
    double l = 0, x = (double)shares, e, ten = 1;

    if (shares <= 2)
        return 1;
    if (shares >= 262144)
        return 10000;
    while (x >= 2) {
        x /= 2;
        l += 1;
    }
    for (double bit = 0.5; bit > 1e-9; bit /= 2) {
        x *= x;
        if (x >= 2) {
            x /= 2;
            l += bit;
        }
    }
    e = (l * l + 125 * l) / 612 - 7.0 / 34;
    for (; e >= 1; e -= 1)
        ten *= 10;
    for (double root = 3.1622776601683795, bit = 0.5; bit > 1e-12; bit /= 2) {
        double next = root, guess = root;

        if (e >= bit) {
            ten *= root;
            e -= bit;
        }
        for (int i = 0; i < 40; i++)
            guess = (guess + next / guess) / 2;
        root = guess;
    }
    return (int64_t)ten + ((double)(int64_t)ten < ten);
}

static void cgroup2_cpu(struct cgroup_setter *s, const struct spec_resources *res)
{
    int64_t quota = res->cpu.quota, period = res->cpu.period;
    char text[64];

    if (res->cpu.shares != SPEC_UNSET && res->cpu.shares != 0)
        cgroup2_number(s, "cpu.weight", cgroup_weight_of_shares(res->cpu.shares));
    if (quota == 0)
        quota = SPEC_UNSET;
    if (period == 0)
        period = SPEC_UNSET;
    if (quota != SPEC_UNSET || period != SPEC_UNSET) {
        char now[64] = "max 100000", limit[32];
        long long old = 100000;

        (void)!cgroup_read(s->g, s->h, "cpu.max", now, sizeof(now));
        (void)!sscanf(now, "%31s %lld", limit, &old);
        if (quota != SPEC_UNSET)
            snprintf(limit, sizeof(limit), quota < 0 ? "max" : "%" PRId64, quota);
        snprintf(text, sizeof(text), "%s %lld", limit,
                 period == SPEC_UNSET ? old : (long long)period);
        cgroup2_text(s, "cpu.max", text);
    }
    cgroup2_number(s, "cpu.max.burst", res->cpu.burst);
    cgroup2_number(s, "cpu.idle", res->cpu.idle);
    if (!s->code && ((res->cpu.rt_runtime != SPEC_UNSET && res->cpu.rt_runtime) ||
                     (res->cpu.rt_period != SPEC_UNSET && res->cpu.rt_period)))
        s->code = err_set(s->err, -EOPNOTSUPP,
                          "linux.resources.cpu: realtime limits do not exist in cgroup v2");
    cgroup2_text(s, "cpuset.cpus", res->cpu.cpus);
    cgroup2_text(s, "cpuset.mems", res->cpu.mems);
}

/* 10..1000 to 1..10000, linearly. */
static int64_t cgroup2_io_weight(uint64_t weight)
{
    return 1 + ((int64_t)weight - 10) * 9999 / 990;
}

static void cgroup2_io(struct cgroup_setter *s, const struct spec_resources *res)
{
    static const char *const keys[SPEC_THROTTLES] = {"rbps", "wbps", "riops", "wiops"};
    char text[64];
    bool weighs = res->block.weight >= 10 || res->block.weight_count;
    bool bfq = weighs && cgroup_read(s->g, s->h, "io.bfq.weight", text, sizeof(text)) == 0;

    if (res->block.weight >= 10) {
        snprintf(text, sizeof(text), bfq ? "%" PRId64 : "default %" PRId64,
                 bfq ? res->block.weight : cgroup2_io_weight((uint64_t)res->block.weight));
        cgroup2_text(s, bfq ? "io.bfq.weight" : "io.weight", text);
    }
    for (unsigned i = 0; i < res->block.weight_count; i++) {
        const struct spec_throttle *w = &res->block.weights[i];

        snprintf(text, sizeof(text), "%u:%u %" PRId64, w->major, w->minor,
                 bfq ? (int64_t)w->value : cgroup2_io_weight(w->value));
        cgroup2_text(s, bfq ? "io.bfq.weight" : "io.weight", text);
    }
    for (unsigned kind = 0; kind < SPEC_THROTTLES; kind++)
        for (unsigned i = 0; i < res->block.throttle_count[kind]; i++) {
            const struct spec_throttle *t = &res->block.throttle[kind][i];

            snprintf(text, sizeof(text), "%u:%u %s=%" PRIu64, t->major, t->minor, keys[kind],
                     t->value);
            cgroup2_text(s, "io.max", text);
        }
}

/* "cpu.weight" is the cpu controller's; "cgroup.procs" and the like have none. */
static void cgroup2_unified(struct cgroup_setter *s, const struct json *at)
{
    char have[512] = "", name[64], wanted[66];

    snprintf(name, sizeof(name), "%.*s", (int)strcspn(at->name, "."), at->name);
    if (cgroup_read(s->g, s->h, "cgroup.controllers", have + 1, sizeof(have) - 2) == 0)
        have[0] = ' ';
    have[strcspn(have, "\n")] = ' ';
    snprintf(wanted, sizeof(wanted), " %s ", name);
    if (strcmp(name, "cgroup") && !strstr(have, wanted))
        s->code =
            err_set(s->err, -EOPNOTSUPP,
                    "linux.resources.unified: %s: the controller '%s' is not available in %s%s",
                    at->name, name, s->h->dir, s->g->path);
    else
        s->code = cgroup_set(s->g, s->h, at->name, at->text, s->err);
}

static void cgroup2_rest(struct cgroup_setter *s, const struct spec_resources *res)
{
    char file[64], line[160];

    if (res->pids != 0)
        cgroup2_number(s, "pids.max", res->pids);
    for (unsigned i = 0; i < res->huge_count; i++) {
        snprintf(file, sizeof(file), "hugetlb.%.32s.max", res->huge[i].name);
        snprintf(line, sizeof(line), "%" PRIu64, res->huge[i].value);
        cgroup2_text(s, file, line);
    }
    for (unsigned i = 0; i < res->rdma_count; i++) {
        cgroup_rdma_line(&res->rdma[i], line, sizeof(line));
        cgroup2_text(s, "rdma.max", line);
    }
    if (!s->code && (res->class_id != SPEC_UNSET || res->priority_count))
        s->code =
            err_set(s->err, -EOPNOTSUPP,
                    "linux.resources.network: classes and priorities do not exist in cgroup v2");
    for (const struct json *c = res->unified ? res->unified->child : NULL; c && !s->code;
         c = c->next)
        cgroup2_unified(s, c);
}

int cgroup_limit_v2(const struct cgroup *g, const struct spec_resources *res, struct err *err)
{
    struct cgroup_setter s = {.g = g, .h = cgroup_unified(g), .err = err};

    if (!s.h || !(g->joined & 1u << (s.h - g->at)))
        return g->rootless ? 0
                           : err_set(err, -EOPNOTSUPP, "limits need a cgroup, and there is none");
    cgroup2_memory(&s, res);
    cgroup2_cpu(&s, res);
    cgroup2_io(&s, res);
    cgroup2_rest(&s, res);
    return s.code;
}
