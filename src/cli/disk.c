/* SPDX-License-Identifier: Apache-2.0 */
/* posada disk: make, look at, change and convert disk images. */
#include "block/qcow2.h"

#include "block/convert.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define OPTION_FORMAT                                                                              \
    {                                                                                              \
        "image-format", 'f', "FORMAT", "raw or qcow2 (without it: qcow2); never guessed"           \
    }
#define OPTION_BACKING_DIR                                                                         \
    {                                                                                              \
        "backing-dir", 0, "DIR", "allow backing files, beneath this folder only"                   \
    }

static const char *disk_format(const struct cli_args *args)
{
    const char *format = cli_value(args, "image-format");

    return format ? format : "qcow2";
}

static int disk_open(const char *path, const char *format, const char *backing_dir, bool read_only,
                     bool tables_only, struct blk_store **ret, struct err *err)
{
    struct blk_source source = {
        .format = format,
        .path = path,
        .backing_dir = backing_dir,
        .read_only = read_only,
        .tables_only = tables_only && !backing_dir,
    };

    return blk_store_open(&source, ret, err);
}

static int disk_close(struct blk_store *store, const char *path, int r, struct err *err)
{
    int closed = blk_store_close(store);

    return !r && closed
               ? err_set(err, closed, "disk %s: cannot write it: %s", path, strerror(-closed))
               : r;
}

/* Only qcow2 has what most verbs are about. */
static int disk_is_qcow2(const char *path, const struct cli_args *args, struct err *err)
{
    if (!strcmp(disk_format(args), "qcow2"))
        return 0;
    return err_set(err, -EINVAL, "disk %s: this can only be done with qcow2 images", path);
}

/* --- create --- */
static int disk_cluster_bits(const struct cli_args *args, unsigned *ret, struct err *err)
{
    const char *text = cli_value(args, "cluster-size");
    uint64_t size = 65536;

    if (text && cli_parse_size("--cluster-size", text, &size, err) < 0)
        return err->code;
    if (size < 512 || size > 2 << 20 || size & (size - 1))
        return err_set(err, -EINVAL, "--cluster-size %s: expected a power of two from 512 to 2M",
                       text);
    *ret = (unsigned)__builtin_ctzll(size);
    return 0;
}

/* The size of an overlay without one of its own: its backing file's. */
static int disk_backing_size(const char *path, const char *backing, const char *format,
                             uint64_t *ret_size, struct err *err)
{
    struct blk_store *store;
    char full[4096];
    const char *slash = strrchr(path, '/');
    int r;

    snprintf(full, sizeof(full), "%.*s%s", slash && backing[0] != '/' ? (int)(slash - path) + 1 : 0,
             path, backing);
    r = disk_open(full, format, NULL, true, true, &store, err);
    if (r)
        return r;
    *ret_size = store->info.size;
    return disk_close(store, full, 0, err);
}

static int disk_create_raw(const char *path, uint64_t size, struct err *err)
{
    FILE *f = fopen(path, "wxe");

    if (!f)
        return err_set(err, -errno, "disk %s: %s", path,
                       errno == EEXIST ? "it exists already" : strerror(errno));
    if (ftruncate(fileno(f), (off_t)size) < 0) {
        int r = err_set(err, -errno, "disk %s: %s", path, strerror(errno));

        (void)fclose(f);
        (void)unlink(path);
        return r;
    }
    return fclose(f) ? err_set(err, -EIO, "disk %s: cannot write it", path) : 0;
}

static int disk_create_options(const struct cli_args *args, struct qcow2_options *o,
                               struct err *err)
{
    const char *size = args->operand_count > 1 ? args->operands[1] : NULL;
    int r = disk_cluster_bits(args, &o->cluster_bits, err);

    o->backing = cli_value(args, "backing");
    o->backing_format = cli_value(args, "backing-format");
    if (!r && o->backing && !o->backing_format)
        r = err_set(err, -EINVAL, "--backing %s: say its format with --backing-format", o->backing);
    if (!r && o->backing)
        r = disk_backing_size(args->operands[0], o->backing, o->backing_format, &o->size, err);
    if (!r && !o->backing && !size)
        r = err_set(err, -EINVAL, "disk %s: how large? Give a size such as 10G", args->operands[0]);
    if (!r && size)
        r = cli_parse_size("SIZE", size, &o->size, err);
    if (!r && (!o->size || o->size % 512))
        r = err_set(err, -EINVAL, "disk %s: a size is a whole number of 512-byte sectors",
                    args->operands[0]);
    return r;
}

