/* SPDX-License-Identifier: Apache-2.0 */
/* posada disk info, ls: what is known of images. */
#include "cli/disk.h"

#include "block/qcow2.h"

#include "cli/output.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void describe_qcow2(struct blk_store *store, json_t *json)
{
    struct qcow2_info info;

    qcow2_get_info(store, &info);
    json_object_set_new(json, "version", json_integer(info.version));
    json_object_set_new(json, "cluster_size", json_integer((json_int_t)1 << info.cluster_bits));
    json_object_set_new(json, "refcount_bits", json_integer(info.refcount_bits));
    json_object_set_new(json, "compression", json_string(info.compression));
    json_object_set_new(json, "lazy_refcounts", json_boolean(info.lazy_refcounts));
    json_object_set_new(json, "dirty", json_boolean(info.dirty));
    json_object_set_new(json, "corrupt", json_boolean(info.corrupt));
    json_object_set_new(json, "snapshots", json_integer(info.snapshots));
    if (info.backing)
        json_object_set_new(json, "backing", json_string(info.backing));
    if (info.backing_format)
        json_object_set_new(json, "backing_format", json_string(info.backing_format));
}

/* One that is being written is looked at all the same, and said to be in use. */
static int describe(const char *path, const char *format, json_t **ret, struct err *err)
{
    struct blk_store *store;
    struct stat st = {0};
    json_t *json;
    int r = disk_open(path, format, NULL, DISK_LOOK, &store, err);
    bool used = r == -EBUSY;

    if (used)
        r = disk_open(path, format, NULL, DISK_LOOK_USED, &store, err);
    if (r)
        return r;
    (void)stat(path, &st);
    json = json_pack("{s:s, s:s, s:I, s:I, s:b}", "file", path, "format", format, "size",
                     (json_int_t)store->info.size, "used", (json_int_t)st.st_blocks * 512, "in_use",
                     used);
    if (json && !strcmp(format, "qcow2"))
        describe_qcow2(store, json);
    *ret = json;
    return disk_close(store, path, json ? 0 : err_set(err, -ENOMEM, "out of memory"), err);
}

/* --- info --- */
static void info_print_text(const json_t *json)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        if (json_is_string(value))
            printf("%-15s %s\n", key, json_string_value(value));
        else if (json_is_integer(value))
            printf("%-15s %" JSON_INTEGER_FORMAT "\n", key, json_integer_value(value));
        else
            printf("%-15s %s\n", key, json_is_true(value) ? "yes" : "no");
    }
}

static int disk_info(const struct cli_args *args)
{
    const char *output = cli_value(args, "format");
    json_t *json = NULL;
    struct err err;
    int r = disk_options(args, &err);

    if (!r)
        r = describe(args->operands[0], disk_format(args), &json, &err);
    if (r < 0)
        return cli_fail(&err);
    if (output && !strcmp(output, "json"))
        cli_print_json(json);
    else
        info_print_text(json);
    json_decref(json);
    return EXIT_OK;
}

static const struct cli_option info_table[] = {
    DISK_OPTION_IMAGE_FORMAT,
    DISK_OPTION_OUTPUT,
    CLI_OPTIONS_END,
};
const struct cli_verb disk_info_verb = {
    .name = "info",
    .operands = "FILE",
    .summary = "Show what is known of an image",
    .details = "An image that a guest is writing can be looked at too; its 'in_use' is yes then.",
    .options = info_table,
    .min = 1,
    .max = 1,
    .run = disk_info,
};

/* --- ls --- */
/* What a file's first bytes or its name say is good enough for a listing, never for opening. */
static void ls_add(const char *folder, const char *name, json_t *rows)
{
    size_t len = strlen(name);
    bool raw = len > 4 && (!strcmp(name + len - 4, ".raw") || !strcmp(name + len - 4, ".img"));
    char path[4096];
    json_t *row;
    struct err err;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (blk_file_is_qcow2(path) ? describe(path, "qcow2", &row, &err)
                                : !raw || describe(path, "raw", &row, &err))
        return;
    json_array_append_new(rows, row);
}

static int disk_ls(const struct cli_args *args)
{
    static const struct cli_column columns[] = {
        {"FILE", "file"},     {"FORMAT", "format"},       {"SIZE", "size"},       {"USED", "used"},
        {"IN USE", "in_use"}, {"SNAPSHOTS", "snapshots"}, {"BACKING", "backing"}, {0},
    };
    const char *folder = args->operand_count ? args->operands[0] : ".";
    json_t *rows = json_array();
    struct dirent **names = NULL;
    struct err err;
    int r = cli_listing_check(args, &err), n = 0, code = EXIT_OK;

    if (!r)
        n = scandir(folder, &names, NULL, alphasort);
    if (n < 0)
        r = err_set(&err, -errno, "folder %s: %s", folder, strerror(errno));
    for (int i = 0; i < n; i++) {
        ls_add(folder, names[i]->d_name, rows);
        free(names[i]);
    }
    free(names);
    if (!r)
        code = cli_print_listing(args, rows, columns);
    json_decref(rows);
    return r < 0 ? cli_fail(&err) : code;
}

static const struct cli_option ls_table[] = {CLI_LISTING_OPTIONS, CLI_OPTIONS_END};
const struct cli_verb disk_ls_verb = {
    .name = "ls",
    .operands = "[FOLDER]",
    .summary = "List the images in a folder",
    .details = "qcow2 images are found by what they begin with, raw ones by .img or .raw.",
    .options = ls_table,
    .max = 1,
    .run = disk_ls,
};
