/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel modules of an image. Contract: image/kmod.h; files: modules.dep(5), depmod(8). */
#include "image/kmod.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "image/cpio.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { KMOD_FILE_MAX = 32 << 20, KMOD_TEXT = 1024 };

struct kmod {
    char name[64]; /* with '_' for '-' */
    bool builtin;
    uint8_t *data; /* NULL: not found yet */
    size_t len;
    char depends[KMOD_TEXT], aliases[KMOD_TEXT];
};

static void kmod_name(const char *from, size_t len, char *name, size_t size)
{
    (void)snprintf(name, size, "%.*s", (int)len, from);
    for (; *name; name++)
        if (*name == '-')
            *name = '_';
}

static struct kmod *kmods_find(const struct kmods *k, const char *name)
{
    for (unsigned i = 0; i < k->count; i++)
        if (strcmp(k->module[i]->name, name) == 0)
            return k->module[i];
    return NULL;
}

int kmods_want(struct kmods *k, const char *name, struct err *err)
{
    struct kmod *m;
    char normal[sizeof(m->name)];

    kmod_name(name, strlen(name), normal, sizeof(normal));
    if (kmods_find(k, normal))
        return 0;
    m = k->count < KMODS_MAX ? calloc(1, sizeof(*m)) : NULL;
    if (!m)
        return err_set(err, -ENOMEM, "kernel module %s: no room for another one", name);
    memcpy(m->name, normal, sizeof(normal));
    k->module[k->count++] = m;
    return 0;
}

void kmods_done(struct kmods *k)
{
    for (unsigned i = 0; i < k->count; i++) {
        free(k->module[i]->data);
        free(k->module[i]);
    }
    k->count = 0;
}

/* "a" or " a" appended; what does not fit is left out whole. */
static void kmod_append(char *text, const char *separator, const char *more)
{
    size_t have = strlen(text), need = strlen(separator) + strlen(more);

    if (have + need < KMOD_TEXT)
        (void)snprintf(text + have, KMOD_TEXT - have, "%s%s", have ? separator : "", more);
}

static void kmod_add_depends(void *arg, const char *value)
{
    kmod_append(arg, ",", value);
}

static void kmod_add_alias(void *arg, const char *value)
{
    if (!strpbrk(value, " \n"))
        kmod_append(arg, " ", value);
}

/* Modules go into the image unpacked: copying ext4's 7 MB costs a boot 15 million instructions,
 * unpacking it with xz a mount 400 million more (of 1700). */
static int kmod_take(struct kmod *m, const char *path, struct package_entry *entry, struct err *err)
{
    CLEANUP(free) uint8_t *packed = NULL;
    size_t len;
    int r = package_read(entry, KMOD_FILE_MAX, &packed, &len, err);

    if (r == 0)
        r = package_unpack(packed, len, KMOD_FILE_MAX, &m->data, &m->len, err);
    if (r < 0)
        return r;
    if (!module_info(m->data, m->len, "depends", kmod_add_depends, m->depends))
        return err_set(err, -EIO, "kernel module %s: not understood", path);
    (void)module_info(m->data, m->len, "alias", kmod_add_alias, m->aliases);
    return 0;
}

/* modules.builtin: a line "kernel/drivers/virtio/virtio.ko" each. */
static void kmods_builtin(struct kmods *k, char *text)
{
    char name[64], *line;

    while ((line = strsep(&text, "\n"))) {
        const char *base = strrchr(line, '/');
        const char *end = base ? strstr(base, ".ko") : NULL;
        struct kmod *m;

        if (!end)
            continue;
        kmod_name(base + 1, (size_t)(end - base - 1), name, sizeof(name));
        m = kmods_find(k, name);
        if (m)
            m->builtin = true;
    }
}

static int kmods_take_builtin(struct kmods *k, struct package_entry *entry, struct err *err)
{
    CLEANUP(free) uint8_t *list = NULL;
    CLEANUP(free) char *text = NULL;
    size_t len;
    int r = package_read(entry, KMOD_FILE_MAX, &list, &len, err);

    if (r < 0)
        return r;
    text = strndup((const char *)list, len);
    if (!text)
        return err_set(err, -ENOMEM, "out of memory");
    kmods_builtin(k, text);
    return 0;
}

