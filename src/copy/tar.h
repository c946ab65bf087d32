/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tar streams: POSIX ustar with pax headers (IEEE 1003.1-2017, pax, "pax Interchange Format"), and
 * what GNU tar writes for long names and large numbers. Headers only; names are not judged here.
 * What is read is hostile: lengths are capped, numbers checked, names end in a NUL.
 */
#pragma once

#include <posada/err.h>
#include <stdbool.h>

enum {
    COPY_TAR_BLOCK = 512,
    COPY_NAME_MAX = 4096,      /* bytes of a name or link text, its NUL included */
    COPY_EXTENDED_MAX = 65536, /* bytes of a pax header */
    /* A pax header with two long names, and the header itself. */
    COPY_TAR_HEADERS_MAX = 3 * COPY_TAR_BLOCK + 2 * (COPY_NAME_MAX + 64) + COPY_TAR_BLOCK,
};

enum copy_type {
    COPY_FILE = '0',
    COPY_HARD_LINK = '1',
    COPY_SYMLINK = '2',
    COPY_CHAR = '3',
    COPY_BLOCK = '4',
    COPY_DIR = '5',
    COPY_FIFO = '6',
};

struct copy_entry {
    char type;     /* enum copy_type; others are unknown */
    uint32_t mode; /* permission bits */
    uint64_t size; /* of a file's data, which follow */
    int64_t mtime;
    char name[COPY_NAME_MAX];
    char link[COPY_NAME_MAX]; /* COPY_SYMLINK, COPY_HARD_LINK */
};

/* Writes the blocks before an entry's data into out (COPY_TAR_HEADERS_MAX); how many bytes. */
size_t copy_tar_encode(const struct copy_entry *entry, uint8_t *out);
/* Tells how many bytes of files follow, for a bar: a pax global header of ours; how many bytes. */
size_t copy_tar_encode_total(uint64_t total, uint8_t *out);

struct copy_tar_events {
    /* An entry, its data to follow. An error ends the reading. */
    int (*entry)(void *arg, const struct copy_entry *entry, struct err *err);
    int (*data)(void *arg, const uint8_t *data, size_t len, struct err *err);
    int (*end)(void *arg, struct err *err);   /* of the entry's data */
    void (*total)(void *arg, uint64_t total); /* optional */
    void *arg;
};

struct copy_tar_reader {
    struct copy_tar_events events;
    struct copy_entry entry;
    bool has_name, has_link, has_size; /* told by an extended header for the next entry */
    bool ended;                        /* the end-of-archive mark was seen */
    bool in_entry;
    char extended;    /* type of the extended header whose data are read; 0: none */
    uint64_t left;    /* data bytes still to come */
    unsigned padding; /* bytes behind them */
    size_t filled;    /* of block or text */
    uint8_t block[COPY_TAR_BLOCK];
    char text[COPY_EXTENDED_MAX + 1];
};

void copy_tar_begin(struct copy_tar_reader *r, const struct copy_tar_events *events);
/* Takes the next bytes of a stream, however it is cut. What follows the end is ignored. */
int must_use copy_tar_feed(struct copy_tar_reader *r, const uint8_t *data, size_t len,
                           struct err *err);
