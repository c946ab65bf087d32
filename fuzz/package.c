/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile Debian packages, unpacked as a build does; and bytes of any kind as kernel modules, as
 * busybox, as something compressed. Packages come verified, so this guards against the day on which
 * one slips through: nothing is read or written out of bounds, every refusal has its sentence.
 * As a program of its own: fuzz_package_random [SEED [INPUTS]].
 */
#include "image/package.h"
#include "image/dpkg.h"
#include "input.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 512, DEB_MAX = 1 << 18, ENTRIES = 10, TREE_BLOCKS = 1 << 13, CAP = 1 << 16 };

struct deb {
    uint8_t data[DEB_MAX];
    size_t len;
};

static void put(struct deb *d, const void *data, size_t len)
{
    if (len > sizeof(d->data) - d->len)
        fuzz_die("a package that is too large");
    memcpy(d->data + d->len, data, len);
    d->len += len;
}

static void put_octal(uint8_t *at, size_t width, uint64_t value)
{
    for (at[--width] = '\0'; width--; value >>= 3)
        at[width] = (uint8_t)('0' + (value & 7));
}

/* One entry of a tar archive; its contents are `text`, or bytes of the input. */
static void put_entry(struct fuzz_input *in, struct deb *d, const char *name, const char *text)
{
    static const char kinds[] = "0000000125xgL";
    static const char *const links[] = {"usr/bin/a", "/etc/passwd", "../..", "usr/lib"};
    uint8_t h[BLOCK] = {0}, data[BLOCK] = {0};
    size_t size = text ? strlen(text) : fuzz_byte(in);
    unsigned sum = 0, how = fuzz_byte(in);

    if (size > sizeof(data))
        size = sizeof(data);
    (void)snprintf((char *)h, 100, "%s", name);
    put_octal(h + 100, 8, how % 8 ? 0644 : fuzz_take(in, 2));
    put_octal(h + 108, 8, 0);
    put_octal(h + 116, 8, 0);
    put_octal(h + 124, 12, how % 32 == 31 ? fuzz_take(in, 4) : size);
    put_octal(h + 136, 12, 1);
    h[156] = (uint8_t)(text ? '0' : kinds[fuzz_byte(in) % (sizeof(kinds) - 1)]);
    (void)snprintf((char *)h + 157, 100, "%s", links[fuzz_byte(in) % ARRAY_LEN(links)]);
    memcpy(h + 257, "ustar\00000", 8);
    memset(h + 148, ' ', 8);
    for (int i = 0; i < BLOCK; i++)
        sum += h[i];
    put_octal(h + 148, 7, sum);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(text ? text[i] : (int)fuzz_byte(in));
    put(d, h, BLOCK);
    if (size)
        put(d, data, (size + BLOCK - 1) / BLOCK * BLOCK);
}

static void put_control(struct fuzz_input *in, struct deb *d)
{
    static const char *const controls[] = {
        "Package: a\nVersion: 1\nArchitecture: all\nDescription: x\n y\n",
        "Package: a\nVersion: 1\nArchitecture: amd64\nMulti-Arch: same\n",
        "Package: ../a\nVersion: 1\nArchitecture: all\n",
        "Package:\n",
        "Version: 1\n",
        " a\n\nPackage: b\n",
        "Package: a/b\nVersion: 1\nArchitecture: all\n"};
    static const char *const members[] = {"./conffiles", "./postinst", "./md5sums", "./../x",
                                          "./a/b",       "./triggers", "control"};

    put_entry(in, d, "./control",
              fuzz_byte(in) % 8 ? controls[fuzz_byte(in) % ARRAY_LEN(controls)] : NULL);
    for (unsigned n = fuzz_byte(in) % 4; n; n--)
        put_entry(in, d, members[fuzz_byte(in) % ARRAY_LEN(members)],
                  fuzz_byte(in) % 2 ? "/etc/a\n/etc/../b\nremove-on-upgrade /x\n" : NULL);
}

static void put_data(struct fuzz_input *in, struct deb *d)
{
    static const char *const names[] = {
        "./etc/a", "./usr/bin/a", "./bin/b",   "./lib/x/y", "./../out",
        "/abs",    "./",          "./usr/lib", "./etc",     "./var/lib/dpkg/status"};

    for (unsigned n = fuzz_byte(in) % ENTRIES; n; n--)
        put_entry(in, d, names[fuzz_byte(in) % ARRAY_LEN(names)],
                  fuzz_byte(in) % 4 ? "text" : NULL);
}

