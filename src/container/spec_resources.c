/* SPDX-License-Identifier: Apache-2.0 */
/* linux.resources (runtime-spec config-linux.md "Control groups"). */
#include "container/spec.h"

#include <stdio.h>
#include <string.h>

static void spec_read_rule(struct json_reader *r, const struct json *at, struct spec_device_rule *d)
{
    const char *type = json_take_text(r, at, "type");
    const char *access = json_take_text(r, at, "access");

    d->allow = json_take_bool(r, at, "allow", false);
    d->type = type && *type ? *type : 'a';
    d->major = json_take_int(r, at, "major", -1, UINT32_MAX, -1);
    d->minor = json_take_int(r, at, "minor", -1, UINT32_MAX, -1);
    if (type && (strlen(type) > 1 || (*type && !strchr("abc", *type))))
        (void)json_refuse(r, at, "type '%s' is none of a, b, c", type);
    if (access && access[strspn(access, "rwm")])
        (void)json_refuse(r, at, "access '%s' has letters besides r, w, m", access);
    if (!access || !*access)
        access = "rwm";
    d->read = strchr(access, 'r');
    d->write = strchr(access, 'w');
    d->mknod = strchr(access, 'm');
}

static void spec_read_rules(struct json_reader *r, const struct json *list,
                            struct spec_resources *res)
{
    res->devices = list ? spec_array(r, list->count, sizeof(*res->devices)) : NULL;
    for (const struct json *c = res->devices ? list->child : NULL; c; c = c->next)
        spec_read_rule(r, c, &res->devices[res->device_count++]);
}

static int64_t spec_limit(struct json_reader *r, const struct json *at, const char *name)
{
    return json_take_int(r, at, name, -1, INT64_MAX, SPEC_UNSET);
}

static void spec_read_memory(struct json_reader *r, const struct json *at,
                             struct spec_resources *res)
{
    res->memory.limit = spec_limit(r, at, "limit");
    res->memory.reservation = spec_limit(r, at, "reservation");
    res->memory.swap = spec_limit(r, at, "swap");
    res->memory.kernel = spec_limit(r, at, "kernel");
    res->memory.kernel_tcp = spec_limit(r, at, "kernelTCP");
    /* Some engines write 2^64-1 for "not given". */
    res->memory.swappiness = SPEC_UNSET;
    if (json_take(r, at, "swappiness", JSON_NUMBER) &&
        json_take_u64(r, at, "swappiness", UINT64_MAX) != UINT64_MAX)
        res->memory.swappiness = json_take_int(r, at, "swappiness", 0, 200, SPEC_UNSET);
    res->memory.has_oom = json_take(r, at, "disableOOMKiller", JSON_BOOL);
    res->memory.no_oom_killer = json_take_bool(r, at, "disableOOMKiller", false);
    res->memory.use_hierarchy = json_take_bool(r, at, "useHierarchy", false);
    res->memory.check_before_update = json_take_bool(r, at, "checkBeforeUpdate", false);
}

static void spec_read_cpu(struct json_reader *r, const struct json *at, struct spec_resources *res)
{
    res->cpu.shares = json_take_int(r, at, "shares", 0, INT64_MAX, SPEC_UNSET);
    res->cpu.quota = spec_limit(r, at, "quota");
    res->cpu.burst = json_take_int(r, at, "burst", 0, INT64_MAX, SPEC_UNSET);
    res->cpu.period = json_take_int(r, at, "period", 0, INT64_MAX, SPEC_UNSET);
    res->cpu.rt_runtime = spec_limit(r, at, "realtimeRuntime");
    res->cpu.rt_period = json_take_int(r, at, "realtimePeriod", 0, INT64_MAX, SPEC_UNSET);
    res->cpu.idle = json_take_int(r, at, "idle", 0, 1, SPEC_UNSET);
    res->cpu.cpus = json_take_text(r, at, "cpus");
    res->cpu.mems = json_take_text(r, at, "mems");
}

static void spec_read_throttles(struct json_reader *r, const struct json *object, const char *name,
                                const char *value, int64_t max, struct spec_throttle **ret,
                                unsigned *ret_count)
{
    const struct json *list = json_take(r, object, name, JSON_ARRAY);
    struct spec_throttle *throttles = list ? spec_array(r, list->count, sizeof(*throttles)) : NULL;

    *ret = throttles;
    for (const struct json *c = throttles ? list->child : NULL; c; c = c->next) {
        struct spec_throttle *t = &throttles[(*ret_count)++];

        t->major = (unsigned)json_take_int(r, c, "major", 0, UINT32_MAX, 0);
        t->minor = (unsigned)json_take_int(r, c, "minor", 0, UINT32_MAX, 0);
        t->value = (uint64_t)json_take_int(r, c, value, 0, max, 0);
        (void)json_get(c, "leafWeight"); /* gone from the kernel */
    }
}

static void spec_read_block(struct json_reader *r, const struct json *at,
                            struct spec_resources *res)
{
    static const char *const names[SPEC_THROTTLES] = {
        [SPEC_THROTTLE_RBPS] = "throttleReadBpsDevice",
        [SPEC_THROTTLE_WBPS] = "throttleWriteBpsDevice",
        [SPEC_THROTTLE_RIOPS] = "throttleReadIOPSDevice",
        [SPEC_THROTTLE_WIOPS] = "throttleWriteIOPSDevice",
    };

