/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's output, bounded in memory and on disk. Contract: vm/guest_log.h. */
#include "vm/guest_log.h"
#include "host/loop.h"

#include "base/buf.h"
#include "base/endian.h"
#include "base/when.h"
#include "host/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOG_PENDING_MAX = 16384, LOG_STAMP = 16, LOG_STAMP_MS = 100 };

struct guest_log {
    int dir_fd, fd, times_fd;
    char name[32];
    uint64_t file_size, times_size;
    uint64_t stamped_ms;          /* the last piece's time; 0: the file has none yet */
    struct buf pending;           /* not yet in the file */
    uint8_t tail[GUEST_LOG_TAIL]; /* ring: the last bytes */
    struct loop_timer *turn;      /* NULL: files are put aside at once */
    uint64_t total;               /* bytes ever added; total % GUEST_LOG_TAIL is the ring's end */
};

static int log_open_file(struct guest_log *log)
{
    char times[48];
    struct stat st;

    log->fd = openat(log->dir_fd, log->name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
                     0600);
    if (log->fd < 0 || fstat(log->fd, &st) < 0)
        return -errno;
    log->file_size = (uint64_t)st.st_size;
    snprintf(times, sizeof(times), "%s.times", log->name);
    log->times_fd =
        openat(log->dir_fd, times, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    log->times_size = log->times_fd >= 0 && !fstat(log->times_fd, &st) ? (uint64_t)st.st_size : 0;
    log->stamped_ms = 0;
    return 0;
}

int guest_log_open(int dir_fd, const char *name, struct guest_log **ret, struct err *err)
{
    struct guest_log *log = calloc(1, sizeof(*log));
    int r;

    if (!log)
        return err_set(err, -ENOMEM, "%s: out of memory", name);
    log->dir_fd = dir_fd;
    log->fd = log->times_fd = -1;
    snprintf(log->name, sizeof(log->name), "%s", name);
    r = log_open_file(log);
    if (r < 0) {
        guest_log_close(log);
        return err_set(err, r, "%s: cannot write: %s", name, strerror(-r));
    }
    *ret = log;
    return 0;
}

void guest_log_close(struct guest_log *log)
{
    if (!log)
        return;
    loop_timer_free(log->turn);
    log->turn = NULL;
    guest_log_flush(log);
    if (log->fd >= 0)
        close(log->fd);
    if (log->times_fd >= 0)
        close(log->times_fd);
    buf_done(&log->pending);
    free(log);
}

/* The older file goes, this one becomes the older one. */
static void log_rotate(struct guest_log *log)
{
    char older[40], times[48], older_times[48];

    snprintf(older, sizeof(older), "%s.1", log->name);
    snprintf(times, sizeof(times), "%s.times", log->name);
    snprintf(older_times, sizeof(older_times), "%s.times", older);
    if (log->fd >= 0)
        close(log->fd);
    if (log->times_fd >= 0)
        close(log->times_fd);
    log->times_fd = -1;
    (void)!renameat(log->dir_fd, log->name, log->dir_fd, older);
    (void)!renameat(log->dir_fd, times, log->dir_fd, older_times);
    if (log_open_file(log) < 0)
        log->fd = -1;
}

/* Notes when the next piece is written, at most ten times a second. */
static void log_stamp(struct guest_log *log)
{
    uint64_t now = when_now_ms();
    uint8_t stamp[LOG_STAMP];

    if (log->times_fd < 0 ||
        (log->stamped_ms && now >= log->stamped_ms && now - log->stamped_ms < LOG_STAMP_MS))
        return;
    st_le64(stamp, log->file_size);
    st_le64(stamp + 8, now);
    if (file_write_all(log->times_fd, stamp, sizeof(stamp)) == 0)
        log->times_size += sizeof(stamp);
    log->stamped_ms = now;
}

static void log_write(struct guest_log *log)
{
    size_t len = log->pending.len;
    bool full = log->file_size + len > GUEST_LOG_FILE_MAX || log->times_size > GUEST_LOG_FILE_MAX;

    if (full && log->turn)
        loop_timer_set(log->turn, 0);
    else if (full)
        log_rotate(log);
    log_stamp(log);
    /* A full disk costs the log, not the guest. */
    if (log->fd >= 0 && file_write_all(log->fd, buf_data(&log->pending), len) == 0)
        log->file_size += len;
    buf_consume(&log->pending, len);
}

void guest_log_flush(struct guest_log *log)
{
    if (log->pending.len)
        log_write(log);
}

static void log_on_turn(void *arg)
{
    struct guest_log *log = arg;

    if (log->file_size > GUEST_LOG_FILE_MAX / 2 || log->times_size > GUEST_LOG_FILE_MAX / 2)
        log_rotate(log); /* not twice for one full file */
}

int guest_log_turn_on(struct guest_log *log, struct loop *loop)
{
    log->turn = loop_timer_new(loop, log_on_turn, log);
    return log->turn ? 0 : -ENOMEM;
}

static void log_ring(struct guest_log *log, const uint8_t *data, size_t len)
{
    while (len) {
        size_t at = log->total % GUEST_LOG_TAIL, n = GUEST_LOG_TAIL - at;

        n = n < len ? n : len;
        memcpy(log->tail + at, data, n);
        log->total += n;
        data += n;
        len -= n;
    }
}

void guest_log_add(struct guest_log *log, const uint8_t *data, size_t len)
{
    log_ring(log, data, len);
    (void)!buf_append(&log->pending, data, len);
    if (log->pending.len >= LOG_PENDING_MAX)
        log_write(log);
}

void guest_log_tail(const struct guest_log *log,
                    void (*fn)(void *arg, const uint8_t *data, size_t len), void *arg)
{
    size_t end = log->total % GUEST_LOG_TAIL;

    if (log->total > GUEST_LOG_TAIL)
        fn(arg, log->tail + end, GUEST_LOG_TAIL - end);
    if (end || log->total == GUEST_LOG_TAIL)
        fn(arg, log->tail, log->total == GUEST_LOG_TAIL ? GUEST_LOG_TAIL : end);
}