static int disk_create(const struct cli_args *args)
{
    const char *path = args->operands[0];
    struct qcow2_options o = {0};
    struct err err;
    int r = disk_create_options(args, &o, &err);

    if (!r && !strcmp(disk_format(args), "raw"))
        r = o.backing ? err_set(&err, -EINVAL, "disk %s: a raw image has no backing file", path)
                      : disk_create_raw(path, o.size, &err);
    else if (!r)
        r = disk_is_qcow2(path, args, &err);
    if (!r && !strcmp(disk_format(args), "qcow2"))
        r = qcow2_create(path, &o, &err);
    if (r < 0)
        return cli_fail(&err);
    printf("%s %s %llu\n", path, disk_format(args), (unsigned long long)o.size);
    return EXIT_OK;
}

static const struct cli_option disk_create_table[] = {
    OPTION_FORMAT,
    {"backing", 'b', "FILE", "put it over this image, which stays as it is"},
    {"backing-format", 'F', "FORMAT", "the format of that image: raw or qcow2"},
    {"cluster-size", 0, "SIZE", "512 to 2M (default 64K)"},
    CLI_OPTIONS_END,
};
static const struct cli_verb disk_create_verb = {
    .name = "create",
    .operands = "FILE [SIZE]",
    .summary = "Make a disk image",
    .details =
        "Without SIZE an image with --backing is as large as what lies behind it. A relative "
        "name of a backing file counts from FILE's folder.",
    .options = disk_create_table,
    .min = 1,
    .max = 2,
    .run = disk_create,
};

/* --- info --- */
static void disk_info_qcow2(struct blk_store *store, json_t *json)
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

static int disk_describe(const char *path, const char *format, json_t **ret, struct err *err)
{
    struct blk_store *store;
    struct stat st = {0};
    json_t *json;
    int r = disk_open(path, format, NULL, true, true, &store, err);

    if (r)
        return r;
    (void)stat(path, &st);
    json = json_pack("{s:s, s:s, s:I, s:I}", "file", path, "format", format, "size",
                     (json_int_t)store->info.size, "used", (json_int_t)st.st_blocks * 512);
    if (json && !strcmp(format, "qcow2"))
        disk_info_qcow2(store, json);
    *ret = json;
    return disk_close(store, path, json ? 0 : err_set(err, -ENOMEM, "out of memory"), err);
}

static int disk_info(const struct cli_args *args)
{
    json_t *json = NULL;
    struct err err;
    int r = disk_describe(args->operands[0], disk_format(args), &json, &err);

    if (r < 0)
        return cli_fail(&err);
    cli_print_json(json);
    json_decref(json);
    return EXIT_OK;
}

static const struct cli_option disk_format_table[] = {OPTION_FORMAT, CLI_OPTIONS_END};
static const struct cli_verb disk_info_verb = {
    .name = "info",
    .operands = "FILE",
    .summary = "Show what is known of an image, as JSON",
    .options = disk_format_table,
    .min = 1,
    .max = 1,
    .run = disk_info,
};

/* --- ls --- */
/* What a file's first bytes or its name say is good enough for a listing, never for opening. */
static void disk_list_one(const char *folder, const char *name, json_t *rows)
{
    size_t len = strlen(name);
    bool raw = len > 4 && (!strcmp(name + len - 4, ".raw") || !strcmp(name + len - 4, ".img"));
    char path[4096];
    json_t *row;
    struct err err;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (blk_file_is_qcow2(path) ? disk_describe(path, "qcow2", &row, &err)
                                : !raw || disk_describe(path, "raw", &row, &err))
        return;
    json_array_append_new(rows, row);
}

static int disk_ls(const struct cli_args *args)
{
    static const struct cli_column columns[] = {
        {"FILE", "file"},
        {"FORMAT", "format"},
        {"SIZE", "size"},
        {"USED", "used"},
        {"SNAPSHOTS", "snapshots"},
        {"BACKING", "backing"},
        {0},
    };
    const char *folder = args->operand_count ? args->operands[0] : ".";
    json_t *rows = json_array();
    struct dirent **names = NULL;
    struct err err;
    int r = cli_listing_check(args, &err), n = 0;

    if (!r)
        n = scandir(folder, &names, NULL, alphasort);
    if (n < 0)
        r = err_set(&err, -errno, "folder %s: %s", folder, strerror(errno));
    for (int i = 0; i < n; i++) {
        disk_list_one(folder, names[i]->d_name, rows);
        free(names[i]);
    }
    free(names);
    r = r < 0 ? cli_fail(&err) : cli_print_listing(args, rows, columns);
    json_decref(rows);
    return r;
}

static const struct cli_option disk_ls_table[] = {CLI_LISTING_OPTIONS, CLI_OPTIONS_END};
static const struct cli_verb disk_ls_verb = {
    .name = "ls",
    .operands = "[FOLDER]",
    .summary = "List the images in a folder that no guest writes",
    .options = disk_ls_table,
    .max = 1,
    .run = disk_ls,
};

