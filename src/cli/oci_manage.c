/* SPDX-License-Identifier: Apache-2.0 */
/* posada oci kill, delete, pause, resume, update. */
#include "cli/oci.h"

#include "container/names.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_option oci_kill_options[] = {
    {"all", 'a', NULL, "every process, not only the first"},
    {"regex", 'r', NULL, "ID is a regular expression"},
    CLI_OPTIONS_END,
};

static int oci_kill_run(const struct cli_args *args)
{
    const char *text = args->operand_count > 1 ? args->operands[1] : "SIGTERM";
    int signal = name_signal(text), r;
    const char **ids;
    struct err err;

    if (signal < 0) {
        err_set(&err, -EINVAL, "kill: '%s' is no signal", text);
        return oci_fail(&err);
    }
    r = oci_names(args, &ids, &err);
    for (; !r && *ids; ids++)
        r = container_kill(oci_runtime(), *ids, signal, cli_has(args, "all"), &err);
    return oci_end(r, &err);
}

const struct cli_verb oci_kill_verb = {
    .name = "kill",
    .operands = "ID [SIGNAL]",
    .summary = "Send a signal (default: TERM)",
    .options = oci_kill_options,
    .min = 1,
    .max = 2,
    .run = oci_kill_run,
};

static const struct cli_option oci_delete_options[] = {
    {"force", 'f', NULL, "kill it first when it runs"},
    {"regex", 'r', NULL, "ID is a regular expression"},
    CLI_OPTIONS_END,
};

static int oci_delete_run(const struct cli_args *args)
{
    const char **ids;
    struct err err;
    int r = oci_names(args, &ids, &err);

    for (; !r && *ids; ids++)
        r = container_delete(oci_runtime(), *ids, cli_has(args, "force"), &err);
    return oci_end(r, &err);
}

const struct cli_verb oci_delete_verb = {
    .name = "delete",
    .operands = "ID",
    .summary = "Remove a container",
    .options = oci_delete_options,
    .min = 1,
    .max = 1,
    .run = oci_delete_run,
};

static int oci_pause_run(const struct cli_args *args)
{
    struct err err;

    return oci_end(container_pause(oci_runtime(), args->operands[0], true, &err), &err);
}

const struct cli_verb oci_pause_verb = {
    .name = "pause",
    .operands = "ID",
    .summary = "Freeze all its processes",
    .min = 1,
    .max = 1,
    .run = oci_pause_run,
};

static int oci_resume_run(const struct cli_args *args)
{
    struct err err;

    return oci_end(container_pause(oci_runtime(), args->operands[0], false, &err), &err);
}

const struct cli_verb oci_resume_verb = {
    .name = "resume",
    .operands = "ID",
    .summary = "Let a frozen container go on",
    .min = 1,
    .max = 1,
    .run = oci_resume_run,
};

static const struct cli_option oci_update_options[] = {
    {"resources", 'r', "FILE", "linux.resources as JSON; - is standard input"},
    {"blkio-weight", 0, "N", "share of disk time, 10 to 1000"},
    {"cpu-period", 0, "US", "length of a CPU period"},
    {"cpu-quota", 0, "US", "CPU time in a period, -1: no limit"},
    {"cpu-burst", 0, "US", "CPU time that may be saved up"},
    {"cpu-rt-period", 0, "US", "the same for real-time processes"},
    {"cpu-rt-runtime", 0, "US", "the same for real-time processes"},
    {"cpu-share", 0, "N", "share of CPU time"},
    {"cpu-idle", 0, "0|1", "run only when nobody else wants to"},
    {"cpuset-cpus", 0, "LIST", "CPUs it may use"},
    {"cpuset-mems", 0, "LIST", "memory nodes it may use"},
    {"kernel-memory", 0, "BYTES", "gone from the kernel: ignored"},
    {"kernel-memory-tcp", 0, "BYTES", "limit of TCP buffers"},
    {"memory", 0, "BYTES", "memory limit, -1: none"},
    {"memory-reservation", 0, "BYTES", "memory that is left to it when others want some"},
    {"memory-swap", 0, "BYTES", "limit of memory and swap together"},
    {"pids-limit", 0, "N", "number of processes, -1: no limit"},
    CLI_OPTIONS_END,
};

struct oci_number {
    const char *option;
    int64_t *to;
    int64_t min;
};

static int oci_update_numbers(const struct cli_args *args, struct spec_resources *res,
                              struct err *err)
{
    const struct oci_number numbers[] = {
        {"blkio-weight", &res->block.weight, 0},
        {"cpu-period", &res->cpu.period, 0},
        {"cpu-quota", &res->cpu.quota, -1},
        {"cpu-burst", &res->cpu.burst, 0},
        {"cpu-rt-period", &res->cpu.rt_period, 0},
        {"cpu-rt-runtime", &res->cpu.rt_runtime, -1},
        {"cpu-share", &res->cpu.shares, 0},
        {"cpu-idle", &res->cpu.idle, 0},
        {"kernel-memory", &res->memory.kernel, -1},
        {"kernel-memory-tcp", &res->memory.kernel_tcp, -1},
        {"memory", &res->memory.limit, -1},
        {"memory-reservation", &res->memory.reservation, -1},
        {"memory-swap", &res->memory.swap, -1},
        {"pids-limit", &res->pids, -1},
    };

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        const char *text = cli_value(args, numbers[i].option);
        char *end;
        long long value;

        if (!text)
            continue;
        errno = 0;
        value = strtoll(text, &end, 10);
        if (!*text || *end || errno || value < numbers[i].min)
            return err_set(err, -EINVAL, "update: --%s %s: expected a whole number",
                           numbers[i].option, text);
        *numbers[i].to = value;
    }
    return 0;
}

static int oci_update_run(const struct cli_args *args)
{
    const struct container_runtime *rt = oci_runtime();
    const char *file = cli_value(args, "resources");
    struct spec_resources res;
    struct err err;
    size_t len;
    char *text;
    int r = file ? oci_read(file, &text, &len, &err) : 0;

    spec_resources_init(&res);
    if (!r && file)
        r = spec_parse_resources(rt->arena, text, len, &res, &err);
    res.given = true;
    res.cpu.cpus = cli_value(args, "cpuset-cpus") ? cli_value(args, "cpuset-cpus") : res.cpu.cpus;
    res.cpu.mems = cli_value(args, "cpuset-mems") ? cli_value(args, "cpuset-mems") : res.cpu.mems;
    if (!r)
        r = oci_update_numbers(args, &res, &err);
    return oci_end(r < 0 ? r : container_update(rt, args->operands[0], &res, &err), &err);
}

const struct cli_verb oci_update_verb = {
    .name = "update",
    .operands = "ID",
    .summary = "Change limits of a running container",
    .options = oci_update_options,
    .min = 1,
    .max = 1,
    .run = oci_update_run,
};
