/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workloads on a shared folder, inside a guest: share DIR JOB... Each job begins with cold caches
 * and reports "RESULT NAME PER_SECOND". Sequential: MiB; small files: files.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MIB = 1 << 20, SEQUENTIAL = 192, FILES = 1000, DIRS = 10, SMALL = 4096 };

static char buffer[MIB];

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    printf("FAILED %s: %s\n", what, strerror(errno));
    exit(1);
}

static void cold(void)
{
    int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

    sync();
    if (fd < 0 || write(fd, "3", 1) != 1)
        fail("drop_caches");
    close(fd);
}

static double seq_write(void)
{
    int fd = open("written", O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd < 0)
        fail("open for writing");
    for (int i = 0; i < SEQUENTIAL; i++)
        if (write(fd, buffer, MIB) != MIB)
            fail("write");
    if (fsync(fd) < 0 || close(fd) < 0)
        fail("fsync");
    return SEQUENTIAL;
}

static double seq_read_by(const char *name, size_t block)
{
    int fd = open(name, O_RDONLY);
    ssize_t n, total = 0;

    while ((n = read(fd, buffer, block)) > 0)
        total += n;
    if (total != (ssize_t)SEQUENTIAL * MIB)
        fail("read");
    close(fd);
    return SEQUENTIAL;
}

static double seq_read(void)
{
    return seq_read_by("big", MIB);
}

static double seq_read_4k(void)
{
    return seq_read_by("big", 4096);
}

static void name_of(char *name, int i)
{
    sprintf(name, "small/%d/%d", i % DIRS, i);
}

static double small_create(void)
{
    char name[64];

    if (mkdir("small", 0755) < 0)
        fail("small");
    for (int i = 0; i < DIRS; i++) {
        sprintf(name, "small/%d", i);
        if (mkdir(name, 0755) < 0)
            fail(name);
    }
    for (int i = 0; i < FILES; i++) {
        name_of(name, i);
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);

        if (fd < 0 || write(fd, buffer, SMALL) != SMALL || close(fd) < 0)
            fail(name);
    }
    return FILES;
}

static double small_read(void)
{
    char name[64];

    for (int i = 0; i < FILES; i++) {
        name_of(name, i);
        int fd = open(name, O_RDONLY);

        if (fd < 0 || read(fd, buffer, sizeof(buffer)) != SMALL)
            fail(name);
        close(fd);
    }
    return FILES;
}

/* As ls -l of every folder. */
static double small_list(void)
{
    int seen = 0;

    for (int i = 0; i < DIRS; i++) {
        char name[64];
        struct dirent *e;
        DIR *d;

        sprintf(name, "small/%d", i);
        d = opendir(name);
        while (d && (e = readdir(d))) {
            struct stat st;

            if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                fail(e->d_name);
            seen += S_ISREG(st.st_mode);
        }
        if (d)
            closedir(d);
    }
    if (seen != FILES)
        fail("list");
    return FILES;
}

static double small_remove(void)
{
    char name[64];

    for (int i = 0; i < FILES; i++) {
        name_of(name, i);
        if (unlink(name) < 0)
            fail(name);
    }
    return FILES;
}

static const struct {
    const char *name;
    double (*run)(void);
} jobs[] = {
    {"seq_write", seq_write},       {"seq_read", seq_read},     {"seq_read_4k", seq_read_4k},
    {"small_create", small_create}, {"small_read", small_read}, {"small_list", small_list},
    {"small_remove", small_remove},
};

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc < 2 || chdir(argv[1]) < 0)
        fail("no share");
    memset(buffer, 's', sizeof(buffer));
    printf("RESULT start 0\n"); /* what came before is nobody's work */
    for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
        double begin, done;

        cold();
        printf("RESULT cold 0\n");
        begin = now();
        done = jobs[i].run();
        printf("RESULT %s %.3f\n", jobs[i].name, done / (now() - begin));
    }
    return 0;
}
