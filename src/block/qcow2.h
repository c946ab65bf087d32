/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2 disk images, version 3 (and 2), read and written. Everything in an image is hostile.
 * What changes an image as a whole (snapshots, resize, repair) happens in one step: new tables are
 * written to free places, then the header that points to them is replaced.
 */
#pragma once

#include "fresh.h"
#include "store.h"

/* An image; its backing files too where source->backing_dir allows. A writer repairs the
 * reference counts of an image that was left dirty. */
int must_use qcow2_open(const struct blk_source *source, struct blk_store **ret_store,
                        struct err *err);

struct qcow2_options {
    uint64_t size;                        /* bytes; multiple of 512 */
    unsigned cluster_bits;                /* 9..21 */
    const char *backing, *backing_format; /* as they shall stand in the image; NULL: none */
};
/* Makes an image in an empty file. */
int must_use qcow2_format(const struct fresh_file *file, const struct qcow2_options *options,
                          struct err *err);
/* Makes an image that must not exist yet (-EEXIST); nothing is left behind on failure. */
int must_use qcow2_create(const char *path, const struct qcow2_options *options, struct err *err);

struct qcow2_info {
    unsigned version, cluster_bits, refcount_bits;
    const char *backing, *backing_format; /* NULL: none; the store's */
    const char *compression;
    bool lazy_refcounts, dirty, corrupt;
    unsigned snapshots;
};
void qcow2_get_info(struct blk_store *store, struct qcow2_info *ret_info);

struct qcow2_snapshot {
    uint64_t l1_offset, vm_state, size; /* size: of the disk then */
    uint32_t l1_size, seconds, nanoseconds;
    uint64_t vm_clock;
    char id[64], name[256];
};
/* Each reads the table anew; fn false stops. */
int must_use qcow2_snapshot_list(struct blk_store *store,
                                 bool (*fn)(void *arg, const struct qcow2_snapshot *snapshot),
                                 void *arg, struct err *err);
int must_use qcow2_snapshot_create(struct blk_store *store, const char *name, struct err *err);
int must_use qcow2_snapshot_apply(struct blk_store *store, const char *name, struct err *err);
int must_use qcow2_snapshot_delete(struct blk_store *store, const char *name, struct err *err);

struct qcow2_report {
    uint64_t clusters, allocated; /* of the file; of the disk */
    uint64_t leaks;               /* counted too high: space is lost, nothing else */
    uint64_t corruptions;         /* counted too low, or flags that lie */
};
int must_use qcow2_check(struct blk_store *store, bool repair, struct qcow2_report *ret_report,
                         struct err *err);
