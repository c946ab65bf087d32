/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Insides of the qcow2 format, shared by qcow2_*.c.
 * Spec: QEMU, docs/interop/qcow2.
 *
 * Threads: any number of requests at once. `lock` protects all metadata. A request holds a claim on
 * the guest clusters it works on - shared to read or to write in place, exclusive to change where
 * they lie - so that data moves without the lock and no cluster is freed under a transfer.
 *
 * Order on disk: reference counts and data, then L2, then L1 (qcow2_commit.c). Counts go down only
 * after nothing on disk refers to the cluster any more, and only then it is used again. So a crash
 * at any point leaves at most clusters counted that nobody uses.
 */
#pragma once

#include "file.h"
#include "qcow2.h"

#include <pthread.h>

#define QCOW2_COPIED     (UINT64_C(1) << 63) /* L1, L2: counted once, may be written in place */
#define QCOW2_COMPRESSED (UINT64_C(1) << 62)
#define QCOW2_ZERO       UINT64_C(1)
#define QCOW2_OFFSET     UINT64_C(0x00fffffffffffe00)

enum { QCOW2_DIRTY = 1 << 0, QCOW2_CORRUPT = 1 << 1, QCOW2_COMPRESSION = 1 << 3 };
enum { QCOW2_LAZY = 1 << 0 };
enum { QCOW2_BACKING_MAX = 1023, QCOW2_FORMAT_MAX = 15, QCOW2_SECTOR = 512 };
enum { QCOW2_DIRECT_CLUSTER_MIN = 4096 };
enum { QCOW2_L1_BYTES_MAX = 32 << 20, QCOW2_TABLE_BYTES_MAX = 8 << 20 };
enum { QCOW2_SNAPSHOTS_MAX = 4096, QCOW2_FREES = 1024 };

struct qcow2_header {
    uint64_t size, l1_offset, table_offset, snapshots_offset;
    uint64_t incompatible, compatible, autoclear;
    uint32_t version, cluster_bits, l1_size, table_clusters, snapshots;
    uint32_t refcount_order, length, compression;
    bool bitmaps;
    char backing[QCOW2_BACKING_MAX + 1], backing_format[QCOW2_FORMAT_MAX + 1];
};

/* Parts of metadata tables in memory, by their place in the file; 8 ways. */
struct qcow2_slot {
    uint64_t offset, used; /* offset 0: empty */
    bool dirty;
};
struct qcow2_cache {
    size_t slice; /* bytes of a slot */
    unsigned sets, dirty;
    uint64_t clock;
    struct qcow2_slot *slots;
    uint8_t *data;
};

/* Host clusters that hold metadata: never written as data, never allocated. */
struct qcow2_set {
    uint64_t *keys; /* cluster + 2; 0: never used, 1: removed */
    size_t room, used;
};

struct qcow2_run { /* host clusters */
    uint64_t first, count;
};

struct qcow2 {
    struct blk_store store; /* must be first */
    struct image_file file;
    int fd; /* file.fd */
    struct qcow2_header h;
    uint8_t sector[QCOW2_SECTOR]; /* the header as it stands in the file */
    unsigned bits;                /* of a cluster */
    uint64_t cluster;             /* bytes */
    struct blk_store *backing;    /* NULL: none, or not needed */

    pthread_mutex_t claim_lock; /* protects claims; taken last, held for moments only */
    pthread_cond_t released;
    struct blk_claim *claims; /* guest clusters that requests work on */

    pthread_mutex_t lock; /* protects what follows */
    uint64_t *l1;         /* host order */
    uint64_t l1_dirty_first, l1_dirty_end;
    uint64_t *table; /* of refcount blocks; host order */
    uint64_t table_size;
    bool table_dirty, table_grown;
    struct qcow2_set meta;
    struct qcow2_cache l2, refs;
    uint64_t end;  /* clusters of the file, all that were ever used */
    uint64_t hint; /* no free cluster below */
    struct qcow2_run frees[QCOW2_FREES];
    unsigned free_count;
    void *scratch[8];
    unsigned scratch_count;
    bool needs_counts; /* reference counts are loaded: to write, or to check */
    bool broken;       /* metadata cannot be trusted: no more writing */
};

static inline struct qcow2 *qcow2_of(struct blk_store *store)
{
    return container_of(store, struct qcow2, store);
}

static inline uint64_t qcow2_clusters(const struct qcow2 *q, uint64_t bytes)
{
    return (bytes >> q->bits) + ((bytes & (q->cluster - 1)) != 0);
}

/* --- qcow2_header.c --- */
int must_use qcow2_header_read(struct qcow2 *q, uint64_t file_size, const char *path,
                               struct err *err);
/* Puts q->h into q->sector and writes that in one piece. */
int must_use qcow2_header_write(struct qcow2 *q);
/* A new image's header cluster with its extensions; buf: a cluster of zeroes. */
void qcow2_header_make(const struct qcow2_header *h, uint8_t *buf);
/* Bytes of it. */
size_t qcow2_header_size(const struct qcow2_header *h);

/* --- qcow2_cache.c --- */
int must_use qcow2_cache_init(struct qcow2_cache *cache, size_t slice, size_t bytes);
void qcow2_cache_done(struct qcow2_cache *cache);
/* The slot's bytes for file offset (a multiple of slice); valid until the next get. write: they
 * will be changed. -EAGAIN when every slot it could take is dirty. */
int must_use qcow2_cache_get(struct qcow2_cache *cache, int fd, uint64_t offset, bool write,
                             uint8_t **ret_data);