int kmods_offer(struct kmods *k, const char *path, struct package_entry *entry, struct err *err)
{
    const char *base = strrchr(path, '/'), *end;
    char name[64];
    struct kmod *m;

    if (!base || !strstr(path, "lib/modules/"))
        return 0;
    if (strcmp(++base, "modules.builtin") == 0)
        return kmods_take_builtin(k, entry, err);
    end = strstr(base, ".ko");
    if (!end || !strstr(path, "/kernel/"))
        return 0;
    kmod_name(base, (size_t)(end - base), name, sizeof(name));
    m = kmods_find(k, name);
    return m && !m->data ? kmod_take(m, path, entry, err) : 0;
}

static int kmods_want_depends(struct kmods *k, const struct kmod *m, struct err *err)
{
    char copy[KMOD_TEXT], *at = copy, *name;
    unsigned before = k->count;
    int r = 0;

    memcpy(copy, m->depends, sizeof(copy));
    while (r == 0 && (name = strsep(&at, ",")))
        if (*name)
            r = kmods_want(k, name, err);
    return r < 0 ? r : k->count > before;
}

int kmods_close(struct kmods *k, const char *package, struct err *err)
{
    unsigned count = k->count;
    int again = 0;

    for (unsigned i = 0; i < count; i++) {
        const struct kmod *m = k->module[i];
        int r;

        if (!m->data && !m->builtin)
            return err_set(err, -EIO, "kernel module %s: not in %s", m->name, package);
        r = m->data ? kmods_want_depends(k, m, err) : 0;
        if (r < 0)
            return r;
        again |= r;
    }
    return again;
}

/* Printf at the end of a buffer; -ENOMEM. */
static int kmods_print(struct buf *b, const char *fmt, ...) printf_fn(2, 3);
static int kmods_print(struct buf *b, const char *fmt, ...)
{
    char text[2 * KMOD_TEXT];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return n < (int)sizeof(text) ? buf_append(b, text, (size_t)n) : -ENOMEM;
}

/* depmod(8)'s modules.dep names all that a module needs, indirectly too, nearest first. */
static int kmods_print_needs(const struct kmods *k, const struct kmod *m, struct buf *dep,
                             unsigned depth)
{
    char copy[KMOD_TEXT], *at = copy, *name;
    int r = 0;

    memcpy(copy, m->depends, sizeof(copy));
    while (r == 0 && depth < 8 && (name = strsep(&at, ","))) {
        const struct kmod *need = kmods_find(k, name);

        if (!need || !need->data)
            continue;
        r = kmods_print(dep, " %s.ko", need->name);
        if (r == 0)
            r = kmods_print_needs(k, need, dep, depth + 1);
    }
    return r;
}

static int kmods_print_module(const struct kmods *k, const struct kmod *m, struct buf *dep,
                              struct buf *alias)
{
    char copy[KMOD_TEXT], *at = copy, *pattern;
    int r = kmods_print(dep, "%s.ko:", m->name);

    if (r == 0)
        r = kmods_print_needs(k, m, dep, 0);
    if (r == 0)
        r = kmods_print(dep, "\n");
    memcpy(copy, m->aliases, sizeof(copy));
    while (r == 0 && (pattern = strsep(&at, " ")))
        if (*pattern)
            r = kmods_print(alias, "alias %s %s\n", pattern, m->name);
    return r;
}

int kmods_write(const struct kmods *k, const char *release, struct cpio *c)
{
    struct buf dep = {0}, alias = {0};
    char dir[128], path[256];
    int r = 0;

    (void)snprintf(dir, sizeof(dir), "lib/modules/%s", release);
    cpio_dir(c, dir, 0755);
    for (unsigned i = 0; i < k->count && r == 0; i++) {
        const struct kmod *m = k->module[i];

        if (!m->data)
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s.ko", dir, m->name);
        cpio_file(c, path, 0644, m->data, m->len);
        r = kmods_print_module(k, m, &dep, &alias);
    }
    (void)snprintf(path, sizeof(path), "%s/modules.dep", dir);
    cpio_file(c, path, 0644, buf_data(&dep), dep.len);
    (void)snprintf(path, sizeof(path), "%s/modules.alias", dir);
    cpio_file(c, path, 0644, buf_data(&alias), alias.len);
    buf_done(&dep);
    buf_done(&alias);
    return r;
}
