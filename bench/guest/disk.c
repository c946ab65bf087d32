/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's disk at work, past its page cache (O_DIRECT): disk NAME DEVICE MODE BLOCK DEPTH COUNT
 * MODE: read, write (one after the other), randread, randwrite. DEPTH transfers of BLOCK bytes are
 * in flight (io_submit(2)) until COUNT are done. Prints "RESULT NAME TRANSFERS-A-SECOND".
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH_MAX = 64 };

struct work {
    int fd;
    uint16_t opcode;
    int random;
    size_t block;
    uint64_t blocks, next, seed; /* blocks of the device; number and random state of the next */
    unsigned depth;
    unsigned long count, submitted, done;
    aio_context_t context;
    struct iocb cb[DEPTH_MAX];
};

static void fail(const char *what)
{
    printf("FAILED disk: ");
    fflush(stdout);
    perror(what);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t next_block(struct work *w)
{
    if (!w->random)
        return w->next++ % w->blocks;
    w->seed = w->seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (w->seed >> 20) % w->blocks;
}

static void start(struct work *w, struct iocb *cb)
{
    cb->aio_offset = (int64_t)(next_block(w) * w->block);
    if (syscall(SYS_io_submit, w->context, 1, &cb) != 1)
        fail("io_submit");
    w->submitted++;
}

static void finish_some(struct work *w)
{
    struct io_event event[DEPTH_MAX];
    long n = syscall(SYS_io_getevents, w->context, 1, DEPTH_MAX, event, NULL);

    if (n <= 0)
        fail("io_getevents");
    for (long i = 0; i < n; i++) {
        if (event[i].res != (int64_t)w->block)
            fail("a transfer");
        w->done++;
        if (w->submitted < w->count)
            start(w, (struct iocb *)(uintptr_t)event[i].obj);
    }
}

static void prepare(struct work *w, char **argv)
{
    off_t size;

    w->random = !strncmp(argv[3], "rand", 4);
    w->opcode = strstr(argv[3], "write") ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
    w->block = strtoul(argv[4], NULL, 0);
    w->depth = (unsigned)strtoul(argv[5], NULL, 0);
    w->count = strtoul(argv[6], NULL, 0);
    w->seed = 1;
    w->fd = open(argv[2], O_RDWR | O_DIRECT);
    size = w->fd < 0 ? -1 : lseek(w->fd, 0, SEEK_END);
    if (size < (off_t)w->block || !w->depth || w->depth > DEPTH_MAX)
        fail(argv[2]);
    w->blocks = (uint64_t)size / w->block;
    if (syscall(SYS_io_setup, DEPTH_MAX, &w->context) < 0)
        fail("io_setup");
    for (unsigned i = 0; i < w->depth; i++) {
        void *buf = aligned_alloc(4096, w->block);

        if (!buf)
            fail("memory");
        memset(buf, (int)i + 1, w->block);
        w->cb[i] = (struct iocb){.aio_fildes = (uint32_t)w->fd,
                                 .aio_lio_opcode = w->opcode,
                                 .aio_buf = (uintptr_t)buf,
                                 .aio_nbytes = w->block};
    }
}

int main(int argc, char **argv)
{
    static struct work w;
    uint64_t began;

    if (argc != 7)
        return 2;
    prepare(&w, argv);
    printf("RESULT setup_%s 0\n", argv[1]);
    fflush(stdout);
    began = now_ns();
    for (unsigned i = 0; i < w.depth && w.submitted < w.count; i++)
        start(&w, &w.cb[i]);
    while (w.done < w.count)
        finish_some(&w);
    printf("RESULT %s %.1f\n", argv[1], (double)w.count * 1e9 / (double)(now_ns() - began));
    return 0;
}
