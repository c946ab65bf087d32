/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: changes of an image as a whole, in one step. Everything that is in use is counted by
 * walking the tables; the tables of the wanted state are written to clusters that neither the old
 * nor the new state uses; then one write of the header's sector makes them the image. A crash
 * leaves the old state or the new one, and nothing lost in either.
 */
#pragma once

#include "qcow2_impl.h"

/* --- Snapshot table --- */
struct qcow2_entry_raw { /* of the table as it stands in the file */
    struct qcow2_snapshot snapshot;
    size_t at, len;
};
struct qcow2_snapshots {
    uint8_t *data;
    size_t len;
    struct qcow2_entry_raw *list;
    uint32_t count;
};
int must_use qcow2_snapshots_read(struct qcow2 *q, struct qcow2_snapshots *ret, struct err *err);
void qcow2_snapshots_done(struct qcow2_snapshots *s);
/* The clusters of the table and of the snapshots' L1 tables are metadata: into q->meta. */
int must_use qcow2_note_snapshots(struct qcow2 *q, struct err *err);
/* One entry for a new snapshot; buf has room for 512 bytes. Its length. */
size_t qcow2_snapshot_encode(const struct qcow2_snapshot *snapshot, uint8_t *buf);

/* --- Counting --- */
struct qcow2_census {
    uint16_t *counts; /* a host cluster each */
    uint64_t size;
    uint64_t bad;       /* entries that point where they must not; walking goes on if tolerant */
    uint64_t allocated; /* guest clusters with a place */
    bool tolerant;
};
/* Room for what the file has and `extra` clusters. */
int must_use qcow2_census_init(struct qcow2 *q, struct qcow2_census *census, uint64_t extra,
                               struct err *err);
void qcow2_census_done(struct qcow2_census *census);
int must_use qcow2_count(struct qcow2_census *census, uint64_t first, uint64_t n);
/* What an L1 table reaches, guest clusters below `limit` only; tables: the L2 tables too. */
int must_use qcow2_count_l1(struct qcow2 *q, struct qcow2_census *census, const uint64_t *l1,
                            uint64_t size, uint64_t limit, bool tables);
/* A snapshot: its L1 table, and what that reaches. */
int must_use qcow2_count_snapshot(struct qcow2 *q, struct qcow2_census *census,
                                  const struct qcow2_snapshot *snapshot);
int must_use qcow2_read_l1(struct qcow2 *q, const struct qcow2_snapshot *snapshot,
                           uint64_t **ret_l1);
/* The whole image as it stands, all metadata included. */
int must_use qcow2_count_all(struct qcow2 *q, struct qcow2_census *census,
                             const struct qcow2_snapshots *snapshots);

/* --- Rebuilding --- */
struct qcow2_plan {
    uint64_t size;                      /* of the disk */
    const struct qcow2_snapshot *apply; /* its contents instead of the present ones */
    const struct qcow2_snapshot *drop;  /* goes from the table (compared by id) */
    const struct qcow2_snapshot *add;   /* the present contents become this snapshot */
    uint64_t zero_first, zero_end; /* guest clusters without a place that shall read as zeroes */
};
/* Nobody else uses the image: lock held and everything claimed, or not yet open. Afterwards the
 * tables are loaded anew; when that fails the image is not written any more. */
int must_use qcow2_rebuild(struct qcow2 *q, const struct qcow2_plan *plan, struct err *err);
