/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recipe made real: Debian's kernel as it comes, and an initramfs of busybox, our init and agent,
 * kernel modules and the recipe's files. Choices for guests under a slow interpreter: the archive
 * is not compressed, nor are the modules in it (copying is cheap, unpacking is not), and only
 * modules of devices that are present get loaded (guest/modules.c).
 */
#include "image/build.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "host/file.h"
#include "image/cpio.h"
#include "image/kmod.h"
#include "image/package.h"
#include "image/resource.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { KERNEL, BUSYBOX };
enum { PROGRAM_MAX = 16 << 20, WALKS_MAX = 4, PATHS_MAX = 1024 };

static int build_step(const struct build *b, const char *text)
{
    const struct image_progress *p = b->apt->progress;

    if (p && p->step)
        p->step(p->arg, text);
    return 0;
}

/* Packages */

static int build_get(struct build *b, struct err *err)
{
    int r = apt_find(b->apt, b->recipe->kernel[b->arch], &b->package[KERNEL], err);

    if (r == 0)
        r = apt_find(b->apt, b->recipe->busybox, &b->package[BUSYBOX], err);
    if (r == 0 && b->recipe->package_count) {
        free(b->root_package);
        b->root_package = NULL;
        r = apt_solve(b->apt, b->recipe->packages, b->recipe->package_count, &b->root_package,
                      &b->root_count, err);
    }
    if (r == 0)
        r = apt_download(b->apt, b->package, BUILD_PACKAGES, err);
    return r < 0 || !b->root_count ? r : apt_download(b->apt, b->root_package, b->root_count, err);
}

void build_done(struct build *b)
{
    free(b->root_package);
    b->root_package = NULL;
}

/* An index of an older day may name packages the archive no longer has: then ask again. */
static int build_fetch(struct build *b, bool update, struct err *err)
{
    int r;

    if (!update && apt_has_index(b->apt)) {
        r = build_get(b, err);
        if (r != -EIO)
            return r;
    }
    r = apt_update(b->apt, err);
    return r < 0 ? r : build_get(b, err);
}

/* Kernel package */

struct build_kernel {
    struct build *build;
    struct kmods kmods;
    bool found;
};

static int build_copy_kernel(struct build *b, const char *release, struct package_entry *entry,
                             struct err *err)
{
    CLEANUP(free) char *path = NULL;
    CLEANUP(fd) int fd = -1;
    int r;

    if (asprintf(&path, "%s/" BUILD_KERNEL, b->temp) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_set(err, -errno, "%s: cannot make it: %s", path, strerror(errno));
    (void)snprintf(b->release, sizeof(b->release), "%s", release);
    r = package_copy(entry, fd, err);
    return r == -ENOSPC ? err_set(err, r, "no space left on device below %s", b->temp) : r;
}

static int build_kernel_file(void *arg, const char *path, struct package_entry *entry,
                             struct err *err)
{
    struct build_kernel *k = arg;
    const char *dash = strchr(path, '-');

    if (strncmp(path, "boot/vmlinu", 11) != 0 || !dash)
        return kmods_offer(&k->kmods, path, entry, err);
    if (k->found)
        return 0;
    k->found = true;
    return build_copy_kernel(k->build, dash + 1, entry, err);
}

static int build_open_kernel(struct build *b, struct build_kernel *k, struct err *err)
{
    CLEANUP(free) char *deb = apt_path(b->apt, &b->package[KERNEL]);
    int r = deb ? 0 : err_set(err, -ENOMEM, "out of memory");

    for (unsigned i = 0; i < b->recipe->module_count && r == 0; i++)
        r = kmods_want(&k->kmods, b->recipe->modules[i], err);
    for (unsigned walks = 0; r == 0 && walks < WALKS_MAX; walks++) {
        r = package_walk(deb, b->apt->progress, build_kernel_file, k, err);
        if (r < 0)
            return r;
        r = kmods_close(&k->kmods, b->package[KERNEL].name, err);
        if (r <= 0)
            break;
        r = 0;
    }
    if (r == 0 && !k->found)
        r = err_set(err, -EIO, "package %s: holds no kernel", b->package[KERNEL].name);
    return r;
}

/* busybox and our own programs */

struct build_program {
    uint8_t *data;
    size_t len;
};

static void cleanup_build_program(const struct build_program *p)
{
    free(p->data);
}

static int build_busybox_file(void *arg, const char *path, struct package_entry *entry,
                              struct err *err)
{
    struct build_program *p = arg;

    if (strcmp(path, "bin/busybox") != 0 && strcmp(path, "usr/bin/busybox") != 0)
        return 0;
    return p->data ? 0 : package_read(entry, PROGRAM_MAX, &p->data, &p->len, err);
}

static int build_open_busybox(struct build *b, struct build_program *p, struct err *err)
{
    CLEANUP(free) char *deb = apt_path(b->apt, &b->package[BUSYBOX]);
    int r = deb ? package_walk(deb, NULL, build_busybox_file, p, err)
                : err_set(err, -ENOMEM, "out of memory");

    if (r == 0 && !p->data)
        r = err_set(err, -EIO, "package %s: holds no busybox", b->package[BUSYBOX].name);
    return r;
}

static int build_add_own(struct build *b, struct cpio *c, const char *name, const char *path,
                         struct err *err)
{
    CLEANUP(free) char *from = NULL;
    CLEANUP(free) char *data = NULL;
    char file[64];
    size_t len;
    int r;

