/* SPDX-License-Identifier: Apache-2.0 */
/* posada oci events: use of resources as JSON lines, in the shape containerd's shim reads. */
#include "cli/oci.h"

#include "base/cleanup.h"
#include "container/cgroup.h"
#include "container/out.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_option oci_events_options[] = {
    {"stats", 0, NULL, "once, and end"},
    {"interval", 0, "SECONDS", "time between two (default: 5)"},
    CLI_OPTIONS_END,
};

static uint64_t oci_group_number(const struct cgroup *g, const char *controller, const char *file)
{
    const struct cgroup_hierarchy *h =
        controller ? cgroup_controller(g, controller) : cgroup_unified(g);
    char text[64];

    if (!h || cgroup_read(g, h, file, text, sizeof(text)) < 0)
        return 0;
    return strncmp(text, "max", 3) ? strtoull(text, NULL, 10) : UINT64_MAX;
}

/* "name value" lines, as in memory.stat and cpu.stat. */
static uint64_t oci_group_field(const struct cgroup *g, const char *controller, const char *file,
                                const char *name)
{
    const struct cgroup_hierarchy *h =
        controller ? cgroup_controller(g, controller) : cgroup_unified(g);
    char text[8192], wanted[64], *at;

    if (!h || cgroup_read(g, h, file, text, sizeof(text)) < 0)
        return 0;
    snprintf(wanted, sizeof(wanted), "%s ", name);
    for (at = text; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (!strncmp(at, wanted, strlen(wanted)))
            return strtoull(at + strlen(wanted), NULL, 10);
    }
    return 0;
}

static void oci_put_cpu(struct out *o, const struct cgroup *g, bool v1)
{
    out_begin(o, "cpu", '{');
    out_begin(o, "usage", '{');
    out_u64(o, "total",
            v1 ? oci_group_number(g, "cpuacct", "cpuacct.usage")
               : 1000 * oci_group_field(g, NULL, "cpu.stat", "usage_usec"));
    out_u64(o, "kernel",
            v1 ? oci_group_number(g, "cpuacct", "cpuacct.usage_sys")
               : 1000 * oci_group_field(g, NULL, "cpu.stat", "system_usec"));
    out_u64(o, "user",
            v1 ? oci_group_number(g, "cpuacct", "cpuacct.usage_user")
               : 1000 * oci_group_field(g, NULL, "cpu.stat", "user_usec"));
    out_end(o, '}');
    out_begin(o, "throttling", '{');
    out_u64(o, "periods", oci_group_field(g, v1 ? "cpu" : NULL, "cpu.stat", "nr_periods"));
    out_u64(o, "throttledPeriods",
            oci_group_field(g, v1 ? "cpu" : NULL, "cpu.stat", "nr_throttled"));
    out_u64(o, "throttledTime",
            v1 ? oci_group_field(g, "cpu", "cpu.stat", "throttled_time")
               : 1000 * oci_group_field(g, NULL, "cpu.stat", "throttled_usec"));
    out_end(o, '}');
    out_end(o, '}');
}

static void oci_put_use(struct out *o, const char *name, uint64_t usage, uint64_t max,
                        uint64_t limit, uint64_t failures)
{
    out_begin(o, name, '{');
    out_u64(o, "limit", limit);
    out_u64(o, "usage", usage);
    out_u64(o, "max", max);
    out_u64(o, "failcnt", failures);
    out_end(o, '}');
}

static void oci_put_memory(struct out *o, const struct cgroup *g, bool v1)
{
    out_begin(o, "memory", '{');
    out_u64(o, "cache",
            oci_group_field(g, v1 ? "memory" : NULL, "memory.stat", v1 ? "cache" : "file"));
    oci_put_use(
        o, "usage",
        oci_group_number(g, v1 ? "memory" : NULL, v1 ? "memory.usage_in_bytes" : "memory.current"),
        oci_group_number(g, v1 ? "memory" : NULL, v1 ? "memory.max_usage_in_bytes" : "memory.peak"),
        oci_group_number(g, v1 ? "memory" : NULL, v1 ? "memory.limit_in_bytes" : "memory.max"),
        v1 ? oci_group_number(g, "memory", "memory.failcnt")
           : oci_group_field(g, NULL, "memory.events", "max"));
    out_end(o, '}');
}

static int oci_events_print(const char *id, struct err *err)
{
    struct container_info c;
    struct cgroup g;
    struct out o = {0};
    int r = container_open(oci_runtime(), id, &c, err);
    bool v1;

    if (r < 0)
        return r;
    container_close(&c);
    if (c.status == STATE_STOPPED)
        return err_set(err, -EBUSY, "container '%s' is stopped: it uses nothing", id);
    r = container_groups(oci_runtime(), &c.state, &g, err);
    if (r < 0)
        return r;
    v1 = cgroup_controller(&g, "memory") || cgroup_controller(&g, "cpuacct");
    out_begin(&o, NULL, '{');
    out_text(&o, "type", "stats");
    out_text(&o, "id", id);
    out_begin(&o, "data", '{');
    oci_put_cpu(&o, &g, v1);
    oci_put_memory(&o, &g, v1);
    out_begin(&o, "pids", '{');
    out_u64(&o, "current", oci_group_number(&g, v1 ? "pids" : NULL, "pids.current"));
    out_u64(&o, "limit", oci_group_number(&g, v1 ? "pids" : NULL, "pids.max"));
    out_end(&o, '}');
    out_end(&o, '}');
    out_end(&o, '}');
    out_raw(&o, "\n");
    if (!o.failed)
        (void)!fwrite(buf_data(&o.buf), 1, o.buf.len, stdout);
    (void)fflush(stdout);
    out_done(&o);
    return 0;
}

static int oci_events_run(const struct cli_args *args)
{
    const char *interval = cli_value(args, "interval");
    uint64_t seconds = 5;
    struct err err;
    int r = 0;

    if (interval && interval[strspn(interval, "0123456789")] == 's')
        ((char *)(uintptr_t)interval)[strspn(interval, "0123456789")] = '\0'; /* "5s", as runc's */
    if (interval)
        r = cli_parse_number("--interval", interval, 1, 86400, &seconds, &err);
    while (!r) {
        r = oci_events_print(args->operands[0], &err);
        if (cli_has(args, "stats"))
            break;
        (void)poll(NULL, 0, (int)seconds * 1000);
    }
    return oci_end(r, &err);
}

const struct cli_verb oci_events_verb = {
    .name = "events",
    .operands = "ID",
    .summary = "Show what a container uses, as JSON",
    .options = oci_events_options,
    .min = 1,
    .max = 1,
    .run = oci_events_run,
};
