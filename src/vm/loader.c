/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the files a machine starts from and copies them into guest RAM. The formats have files of
 * their own: loader_linux.c, loader_elf.c, loader_initrd.c. Not modelled: compressions other than
 * gzip for kernels, relocation of ELF programs. Contract: loader.h.
 */
#include "vm/loader.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "mem/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int loader_open_errno(int fd, const char *what, const char *path, struct err *err)
{
    int code = fd < 0 ? -errno : 0;

    if (code == -ENOENT)
        return err_set(err, code, "%s '%s': no such file; check the path", what, path);
    if (code == -EACCES)
        return err_set(err, code, "%s '%s': you may not read this file", what, path);
    if (code)
        return err_set(err, code, "%s '%s': cannot open it: %s", what, path, strerror(-code));
    return 0;
}

static int loader_check_stat(const struct stat *st, const char *what, const char *path,
                             uint64_t max, struct err *err)
{
    if (!S_ISREG(st->st_mode))
        return err_set(err, -ENOEXEC, "%s '%s': not a regular file; give the path of one", what,
                       path);
    if (!st->st_size)
        return err_set(err, -ENOEXEC, "%s '%s': the file is empty", what, path);
    if ((uint64_t)st->st_size > max)
        return err_set(err, -EFBIG, "%s '%s': %lld bytes are more than the %llu accepted", what,
                       path, (long long)st->st_size, (unsigned long long)max);
    return 0;
}

/* Fills buf from fd; a file that shrinks meanwhile is an error, one that grows is cut. */
static int loader_read_all(int fd, uint8_t *buf, uint64_t len)
{
    uint64_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, buf + done, len - done, (off_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += (uint64_t)n;
    }
    return 0;
}

static uint64_t loader_max(enum loader_role role)
{
    return role == LOADER_INITRD ? LOADER_INITRD_MAX : LOADER_KERNEL_MAX;
}

/* Reads all of image->fd. */
static int loader_read_file(struct loader_image *image, struct err *err)
{
    uint64_t len = (uint64_t)image->stamp.st_size;
    CLEANUP(free) uint8_t *data = malloc(len);
    int r;

    if (!data)
        return err_set(err, -ENOMEM, "%s '%s': no memory for %llu bytes", image->what, image->path,
                       (unsigned long long)len);
    r = loader_read_all(image->fd, data, len);
    if (r)
        return err_set(err, r, "%s '%s': cannot read it: %s", image->what, image->path,
                       strerror(-r));
    image->bytes.data = TAKE(data);
    image->bytes.len = len;
    return 0;
}

static int loader_begin(struct loader_image *image, const char *path, struct err *err)
{
    int r;

    image->path = path;
    /* Non-blocking, so that a FIFO given by mistake is refused and not waited for. */
    image->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    image->open = image->fd >= 0;
    r = loader_open_errno(image->fd, image->what, path, err);
    if (r)
        return r;
    if (fstat(image->fd, &image->stamp))
        return err_set(err, -errno, "%s '%s': cannot examine it: %s", image->what, path,
                       strerror(errno));
    r = loader_check_stat(&image->stamp, image->what, path, loader_max(image->role), err);
    return r ? r : loader_read_file(image, err);
}

/* The whole file as one segment at offset 0. */
static void loader_make_raw(struct loader_image *image)
{
    image->kind = LOADER_RAW;
    image->segment[0] =
        (struct loader_segment){.len = image->bytes.len, .memory_len = image->bytes.len};
    image->segment_count = 1;
    image->memory_size = image->bytes.len;
}

bool loader_is_elf(const struct loader_bytes *b)
{
    return b->len >= 4 && !memcmp(b->data, "\177ELF", 4);
}

static int loader_parse(struct loader_image *image, struct err *err)
{
    int r = 0;

    switch (image->role) {
    case LOADER_KERNEL:
        return loader_is_elf(&image->bytes) ? loader_parse_elf(image, image->arch, err)
                                            : loader_parse_linux(image, image->arch, err);
    case LOADER_FIRMWARE:
        if (loader_is_elf(&image->bytes))
            return loader_parse_elf(image, image->arch, err);
        break;
    case LOADER_INITRD: r = loader_check_initrd(image, err); break;
    }
    if (!r)
        loader_make_raw(image);
    return r;
}

