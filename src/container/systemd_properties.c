/* SPDX-License-Identifier: Apache-2.0 */
/* Limits and annotations as unit properties. Contract: container/systemd.h. */
#include "container/systemd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SYSTEMD_LIST = 8192 / 8 };

void systemd_put_text(struct dbus_body *b, const char *name, const char *value)
{
    dbus_put_struct(b);
    dbus_put_text(b, name);
    dbus_put_signature(b, "s");
    dbus_put_text(b, value);
}

void systemd_put_bool(struct dbus_body *b, const char *name, bool value)
{
    dbus_put_struct(b);
    dbus_put_text(b, name);
    dbus_put_signature(b, "b");
    dbus_put_bool(b, value);
}

void systemd_put_u64(struct dbus_body *b, const char *name, uint64_t value)
{
    dbus_put_struct(b);
    dbus_put_text(b, name);
    dbus_put_signature(b, "t");
    dbus_put_u64(b, value);
}

/* -1 is "no limit" in a configuration and all ones for systemd. */
static void systemd_put_limit(struct dbus_body *b, const char *name, int64_t value)
{
    if (value != SPEC_UNSET)
        systemd_put_u64(b, name, value < 0 ? UINT64_MAX : (uint64_t)value);
}

size_t systemd_list_bits(const char *list, uint8_t *bits, size_t room)
{
    size_t used = 0;
    const char *c = list;

    memset(bits, 0, room);
    while (*c) {
        char *end;
        unsigned long first = strtoul(c, &end, 10), last = first;

        if (end != c && *end == '-')
            last = strtoul(end + 1, &end, 10);
        if (end == c || (*end && *end != ',') || first > last || last >= room * 8)
            return 0;
        for (unsigned long i = first; i <= last; i++)
            bits[i / 8] |= (uint8_t)(1 << i % 8);
        used = last / 8 + 1 > used ? last / 8 + 1 : used;
        c = end + (*end == ',');
    }
    return used;
}

static void systemd_put_list(struct dbus_body *b, const char *name, const char *list)
{
    uint8_t bits[SYSTEMD_LIST];
    size_t at, n = list ? systemd_list_bits(list, bits, sizeof(bits)) : 0;

    if (!n)
        return;
    dbus_put_struct(b);
    dbus_put_text(b, name);
    dbus_put_signature(b, "ay");
    dbus_begin_array(b, 1, &at);
    for (size_t i = 0; i < n; i++)
        dbus_put_byte(b, bits[i]);
    dbus_end_array(b, 1, at);
}

/* systemd thinks in microseconds of CPU time a second, in steps of 10 ms. */
static void systemd_put_quota(struct dbus_body *b, int64_t quota, int64_t period)
{
    uint64_t used_period = period > 0 ? (uint64_t)period : 100000, per_second = UINT64_MAX;

    if (period > 0)
        systemd_put_u64(b, "CPUQuotaPeriodUSec", (uint64_t)period);
    if (quota == SPEC_UNSET || quota == 0)
        return;
    if (quota > 0 && quota < INT64_MAX / 1000000)
        per_second = ((uint64_t)quota * 1000000 / used_period + 9999) / 10000 * 10000;
    systemd_put_u64(b, "CPUQuotaPerSecUSec", per_second);
}

static void systemd_put_cpu(struct dbus_body *b, const struct spec_resources *r, bool v2)
{
    int64_t shares = r->cpu.shares == 0 ? SPEC_UNSET : r->cpu.shares;

    if (!v2)
        systemd_put_limit(b, "CPUShares", shares);
    else if (r->cpu.idle == 1)
        systemd_put_u64(b, "CPUWeight", 0);
    else if (shares != SPEC_UNSET)
        systemd_put_u64(b, "CPUWeight", (uint64_t)cgroup_weight_of_shares(shares));
    systemd_put_quota(b, r->cpu.quota, r->cpu.period);
    systemd_put_list(b, "AllowedCPUs", r->cpu.cpus);
    systemd_put_list(b, "AllowedMemoryNodes", r->cpu.mems);
}

static void systemd_put_memory(struct dbus_body *b, const struct spec_resources *r, bool v2)
{
    int64_t limit = r->memory.limit == 0 ? SPEC_UNSET : r->memory.limit;

    systemd_put_limit(b, v2 ? "MemoryMax" : "MemoryLimit", limit);
    if (!v2)
        return;
    systemd_put_limit(b, "MemoryLow",
                      r->memory.reservation == 0 ? SPEC_UNSET : r->memory.reservation);
    if (r->memory.swap == -1)
        systemd_put_limit(b, "MemorySwapMax", -1);
    else if (r->memory.swap > 0 && limit > 0 && r->memory.swap >= limit)
        systemd_put_limit(b, "MemorySwapMax", r->memory.swap - limit);
}

