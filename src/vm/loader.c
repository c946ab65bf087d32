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
#include <string.h>
#include <sys/stat.h>

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
        ssize_t n = read(fd, buf + done, len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += (uint64_t)n;
    }
    return 0;
}

int loader_read_file(struct loader_bytes *ret_bytes, const char *what, const char *path,
                     uint64_t max, struct err *err)
{
    /* Non-blocking, so that a FIFO given by mistake is refused and not waited for. */
    CLEANUP(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    CLEANUP(free) uint8_t *data = NULL;
    struct stat st;
    int r = loader_open_errno(fd, what, path, err);

    if (r)
        return r;
    if (fstat(fd, &st))
        return err_set(err, -errno, "%s '%s': cannot examine it: %s", what, path, strerror(errno));
    r = loader_check_stat(&st, what, path, max, err);
    if (r)
        return r;
    data = malloc((size_t)st.st_size);
    if (!data)
        return err_set(err, -ENOMEM, "%s '%s': no memory for %lld bytes", what, path,
                       (long long)st.st_size);
    r = loader_read_all(fd, data, (uint64_t)st.st_size);
    if (r)
        return err_set(err, r, "%s '%s': cannot read it: %s", what, path, strerror(-r));
    ret_bytes->data = TAKE(data);
    ret_bytes->len = (uint64_t)st.st_size;
    return 0;
}

static int loader_begin(struct loader_image *image, const char *what, const char *path,
                        uint64_t max, struct err *err)
{
    memset(image, 0, sizeof(*image));
    image->what = what;
    image->path = path;
    return loader_read_file(&image->bytes, what, path, max, err);
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

static bool loader_is_elf(const struct loader_bytes *b)
{
    return b->len >= 4 && !memcmp(b->data, "\177ELF", 4);
}

/* Keeps or frees what was read, by r: the caller never sees half an image. */
static int loader_finish(struct loader_image *image, int r)
{
    if (r)
        loader_close(image);
    return r;
}

int loader_open_kernel(struct loader_image *ret_image, const char *path, enum vm_arch arch,
                       struct err *err)
{
    int r = loader_begin(ret_image, "kernel", path, LOADER_KERNEL_MAX, err);

    if (!r)
        r = loader_is_elf(&ret_image->bytes) ? loader_parse_elf(ret_image, arch, err)
                                             : loader_parse_linux(ret_image, arch, err);
    return loader_finish(ret_image, r);
}

int loader_open_firmware(struct loader_image *ret_image, const char *path, enum vm_arch arch,
                         struct err *err)
{
    int r = loader_begin(ret_image, "firmware", path, LOADER_KERNEL_MAX, err);

    if (!r && loader_is_elf(&ret_image->bytes))
        r = loader_parse_elf(ret_image, arch, err);
    else if (!r)
        loader_make_raw(ret_image);
    return loader_finish(ret_image, r);
}

int loader_open_initrd(struct loader_image *ret_image, const char *path, struct err *err)
{
    int r = loader_begin(ret_image, "initrd", path, LOADER_INITRD_MAX, err);

    if (!r)
        r = loader_check_initrd(ret_image, err);
    if (!r)
        loader_make_raw(ret_image);
    return loader_finish(ret_image, r);
}

void loader_close(struct loader_image *image)
{
    free(image->bytes.data);
    image->bytes = (struct loader_bytes){0};
    image->segment_count = 0;
}

static int loader_write_segment(const struct loader_image *image, const struct loader_segment *s,
                                struct mem *mem, uint64_t base)
{
    uint64_t at, zero_from;
    int r;

    if (ckd_add(&at, base, s->address) || ckd_add(&zero_from, at, s->len))
        return -EFAULT;
    r = mem_write(mem, GPA(at), image->bytes.data + s->offset, s->len);
    if (r || s->memory_len == s->len)
        return r;
    return mem_fill(mem, GPA(zero_from), 0, s->memory_len - s->len);
}

int loader_write(const struct loader_image *image, struct mem *mem, uint64_t base, struct err *err)
{
    for (unsigned i = 0; i < image->segment_count; i++) {
        const struct loader_segment *s = &image->segment[i];

        if (loader_write_segment(image, s, mem, base))
            return err_set(err, -ENOMEM,
                           "%s '%s': its %llu bytes at %#llx do not fit the guest's memory; give "
                           "more with --memory",
                           image->what, image->path, (unsigned long long)s->memory_len,
                           (unsigned long long)(base + s->address));
    }
    return 0;
}
