/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the verbs of posada disk (disk*.c). */
#pragma once

#include "cli/cli.h"

#include <jansson.h>

struct blk_store;

#define DISK_OPTION_IMAGE_FORMAT                                                                   \
    {                                                                                              \
        "image-format", 'f', "raw|qcow2", "its format (without it: qcow2); never guessed"          \
    }
#define DISK_OPTION_BACKING_DIR                                                                    \
    {                                                                                              \
        "backing-dir", 0, "DIR", "allow backing files, beneath this folder only"                   \
    }
#define DISK_OPTION_OUTPUT                                                                         \
    {                                                                                              \
        "format", 0, "text|json", "how the result is printed (default: text)"                      \
    }

extern const struct cli_verb disk_check_verb, disk_convert_verb, disk_create_verb, disk_forget_verb,
    disk_info_verb, disk_ls_verb, disk_resize_verb, disk_restore_verb, disk_rm_verb,
    disk_snapshot_verb, disk_snapshots_verb;

/* --image-format, or qcow2. */
const char *disk_format(const struct cli_args *args);
/* Refuses an --image-format or a --format (of DISK_OPTION_OUTPUT) that is none. */
int must_use disk_options(const struct cli_args *args, struct err *err);
/* The same, and refuses raw images: only qcow2 has what the verb is about. */
int must_use disk_options_qcow2(const struct cli_args *args, struct err *err);
/* --cluster-size as a power of two; 16 without it. */
int must_use disk_cluster_bits(const struct cli_args *args, unsigned *ret, struct err *err);

enum disk_access {
    DISK_LOOK, /* read-only, without the files behind it */
    DISK_LOOK_USED /* the same, although a guest writes it */,
    DISK_READ,  /* read-only, its contents too */
    DISK_CHANGE /* to be written; without --backing-dir not what lies behind it */
};
/* backing_dir NULL: none. */
int must_use disk_open(const char *path, const char *format, const char *backing_dir,
                       enum disk_access access, struct blk_store **ret, struct err *err);
/* Closes; the error r of what was done before, or that of closing. */
int must_use disk_close(struct blk_store *store, const char *path, int r, struct err *err);

/* Prints a row (taken over; NULL: no memory) as --format asks, as text by fmt; EXIT_OK. */
int disk_print(const struct cli_args *args, json_t *row, const char *fmt, ...) printf_fn(3, 4);