/* --- resize --- */
static int disk_resize_to(const struct cli_args *args, const char *path, uint64_t size,
                          struct err *err)
{
    struct blk_store *store;
    int r = disk_is_qcow2(path, args, err);

    if (!r)
        r = disk_open(path, "qcow2", cli_value(args, "backing-dir"), false, true, &store, err);
    if (r)
        return r;
    if (size < store->info.size && !cli_has(args, "shrink"))
        r = err_set(err, -EINVAL,
                    "disk %s: that is smaller than it is, and cuts off what lies behind; add "
                    "--shrink if that is meant",
                    path);
    if (!r)
        r = qcow2_resize(store, size, err);
    return disk_close(store, path, r, err);
}

static int disk_resize(const struct cli_args *args)
{
    uint64_t size;
    struct err err;
    int r = cli_parse_size("SIZE", args->operands[1], &size, &err);

    if (!r)
        r = disk_resize_to(args, args->operands[0], size, &err);
    return r < 0 ? cli_fail(&err) : EXIT_OK;
}

static const struct cli_option disk_resize_table[] = {
    OPTION_FORMAT,
    OPTION_BACKING_DIR,
    {"shrink", 0, NULL, "allow a smaller size; what lies behind is lost"},
    CLI_OPTIONS_END,
};
static const struct cli_verb disk_resize_verb = {
    .name = "resize",
    .operands = "FILE SIZE",
    .summary = "Change the size of a disk (qcow2)",
    .options = disk_resize_table,
    .min = 2,
    .max = 2,
    .run = disk_resize,
};

/* --- check --- */
static int disk_check(const struct cli_args *args)
{
    const char *path = args->operands[0];
    bool repair = cli_has(args, "repair");
    struct qcow2_report report;
    struct blk_store *store;
    struct err err;
    int r = disk_is_qcow2(path, args, &err);

    if (!r)
        r = disk_open(path, "qcow2", NULL, !repair, true, &store, &err);
    if (!r)
        r = disk_close(store, path, qcow2_check(store, repair, &report, &err), &err);
    if (r < 0)
        return cli_fail(&err);
    printf("%s: %llu clusters, %llu of the disk's have a place, %llu leaked, %llu wrong%s\n", path,
           (unsigned long long)report.clusters, (unsigned long long)report.allocated,
           (unsigned long long)report.leaks, (unsigned long long)report.corruptions,
           repair && (report.leaks || report.corruptions) ? "; repaired" : "");
    return (report.leaks || report.corruptions) && !repair ? EXIT_FAILED : EXIT_OK;
}

static const struct cli_option disk_check_table[] = {
    OPTION_FORMAT,
    {"repair", 'r', NULL, "count anew what is in use"},
    CLI_OPTIONS_END,
};
static const struct cli_verb disk_check_verb = {
    .name = "check",
    .operands = "FILE",
    .summary = "Check an image's tables (qcow2)",
    .details = "Exit code 0: all is well (or was repaired), 1: leaked clusters, which only cost "
               "space, or wrong ones, which need --repair before the disk is written.",
    .options = disk_check_table,
    .min = 1,
    .max = 1,
    .run = disk_check,
};

/* --- convert --- */
static int disk_convert_to(const struct cli_args *args, struct err *err)
{
    struct disk_target target = {
        .path = args->operands[1],
        .format = cli_value(args, "output-format"),
    };
    struct blk_store *from;
    int r = disk_cluster_bits(args, &target.cluster_bits, err);

    if (!target.format)
        target.format = "qcow2";
    if (!r)
        r = disk_open(args->operands[0], disk_format(args), cli_value(args, "backing-dir"), true,
                      false, &from, err);
    if (r)
        return r;
    r = disk_copy(from, &target, err);
    return disk_close(from, args->operands[0], r, err);
}

static int disk_convert(const struct cli_args *args)
{
    struct err err;
    int r = disk_convert_to(args, &err);

    return r < 0 ? cli_fail(&err) : EXIT_OK;
}

static const struct cli_option disk_convert_table[] = {
    OPTION_FORMAT,      {"output-format", 'O', "FORMAT", "raw or qcow2 (default qcow2)"},
    OPTION_BACKING_DIR, {"cluster-size", 0, "SIZE", "of a qcow2 image: 512 to 2M (default 64K)"},
    CLI_OPTIONS_END,
};
static const struct cli_verb disk_convert_verb = {
    .name = "convert",
    .operands = "FILE NEW",
    .summary = "Copy a disk into a new image without a backing file",
    .options = disk_convert_table,
    .min = 2,
    .max = 2,
    .run = disk_convert,
};

