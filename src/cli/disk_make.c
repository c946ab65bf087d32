/* SPDX-License-Identifier: Apache-2.0 */
/* posada disk create, convert: new images. */
#include "cli/disk.h"

#include "block/convert.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- create --- */
/* The size of an overlay without one of its own: its backing file's. */
static int create_backing_size(const char *path, const char *backing, const char *format,
                               uint64_t *ret_size, struct err *err)
{
    struct blk_store *store;
    char full[4096];
    const char *slash = strrchr(path, '/');
    int r;

    snprintf(full, sizeof(full), "%.*s%s", slash && backing[0] != '/' ? (int)(slash - path) + 1 : 0,
             path, backing);
    r = disk_open(full, format, NULL, DISK_LOOK, &store, err);
    if (r)
        return r;
    *ret_size = store->info.size;
    return disk_close(store, full, 0, err);
}

static int create_size(const struct cli_args *args, struct disk_target *t, struct err *err)
{
    const char *size = args->operand_count > 1 ? args->operands[1] : NULL;
    int r = 0;

    if (t->backing)
        r = create_backing_size(t->path, t->backing, t->backing_format, &t->size, err);
    else if (!size)
        r = err_set(err, -EINVAL, "disk %s: how large? Give a size such as 10G", t->path);
    if (!r && size)
        r = cli_parse_size("SIZE", size, &t->size, err);
    if (!r && (!t->size || t->size % 512))
        r = err_set(err, -EINVAL,
                    "disk %s: a size is a whole number of 512-byte sectors, at least one", t->path);
    return r;
}

static int create_options(const struct cli_args *args, struct disk_target *t, struct err *err)
{
    int r = disk_options(args, err);

    *t = (struct disk_target){
        .path = args->operands[0],
        .format = disk_format(args),
        .backing = cli_value(args, "backing"),
        .backing_format = cli_value(args, "backing-format"),
    };
    if (!r)
        r = disk_cluster_bits(args, &t->cluster_bits, err);
    if (!r && t->backing && !t->backing_format)
        r = err_set(err, -EINVAL, "--backing %s: say its format with --backing-format", t->backing);
    if (!r && t->backing && !strcmp(t->format, "raw"))
        r = err_set(err, -EINVAL, "disk %s: a raw image has no backing file", t->path);
    return r ? r : create_size(args, t, err);
}

static int disk_create(const struct cli_args *args)
{
    struct disk_target t;
    struct err err;
    int r = create_options(args, &t, &err);

    if (!r)
        r = disk_make(NULL, &t, &err);
    if (r < 0)
        return cli_fail(&err);
    return disk_print(args,
                      json_pack("{s:s, s:s, s:I}", "file", t.path, "format", t.format, "size",
                                (json_int_t)t.size),
                      "%s %s %llu\n", t.path, t.format, (unsigned long long)t.size);
}

static const struct cli_option create_table[] = {
    DISK_OPTION_IMAGE_FORMAT,
    {"backing", 'b', "FILE", "put it over this image, which stays as it is"},
    {"backing-format", 'F', "raw|qcow2", "the format of that image"},
    {"cluster-size", 0, "SIZE", "of a qcow2 image: 512 to 2M (default 64K)"},
    DISK_OPTION_OUTPUT,
    CLI_OPTIONS_END,
};
const struct cli_verb disk_create_verb = {
    .name = "create",
    .operands = "FILE [SIZE]",
    .summary = "Make a disk image",
    .details =
        "Without SIZE an image with --backing is as large as what lies behind it. A relative "
        "name of a backing file counts from FILE's folder.",
    .options = create_table,
    .min = 1,
    .max = 2,
    .run = disk_create,
};

/* --- convert --- */
static int convert_options(const struct cli_args *args, struct disk_target *t, struct err *err)
{
    const char *format = cli_value(args, "output-format");
    int r = disk_options(args, err);

    *t = (struct disk_target){.path = args->operands[1], .format = format ? format : "qcow2"};
    if (!r && strcmp(t->format, "raw") && strcmp(t->format, "qcow2"))
        r = err_set(err, -EINVAL, "--output-format %s: expected raw or qcow2", t->format);
    return r ? r : disk_cluster_bits(args, &t->cluster_bits, err);
}

static int disk_convert(const struct cli_args *args)
{
    struct disk_target t;
    struct blk_store *from;
    struct err err;
    int r = convert_options(args, &t, &err);

    if (!r)
        r = disk_open(args->operands[0], disk_format(args), cli_value(args, "backing-dir"),
                      DISK_READ, &from, &err);
    if (!r) {
        t.size = from->info.size;
        r = disk_close(from, args->operands[0], disk_make(from, &t, &err), &err);
    }
    if (r < 0)
        return cli_fail(&err);
    return disk_print(args,
                      json_pack("{s:s, s:s, s:I}", "file", t.path, "format", t.format, "size",
                                (json_int_t)t.size),
                      "%s %s %llu\n", t.path, t.format, (unsigned long long)t.size);
}

static const struct cli_option convert_table[] = {
    DISK_OPTION_IMAGE_FORMAT,
    {"output-format", 'O', "raw|qcow2", "of the new image (default qcow2)"},
    DISK_OPTION_BACKING_DIR,
    {"cluster-size", 0, "SIZE", "of a qcow2 image: 512 to 2M (default 64K)"},
    DISK_OPTION_OUTPUT,
    CLI_OPTIONS_END,
};
const struct cli_verb disk_convert_verb = {
    .name = "convert",
    .operands = "FILE NEW",
    .summary = "Copy a disk into a new image without a backing file",
    .options = convert_table,
    .min = 2,
    .max = 2,
    .run = disk_convert,
};
