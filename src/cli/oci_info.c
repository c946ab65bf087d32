/* SPDX-License-Identifier: Apache-2.0 */
/* posada oci state, list, ps, features: what there is. */
#include "cli/oci.h"

#include "base/cleanup.h"
#include "container/caps.h"
#include "container/label.h"
#include "container/names.h"
#include "container/out.h"
#include "container/seccomp.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int oci_print(struct out *o)
{
    bool failed = o->failed;

    out_raw(o, "\n");
    if (!failed && fwrite(buf_data(&o->buf), 1, o->buf.len, stdout) != o->buf.len)
        failed = true;
    out_done(o);
    return failed ? EXIT_FAILED : EXIT_OK;
}

static void oci_put_annotations(struct out *o, const char *text)
{
    out_begin(o, "annotations", '{');
    if (text && strlen(text) > 2) { /* written by us: {"a":"b",...} */
        CLEANUP(free) char *inner = strndup(text + 1, strlen(text) - 2);

        out_raw(o, inner ? inner : "");
    }
    out_end(o, '}');
}

static int oci_state_run(const struct cli_args *args)
{
    struct container_info c;
    struct out o = {.pretty = true};
    struct err err;
    int r = container_open(oci_runtime(), args->operands[0], &c, &err);

    if (r < 0)
        return oci_fail(&err);
    out_begin(&o, NULL, '{');
    out_text(&o, "ociVersion", "1.2.0");
    out_text(&o, "id", c.state.id);
    out_int(&o, "pid", c.status == STATE_STOPPED ? 0 : c.state.pid);
    out_text(&o, "status", state_status_names[c.status]);
    out_text(&o, "bundle", c.state.bundle ? c.state.bundle : "");
    out_text(&o, "rootfs", c.state.rootfs ? c.state.rootfs : "");
    out_text(&o, "created", c.state.created ? c.state.created : "");
    out_text(&o, "owner", c.state.owner ? c.state.owner : "");
    oci_put_annotations(&o, c.state.annotations);
    out_end(&o, '}');
    container_close(&c);
    return oci_print(&o);
}

const struct cli_verb oci_state_verb = {
    .name = "state",
    .operands = "ID",
    .summary = "Show a container's state as JSON",
    .min = 1,
    .max = 1,
    .run = oci_state_run,
};

static const struct cli_option oci_list_options[] = {
    {"format", 'f', "FORMAT", "table or json"},
    {"quiet", 'q', NULL, "only the ids"},
    CLI_OPTIONS_END,
};

static void oci_list_json(struct out *o, const struct container_info *c)
{
    out_begin(o, NULL, '{');
    out_text(o, "ociVersion", "1.2.0");
    out_text(o, "id", c->state.id);
    out_int(o, "pid", c->status == STATE_STOPPED ? 0 : c->state.pid);
    out_text(o, "status", state_status_names[c->status]);
    out_text(o, "bundle", c->state.bundle ? c->state.bundle : "");
    out_text(o, "rootfs", c->state.rootfs ? c->state.rootfs : "");
    out_text(o, "created", c->state.created ? c->state.created : "");
    out_text(o, "owner", c->state.owner ? c->state.owner : "");
    oci_put_annotations(o, c->state.annotations);
    out_end(o, '}');
}

static int oci_list_run(const struct cli_args *args)
{
    const char *format = cli_value(args, "format"), **ids;
    bool json = format && !strcmp(format, "json"), quiet = cli_has(args, "quiet");
    struct out o = {.pretty = true};
    struct err err;
    int r = container_list(oci_runtime(), &ids, &err);

    if (format && !json && strcmp(format, "table"))
        r = err_set(&err, -EINVAL, "list: --format %s: expected table or json", format);
    if (r < 0)
        return oci_fail(&err);
    if (json)
        out_begin(&o, NULL, '[');
    else if (!quiet)
        printf("%-28s %-8s %-9s %-39s %-30s %s\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED",
               "OWNER");
    for (; *ids; ids++) {
        struct container_info c;

        if (container_open(oci_runtime(), *ids, &c, &err) < 0)
            continue; /* it went away meanwhile */
        if (json)
            oci_list_json(&o, &c);
        else if (quiet)
            printf("%s\n", *ids);
        else
            printf("%-28s %-8d %-9s %-39s %-30s %s\n", c.state.id,
                   c.status == STATE_STOPPED ? 0 : c.state.pid, state_status_names[c.status],
                   c.state.bundle ? c.state.bundle : "", c.state.created ? c.state.created : "",
                   c.state.owner ? c.state.owner : "");
        container_close(&c);
    }
    if (!json)
        return EXIT_OK;
    out_end(&o, ']');
    return oci_print(&o);
}

