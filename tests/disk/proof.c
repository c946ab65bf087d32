/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First process of a guest whose root lies on a disk that is torn away again and again. It writes
 * file after file (each on stable storage, then a line in /log, then that too) and only then says
 * "ACK n". At the next start it reads all that must still be there, prints "HAVE n", goes on.
 * File n holds a pattern of n; only the last KEEP files stay.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEEP = 24, SIZE_MAX_KIB = 400 };

static uint32_t data[SIZE_MAX_KIB * 1024 / 4], got[SIZE_MAX_KIB * 1024 / 4];

static void end(const char *what, unsigned n)
{
    printf("FAILED %s %u\n", what, n);
    fflush(stdout);
    sync();
    reboot(RB_POWER_OFF);
    for (;;)
        pause();
}

static size_t pattern(unsigned n)
{
    uint32_t v = n * 2654435761u + 12345;
    size_t words = (v >> 7) % (sizeof(data) / 4) + 1;

    for (size_t i = 0; i < words; i++) {
        v = v * 1664525 + 1013904223;
        data[i] = v;
    }
    return words * 4;
}

static void name(char *path, unsigned n)
{
    sprintf(path, "/f/%u", n);
}

static void check(unsigned n)
{
    size_t len = pattern(n);
    struct stat st;
    char path[32];
    int fd;

    name(path, n);
    fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st) < 0 || (size_t)st.st_size != len)
        end("size of", n);
    if (read(fd, got, len) != (ssize_t)len || memcmp(got, data, len))
        end("contents of", n);
    close(fd);
}

static void add(unsigned n, int folder, int log)
{
    size_t len = pattern(n);
    char path[32];
    int fd;

    if (n > KEEP) {
        name(path, n - KEEP);
        unlink(path);
    }
    name(path, n);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, data, len) != (ssize_t)len || fsync(fd) || close(fd) || fsync(folder))
        end("write of", n);
    if (write(log, &n, sizeof(n)) != sizeof(n) || fdatasync(log))
        end("log of", n);
    printf("ACK %u\n", n);
    fflush(stdout);
}

int main(void)
{
    int log = open("/log", O_RDWR | O_CREAT, 0600), folder;
    unsigned n, last = 0;

    mkdir("/f", 0700);
    folder = open("/f", O_RDONLY | O_DIRECTORY);
    if (log < 0 || folder < 0)
        end("open", 0);
    while (read(log, &n, sizeof(n)) == sizeof(n)) {
        if (n != last + 1)
            end("log after", last);
        last = n;
    }
    /* The next one may have taken the oldest away already. */
    for (n = last < KEEP ? 1 : last - KEEP + 2; n <= last; n++)
        check(n);
    printf("HAVE %u\n", last);
    fflush(stdout);
    if (lseek(log, (off_t)last * 4, SEEK_SET) < 0 || ftruncate(log, (off_t)last * 4))
        end("log", last);
    for (;;)
        add(++last, folder, log);
}