    (void)snprintf(file, sizeof(file), "%s.%s", name, vm_arch_name(b->arch));
    from = resource_find(RESOURCE_GUEST, file);
    if (!from)
        return err_set(err, -EIO,
                       "Posada was built without its guest programs for %s (%s): install "
                       "gcc-%s-linux-gnu and build again",
                       vm_arch_name(b->arch), file,
                       b->arch == ARCH_X86_64 ? "x86-64" : vm_arch_name(b->arch));
    r = file_read(AT_FDCWD, from, PROGRAM_MAX, &data, &len, err);
    if (r == 0)
        cpio_file(c, path, 0755, data, len);
    return r;
}

/* initrd */

static bool build_link_applet(void *arg, const char *name)
{
    struct cpio *c = arg;
    char path[64];

    if (strcmp(name, "busybox") == 0 || strcmp(name, "init") == 0) /* there is one already */
        return true;
    (void)snprintf(path, sizeof(path), "bin/%s", name);
    cpio_symlink(c, path, "busybox");
    return true;
}

static const char *const build_dirs[] = {"bin",  "dev", "etc", "lib", "lib/modules", "mnt",
                                         "proc", "run", "sys", "usr", "var"};

static void build_add_base(struct cpio *c)
{
    cpio_dir(c, ".", 0755); /* else everybody may write there */
    for (size_t i = 0; i < ARRAY_LEN(build_dirs); i++)
        cpio_dir(c, build_dirs[i], 0755);
    cpio_dir(c, "root", 0700);
    cpio_dir(c, "tmp", 01777);
    cpio_char_device(c, "dev/console", 0600, 5, 1);
    cpio_char_device(c, "dev/null", 0666, 1, 3);
    cpio_symlink(c, "sbin", "bin");
    cpio_symlink(c, "usr/bin", "../bin");
    cpio_symlink(c, "usr/sbin", "../bin");
    cpio_symlink(c, "var/run", "../run");
}

/* Whether the folder is made already: by build_add_base() or for one of the first `before` files.
 */
static bool build_has_dir(const struct recipe *recipe, unsigned before, const char *dir)
{
    size_t len = strlen(dir);

    for (size_t i = 0; i < ARRAY_LEN(build_dirs); i++)
        if (strcmp(build_dirs[i], dir) == 0)
            return true;
    for (unsigned i = 0; i < before; i++)
        if (strncmp(recipe->files[i].path + 1, dir, len) == 0 &&
            recipe->files[i].path[len + 1] == '/')
            return true;
    return strcmp(dir, "root") == 0 || strcmp(dir, "tmp") == 0;
}

static void build_add_file(struct cpio *c, const struct recipe *recipe, unsigned i)
{
    const struct recipe_file *f = &recipe->files[i];
    char path[256];

    (void)snprintf(path, sizeof(path), "%s", f->path + 1);
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (!build_has_dir(recipe, i, path))
            cpio_dir(c, path, 0755);
        *slash = '/';
    }
    cpio_file(c, path, f->mode, f->content, strlen(f->content));
}

static int build_fill_initrd(struct build *b, const struct kmods *kmods, struct cpio *c,
                             struct err *err)
{
    CLEANUP(build_program) struct build_program busybox = {0};
    int r = build_open_busybox(b, &busybox, err);

    if (r < 0)
        return r;
    build_add_base(c);
    r = build_add_own(b, c, "init", "init", err);
    if (r == 0)
        r = build_add_own(b, c, "agent", "bin/posada-agent", err);
    if (r < 0)
        return r;
    cpio_file(c, "bin/busybox", 0755, busybox.data, busybox.len);
    if (!busybox_applets(busybox.data, busybox.len, build_link_applet, c))
        return err_set(err, -EIO, "package %s: its applets are not understood",
                       b->package[BUSYBOX].name);
    for (unsigned i = 0; i < b->recipe->file_count; i++)
        build_add_file(c, b->recipe, i);
    return kmods_write(kmods, b->release, c) < 0 ? err_set(err, -ENOMEM, "out of memory") : 0;
}

static int build_initrd(struct build *b, const struct kmods *kmods, struct err *err)
{
    CLEANUP(free) char *path = NULL;
    CLEANUP(file) FILE *f = NULL;
    struct cpio c;
    int r, written;

    if (asprintf(&path, "%s/" BUILD_INITRD, b->temp) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    f = fopen(path, "we");
    if (!f)
        return err_set(err, -errno, "%s: cannot make it: %s", path, strerror(errno));
    cpio_begin(&c, f);
    r = build_fill_initrd(b, kmods, &c, err);
    written = cpio_end(&c);
    if (r == 0 && written < 0)
        r = err_set(err, written, "%s: cannot write: %s", path, strerror(-written));
    return r;
}

int build_run(struct build *b, bool update, struct err *err)
{
    struct build_kernel k = {.build = b};
    int r;

    if (!b->recipe->kernel[b->arch])
        return err_set(err, -EINVAL, "image %s: its recipe has no kernel for %s", b->recipe->name,
                       vm_arch_name(b->arch));
    r = build_fetch(b, update, err);
    if (r == 0)
        r = build_step(b, "unpacking the kernel");
    if (r == 0)
        r = build_open_kernel(b, &k, err);
    if (r == 0)
        r = build_step(b, "making the initrd");
    if (r == 0)
        r = build_initrd(b, &k.kmods, err);
    kmods_done(&k.kmods);
    return r;
}
