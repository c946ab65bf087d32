/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines to one descriptor; each line is a single write. Contract: include/posada/log.h. */
#include <posada/log.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static struct {
    enum log_level level;
    int fd;
    bool timestamps;
} log_state = {.level = LOG_WARN, .fd = STDERR_FILENO};

void log_setup(enum log_level level, int fd, bool timestamps)
{
    log_state.level = level;
    log_state.fd = fd;
    log_state.timestamps = timestamps;
}

bool log_on(enum log_level level)
{
    return level <= log_state.level;
}

static size_t log_stamp(char *buf, size_t size)
{
    struct timespec now;
    struct tm tm;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    return strftime(buf, size, "%Y-%m-%dT%H:%M:%SZ ", &tm);
}

void log_msg(enum log_level level, const char *fmt, ...)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    char line[1024];
    size_t n = 0;
    va_list ap;
    int r;

    if (!log_on(level))
        return;
    if (log_state.timestamps)
        n = log_stamp(line, sizeof(line));
    r = snprintf(line + n, sizeof(line) - n, "%s: ", names[level]);
    n += r > 0 ? (size_t)r : 0;
    va_start(ap, fmt);
    r = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
    va_end(ap);
    n += r > 0 ? (size_t)r : 0;
    if (n > sizeof(line) - 2)
        n = sizeof(line) - 2;
    line[n++] = '\n';
    (void)!write(log_state.fd, line, n);
}
