/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dual-mapped code memory. Not over a memfd: perf reads a perf map only for code in memory without
 * a file behind it. Contract: codemem.h.
 */
#include "host/codemem.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A shared mapping, and a second one of the same pages: mremap(2) of length 0. */
static int codemem_map_twice(struct codemem *m)
{
    void *p = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return -errno;
    m->write = p;
    p = mremap(m->write, 0, m->size, MREMAP_MAYMOVE);
    if (p == MAP_FAILED)
        return -errno;
    m->exec = p;
    return mprotect(p, m->size, PROT_READ | PROT_EXEC) ? -errno : 0;
}

int codemem_init(struct codemem *m, size_t size, struct err *err)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct codemem made = {.size = (size + page - 1) & ~(page - 1)};
    int r = codemem_map_twice(&made);

    if (r) {
        codemem_done(&made);
        return err_set(err, r, "code memory: %zu KiB twice, writable and executable: %s",
                       made.size >> 10, strerror(-r));
    }
    *m = made;
    return 0;
}

void codemem_done(struct codemem *m)
{
    if (m->write)
        munmap(m->write, m->size);
    if (m->exec)
        munmap((void *)(uintptr_t)m->exec, m->size);
    *m = (struct codemem){0};
}
