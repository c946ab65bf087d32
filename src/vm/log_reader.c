/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a guest's log. Contract: vm/log_reader.h; the format of NAME.times: vm/guest_log.c. */
#include "vm/log_reader.h"

#include "base/endian.h"
#include "host/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STAMP_BYTES = 16, TAIL_CHUNK = 4096 };

int log_reader_open(struct log_reader *r, int dir_fd, const char *name)
{
    char times[64];
    int fd = file_open_to_read(dir_fd, name);

    if (fd < 0)
        return fd;
    snprintf(times, sizeof(times), "%s.times", name);
    *r = (struct log_reader){.fd = fd, .times_fd = file_open_to_read(dir_fd, times)};
    return 0;
}

void log_reader_close(struct log_reader *r)
{
    if (r->fd >= 0)
        close(r->fd);
    if (r->times_fd >= 0)
        close(r->times_fd);
    *r = (struct log_reader){.fd = -1, .times_fd = -1};
}

ssize_t log_reader_read(struct log_reader *r, void *data, size_t len)
{
    ssize_t n = pread(r->fd, data, len, (off_t)r->at);

    if (n > 0)
        r->at += (uint64_t)n;
    return n < 0 ? -errno : n;
}

static bool log_reader_stamp(struct log_reader *r, struct log_stamp *ret)
{
    uint8_t data[STAMP_BYTES];

    if (r->times_fd < 0 || read(r->times_fd, data, sizeof(data)) != sizeof(data))
        return false;
    *ret = (struct log_stamp){ld_le64(data), ld_le64(data + 8)};
    return true;
}

uint64_t log_reader_time(struct log_reader *r, uint64_t offset)
{
    for (;;) {
        if (!r->has_next)
            r->has_next = log_reader_stamp(r, &r->next);
        if (!r->has_next || r->next.offset > offset)
            return r->has_now ? r->now.ms : 0;
        r->now = r->next;
        r->has_now = true;
        r->has_next = false;
    }
}

uint64_t log_reader_size(const struct log_reader *r)
{
    struct stat st;

    return fstat(r->fd, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

uint64_t log_reader_since(struct log_reader *r, uint64_t ms)
{
    uint64_t found = r->times_fd < 0 ? 0 : log_reader_size(r);
    struct log_stamp stamp;

    while (log_reader_stamp(r, &stamp))
        if (stamp.ms >= ms) {
            found = stamp.offset < found ? stamp.offset : found;
            break;
        }
    if (r->times_fd >= 0)
        (void)lseek(r->times_fd, 0, SEEK_SET);
    return found;
}

uint64_t log_reader_tail(struct log_reader *r, uint64_t low, uint64_t *lines)
{
    uint64_t end = log_reader_size(r), at = end;
    char data[TAIL_CHUNK];

    while (at > low) {
        size_t len = at - low < sizeof(data) ? (size_t)(at - low) : sizeof(data);
        ssize_t n = pread(r->fd, data, len, (off_t)(at - len));

        if (n != (ssize_t)len)
            return low;
        for (size_t i = len; i--;) {
            /* A line's end begins the next one, which may be empty at the very end. */
            if (data[i] != '\n' || at - len + i + 1 == end)
                continue;
            if (*lines <= 1) {
                *lines = 0;
                return at - len + i + 1;
            }
            (*lines)--;
        }
        at -= len;
    }
    if (end > low && *lines)
        (*lines)--;
    return low;
}

bool log_reader_is_current(const struct log_reader *r, int dir_fd, const char *name)
{
    struct stat mine, current;

    return fstat(r->fd, &mine) < 0 || fstatat(dir_fd, name, &current, AT_SYMLINK_NOFOLLOW) < 0 ||
           (mine.st_ino == current.st_ino && mine.st_dev == current.st_dev);
}
