/* SPDX-License-Identifier: Apache-2.0 */
/* posada oci checkpoint, restore. */
#include "cli/oci.h"

#include "container/checkpoint.h"
#include <errno.h>
#include <string.h>

#define OCI_CRIU_OPTIONS                                                                           \
    {"image-path", 0, "DIR", "the files of the checkpoint (default: checkpoint)"},                 \
        {"work-path", 0, "DIR", "criu's logs (default: the image path)"},                          \
        {"tcp-established", 0, NULL, "with open TCP connections"},                                 \
        {"tcp-close", 0, NULL, "TCP connections come back closed"},                                \
        {"ext-unix-sk", 0, NULL, "with Unix sockets connected to outside"},                        \
        {"shell-job", 0, NULL, "with a terminal of outside"},                                      \
        {"file-locks", 0, NULL, "with locks of files"},                                            \
        {"link-remap", 0, NULL, "with open files whose names are gone"},                           \
        {"auto-dedup", 0, NULL, "give back the space of memory that newer files have"},            \
    {                                                                                              \
        "manage-cgroups-mode", 0, "ignore|soft|full|strict",                                       \
            "groups inside the container's (default: ignore, all are in its own again)"            \
    }

static const struct cli_option oci_checkpoint_options[] = {
    OCI_CRIU_OPTIONS,
    {"leave-running", 0, NULL, "do not end it"},
    {"pre-dump", 0, NULL, "only memory, for a later checkpoint to add to; it runs on"},
    {"parent-path", 0, "DIR", "an earlier pre-dump, relative to the image path"},
    {"tcp-skip-in-flight", 0, NULL, "leave out TCP connections that are being opened"},
    CLI_OPTIONS_END,
};

static int oci_checkpoint_read(const struct cli_args *args, struct container_checkpoint *c,
                               struct err *err)
{
    const char *mode = cli_value(args, "manage-cgroups-mode"),
               *images = cli_value(args, "image-path");

    *c = (struct container_checkpoint){
        .id = args->operands[0],
        .image_path = images ? images : "checkpoint",
        .work_path = cli_value(args, "work-path"),
        .cgroups_mode = checkpoint_cgroups_mode(mode ? mode : "ignore"),
        .tcp_established = cli_has(args, "tcp-established"),
        .tcp_close = cli_has(args, "tcp-close"),
        .ext_unix_sk = cli_has(args, "ext-unix-sk"),
        .shell_job = cli_has(args, "shell-job"),
        .file_locks = cli_has(args, "file-locks"),
        .link_remap = cli_has(args, "link-remap"),
        .auto_dedup = cli_has(args, "auto-dedup"),
    };
    if (c->cgroups_mode < 0)
        return err_set(err, -EINVAL,
                       "--manage-cgroups-mode %s: expected ignore, soft, full or strict", mode);
    return 0;
}

static int oci_checkpoint_run(const struct cli_args *args)
{
    struct container_checkpoint c;
    struct err err;
    int r = oci_checkpoint_read(args, &c, &err);

    c.leave_running = cli_has(args, "leave-running");
    c.pre_dump = cli_has(args, "pre-dump");
    c.parent_path = cli_value(args, "parent-path");
    c.tcp_skip_in_flight = cli_has(args, "tcp-skip-in-flight");
    return oci_end(r < 0 ? r : container_checkpoint(oci_runtime(), &c, &err), &err);
}

const struct cli_verb oci_checkpoint_verb = {
    .name = "checkpoint",
    .operands = "ID",
    .summary = "Write a running container to files (by criu)",
    .options = oci_checkpoint_options,
    .min = 1,
    .max = 1,
    .run = oci_checkpoint_run,
};

static const struct cli_option oci_restore_options[] = {
    OCI_CRIU_OPTIONS,
    {"bundle", 'b', "DIR", "the bundle (default: the current directory)"},
    {"config", 'f', "FILE", "read this instead of config.json"},
    {"console-socket", 0, "PATH", "a socket that gets the terminal's master"},
    {"pid-file", 0, "FILE", "write the container's pid there"},
    {"detach", 'd', NULL, "do not wait for its end"},
    {"no-pivot", 0, NULL, "accepted: criu changes the root"},
    {"no-subreaper", 0, NULL, "accepted: none is made"},
    {"lsm-profile", 0, "TYPE:NAME", "another AppArmor profile or SELinux label"},
    CLI_OPTIONS_END,
};

static int oci_restore_run(const struct cli_args *args)
{
    struct container_restore c = {0};
    struct err err;
    int code = EXIT_OK, r = oci_checkpoint_read(args, &c.from, &err);

    c.lsm_profile = cli_value(args, "lsm-profile");
    c.create = (struct container_create){
        .id = args->operands[0],
        .bundle = cli_value(args, "bundle") ? cli_value(args, "bundle") : ".",
        .config = cli_value(args, "config"),
        .console_socket = cli_value(args, "console-socket"),
        .pid_file = cli_value(args, "pid-file"),
        .detach = cli_has(args, "detach"),
    };
    if (!r)
        r = container_restore(oci_runtime(), &c, &code, &err);
    return r < 0 ? oci_fail(&err) : code;
}

const struct cli_verb oci_restore_verb = {
    .name = "restore",
    .operands = "ID",
    .summary = "Bring a checkpointed container back",
    .options = oci_restore_options,
    .min = 1,
    .max = 1,
    .run = oci_restore_run,
};
