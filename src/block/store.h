/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk image of any format, used synchronously from any number of threads at once. Tools use
 * stores directly; guests get a struct blockdev that runs a store's requests on worker threads.
 */
#pragma once

#include <posada/blockdev.h>

struct blk_store {
    const struct blk_store_ops *ops;
    struct blk_info info;
    char name[64]; /* for messages: "disk 'x'" */
};

/* Units of the disk that somebody works on, as the store counts them. */
struct blk_claim {
    uint64_t first, last;
    bool exclusive;
    struct blk_claim *next;
};

/* One transfer between a request's buffers and a file that answers it. */
struct blk_direct {
    struct blk_store *store; /* to whose end_direct() it belongs */
    int fd;
    uint64_t offset;
    unsigned align; /* of buffers, offset and length; 1: none is needed, the page cache is used */
    struct blk_claim claim; /* the store's */
};

/* What a run of bytes of a disk is: for listings and for copies that skip what is not there. */
enum blk_extent_kind { BLK_EXTENT_DATA, BLK_EXTENT_ZERO };

struct blk_store_ops {
    const char *format;
    /* Carries req out (done() is not called): 0 or a negative errno. The request has been checked
     * by blk_store_io(). */
    int (*io)(struct blk_store *store, const struct blk_req *req);
    /* Whether one transfer answers a READ or WRITE that has been checked; nothing that it needs
     * changes until end_direct(). Neither waits for anything: false also where that would be
     * needed. NULL: never. */
    bool (*begin_direct)(struct blk_store *store, const struct blk_req *req,
                         struct blk_direct *ret_direct);
    void (*end_direct)(struct blk_store *store, struct blk_direct *direct);
    /* The descriptors that begin_direct() may name, at most room: their number. */
    unsigned (*files)(struct blk_store *store, int *ret_fds, unsigned room);
    /* The bytes from offset on, at most length, that are of one kind: their number, or a negative
     * errno. ZERO reads as zeroes; DATA may do so too. */
    int64_t (*extent)(struct blk_store *store, uint64_t offset, uint64_t length,
                      enum blk_extent_kind *ret_kind);
    /* Of the disk; bytes, a multiple of 512. What a larger one gains reads as zeroes. Not while a
     * guest uses it. */
    int (*resize)(struct blk_store *store, uint64_t size, struct err *err);
    /* Writes down what is still in memory, closes and frees. The error of the writing, or 0. */
    int (*close)(struct blk_store *store);
};

enum blk_aio { BLK_AIO_AUTO, BLK_AIO_URING, BLK_AIO_THREADS };

/* How an image is opened. The format is always told, never probed. */
struct blk_source {
    const char *format, *path;
    const char *name; /* in messages; NULL: the path */
    /* The folder that files behind the image (backing files) must lie in; NULL: none allowed. */
    const char *backing_dir;
    bool read_only;
    bool direct;                      /* contents go past the host's page cache (O_DIRECT) */
    bool write_through, ignore_flush; /* guests: every write is durable; no flush is */
    enum blk_aio aio;                 /* guests: how transfers are made */
    bool unlocked;                    /* read_only, tables_only: look although a guest writes it */
    bool tables_only; /* backing files are not opened: for what never reads the disk's contents */
};

int must_use blk_store_open(const struct blk_source *source, struct blk_store **ret_store,
                            struct err *err);
/* 0, or the error of a request that cannot be carried out as it stands. */
int must_use blk_store_check(const struct blk_store *store, const struct blk_req *req);
/* Checks and carries out a request. */
int must_use blk_store_io(struct blk_store *store, const struct blk_req *req);
/* The same for one buffer. */
int must_use blk_store_read(struct blk_store *store, uint64_t offset, void *buf, size_t len);
int must_use blk_store_write(struct blk_store *store, uint64_t offset, const void *buf, size_t len);
int must_use blk_store_flush(struct blk_store *store);
int must_use blk_store_resize(struct blk_store *store, uint64_t size, struct err *err);
/* NULL is fine. */
int blk_store_close(struct blk_store *store);

/* For warnings and listings only, never to choose a format: the file starts as qcow2 does. */
bool blk_file_is_qcow2(const char *path);

/* The end of a chain of backing files is an error: an image could name itself. */
enum { BLK_CHAIN_MAX = 16 };
