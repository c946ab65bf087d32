/* SPDX-License-Identifier: Apache-2.0 */
/* Dual-mapped code memory over a sealed memfd. Contract: codemem.h. */
#include "host/codemem.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *codemem_map(int fd, size_t size, int prot)
{
    void *p = mmap(NULL, size, prot, MAP_SHARED, fd, 0);

    return p == MAP_FAILED ? NULL : p;
}

int codemem_init(struct codemem *m, size_t size, struct err *err)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct codemem made = {.size = (size + page - 1) & ~(page - 1)};
    int saved, fd = memfd_create("posada-code", MFD_CLOEXEC);

    if (fd < 0)
        return err_set(err, -errno, "code memory: memfd_create: %s", strerror(errno));
    if (!ftruncate(fd, (off_t)made.size)) {
        made.write = codemem_map(fd, made.size, PROT_READ | PROT_WRITE);
        made.exec = codemem_map(fd, made.size, PROT_READ | PROT_EXEC);
    }
    saved = errno;
    close(fd);
    if (!made.write || !made.exec) {
        codemem_done(&made);
        return err_set(err, -saved, "code memory: %zu KiB twice, writable and executable: %s",
                       made.size >> 10, strerror(saved));
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