const struct cli_verb oci_list_verb = {
    .name = "list",
    .summary = "Show all containers",
    .options = oci_list_options,
    .run = oci_list_run,
};

static const struct cli_option oci_ps_options[] = {
    {"format", 'f', "FORMAT", "table or json"},
    CLI_OPTIONS_END,
};

static int oci_ps_run(const struct cli_args *args)
{
    const char *format = cli_value(args, "format");
    bool json = format && !strcmp(format, "json");
    struct out o = {.pretty = true};
    struct err err;
    pid_t *pids;
    int r = container_processes(oci_runtime(), args->operands[0], &pids, &err);

    if (format && !json && strcmp(format, "table"))
        r = err_set(&err, -EINVAL, "ps: --format %s: expected table or json", format);
    if (r < 0)
        return oci_fail(&err);
    if (json)
        out_begin(&o, NULL, '[');
    else
        printf("PID\n");
    for (; *pids; pids++) {
        if (json)
            out_int(&o, NULL, *pids);
        else
            printf("%d\n", *pids);
    }
    if (!json)
        return EXIT_OK;
    out_end(&o, ']');
    return oci_print(&o);
}

const struct cli_verb oci_ps_verb = {
    .name = "ps",
    .operands = "ID",
    .summary = "Show a container's processes",
    .options = oci_ps_options,
    .min = 1,
    .max = CLI_ANY_NUMBER, /* ps(1) options: accepted, the numbers are what engines read */
    .command = true,
    .run = oci_ps_run,
};

static void oci_enabled(struct out *o, const char *name, bool enabled)
{
    out_begin(o, name, '{');
    out_bool(o, "enabled", enabled);
    out_end(o, '}');
}

static void oci_put_options(struct out *o)
{
    out_begin(o, "mountOptions", '[');
    for (const struct name_mount_option *m = name_mount_options; m->name; m++)
        out_text(o, NULL, m->name);
    out_end(o, ']');
}

static void oci_put_seccomp(struct out *o)
{
    out_begin(o, "seccomp", '{');
    out_bool(o, "enabled", true);
    out_texts(o, "actions", seccomp_action_names);
    out_texts(o, "operators", seccomp_operator_names);
    out_texts(o, "archs", seccomp_arch_names);
    out_texts(o, "knownFlags", seccomp_flag_names);
    out_texts(o, "supportedFlags", seccomp_flag_names);
    out_end(o, '}');
}

static void oci_put_linux(struct out *o)
{
    out_begin(o, "linux", '{');
    out_begin(o, "namespaces", '[');
    for (const struct name_value *n = name_namespaces; n->name; n++)
        out_text(o, NULL, n->name);
    out_end(o, ']');
    out_begin(o, "capabilities", '[');
    for (unsigned i = 0; name_of_capability(i); i++)
        if (caps_known() >> i & 1)
            out_text(o, NULL, name_of_capability(i));
    out_end(o, ']');
    out_begin(o, "cgroup", '{');
    out_bool(o, "v1", true);
    out_bool(o, "v2", true);
    out_bool(o, "systemd", true);
    out_bool(o, "systemdUser", true);
    out_bool(o, "rdma", true);
    out_end(o, '}');
    oci_put_seccomp(o);
    oci_enabled(o, "apparmor", label_usable(LABEL_APPARMOR));
    oci_enabled(o, "selinux", label_usable(LABEL_SELINUX));
    oci_enabled(o, "intelRdt", true);
    out_begin(o, "mountExtensions", '{');
    oci_enabled(o, "idmap", true);
    out_end(o, '}');
    oci_enabled(o, "netDevices", true);
    out_end(o, '}');
}

static int oci_features_run(const struct cli_args *args)
{
    struct out o = {.pretty = true};

    out_begin(&o, NULL, '{');
    out_text(&o, "ociVersionMin", "1.0.0");
    out_text(&o, "ociVersionMax", "1.2.0");
    out_begin(&o, "hooks", '[');
    for (unsigned i = 0; i < SPEC_HOOK_KINDS; i++)
        out_text(&o, NULL, spec_hook_names[i]);
    out_end(&o, ']');
    oci_put_options(&o);
    oci_put_linux(&o);
    out_begin(&o, "annotations", '{');
    out_text(&o, "org.posada.version", POSADA_VERSION);
    out_end(&o, '}');
    out_begin(&o, "potentiallyUnsafeConfigAnnotations", '[');
    out_text(&o, NULL, "run.oci.");
    out_end(&o, ']');
    out_end(&o, '}');
    return oci_print(&o);
}

const struct cli_verb oci_features_verb = {
    .name = "features",
    .summary = "Show what the runtime can do, as JSON",
    .run = oci_features_run,
};
