/* SPDX-License-Identifier: Apache-2.0 */
/* initramfs archives. Contract and format: image/cpio.h. */
#include "image/cpio.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

struct cpio_entry {
    const char *path;
    unsigned mode, links, device_major, device_minor;
    const void *data;
    size_t len;
};

static void cpio_bytes(struct cpio *c, const void *data, size_t len)
{
    if (c->error || !len)
        return;
    errno = 0;
    if (fwrite(data, 1, len, c->file) != len)
        c->error = errno ? -errno : -EIO;
    c->at += len;
}

static void cpio_align(struct cpio *c, unsigned to)
{
    static const char zero[512];

    cpio_bytes(c, zero, (to - c->at % to) % to);
}

static void cpio_put(struct cpio *c, const struct cpio_entry *e)
{
    char head[111];

    if (e->len > UINT32_MAX) {
        c->error = c->error ? c->error : -EFBIG;
        return;
    }
    (void)snprintf(head, sizeof(head), "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
                   c->inode++, e->mode, 0u, 0u, e->links, 0u, (unsigned)e->len, 0u, 0u,
                   e->device_major, e->device_minor, (unsigned)strlen(e->path) + 1, 0u);
    cpio_bytes(c, head, 110);
    cpio_bytes(c, e->path, strlen(e->path) + 1);
    cpio_align(c, 4);
    cpio_bytes(c, e->data, e->len);
    cpio_align(c, 4);
}

void cpio_begin(struct cpio *c, FILE *file)
{
    *c = (struct cpio){.file = file, .inode = 1};
}

void cpio_dir(struct cpio *c, const char *path, unsigned mode)
{
    cpio_put(c, &(struct cpio_entry){.path = path, .mode = S_IFDIR | mode, .links = 2});
}

void cpio_file(struct cpio *c, const char *path, unsigned mode, const void *data, size_t len)
{
    cpio_put(c, &(struct cpio_entry){
                    .path = path, .mode = S_IFREG | mode, .links = 1, .data = data, .len = len});
}

void cpio_symlink(struct cpio *c, const char *path, const char *target)
{
    cpio_put(c, &(struct cpio_entry){.path = path,
                                     .mode = S_IFLNK | 0777,
                                     .links = 1,
                                     .data = target,
                                     .len = strlen(target)});
}

void cpio_char_device(struct cpio *c, const char *path, unsigned mode, unsigned major,
                      unsigned minor)
{
    cpio_put(c, &(struct cpio_entry){.path = path,
                                     .mode = S_IFCHR | mode,
                                     .links = 1,
                                     .device_major = major,
                                     .device_minor = minor});
}

int cpio_end(struct cpio *c)
{
    c->inode = 0;
    cpio_put(c, &(struct cpio_entry){.path = "TRAILER!!!", .links = 1});
    cpio_align(c, 512);
    errno = 0;
    if (!c->error && fflush(c->file))
        c->error = errno ? -errno : -EIO;
    return c->error;
}