/* --- rm --- */
/* Opened first: an image in use stays, and what is no image is not removed by mistake. */
static int disk_remove(const char *path, const char *format, struct err *err)
{
    struct blk_store *store;
    int r = disk_open(path, format, NULL, false, true, &store, err);

    if (r)
        return r;
    if (unlink(path) < 0)
        r = err_set(err, -errno, "disk %s: cannot remove it: %s", path, strerror(errno));
    return disk_close(store, path, r, err);
}

static int disk_rm(const struct cli_args *args)
{
    int code = EXIT_OK;

    for (unsigned i = 0; i < args->operand_count; i++) {
        struct err err;

        if (disk_remove(args->operands[i], disk_format(args), &err) < 0)
            code = cli_fail(&err);
        else
            printf("%s\n", args->operands[i]);
    }
    return code;
}

static const struct cli_verb disk_rm_verb = {
    .name = "rm",
    .operands = "FILE...",
    .summary = "Remove images that nobody uses",
    .options = disk_format_table,
    .min = 1,
    .max = CLI_ANY_NUMBER,
    .run = disk_rm,
};

/* --- snapshot --- */
static bool disk_snapshot_row(void *arg, const struct qcow2_snapshot *s)
{
    char when[32];
    time_t seconds = s->seconds;
    struct tm tm;

    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
    return json_array_append_new(arg, json_pack("{s:s, s:s, s:s, s:I, s:I}", "name", s->name, "id",
                                                s->id, "created", when, "size", (json_int_t)s->size,
                                                "vm_state", (json_int_t)s->vm_state)) == 0;
}

static int disk_snapshot_ls(const struct cli_args *args)
{
    static const struct cli_column columns[] = {
        {"NAME", "name"}, {"ID", "id"}, {"CREATED", "created"}, {"SIZE", "size"}, {0}};
    const char *path = args->operands[0];
    json_t *rows = json_array();
    struct blk_store *store;
    struct err err;
    int r = cli_listing_check(args, &err);

    if (!r)
        r = disk_open(path, "qcow2", NULL, true, true, &store, &err);
    if (!r)
        r = disk_close(store, path, qcow2_snapshot_list(store, disk_snapshot_row, rows, &err),
                       &err);
    r = r < 0 ? cli_fail(&err) : cli_print_listing(args, rows, columns);
    json_decref(rows);
    return r;
}

static const struct cli_verb disk_snapshot_ls_verb = {
    .name = "snapshots",
    .operands = "FILE",
    .summary = "List the snapshots in an image (qcow2)",
    .options = disk_ls_table,
    .min = 1,
    .max = 1,
    .run = disk_snapshot_ls,
};

static int disk_snapshot(const struct cli_args *args,
                         int (*change)(struct blk_store *, const char *, struct err *))
{
    const char *path = args->operands[0];
    struct blk_store *store;
    struct err err;
    int r = disk_open(path, "qcow2", NULL, false, true, &store, &err);

    if (!r)
        r = disk_close(store, path, change(store, args->operands[1], &err), &err);
    return r < 0 ? cli_fail(&err) : EXIT_OK;
}

static int disk_snapshot_create(const struct cli_args *args)
{
    return disk_snapshot(args, qcow2_snapshot_create);
}

static int disk_snapshot_apply(const struct cli_args *args)
{
    return disk_snapshot(args, qcow2_snapshot_apply);
}

static int disk_snapshot_delete(const struct cli_args *args)
{
    return disk_snapshot(args, qcow2_snapshot_delete);
}

static const struct cli_verb disk_snapshot_verb = {
    .name = "snapshot",
    .operands = "FILE NAME",
    .summary = "Keep the disk's present contents in the image under a name (qcow2)",
    .min = 2,
    .max = 2,
    .run = disk_snapshot_create,
};
static const struct cli_verb disk_restore_verb = {
    .name = "restore",
    .operands = "FILE NAME",
    .summary = "Give the disk a snapshot's contents; the present ones are lost",
    .min = 2,
    .max = 2,
    .run = disk_snapshot_apply,
};
static const struct cli_verb disk_forget_verb = {
    .name = "forget",
    .operands = "FILE NAME",
    .summary = "Delete a snapshot",
    .min = 2,
    .max = 2,
    .run = disk_snapshot_delete,
};

static const struct cli_verb *const disk_verbs[] = {
    &disk_check_verb, &disk_convert_verb,  &disk_create_verb,      &disk_forget_verb,
    &disk_info_verb,  &disk_ls_verb,       &disk_resize_verb,      &disk_restore_verb,
    &disk_rm_verb,    &disk_snapshot_verb, &disk_snapshot_ls_verb, NULL,
};

const struct cli_verb cli_disk_verb = {
    .name = "disk",
    .summary = "Make, look at, change and convert disk images",
    .verbs = disk_verbs,
};
