/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of events. Contract: vm/events.h. A line that a full disk or a crash cut short is taken
 * away before the next one is written, so readers see whole lines or a last one without its end.
 */
#include "vm/events.h"

#include "base/cleanup.h"
#include "host/dirs.h"
#include "host/file.h"
#include "vm/config.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EVENT_LOG "events.log"
#define EVENT_OLD "events.log.1"

const char *event_action_name(enum event_action action)
{
    static const char *const names[] = {"created", "starting", "running",    "paused",
                                        "resumed", "rebooted", "agent-lost", "stopping",
                                        "stopped", "failed",   "restarting", "helper-restarted",
                                        "renamed", "changed",  "removed"};

    _Static_assert(ARRAY_LEN(names) == EVENT_ACTIONS, "a name for each");
    return names[action];
}

void event_time_text(uint64_t ms, char ret[32])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    size_t n;

    gmtime_r(&seconds, &tm);
    n = strftime(ret, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(ret + n, 32 - n, ".%03uZ", (unsigned)(ms % 1000));
}

static int event_dir(void)
{
    CLEANUP(free) char *path = NULL;

    if (dirs_get(DIRS_DATA, &path, NULL) < 0)
        return -1;
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* --- writing --- */

static int event_lock(int dir_fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = openat(dir_fd, ".events.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    while (fd >= 0 && fcntl(fd, F_OFD_SETLKW, &whole) < 0)
        if (errno != EINTR) {
            close(fd);
            return -1;
        }
    return fd;
}

/* The number in the last whole line of a file, 0: none. ret_end: where that line ends. */
static uint64_t event_last(int fd, off_t *ret_end)
{
    char tail[2 * EVENT_LINE_MAX + 1], *end, *start;
    struct stat st;
    ssize_t n;
    off_t from;
    uint64_t seq;
    json_t *json;

    *ret_end = 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return 0;
    from = st.st_size > 2 * EVENT_LINE_MAX ? st.st_size - 2 * EVENT_LINE_MAX : 0;
    n = pread(fd, tail, sizeof(tail) - 1, from);
    end = n > 0 ? memrchr(tail, '\n', (size_t)n) : NULL;
    if (!end)
        return 0;
    *ret_end = from + (end - tail) + 1;
    start = memrchr(tail, '\n', (size_t)(end - tail));
    start = start ? start + 1 : tail;
    json = json_loadb(start, (size_t)(end - start), 0, NULL);
    seq = (uint64_t)json_integer_value(json_object_get(json, "seq"));
    json_decref(json);
    return seq;
}

static uint64_t event_last_older(int dir_fd)
{
    CLEANUP(fd) int fd = openat(dir_fd, EVENT_OLD, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    off_t end;

    return event_last(fd, &end);
}

static json_t *event_object(uint64_t seq, enum event_action action, const struct guest *guest,
                            json_t *attrs)
{
    struct guest named = *guest;
    struct timespec now;
    char text[32];
    json_t *json;

    clock_gettime(CLOCK_REALTIME, &now);
    event_time_text((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000, text);
    (void)guest_refresh(&named); /* a removed one keeps the name it had */
    json = json_pack("{s:I, s:s, s:s, s:s, s:s}", "seq", (json_int_t)seq, "time", text, "type",
                     "guest", "action", event_action_name(action), "guest", named.name);
    if (json && guest->uuid[0])
        json_object_set_new(json, "uuid", json_string(guest->uuid));
    if (json && attrs)
        json_object_update_missing(json, attrs);
    return json;
}

/* One write of one line, behind the last whole one. */
static void event_append(int fd, off_t end, json_t *json)
{
    CLEANUP(free)
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    size_t len = text ? strlen(text) : 0;

    if (!text || len + 1 >= EVENT_LINE_MAX)
        return;
    text[len] = '\n';
    if (ftruncate(fd, end) < 0 || pwrite(fd, text, len + 1, end) != (ssize_t)len + 1)
        (void)!ftruncate(fd, end);
    (void)!fdatasync(fd);
}

static void event_write(int dir_fd, enum event_action action, const struct guest *guest,
                        json_t *attrs)
{
    CLEANUP(fd) int fd = openat(dir_fd, EVENT_LOG, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    uint64_t seq;
    off_t end;
    json_t *json;

    if (fd < 0)
        return;
    seq = event_last(fd, &end);
    if (!seq)
        seq = event_last_older(dir_fd);
    if (end > EVENT_LOG_MAX && !renameat(dir_fd, EVENT_LOG, dir_fd, EVENT_OLD)) {
        close(fd);
        fd = openat(dir_fd, EVENT_LOG, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        end = 0;
    }
    json = event_object(seq + 1, action, guest, attrs);
    if (fd >= 0)
        event_append(fd, end, json);
    json_decref(json);
}

void event_add(enum event_action action, const struct guest *guest, json_t *attrs)
{
    CLEANUP(fd) int dir_fd = event_dir();
    CLEANUP(fd) int lock_fd = dir_fd < 0 ? -1 : event_lock(dir_fd);

    if (lock_fd >= 0)
        event_write(dir_fd, action, guest, attrs);
    json_decref(attrs);
}

/* --- reading --- */

static int event_open(const char *name)
{
    CLEANUP(fd) int dir_fd = event_dir();
    int fd = dir_fd < 0 ? -1 : file_open_to_read(dir_fd, name);

    return fd < 0 ? -1 : fd;
}

void event_reader_init(struct event_reader *reader)
{
    reader->fd = event_open(EVENT_OLD);
    reader->older = reader->fd >= 0;
    if (!reader->older)
        reader->fd = event_open(EVENT_LOG);
}

void event_reader_done(struct event_reader *reader)
{
    if (reader->fd >= 0)
        close(reader->fd);
    reader->fd = -1;
}

/* The file is read out; is there another one behind it? */
static bool event_reader_turn(struct event_reader *reader)
{
    struct stat mine = {0}, current;
    int fd = event_open(EVENT_LOG);

    if (fd < 0)
        return false;
    if (reader->fd >= 0 && !fstat(reader->fd, &mine) && !fstat(fd, &current) &&
        mine.st_ino == current.st_ino && mine.st_dev == current.st_dev) {
        close(fd);
        return false;
    }
    event_reader_done(reader);
    reader->fd = fd;
    reader->older = false;
    return true;
}

/* A whole line from where the file stands, or nothing: a line's end may still be on its way. */
static bool event_line(struct event_reader *reader)
{
    off_t at = reader->fd < 0 ? -1 : lseek(reader->fd, 0, SEEK_CUR);
    ssize_t n = at < 0 ? -1 : pread(reader->fd, reader->line, sizeof(reader->line) - 1, at);
    char *end = n > 0 ? memchr(reader->line, '\n', (size_t)n) : NULL;

    if (!end && n < (ssize_t)sizeof(reader->line) - 1)
        return false;
    if (!end) { /* no event is as long as that: step over it */
        (void)lseek(reader->fd, at + n, SEEK_SET);
        reader->line[0] = '\0';
        return true;
    }
    *end = '\0';
    (void)lseek(reader->fd, at + (end - reader->line) + 1, SEEK_SET);
    return true;
}

json_t *event_next(struct event_reader *reader)
{
    for (;;) {
        json_t *json;

        if (!event_line(reader)) {
            if (!event_reader_turn(reader))
                return NULL;
            continue;
        }
        json = json_loads(reader->line, 0, NULL);
        if (json_is_object(json))
            return json;
        json_decref(json);
    }
}