    res->block.weight = json_take_int(r, at, "weight", 0, 1000, SPEC_UNSET);
    res->block.leaf_weight = json_take_int(r, at, "leafWeight", 0, 1000, SPEC_UNSET);
    spec_read_throttles(r, at, "weightDevice", "weight", 1000, &res->block.weights,
                        &res->block.weight_count);
    for (unsigned i = 0; i < SPEC_THROTTLES; i++)
        spec_read_throttles(r, at, names[i], "rate", INT64_MAX, &res->block.throttle[i],
                            &res->block.throttle_count[i]);
}

static void spec_read_huge(struct json_reader *r, const struct json *list,
                           struct spec_resources *res)
{
    res->huge = list ? spec_array(r, list->count, sizeof(*res->huge)) : NULL;
    for (const struct json *c = res->huge ? list->child : NULL; c; c = c->next) {
        struct spec_pair *p = &res->huge[res->huge_count++];

        p->name = json_take_text(r, c, "pageSize");
        p->value = json_take_u64(r, c, "limit", 0);
        if (!p->name || !*p->name || strspn(p->name, "0123456789KMGB") != strlen(p->name))
            (void)json_refuse(r, c, "pageSize '%s' is not of the form 2MB", p->name ? p->name : "");
    }
}

static void spec_read_network(struct json_reader *r, const struct json *at,
                              struct spec_resources *res)
{
    const struct json *list = json_take(r, at, "priorities", JSON_ARRAY);

    res->class_id = json_take_int(r, at, "classID", 0, UINT32_MAX, SPEC_UNSET);
    res->priorities = list ? spec_array(r, list->count, sizeof(*res->priorities)) : NULL;
    for (const struct json *c = res->priorities ? list->child : NULL; c; c = c->next) {
        struct spec_pair *p = &res->priorities[res->priority_count++];

        p->name = json_take_text(r, c, "name");
        p->value = (uint64_t)json_take_int(r, c, "priority", 0, UINT32_MAX, 0);
        if (!p->name)
            (void)json_refuse(r, c, "name is missing");
    }
}

static void spec_read_rdma(struct json_reader *r, const struct json *at, struct spec_resources *res)
{
    res->rdma = at ? spec_array(r, at->count, sizeof(*res->rdma)) : NULL;
    for (struct json *c = res->rdma ? at->child : NULL; c; c = c->next) {
        struct spec_rdma *p = &res->rdma[res->rdma_count++];

        c->seen = true;
        p->device = c->name;
        p->handles = json_take_int(r, c, "hcaHandles", 0, UINT32_MAX, -1);
        p->objects = json_take_int(r, c, "hcaObjects", 0, UINT32_MAX, -1);
    }
}

/* File names below the cgroup, never a path. */
static void spec_read_unified(struct json_reader *r, const struct json *at,
                              struct spec_resources *res)
{
    res->unified = at;
    for (struct json *c = at ? at->child : NULL; c; c = c->next) {
        c->seen = true;
        if (c->kind != JSON_TEXT)
            (void)json_refuse(r, c, "expected a text");
        else if (strchr(c->name, '/') || !strchr(c->name, '.') || *c->name == '.')
            (void)json_refuse(r, c, "not the name of a controller's file");
    }
}

void spec_resources_init(struct spec_resources *res)
{
    *res = (struct spec_resources){0};
    res->memory.limit = res->memory.reservation = res->memory.swap = SPEC_UNSET;
    res->memory.kernel = res->memory.kernel_tcp = res->memory.swappiness = SPEC_UNSET;
    res->cpu.shares = res->cpu.quota = res->cpu.burst = res->cpu.period = SPEC_UNSET;
    res->cpu.rt_runtime = res->cpu.rt_period = res->cpu.idle = SPEC_UNSET;
    res->pids = res->block.weight = res->block.leaf_weight = res->class_id = SPEC_UNSET;
}

void spec_read_resources(struct json_reader *r, const struct json *at, struct spec_resources *res)
{
    spec_resources_init(res);
    if (!at)
        return;
    res->given = true;
    spec_read_rules(r, json_take(r, at, "devices", JSON_ARRAY), res);
    spec_read_memory(r, json_take(r, at, "memory", JSON_OBJECT), res);
    spec_read_cpu(r, json_take(r, at, "cpu", JSON_OBJECT), res);
    res->pids = spec_limit(r, json_take(r, at, "pids", JSON_OBJECT), "limit");
    spec_read_block(r, json_take(r, at, "blockIO", JSON_OBJECT), res);
    spec_read_huge(r, json_take(r, at, "hugepageLimits", JSON_ARRAY), res);
    spec_read_network(r, json_take(r, at, "network", JSON_OBJECT), res);
    spec_read_rdma(r, json_take(r, at, "rdma", JSON_OBJECT), res);
    spec_read_unified(r, json_take(r, at, "unified", JSON_OBJECT), res);
}
