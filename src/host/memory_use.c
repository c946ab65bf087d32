/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads /proc/self/smaps (proc(5)): per mapping a head line "from-to rwxp offset device inode
 * name", then lines "Key: value kB". Lines come in any number of reads; an overlong name is cut,
 * which is harmless, since memfds have short ones. Contract: memory_use.h.
 */
#include "host/memory_use.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 256 };

struct smaps {
    const char *memfd;
    struct memory_use use;
    bool is_named; /* the mapping whose lines follow */
    char line[LINE_MAX_BYTES];
    size_t len;
};

int memory_use_open(void)
{
    int fd = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static bool smaps_ends_with(const char *line, const char *end)
{
    size_t len = strlen(line), n = strlen(end);

    return len >= n && !strcmp(line + len - n, end);
}

static void smaps_line(struct smaps *s)
{
    char name[LINE_MAX_BYTES + 16];
    uint64_t bytes;

    s->line[s->len] = 0;
    s->len = 0;
    if (!strncmp(s->line, "Rss:", 4)) {
        bytes = strtoull(s->line + 4, NULL, 10) << 10;
        *(s->is_named ? &s->use.named : &s->use.rest) += bytes;
    } else if (isdigit((unsigned char)s->line[0]) || islower((unsigned char)s->line[0])) {
        snprintf(name, sizeof(name), " /memfd:%s (deleted)", s->memfd);
        s->is_named = strstr(s->line, name) || smaps_ends_with(s->line, " /dev/zero");
    }
}

static void smaps_feed(struct smaps *s, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n')
            smaps_line(s);
        else if (s->len < sizeof(s->line) - 1)
            s->line[s->len++] = text[i];
    }
}

int memory_use_read(int fd, const char *memfd, struct memory_use *ret_use)
{
    struct smaps s = {.memfd = memfd};
    char buf[4096];
    ssize_t n;

    if (lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    while ((n = read(fd, buf, sizeof(buf))) > 0)
        smaps_feed(&s, buf, (size_t)n);
    if (n < 0)
        return -errno;
    *ret_use = s.use;
    return 0;
}