/* What the map of raw files says about knobs that systemd owns in the scope's own group. */
static void systemd_put_unified(struct dbus_body *b, const struct json *unified)
{
    static const char *const names[][2] = {
        {"memory.max", "MemoryMax"},          {"memory.high", "MemoryHigh"},
        {"memory.low", "MemoryLow"},          {"memory.min", "MemoryMin"},
        {"memory.swap.max", "MemorySwapMax"}, {"pids.max", "TasksMax"},
        {"cpu.weight", "CPUWeight"},          {NULL, NULL}};

    for (const struct json *c = unified ? unified->child : NULL; c; c = c->next) {
        char *end;
        uint64_t value = strtoull(c->text, &end, 10);

        if (!strcmp(c->text, "max"))
            value = UINT64_MAX;
        else if (end == c->text || (*end && *end != '\n'))
            continue; /* the file's own rules judge it */
        for (size_t i = 0; names[i][0]; i++)
            if (!strcmp(c->name, names[i][0]))
                systemd_put_u64(b, names[i][1], value);
        if (!strcmp(c->name, "cpuset.cpus"))
            systemd_put_list(b, "AllowedCPUs", c->text);
        if (!strcmp(c->name, "cpuset.mems"))
            systemd_put_list(b, "AllowedMemoryNodes", c->text);
    }
}

void systemd_put_resources(struct dbus_body *b, const struct spec_resources *r, bool v2)
{
    systemd_put_cpu(b, r, v2);
    systemd_put_memory(b, r, v2);
    if (r->pids != SPEC_UNSET && r->pids != 0)
        systemd_put_limit(b, "TasksMax", r->pids);
    if (r->block.weight >= 10)
        systemd_put_u64(b, v2 ? "IOWeight" : "BlockIOWeight",
                        v2 ? 1 + ((uint64_t)r->block.weight - 10) * 9999 / 990
                           : (uint64_t)r->block.weight);
    if (v2)
        systemd_put_unified(b, r->unified);
}

/* "uint64 12", "int32 -1", and so on; without a type it is an int32. What does not fit is refused:
 * systemd would get another number. */
static bool systemd_put_number(struct dbus_body *b, const char *text)
{
    static const struct {
        const char *prefix, *signature;
        long long least, most; /* of the first strtoull() judges */
    } types[] = {{"uint64 ", "t", 0, -1},
                 {"int64 ", "x", INT64_MIN, INT64_MAX},
                 {"uint32 ", "u", 0, UINT32_MAX},
                 {"int32 ", "i", INT32_MIN, INT32_MAX},
                 {"", "i", INT32_MIN, INT32_MAX}};
    unsigned long long number;
    size_t kind = 0;
    char *end;

    while (strncmp(text, types[kind].prefix, strlen(types[kind].prefix)) != 0)
        kind++;
    text += strlen(types[kind].prefix);
    errno = 0;
    number = kind == 0 ? strtoull(text, &end, 10) : (unsigned long long)strtoll(text, &end, 10);
    if (errno || end == text || *end || (kind == 0 && strchr(text, '-')))
        return false;
    if (kind > 0 && ((long long)number < types[kind].least || (long long)number > types[kind].most))
        return false;
    dbus_put_signature(b, types[kind].signature);
    if (kind < 2)
        dbus_put_u64(b, number);
    else
        dbus_put_u32(b, (uint32_t)number);
    return true;
}

/* GVariant text format, as far as properties need it: 'text', true, numbers. */
static bool systemd_put_value(struct dbus_body *b, const char *text)
{
    size_t len = strlen(text);
    char inner[256];

    if (len >= 2 && len < sizeof(inner) && (*text == '\'' || *text == '"') &&
        text[len - 1] == *text && !memchr(text + 1, *text, len - 2) && !strchr(text, '\\')) {
        snprintf(inner, sizeof(inner), "%.*s", (int)(len - 2), text + 1);
        dbus_put_signature(b, "s");
        dbus_put_text(b, inner);
        return true;
    }
    if (!strcmp(text, "true") || !strcmp(text, "false")) {
        dbus_put_signature(b, "b");
        dbus_put_bool(b, *text == 't');
        return true;
    }
    return systemd_put_number(b, text);
}

int systemd_put_annotations(struct dbus_body *b, const struct json *annotations, struct err *err)
{
    static const char prefix[] = "org.systemd.property.";

    for (const struct json *c = annotations ? annotations->child : NULL; c; c = c->next) {
        if (strncmp(c->name, prefix, sizeof(prefix) - 1) != 0)
            continue;
        dbus_put_struct(b);
        dbus_put_text(b, c->name + sizeof(prefix) - 1);
        if (!systemd_put_value(b, c->text))
            return err_set(
                err, -EINVAL,
                "annotation %s: '%s' is no value: expected true, 'text', 12 or uint64 12", c->name,
                c->text);
    }
    return 0;
}
