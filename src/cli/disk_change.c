/* SPDX-License-Identifier: Apache-2.0 */
/* posada disk resize, check, rm. */
#include "cli/disk.h"

#include "block/qcow2.h"

#include "cli/output.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- resize --- */
static int resize_to(const struct cli_args *args, const char *path, uint64_t size, struct err *err)
{
    struct blk_store *store;
    int r = disk_open(path, disk_format(args), cli_value(args, "backing-dir"), DISK_CHANGE, &store,
                      err);

    if (r)
        return r;
    if (size < store->info.size && !cli_has(args, "shrink"))
        r = err_set(err, -EINVAL,
                    "disk %s: that is smaller than it is, and cuts off what lies behind; add "
                    "--shrink if that is meant",
                    path);
    if (!r)
        r = blk_store_resize(store, size, err);
    return disk_close(store, path, r, err);
}

static int disk_resize(const struct cli_args *args)
{
    const char *path = args->operands[0];
    uint64_t size = 0;
    struct err err;
    int r = disk_options(args, &err);

    if (!r)
        r = cli_parse_size("SIZE", args->operands[1], &size, &err);
    if (!r)
        r = resize_to(args, path, size, &err);
    if (r < 0)
        return cli_fail(&err);
    return disk_print(args,
                      json_pack("{s:s, s:s, s:I}", "file", path, "format", disk_format(args),
                                "size", (json_int_t)size),
                      "%s %s %llu\n", path, disk_format(args), (unsigned long long)size);
}

static const struct cli_option resize_table[] = {
    DISK_OPTION_IMAGE_FORMAT,
    DISK_OPTION_BACKING_DIR,
    {"shrink", 0, NULL, "allow a smaller size; what lies behind is lost"},
    DISK_OPTION_OUTPUT,
    CLI_OPTIONS_END,
};
const struct cli_verb disk_resize_verb = {
    .name = "resize",
    .operands = "FILE SIZE",
    .summary = "Change the size of a disk",
    .options = resize_table,
    .min = 2,
    .max = 2,
    .run = disk_resize,
};

/* --- check --- */
static int disk_check(const struct cli_args *args)
{
    const char *path = args->operands[0];
    bool repair = cli_has(args, "repair"), bad;
    struct qcow2_report report;
    struct blk_store *store;
    struct err err;
    int r = disk_options_qcow2(args, &err);

    if (!r)
        r = disk_open(path, "qcow2", NULL, repair ? DISK_CHANGE : DISK_LOOK, &store, &err);
    if (!r)
        r = disk_close(store, path, qcow2_check(store, repair, &report, &err), &err);
    if (r < 0)
        return cli_fail(&err);
    bad = report.leaks || report.corruptions;
    (void)disk_print(
        args,
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:b}", "file", path, "clusters",
                  (json_int_t)report.clusters, "allocated", (json_int_t)report.allocated, "leaks",
                  (json_int_t)report.leaks, "corruptions", (json_int_t)report.corruptions,
                  "repaired", bad && repair),
        "%s: %llu clusters, %llu of the disk's have a place, %llu leaked, %llu wrong%s\n", path,
        (unsigned long long)report.clusters, (unsigned long long)report.allocated,
        (unsigned long long)report.leaks, (unsigned long long)report.corruptions,
        bad && repair ? "; repaired" : "");
    return bad && !repair ? EXIT_FAILED : EXIT_OK;
}

static const struct cli_option check_table[] = {
    DISK_OPTION_IMAGE_FORMAT,
    {"repair", 'r', NULL, "count anew what is in use"},
    DISK_OPTION_OUTPUT,
    CLI_OPTIONS_END,
};
const struct cli_verb disk_check_verb = {
    .name = "check",
    .operands = "FILE",
    .summary = "Check an image's tables (qcow2)",
    .details = "Exit code 0: all is well (or was repaired), 1: leaked clusters, which only cost "
               "space, or wrong ones, which need --repair before the disk is written.",
    .options = check_table,
    .min = 1,
    .max = 1,
    .run = disk_check,
};

/* --- rm --- */
/* Opened first: an image in use stays, and what is no image is not removed by mistake. */
static int rm_one(const char *path, const char *format, struct err *err)
{
    struct blk_store *store;
    int r = disk_open(path, format, NULL, DISK_CHANGE, &store, err);

    if (r)
        return r;
    if (unlink(path) < 0)
        r = err_set(err, -errno, "disk %s: cannot remove it: %s", path, strerror(errno));
    return disk_close(store, path, r, err);
}

static int disk_rm(const struct cli_args *args)
{
    struct err err;
    int code = EXIT_OK;

    if (disk_options(args, &err))
        return cli_fail(&err);
    for (unsigned i = 0; i < args->operand_count; i++) {
        const char *path = args->operands[i];

        if (rm_one(path, disk_format(args), &err) < 0)
            code = cli_fail(&err);
        else
            (void)disk_print(args, json_pack("{s:s, s:b}", "file", path, "removed", true), "%s\n",
                             path);
    }
    return code;
}

static const struct cli_option rm_table[] = {
    DISK_OPTION_IMAGE_FORMAT,
    DISK_OPTION_OUTPUT,
    CLI_OPTIONS_END,
};
const struct cli_verb disk_rm_verb = {
    .name = "rm",
    .operands = "FILE...",
    .summary = "Remove images that nobody uses",
    .options = rm_table,
    .min = 1,
    .max = CLI_ANY_NUMBER,
    .run = disk_rm,
};
