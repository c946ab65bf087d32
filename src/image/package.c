/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debian packages: deb(5) is an ar archive with data.tar.* inside; libarchive reads both layers.
 * Kernel modules: ELF64 little-endian with a .modinfo section of NUL-terminated "key=value".
 * The packages come verified against Debian's signatures, yet every length is checked.
 */
#include "image/package.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/endian.h"
#include "image/image.h"
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct package_entry {
    struct archive *tar;
    const char *deb, *path;
};

struct package_reader {
    struct archive *ar;
    const struct image_progress *progress;
    uint64_t size; /* of the package's file */
    uint8_t chunk[65536];
};

static void cleanup_archive(struct archive **a)
{
    if (*a)
        (void)archive_read_free(*a);
}

static int package_error(const char *deb, struct archive *a, struct err *err)
{
    const char *why = archive_error_string(a);

    return err_set(err, -EIO, "package %s: cannot be read: %s", deb, why ? why : "unknown cause");
}

static la_ssize_t package_inner_read(struct archive *tar, void *arg, const void **ret_data)
{
    struct package_reader *rd = arg;

    if (rd->progress && rd->progress->amount && rd->size)
        rd->progress->amount(
            rd->progress->arg,
            (unsigned)((uint64_t)archive_filter_bytes(rd->ar, -1) * 100 / rd->size));
    *ret_data = rd->chunk;
    return archive_read_data(rd->ar, rd->chunk, sizeof(rd->chunk));
}

static int package_open_tar(const char *deb, struct package_reader *rd,
                            int (*fn)(void *arg, struct archive *tar, struct err *err), void *arg,
                            struct err *err)
{
    CLEANUP(archive) struct archive *tar = archive_read_new();

    if (!tar)
        return err_set(err, -ENOMEM, "package %s: out of memory", deb);
    archive_read_support_filter_all(tar);
    archive_read_support_format_tar(tar);
    if (archive_read_open(tar, rd, NULL, package_inner_read, NULL) != ARCHIVE_OK)
        return package_error(deb, tar, err);
    return fn(arg, tar, err);
}

static int package_find(const char *deb, const char *member, const struct image_progress *progress,
                        int (*fn)(void *arg, struct archive *tar, struct err *err), void *arg,
                        struct err *err)
{
    CLEANUP(free) struct package_reader *rd = malloc(sizeof(*rd));
    CLEANUP(archive) struct archive *ar = archive_read_new();
    struct archive_entry *e;
    struct stat st;

    if (!rd || !ar)
        return err_set(err, -ENOMEM, "package %s: out of memory", deb);
    rd->ar = ar;
    rd->progress = progress;
    rd->size = stat(deb, &st) == 0 ? (uint64_t)st.st_size : 0;
    archive_read_support_format_ar(ar);
    if (archive_read_open_filename(ar, deb, 65536) != ARCHIVE_OK)
        return package_error(deb, ar, err);
    while (archive_read_next_header(ar, &e) == ARCHIVE_OK) {
        const char *name = archive_entry_pathname(e);

        if (name && strncmp(name, member, strlen(member)) == 0)
            return package_open_tar(deb, rd, fn, arg, err);
    }
    return err_set(err, -EIO, "package %s: is no Debian package", deb);
}

int package_open(const char *deb, const char *member,
                 int (*fn)(void *arg, struct archive *tar, struct err *err), void *arg,
                 struct err *err)
{
    return package_find(deb, member, NULL, fn, arg, err);
}

struct package_walk {
    const char *deb;
    package_fn fn;
    void *arg;
};

static int package_walk_tar(void *arg, struct archive *tar, struct err *err)
{
    const struct package_walk *w = arg;
    struct archive_entry *e;
    int s, r = 0;

    while (r == 0 && (s = archive_read_next_header(tar, &e)) == ARCHIVE_OK) {
        const char *path = archive_entry_pathname(e);

        if (!path || archive_entry_filetype(e) != AE_IFREG || archive_entry_hardlink(e))
            continue;
        path += strncmp(path, "./", 2) == 0 ? 2 : 0;
        r = w->fn(w->arg, path, &(struct package_entry){tar, w->deb, path}, err);
    }
    return r == 0 && s != ARCHIVE_EOF ? package_error(w->deb, tar, err) : r;
}

int package_walk(const char *deb, const struct image_progress *progress, package_fn fn, void *arg,
                 struct err *err)
{
    struct package_walk w = {deb, fn, arg};

    return package_find(deb, "data.tar", progress, package_walk_tar, &w, err);
}

/* Everything an archive's current entry holds. */
static int archive_slurp(struct archive *a, size_t cap, uint8_t **ret_data, size_t *ret_len)
{
    size_t len = 0, room = 65536;
    CLEANUP(free) uint8_t *data = malloc(room);

    while (data) {
        la_ssize_t n = archive_read_data(a, data + len, room - len);
        uint8_t *grown;

        if (n < 0)
            return -EIO;
        len += (size_t)n;
        if (n == 0) {
            *ret_data = TAKE(data);
            *ret_len = len;
            return 0;
        }
        if (len > cap)
            return -EFBIG;
        if (len < room)
            continue;
        grown = realloc(data, room *= 2);
        if (!grown)
            return -ENOMEM;
        data = grown;
    }
    return -ENOMEM;
}

