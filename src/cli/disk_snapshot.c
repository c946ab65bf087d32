/* SPDX-License-Identifier: Apache-2.0 */
/* posada disk snapshot, snapshots, restore, forget: what a qcow2 image keeps of its past. */
#include "cli/disk.h"

#include "block/qcow2.h"

#include "cli/output.h"
#include <time.h>

/* --- snapshots --- */
static bool snapshots_row(void *arg, const struct qcow2_snapshot *s)
{
    char when[32];
    time_t seconds = s->seconds;
    struct tm tm;

    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
    return json_array_append_new(arg, json_pack("{s:s, s:s, s:s, s:I, s:I}", "name", s->name, "id",
                                                s->id, "created", when, "size", (json_int_t)s->size,
                                                "vm_state", (json_int_t)s->vm_state)) == 0;
}

static int disk_snapshots(const struct cli_args *args)
{
    static const struct cli_column columns[] = {
        {"NAME", "name"}, {"ID", "id"}, {"CREATED", "created"}, {"SIZE", "size"}, {0}};
    const char *path = args->operands[0];
    json_t *rows = json_array();
    struct blk_store *store;
    struct err err;
    int r = cli_listing_check(args, &err), code = EXIT_OK;

    if (!r)
        r = disk_open(path, "qcow2", NULL, DISK_LOOK, &store, &err);
    if (!r)
        r = disk_close(store, path, qcow2_snapshot_list(store, snapshots_row, rows, &err), &err);
    if (!r)
        code = cli_print_listing(args, rows, columns);
    json_decref(rows);
    return r < 0 ? cli_fail(&err) : code;
}

static const struct cli_option snapshots_table[] = {CLI_LISTING_OPTIONS, CLI_OPTIONS_END};
const struct cli_verb disk_snapshots_verb = {
    .name = "snapshots",
    .operands = "FILE",
    .summary = "List the snapshots in an image (qcow2)",
    .options = snapshots_table,
    .min = 1,
    .max = 1,
    .run = disk_snapshots,
};

/* --- What changes them --- */
static int snapshot_change(const struct cli_args *args,
                           int (*change)(struct blk_store *, const char *, struct err *))
{
    const char *path = args->operands[0], *name = args->operands[1];
    struct blk_store *store;
    struct err err;
    int r = disk_options_qcow2(args, &err);

    if (!r)
        r = disk_open(path, "qcow2", NULL, DISK_CHANGE, &store, &err);
    if (!r)
        r = disk_close(store, path, change(store, name, &err), &err);
    if (r < 0)
        return cli_fail(&err);
    return disk_print(args, json_pack("{s:s, s:s}", "file", path, "snapshot", name), "%s\n", name);
}

static int disk_snapshot(const struct cli_args *args)
{
    return snapshot_change(args, qcow2_snapshot_create);
}

static int disk_restore(const struct cli_args *args)
{
    return snapshot_change(args, qcow2_snapshot_apply);
}

static int disk_forget(const struct cli_args *args)
{
    return snapshot_change(args, qcow2_snapshot_delete);
}

static const struct cli_option change_table[] = {
    DISK_OPTION_IMAGE_FORMAT,
    DISK_OPTION_OUTPUT,
    CLI_OPTIONS_END,
};
const struct cli_verb disk_snapshot_verb = {
    .name = "snapshot",
    .operands = "FILE NAME",
    .summary = "Keep the disk's present contents in the image under a name (qcow2)",
    .options = change_table,
    .min = 2,
    .max = 2,
    .run = disk_snapshot,
};
const struct cli_verb disk_restore_verb = {
    .name = "restore",
    .operands = "FILE NAME",
    .summary = "Give the disk a snapshot's contents; the present ones are lost",
    .options = change_table,
    .min = 2,
    .max = 2,
    .run = disk_restore,
};
const struct cli_verb disk_forget_verb = {
    .name = "forget",
    .operands = "FILE NAME",
    .summary = "Delete a snapshot",
    .options = change_table,
    .min = 2,
    .max = 2,
    .run = disk_forget,
};
