/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel modules of an image. Contract: image/kmod.h; table: guest/modules.h. */
#include "image/kmod.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "image/cpio.h"
#include <errno.h>
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

int kmods_write(const struct kmods *k, struct cpio *c)
{
    struct buf table = {0};
    char path[128];
    int r = 0;

    for (unsigned i = 0; i < k->count && r == 0; i++) {
        const struct kmod *m = k->module[i];
        char line[3 * KMOD_TEXT];
        int n;

        if (!m->data)
            continue;
        (void)snprintf(path, sizeof(path), "lib/modules/%s.ko", m->name);
        cpio_file(c, path, 0644, m->data, m->len);
        n = snprintf(line, sizeof(line), "%s /%s %s %s\n", m->name, path,
                     *m->depends ? m->depends : "-", *m->aliases ? m->aliases : "-");
        r = buf_append(&table, line, (size_t)n);
    }
    if (r == 0)
        cpio_file(c, "lib/modules/posada", 0644, buf_data(&table), table.len);
    buf_done(&table);
    return r;
}
