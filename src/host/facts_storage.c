/* SPDX-License-Identifier: Apache-2.0 */
/* Facts of a directory, found with a small file in it. Contract: host/facts.h. */
#include "host/facts.h"

#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 5, BLOCK = 4096, SLOW_MS = 20 };

static double storage_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int storage_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* The median cost of making a small write durable, in ms; negative: it cannot be done. */
static double storage_fsync_ms(int fd)
{
    char block[BLOCK] = {0};
    double ms[TRIES];

    for (unsigned i = 0; i < TRIES; i++) {
        double start = storage_now_ms();

        if (pwrite(fd, block, sizeof(block), 0) != sizeof(block) || fsync(fd) < 0)
            return -1;
        ms[i] = storage_now_ms() - start;
    }
    qsort(ms, TRIES, sizeof(*ms), storage_compare);
    return ms[TRIES / 2];
}

static bool storage_has_direct(int fd)
{
    char path[40];
    int direct;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    direct = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (direct >= 0)
        close(direct);
    return direct >= 0;
}

static bool storage_has_clones(const char *path, int fd)
{
    CLEANUP(fd) int copy = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    return copy >= 0 && ioctl(copy, FICLONE, fd) == 0;
}

static int storage_file(const char *path)
{
    char name[4096];
    int fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0)
        return fd;
    snprintf(name, sizeof(name), "%.4000s/.posada-doctor-XXXXXX", path);
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0)
        (void)unlink(name);
    return fd;
}

void facts_storage(const char *name, const char *path, uint64_t wanted_bytes, struct fact *ret)
{
    struct statvfs fs = {0};
    CLEANUP(fd) int fd = storage_file(path);
    uint64_t free_bytes;
    double ms;

    *ret = (struct fact){.name = name};
    if (fd < 0 || statvfs(path, &fs) < 0) {
        fact_set(ret, FACT_NO, "%.150s: %s", path, strerror(errno));
        fact_fix(ret, "give it room, or choose another by the environment (posada(1))");
        return;
    }
    free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    ms = storage_fsync_ms(fd);
    fact_set(ret, FACT_OK, "%.120s: %llu MiB free, fsync %.1f ms, direct I/O %s, cheap copies %s",
             path, (unsigned long long)(free_bytes >> 20), ms,
             storage_has_direct(fd) ? "yes" : "no", storage_has_clones(path, fd) ? "yes" : "no");
    if (ms < 0) {
        fact_set(ret, FACT_NO, "%.150s: nothing can be written there: %s", path, strerror(errno));
        fact_fix(ret, "give it room, or choose another by the environment (posada(1))");
    } else if (free_bytes < wanted_bytes) {
        ret->result = FACT_DEGRADED;
        fact_fix(ret, "images may not fit: %llu MiB would be better",
                 (unsigned long long)(wanted_bytes >> 20));
    } else if (ms > SLOW_MS) {
        ret->result = FACT_DEGRADED;
        fact_fix(ret, "making writes durable is slow here; guests that flush often will feel it");
    }
}