bool qcow2_cache_has(const struct qcow2_cache *cache, uint64_t offset);
int must_use qcow2_cache_write(struct qcow2_cache *cache, int fd);
/* Forgets what was cached of [offset, offset + len). */
void qcow2_cache_drop(struct qcow2_cache *cache, uint64_t offset, uint64_t len);

bool qcow2_set_has(const struct qcow2_set *set, uint64_t cluster);
int must_use qcow2_set_add(struct qcow2_set *set, uint64_t cluster); /* -EEXIST, -ENOMEM */
void qcow2_set_remove(struct qcow2_set *set, uint64_t cluster);

/* --- qcow2_refs.c: lock held --- */
uint64_t qcow2_ref_unpack(const uint8_t *entries, uint64_t index, unsigned order);
void qcow2_ref_pack(uint8_t *entries, uint64_t index, unsigned order, uint64_t value);
int must_use qcow2_ref_get(struct qcow2 *q, uint64_t cluster, uint64_t *ret_count);
/* Finds and counts 1..want free clusters in a row. *ret_fresh: the file never reached there. */
int must_use qcow2_alloc(struct qcow2 *q, uint64_t want, struct qcow2_run *ret_run,
                         bool *ret_fresh);
/* To be counted down and freed once nothing on disk refers to them. Call after the reference has
 * been removed in memory. */
int must_use qcow2_free(struct qcow2 *q, uint64_t first, uint64_t count);
int must_use qcow2_apply_frees(struct qcow2 *q);
/* Finds the place of a table that has grown. */
int must_use qcow2_place_table(struct qcow2 *q, struct qcow2_run *ret_old);
/* Back to the old place after a failure: `code`, or what became of it. */
int must_use qcow2_unplace_table(struct qcow2 *q, const struct qcow2_run *old, int code);

/* --- qcow2_commit.c: lock held --- */
int must_use qcow2_commit(struct qcow2 *q); /* all metadata to stable storage */
int must_use qcow2_sync(struct qcow2 *q);
int qcow2_break(struct qcow2 *q); /* -EIO, and the image is not written any more */

/* --- qcow2_map.c: lock held --- */
enum qcow2_kind { QCOW2_UNALLOCATED, QCOW2_ZEROES, QCOW2_DATA, QCOW2_PACKED };
struct qcow2_mapping {
    enum qcow2_kind kind;
    uint64_t entry, host; /* host: byte offset of the first cluster, 0 if none */
    uint64_t count;       /* clusters of the same kind, contiguous in the file for DATA */
    bool in_place;        /* DATA, ZEROES with host: may be written where it is */
};
/* Decodes one L2 entry; -EIO when it points where it must not. */
int must_use qcow2_decode(struct qcow2 *q, uint64_t entry, struct qcow2_mapping *ret);
/* qcow2_lookup() of cluster would read nothing from the file. */
bool qcow2_lookup_ready(struct qcow2 *q, uint64_t cluster);
/* The clusters from `cluster` on, at most max. */
int must_use qcow2_lookup(struct qcow2 *q, uint64_t cluster, uint64_t max,
                          struct qcow2_mapping *ret);
/* The L2 entry of a cluster, as it stands in memory, to be changed once by qcow2_replace(). */
int must_use qcow2_entry(struct qcow2 *q, uint64_t cluster, uint8_t **ret_entry);
/* Gives the entry a new value and frees what the old one named. May commit: the entry's place is
 * not valid afterwards. */
int must_use qcow2_replace(struct qcow2 *q, uint8_t *entry, uint64_t value);

/* --- qcow2_claim.c --- */
void qcow2_claim(struct qcow2 *q, struct blk_claim *claim); /* lock held; waits without it */
bool qcow2_try_claim(struct qcow2 *q, struct blk_claim *claim);
void qcow2_release(struct qcow2 *q, struct blk_claim *claim); /* with the lock or without */
void *qcow2_scratch_get(struct qcow2 *q); /* 3 clusters, aligned; lock held; NULL without memory */
void qcow2_scratch_put(struct qcow2 *q, void *scratch);

/* --- qcow2_unpack.c --- */
void qcow2_packed_place(const struct qcow2 *q, uint64_t entry, uint64_t *ret_offset,
                        uint64_t *ret_len);
/* One compressed cluster to `to`; in: 2 clusters of room. */
int must_use qcow2_unpack(struct qcow2 *q, uint64_t entry, uint8_t *in, uint8_t *to);

/* --- qcow2_open.c --- */
int must_use qcow2_load(struct qcow2 *q, struct err *err); /* tables to memory; lock held */
void qcow2_unload(struct qcow2 *q);
int must_use qcow2_open_at(const struct blk_source *source, int dir_fd, unsigned depth,
                           struct blk_store **ret_store, struct err *err);

/* --- qcow2_backing.c --- */
int must_use qcow2_open_backing(struct qcow2 *q, const struct blk_source *source, unsigned depth,
                                struct err *err);

/* --- qcow2_direct.c --- */
bool qcow2_begin_direct(struct blk_store *store, const struct blk_req *req,
                        struct blk_direct *ret_direct);
void qcow2_end_direct(struct blk_store *store, struct blk_direct *direct);
unsigned qcow2_files(struct blk_store *store, int *ret_fds, unsigned room);

/* --- qcow2_whole.c --- */
int qcow2_resize(struct blk_store *store, uint64_t size, struct err *err);

/* --- qcow2_io.c --- */
int qcow2_io(struct blk_store *store, const struct blk_req *req);
int64_t qcow2_extent(struct blk_store *store, uint64_t offset, uint64_t length,
                     enum blk_extent_kind *ret_kind);