int package_slurp(struct archive *tar, size_t cap, uint8_t **ret_data, size_t *ret_len)
{
    return archive_slurp(tar, cap, ret_data, ret_len);
}

int package_read(struct package_entry *entry, size_t cap, uint8_t **ret_data, size_t *ret_len,
                 struct err *err)
{
    int r = archive_slurp(entry->tar, cap, ret_data, ret_len);

    if (r == -EIO)
        return package_error(entry->deb, entry->tar, err);
    return r < 0 ? err_set(err, r, "package %s: %s: %s", entry->deb, entry->path, strerror(-r)) : 0;
}

int package_copy(struct package_entry *entry, int fd, struct err *err)
{
    int r;

    errno = 0;
    r = archive_read_data_into_fd(entry->tar, fd);
    if (r == ARCHIVE_OK)
        return 0;
    if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
        return err_set(err, -errno, "cannot write %s: %s", entry->path, strerror(errno));
    return package_error(entry->deb, entry->tar, err);
}

int package_unpack(const uint8_t *data, size_t len, size_t cap, uint8_t **ret_data, size_t *ret_len,
                   struct err *err)
{
    CLEANUP(archive) struct archive *a = archive_read_new();
    struct archive_entry *e;
    int r;

    if (!a)
        return err_set(err, -ENOMEM, "out of memory");
    archive_read_support_filter_all(a);
    archive_read_support_format_raw(a);
    if (archive_read_open_memory(a, data, len) != ARCHIVE_OK ||
        archive_read_next_header(a, &e) != ARCHIVE_OK)
        return err_set(err, -EIO, "cannot decompress: %s", archive_error_string(a));
    r = archive_slurp(a, cap, ret_data, ret_len);
    return r < 0 ? err_set(err, r, "cannot decompress: %s", strerror(-r)) : 0;
}

/* Kernel modules */

enum { ELF_HEAD = 64, ELF_SECTION = 64 };

struct elf_section {
    const uint8_t *head; /* the section header */
    const char *data;
    size_t len;
};

static bool elf_section(const uint8_t *elf, size_t len, unsigned i, struct elf_section *ret)
{
    uint64_t at, offset, size;

    if (ckd_add(&at, ld_le64(elf + 40), (uint64_t)i * ELF_SECTION) ||
        !range_within(at, ELF_SECTION, len))
        return false;
    offset = ld_le64(elf + at + 24);
    size = ld_le64(elf + at + 32);
    if (!range_within(offset, size, len))
        return false;
    *ret = (struct elf_section){elf + at, (const char *)elf + offset, (size_t)size};
    return true;
}

/* Whether the string at offset of a string table is `name`. */
static bool elf_name_is(const struct elf_section *names, uint32_t offset, const char *name)
{
    size_t len = strlen(name) + 1;

    return range_within(offset, len, names->len) && memcmp(names->data + offset, name, len) == 0;
}

static bool module_section(const uint8_t *elf, size_t len, struct elf_section *ret)
{
    struct elf_section names;
    unsigned count;

    if (len < ELF_HEAD || memcmp(elf, "\177ELF\2\1", 6) != 0 || ld_le16(elf + 58) != ELF_SECTION)
        return false;
    count = ld_le16(elf + 60);
    if (!elf_section(elf, len, ld_le16(elf + 62), &names))
        return false;
    for (unsigned i = 1; i < count; i++)
        if (elf_section(elf, len, i, ret) && elf_name_is(&names, ld_le32(ret->head), ".modinfo"))
            return true;
    return false;
}

bool module_info(const uint8_t *elf, size_t len, const char *key,
                 void (*fn)(void *arg, const char *value), void *arg)
{
    size_t key_len = strlen(key);
    struct elf_section s;
    const char *at, *end, *nul;

    if (!module_section(elf, len, &s))
        return false;
    end = s.data + s.len;
    for (at = s.data; at < end && (nul = memchr(at, '\0', (size_t)(end - at))); at = nul + 1)
        if (strncmp(at, key, key_len) == 0 && at[key_len] == '=')
            fn(arg, at + key_len + 1);
    return true;
}

/* busybox: its table of applet names is one block of sorted strings that begins "[", "[[". */

static bool applet_follows(const char *name, size_t len, const char *before)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_-[.+";

    return len > 0 && len < 32 && strspn(name, allowed) == len && strcmp(before, name) < 0;
}

static const uint8_t *applets_find(const uint8_t *data, size_t len)
{
    static const char first[] = "[\0[[\0";

    return memmem(data, len, first, sizeof(first) - 1);
}

bool busybox_applets(const uint8_t *data, size_t len, bool (*fn)(void *arg, const char *name),
                     void *arg)
{
    const uint8_t *start = applets_find(data, len);
    const char *at, *end = (const char *)data + len, *nul, *before = "";

    if (!start)
        return false;
    for (at = (const char *)start; at < end; at = nul + 1) {
        nul = memchr(at, '\0', (size_t)(end - at));
        if (!nul || !applet_follows(at, (size_t)(nul - at), before) || !fn(arg, at))
            break;
        before = at;
    }
    return *before;
}
