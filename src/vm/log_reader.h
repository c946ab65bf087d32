/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading what guest_log.c wrote: one file of a log with the times of its pieces. The files are the
 * guest's process's, so hostile: times are only shown, offsets only compared.
 */
#pragma once

#include <posada/err.h>
#include <stdbool.h>
#include <sys/types.h>

struct log_stamp {
    uint64_t offset, ms; /* from that byte of the file on: written at (since 1970) */
};

struct log_reader {
    int fd, times_fd; /* -1: absent */
    uint64_t at;      /* the next byte to read */
    struct log_stamp now, next;
    bool has_now, has_next;
};

/* NAME and NAME.times in a guest's directory. -ENOENT: no such log (yet). */
int must_use log_reader_open(struct log_reader *r, int dir_fd, const char *name);
void log_reader_close(struct log_reader *r);
/* Bytes from where it stands; 0: none now, or -errno. */
ssize_t log_reader_read(struct log_reader *r, void *data, size_t len);
uint64_t log_reader_size(const struct log_reader *r);
/* When the byte at offset was written, to 100 ms; 0: not known. Offsets must not go back. */
uint64_t log_reader_time(struct log_reader *r, uint64_t offset);
/* Where what was written from ms on begins; its end when nothing was. Without times: 0. */
uint64_t log_reader_since(struct log_reader *r, uint64_t ms);
/* Where its last lines begin, not before low; *lines counts down to what is missing. */
uint64_t log_reader_tail(struct log_reader *r, uint64_t low, uint64_t *lines);
/* After a rotation the name belongs to another file. */
bool log_reader_is_current(const struct log_reader *r, int dir_fd, const char *name);
