/* SPDX-License-Identifier: Apache-2.0 */
/* posada oci create, run, start. */
#include "cli/oci.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define OCI_CREATE_OPTIONS                                                                         \
    {"bundle", 'b', "DIR", "the bundle (default: the current directory)"},                         \
        {"config", 'f', "FILE", "read this instead of config.json"},                               \
        {"console-socket", 0, "PATH", "a socket that gets the terminal's master"},                 \
        {"pid-file", 0, "FILE", "write the container's pid there"},                                \
        {"preserve-fds", 0, "N", "hand descriptors 3 to 2+N to the container"},                    \
        {"no-pivot", 0, NULL, "move the root instead of pivot_root"},                              \
        {"no-new-keyring", 0, NULL, "keep the session keyring"},                                   \
    {                                                                                              \
        "no-subreaper", 0, NULL, "accepted: none is made"                                          \
    }

static const struct cli_option oci_create_options[] = {OCI_CREATE_OPTIONS, CLI_OPTIONS_END};
static const struct cli_option oci_run_options[] = {
    OCI_CREATE_OPTIONS,
    {"detach", 'd', NULL, "do not wait for its end"},
    {"keep", 0, NULL, "do not delete it at its end"},
    CLI_OPTIONS_END,
};

/* Holes among the descriptors to preserve must not be filled by ours. */
static void oci_fill_holes(unsigned preserve)
{
    for (unsigned fd = 3; fd < 3 + preserve; fd++)
        if (fcntl((int)fd, F_GETFD) < 0)
            (void)!open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int oci_create_read(const struct cli_args *args, struct container_create *c, struct err *err)
{
    const char *preserve = cli_value(args, "preserve-fds"), *listen = getenv("LISTEN_FDS");
    uint64_t count = 0, listening = 0;
    int r = preserve ? cli_parse_number("--preserve-fds", preserve, 0, 65536, &count, err) : 0;

    if (!r && listen)
        r = cli_parse_number("LISTEN_FDS", listen, 0, 65536, &listening, err);
    if (r < 0)
        return r;
    *c = (struct container_create){
        .id = args->operands[0],
        .bundle = cli_value(args, "bundle") ? cli_value(args, "bundle") : ".",
        .config = cli_value(args, "config"),
        .console_socket = cli_value(args, "console-socket"),
        .pid_file = cli_value(args, "pid-file"),
        .preserve_fds = (unsigned)(count + listening),
        .listen_fds = (unsigned)listening,
        .no_pivot = cli_has(args, "no-pivot"),
        .no_new_keyring = cli_has(args, "no-new-keyring"),
    };
    oci_fill_holes(c->preserve_fds);
    return 0;
}

static int oci_create_run(const struct cli_args *args)
{
    struct container_create c;
    struct err err;
    int r = oci_create_read(args, &c, &err);

    c.detach = true;
    return oci_end(r < 0 ? r : container_create(oci_runtime(), &c, &err), &err);
}

const struct cli_verb oci_create_verb = {
    .name = "create",
    .operands = "ID",
    .summary = "Make a container that waits for start",
    .options = oci_create_options,
    .min = 1,
    .max = 1,
    .run = oci_create_run,
};

static int oci_run_run(const struct cli_args *args)
{
    struct container_create c;
    struct err err;
    int code = EXIT_OK, r = oci_create_read(args, &c, &err);

    c.detach = cli_has(args, "detach");
    c.keep = cli_has(args, "keep");
    if (!r)
        r = container_run(oci_runtime(), &c, &code, &err);
    return r < 0 ? oci_fail(&err) : code;
}

const struct cli_verb oci_run_verb = {
    .name = "run",
    .operands = "ID",
    .summary = "Make a container, start it, wait for its end",
    .options = oci_run_options,
    .min = 1,
    .max = 1,
    .run = oci_run_run,
};

static int oci_start_run(const struct cli_args *args)
{
    struct err err;

    return oci_end(container_start(oci_runtime(), args->operands[0], &err), &err);
}

const struct cli_verb oci_start_verb = {
    .name = "start",
    .operands = "ID",
    .summary = "Start what create has made",
    .min = 1,
    .max = 1,
    .run = oci_start_run,
};