static void put_member(struct fuzz_input *in, struct deb *d, const char *name,
                       void (*fill)(struct fuzz_input *in, struct deb *d))
{
    static const uint8_t end[2 * BLOCK];
    size_t head = d->len, size;
    char text[61];

    put(d, end, 60);
    if (fill)
        fill(in, d);
    put(d, fill ? (const void *)end : "2.0\n", fill ? sizeof(end) : 4);
    size = d->len - head - 60;
    if (fuzz_byte(in) % 32 == 31)
        size = fuzz_take(in, 3);
    (void)snprintf(text, sizeof(text), "%-16s%-12u%-6u%-6u%-8u%-10zu`\n", name, 0u, 0u, 0u, 100644u,
                   size);
    memcpy(d->data + head, text, 60);
}

static int make_deb(struct fuzz_input *in)
{
    static struct deb d;
    int fd = memfd_create("deb", MFD_CLOEXEC);
    unsigned how;

    d.len = 0;
    put(&d, "!<arch>\n", 8);
    put_member(in, &d, "debian-binary", NULL);
    put_member(in, &d, fuzz_byte(in) % 16 ? "control.tar" : "control.tar.xz", put_control);
    put_member(in, &d, "data.tar", put_data);
    how = fuzz_byte(in);
    if (how % 4 == 3)
        d.data[fuzz_take(in, 3) % d.len] = (uint8_t)fuzz_byte(in);
    if (how % 16 == 14)
        d.len = fuzz_take(in, 3) % (d.len + 1);
    if (fd < 0 || write(fd, d.data, d.len) != (ssize_t)d.len)
        fuzz_die("cannot write the package");
    return fd;
}

static void unpack(const char *path)
{
    int data = memfd_create("data", MFD_CLOEXEC), r;
    struct dpkg *d = NULL;
    struct err err = {0};
    struct tree t;

    if (data < 0 || tree_init(&t, data, TREE_BLOCKS) < 0)
        fuzz_die("no memory");
    r = dpkg_open(&t, "amd64", &d, &err);
    for (int i = 0; r == 0 && i < 2; i++)
        r = dpkg_unpack(d, path, &err);
    if (r == 0)
        r = dpkg_close(d, &err);
    if (r < 0 && (!err.text[0] || err.code != r))
        fuzz_die("refused without a word");
    if (r == 0 && !tree_find(&t, "var/lib/dpkg/status", true))
        fuzz_die("a database that is not there");
    dpkg_free(d);
    tree_done(&t);
    if (t.memory)
        fuzz_die("memory that is nobody's");
    (void)close(data);
}

static int read_entry(void *arg, const char *path, struct package_entry *entry, struct err *err)
{
    uint8_t *data;
    size_t len;
    int r = package_read(entry, CAP, &data, &len, err);

    if (r == 0 && len > CAP)
        fuzz_die("more than was asked for");
    if (r == 0)
        free(data);
    return r;
}

static void see_value(void *arg, const char *value)
{
    *(size_t *)arg += strlen(value);
}

static bool see_name(void *arg, const char *name)
{
    *(size_t *)arg += strlen(name);
    return true;
}

/* Bytes as they come, and with the beginning of an ELF file. */
static void read_bytes(const uint8_t *data, size_t len)
{
    static const uint8_t elf[20] = {0x7f, 'E', 'L', 'F', 2, 1, 1, [16] = 1, [18] = 62};
    uint8_t *copy = malloc(len + sizeof(elf)), *out;
    size_t seen = 0, out_len;
    struct err err = {0};

    if (!copy)
        fuzz_die("no memory");
    memcpy(copy, elf, sizeof(elf));
    memcpy(copy + sizeof(elf), data, len);
    for (int i = 0; i < 2; i++) {
        uint8_t *at = copy + (i ? sizeof(elf) : 0);
        size_t n = len + (i ? 0 : sizeof(elf));

        (void)module_info(at, n, "depends", see_value, &seen);
        (void)busybox_applets(at, n, see_name, &seen);
        if (package_unpack(at, n, CAP, &out, &out_len, &err) == 0) {
            if (out_len > CAP)
                fuzz_die("more than was asked for");
            free(out);
        } else if (!err.text[0]) {
            fuzz_die("refused without a word");
        }
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fuzz_input in = {data, len};
    struct err err = {0};
    char path[64];
    int fd = make_deb(&in);

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    unpack(path);
    if (package_walk(path, NULL, read_entry, NULL, &err) < 0 && !err.text[0])
        fuzz_die("refused without a word");
    read_bytes(data, len);
    return close(fd);
}
