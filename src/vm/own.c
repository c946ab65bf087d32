/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's own files. Contract: vm/own.h. */
#include "vm/own.h"

#include "base/cleanup.h"
#include "block/qcow2.h"
#include "block/store.h"
#include "host/dirs.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

enum { OWN_CLUSTER_BITS = 16 };

static void own_set(char **text, const char *value)
{
    char *copy = value ? strdup(value) : NULL;

    free(*text);
    *text = copy;
}

/* Whether a path leads into the image store. */
static bool own_is_image(const char *path)
{
    CLEANUP(free) char *images = NULL;
    struct err ignored;

    return path && !dirs_get_sub(DIRS_DATA, "images", &images, &ignored) &&
           !strncmp(path, images, strlen(images)) && path[strlen(images)] == '/';
}

/* Gives the file at *path the name `name` here. True: it has it. */
static bool own_link(int dir_fd, char **path, const char *name)
{
    if (!own_is_image(*path) || linkat(AT_FDCWD, *path, dir_fd, name, 0) < 0)
        return false;
    own_set(path, name);
    return *path != NULL;
}

static int own_path(int dir_fd, const char *name, char **ret_path, struct err *err)
{
    char proc[64], dir[PATH_MAX];
    ssize_t n;

    (void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", dir_fd);
    n = readlink(proc, dir, sizeof(dir) - 1);
    if (n < 0)
        return err_set(err, -errno, "the guest's directory: %s", strerror(errno));
    dir[n] = '\0';
    return asprintf(ret_path, "%s%s%s", dir, *name ? "/" : "", name) < 0
               ? err_set(err, -ENOMEM, "out of memory")
               : 0;
}

static int own_base_size(const struct vm_disk *disk, uint64_t *ret_size, struct err *err)
{
    struct blk_source source = {
        .format = disk->base_format, .path = disk->base, .read_only = true, .tables_only = true};
    struct blk_store *store;
    int r = blk_store_open(&source, &store, err);

    if (!r) {
        *ret_size = store->info.size;
        (void)blk_store_close(store);
    }
    return r;
}

static int own_overlay(int dir_fd, struct vm_disk *disk, unsigned number, struct err *err)
{
    struct qcow2_options options = {.cluster_bits = OWN_CLUSTER_BITS,
                                    .backing_format = disk->base_format};
    CLEANUP(free) char *path = NULL;
    char base[32], name[32];
    uint64_t size = 0;
    int r = own_base_size(disk, &size, err);

    (void)snprintf(base, sizeof(base), "base%u.%s", number, disk->base_format);
    (void)snprintf(name, sizeof(name), "disk%u.qcow2", number);
    if (!r)
        r = own_path(dir_fd, name, &path, err);
    if (r < 0)
        return r;
    if (!own_link(dir_fd, &disk->base, base))
        return err_set(err, -EXDEV, "image '%s': images and guests must lie on one file system",
                       disk->base);
    own_set(&disk->backing_dir, ".");
    options.backing = base;
    options.size = disk->size > size ? disk->size : size;
    options.size = (options.size + 511) & ~UINT64_C(511);
    r = qcow2_create(path, &options, err);
    own_set(&disk->path, name);
    own_set(&disk->format, "qcow2");
    own_set(&disk->base, NULL);
    own_set(&disk->base_format, NULL);
    return r;
}

int own_create(int dir_fd, struct vm_config *config, struct err *err)
{
    int r = 0;

    if (!config->image)
        return 0;
    (void)own_link(dir_fd, &config->kernel, "kernel");
    (void)own_link(dir_fd, &config->initrd, "initrd");
    if (config->tree) {
        CLEANUP(free) char *mark = NULL;

        if (asprintf(&mark, "%s.used", config->tree) < 0)
            return err_set(err, -ENOMEM, "out of memory");
        if (linkat(AT_FDCWD, mark, dir_fd, "tree", 0) < 0)
            return err_set(err, -errno, "image '%s': its unpacked root: %s", config->image,
                           strerror(errno));
    }
    for (unsigned i = 0; config->layers && config->layers[i]; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "layer%u", i);
        (void)own_link(dir_fd, &config->layers[i], name);
    }
    for (unsigned i = 0; !r && i < config->disk_count; i++) {
        struct vm_disk *disk = &config->disk[i];
        char name[32];

        (void)snprintf(name, sizeof(name), "image%u", i);
        if (disk->base)
            r = own_overlay(dir_fd, disk, i, err);
        else
            (void)own_link(dir_fd, &disk->path, name);
    }
    return r;
}

static int own_resolve_one(int dir_fd, char **path, struct err *err)
{
    char *whole = NULL;
    int r;

    if (!*path || **path == '/')
        return 0;
    r = own_path(dir_fd, strcmp(*path, ".") ? *path : "", &whole, err);
    if (r < 0)
        return r;
    free(*path);
    *path = whole;
    return 0;
}

int own_resolve(int dir_fd, struct vm_config *config, struct err *err)
{
    int r = own_resolve_one(dir_fd, &config->kernel, err);

    if (!r)
        r = own_resolve_one(dir_fd, &config->initrd, err);
    for (unsigned i = 0; !r && config->layers && config->layers[i]; i++)
        r = own_resolve_one(dir_fd, &config->layers[i], err);
    for (unsigned i = 0; !r && i < config->disk_count; i++) {
        r = own_resolve_one(dir_fd, &config->disk[i].path, err);
        if (!r)
            r = own_resolve_one(dir_fd, &config->disk[i].backing_dir, err);
    }
    return r;
}