/* The caller never sees half an image. */
static int loader_open(struct loader_image *ret_image, const struct loader_image *blank,
                       const char *path, struct err *err)
{
    int r;

    *ret_image = *blank;
    r = loader_begin(ret_image, path, err);
    if (!r)
        r = loader_parse(ret_image, err);
    if (r)
        loader_close(ret_image);
    return r;
}

int loader_open_kernel(struct loader_image *ret_image, const char *path, enum vm_arch arch,
                       struct err *err)
{
    const struct loader_image blank = {.what = "kernel", .role = LOADER_KERNEL, .arch = arch};

    return loader_open(ret_image, &blank, path, err);
}

int loader_open_firmware(struct loader_image *ret_image, const char *path, enum vm_arch arch,
                         struct err *err)
{
    const struct loader_image blank = {.what = "firmware", .role = LOADER_FIRMWARE, .arch = arch};

    return loader_open(ret_image, &blank, path, err);
}

int loader_open_initrd(struct loader_image *ret_image, const char *path, struct err *err)
{
    const struct loader_image blank = {.what = "initrd", .role = LOADER_INITRD};

    return loader_open(ret_image, &blank, path, err);
}

/* Not by ctime, which changes with the links to a file as well: each guest of an image has one. */
static bool loader_is_unchanged(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Brings the bytes back. What was planned with the image (places, lengths) must hold for them. */
static int loader_read_again(struct loader_image *image, struct err *err)
{
    struct loader_image again = {.what = image->what,
                                 .path = image->path,
                                 .role = image->role,
                                 .arch = image->arch,
                                 .fd = image->fd};
    int r = fstat(again.fd, &again.stamp) ? -errno : 0;

    if (r || !loader_is_unchanged(&again.stamp, &image->stamp))
        return err_set(err, r ? r : -ESTALE,
                       "%s '%s': the file has changed since the guest started, so it cannot be "
                       "loaded again; start the guest anew",
                       image->what, image->path);
    r = loader_read_file(&again, err);
    if (!r)
        r = loader_parse(&again, err);
    if (!r && (again.bytes.len != image->bytes.len || again.entry != image->entry ||
               again.segment_count != image->segment_count ||
               memcmp(again.segment, image->segment, sizeof(again.segment))))
        r = err_set(err, -ESTALE, "%s '%s': the file is not the one the guest started from",
                    image->what, image->path);
    if (r)
        free(again.bytes.data);
    else
        image->bytes = again.bytes;
    return r;
}

void loader_close(struct loader_image *image)
{
    free(image->bytes.data);
    image->bytes = (struct loader_bytes){0};
    image->segment_count = 0;
    if (image->open)
        close(image->fd);
    image->open = false;
}

static int loader_write_segment(const struct loader_image *image, const struct loader_segment *s,
                                struct mem *mem, uint64_t base)
{
    uint64_t at, zero_from;
    int r;

    if (ckd_add(&at, base, s->address) || ckd_add(&zero_from, at, s->len))
        return -EFAULT;
    r = mem_load(mem, GPA(at), image->bytes.data + s->offset, s->len);
    if (r || s->memory_len == s->len)
        return r;
    return mem_fill(mem, GPA(zero_from), 0, s->memory_len - s->len);
}

int loader_write(struct loader_image *image, struct mem *mem, uint64_t base, struct err *err)
{
    if (image->open && !image->bytes.data) {
        int r = loader_read_again(image, err);

        if (r)
            return r;
    }
    for (unsigned i = 0; i < image->segment_count; i++) {
        const struct loader_segment *s = &image->segment[i];

        if (loader_write_segment(image, s, mem, base))
            return err_set(err, -ENOMEM,
                           "%s '%s': its %llu bytes at %#llx do not fit the guest's memory; give "
                           "more with --memory",
                           image->what, image->path, (unsigned long long)s->memory_len,
                           (unsigned long long)(base + s->address));
    }
    free(TAKE(image->bytes.data));
    return 0;
}
