/* SPDX-License-Identifier: Apache-2.0 */
/* posada disk: its verbs, and what they share. */
#include "cli/disk.h"

#include "block/store.h"

#include "cli/output.h"
#include "cli/verbs.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CLUSTER_SIZE = 64 << 10, CLUSTER_MIN = 512, CLUSTER_MAX = 2 << 20 };

const char *disk_format(const struct cli_args *args)
{
    const char *format = cli_value(args, "image-format");

    return format ? format : "qcow2";
}

static bool disk_wants_json(const struct cli_args *args)
{
    const char *format = cli_value(args, "format");

    return format && !strcmp(format, "json");
}

int disk_options(const struct cli_args *args, struct err *err)
{
    const char *output = cli_value(args, "format");

    if (output && strcmp(output, "text") && strcmp(output, "json"))
        return err_set(err, -EINVAL,
                       "--format %s: expected text or json; the image's format is --image-format",
                       output);
    if (strcmp(disk_format(args), "raw") && strcmp(disk_format(args), "qcow2"))
        return err_set(err, -EINVAL, "--image-format %s: expected raw or qcow2", disk_format(args));
    return 0;
}

int disk_options_qcow2(const struct cli_args *args, struct err *err)
{
    int r = disk_options(args, err);

    if (r || !strcmp(disk_format(args), "qcow2"))
        return r;
    return err_set(err, -EINVAL, "disk %s: this can only be done with qcow2 images",
                   args->operands[0]);
}

int disk_cluster_bits(const struct cli_args *args, unsigned *ret, struct err *err)
{
    const char *text = cli_value(args, "cluster-size");
    uint64_t size = CLUSTER_SIZE;

    if (text && cli_parse_size("--cluster-size", text, &size, err) < 0)
        return err->code;
    if (size < CLUSTER_MIN || size > CLUSTER_MAX || size & (size - 1))
        return err_set(err, -EINVAL, "--cluster-size %s: expected a power of two from 512 to 2M",
                       text);
    *ret = (unsigned)__builtin_ctzll(size);
    return 0;
}

int disk_open(const char *path, const char *format, const char *backing_dir,
              enum disk_access access, struct blk_store **ret, struct err *err)
{
    struct blk_source source = {
        .format = format,
        .path = path,
        .backing_dir = backing_dir,
        .read_only = access != DISK_CHANGE,
        .unlocked = access == DISK_LOOK_USED,
        .tables_only = access != DISK_READ && !backing_dir,
    };

    return blk_store_open(&source, ret, err);
}

int disk_close(struct blk_store *store, const char *path, int r, struct err *err)
{
    int closed = blk_store_close(store);

    return !r && closed
               ? err_set(err, closed, "disk %s: cannot write it: %s", path, strerror(-closed))
               : r;
}

int disk_print(const struct cli_args *args, json_t *row, const char *fmt, ...)
{
    va_list ap;

    if (disk_wants_json(args)) {
        cli_print_json(row);
    } else {
        va_start(ap, fmt);
        vprintf(fmt, ap);
        va_end(ap);
    }
    json_decref(row);
    return EXIT_OK;
}

static const struct cli_verb *const disk_verbs[] = {
    &disk_check_verb, &disk_convert_verb,  &disk_create_verb,    &disk_forget_verb,
    &disk_info_verb,  &disk_ls_verb,       &disk_resize_verb,    &disk_restore_verb,
    &disk_rm_verb,    &disk_snapshot_verb, &disk_snapshots_verb, NULL,
};

const struct cli_verb cli_disk_verb = {
    .name = "disk",
    .summary = "Make, look at, change and convert disk images",
    .verbs = disk_verbs,
};
