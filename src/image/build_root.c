/* SPDX-License-Identifier: Apache-2.0 */
/* The first stage of a root on a disk. Contract: image/build_root.h. */
#include "image/build_root.h"

#include "base/cleanup.h"
#include "host/file.h"
#include "image/dpkg.h"
#include "image/erofs.h"
#include "image/layer.h"
#include "image/package.h"
#include "image/resource.h"
#include "image/tree_dir.h"
#include <archive.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STAGE_BLOCKS_MAX = 8 << 20, STAGE_AGENT_MAX = 16 << 20 }; /* 32 GiB */

#define SETUP_PATH "var/lib/posada/setup"

const char build_second_stage[] =
    "set -e\n"
    "mkdir -p /rom /new\n"
    "mount -t erofs -o ro /dev/vda /rom\n"
    "mount -o bind /dev /rom/dev\n"
    "chroot /rom /sbin/mke2fs -q -F -t ext4 -L root -E nodiscard,lazy_itable_init=1 /dev/vdb\n"
    "umount /rom/dev\n"
    "mount -t ext4 -o noatime,nobarrier /dev/vdb /new\n"
    "echo 'copying the packages'\n"
    "cp -a /rom/. /new/\n"
    "mount -t proc proc /new/proc\n"
    "mount -t sysfs sysfs /new/sys\n"
    "mount -o bind /dev /new/dev\n"
    "mount -t tmpfs tmpfs /new/run\n"
    "chroot /new /bin/sh /" SETUP_PATH " || exit 1\n"
    "echo 'tidying up'\n"
    "rm -rf /new/var/lib/posada\n"
    "umount /new/run /new/dev /new/sys\n"
    "chroot /new /sbin/fstrim / || true\n"
    "umount /new/proc\n"
    "umount /new\n"
    "sync\n";

const char build_second_stage_here[] =
    "set -e\n"
    "export PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"
    "umask 022\n"
    "sh /run/share/owners\n"
    "sh /run/share/setup\n"
    "echo 'making the file system'\n"
    "mke2fs -q -F -t ext4 -L root -E nodiscard,lazy_itable_init=1 -d /mnt /run/share/disk\n";

/* What runs in the root. Packages' scripts that come before unpacking run late, but before any of
 * them is configured; base-passwd's makes the accounts that others ask for. */
static const char setup_head[] =
    "export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8\n"
    "export DEBCONF_NONINTERACTIVE_SEEN=true DPKG_MAINTSCRIPT_ARCH=$(dpkg --print-architecture)\n"
    "umask 022\n"
    "printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d\n"
    "/sbin/ldconfig || true\n"
    "cd /var/lib/dpkg/info\n"
    "for script in base-passwd.preinst *.preinst; do\n"
    "  [ -x \"$script\" ] || continue\n"
    "  DPKG_MAINTSCRIPT_NAME=preinst DPKG_MAINTSCRIPT_PACKAGE=${script%.preinst} \\\n"
    "    ./\"$script\" install </dev/null || echo \"$script failed\" >&2\n"
    "done\n"
    "cd /\n"
    "dpkg --force-unsafe-io --configure -a </dev/null || exit 1\n"
    "[ -e /usr/bin/kmod ] && depmod $(ls /lib/modules)\n"
    "rm -f /usr/sbin/policy-rc.d\n";

/* --- the tree --- */

/* The kernel itself is not in the root: it comes with the image. Only its modules are. */
static const char *stage_rename_kernel(void *arg, const char *path, bool dir)
{
    path += strncmp(path, "./", 2) == 0 ? 2 : 0;
    if (strncmp(path, "usr/lib/modules/", 16) == 0 || strncmp(path, "lib/modules/", 12) == 0)
        return NULL;
    return "";
}

static int stage_put_kernel_modules(void *arg, struct archive *tar, struct err *err)
{
    struct tree *t = arg;

    return layer_lay_tar(t, tar, stage_rename_kernel, NULL, err);
}

static int stage_put_agent(struct build *b, struct tree *t, struct err *err)
{
    CLEANUP(free) char *from = NULL;
    CLEANUP(free) char *data = NULL;
    char file[64];
    size_t len;
    int r;

    (void)snprintf(file, sizeof(file), "agent.%s", vm_arch_name(b->arch));
    from = resource_find(RESOURCE_GUEST, file);
    if (!from)
        return err_set(err, -EIO, "Posada was built without its guest programs for %s",
                       vm_arch_name(b->arch));
    r = file_read(AT_FDCWD, from, STAGE_AGENT_MAX, &data, &len, err);
    return r < 0 ? r : tree_put_file(t, "usr/local/sbin/posada-agent", 0755, data, len, err);
}

/* Whether apt can fetch and verify a suite of a mirror: in a guest that has it in its sources but
 * cannot, every `apt-get update` fails. */
static bool stage_has_suite(const struct build *b, const char *mirror, const char *suite)
{
    struct apt probe;
    struct err ignored;
    bool has = apt_open(&probe, suite, b->arch, mirror, NULL, &ignored) == 0 &&
               apt_update(&probe, &ignored) == 0;

    apt_close(&probe);
    return has;
}

static int stage_say_source(char *text, size_t size, const char *mirror, const char *suites,
                            bool enabled)
{
    return snprintf(text, size,
                    "%sTypes: deb\nURIs: %s\nSuites: %s\nComponents: main\n"
                    "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n",
                    enabled ? ""
                            : "# Could not be fetched when this image was made.\nEnabled: no\n",
                    mirror, suites);
}

/* apt's sources: the mirror the packages came from, and what belongs beside it. */
static int stage_put_sources(struct build *b, struct tree *t, struct err *err)
{
    const char *mirror = b->apt->mirror, *suite = b->apt->suite, *tail = strstr(mirror, "/debian");
    char text[4096], other[100], security[600];
    int n = stage_say_source(text, sizeof(text), mirror, suite, true);

    if (b->apt->progress && b->apt->progress->step)
        b->apt->progress->step(b->apt->progress->arg, "looking for updates beside the archive");
    (void)snprintf(other, sizeof(other), "%.60s-updates", suite);
    n += stage_say_source(text + n, sizeof(text) - (size_t)n, mirror, other,
                          stage_has_suite(b, mirror, other));
    (void)snprintf(other, sizeof(other), "%.60s-security", suite);
    (void)snprintf(security, sizeof(security), "%.*s/debian-security",
                   (int)(tail ? tail - mirror : 0), mirror);
    if (tail && !tail[7])
        n += stage_say_source(text + n, sizeof(text) - (size_t)n, security, other,
                              stage_has_suite(b, security, other));
    return tree_put_file(t, "etc/apt/sources.list.d/debian.sources", 0644, text, (size_t)n, err);
}

static int stage_put_files(struct build *b, struct tree *t, struct err *err)
{
    const struct recipe *recipe = b->recipe;
    int r = 0;

    for (unsigned i = 0; r == 0 && i < recipe->root_file_count; i++) {
        const struct recipe_file *f = &recipe->root_files[i];

        r = tree_put_file(t, f->path + 1, f->mode, f->content, strlen(f->content), err);
    }
    if (r == 0)
        r = stage_put_agent(b, t, err);
    return r < 0 ? r : stage_put_sources(b, t, err);
}

static void stage_amount(const struct build *b, unsigned done, unsigned of)
{
    const struct image_progress *p = b->apt->progress;

    if (p && p->amount)
        p->amount(p->arg, of ? done * 100 / of : 0);
}

static int stage_put_packages(struct build *b, struct tree *t, struct err *err)
{
    struct dpkg *d = NULL;
    int r = dpkg_open(t, vm_arch_debian_name(b->arch), &d, err);

    for (unsigned i = 0; r == 0 && i < b->root_count; i++) {
        CLEANUP(free) char *deb = apt_path(b->apt, &b->root_package[i]);

        r = deb ? dpkg_unpack(d, deb, err) : err_set(err, -ENOMEM, "out of memory");
        stage_amount(b, i, b->root_count);
    }
    if (r == 0)
        r = dpkg_close(d, err);
    dpkg_free(d);
    return r;
}

static int stage_fill(struct build *b, struct tree *t, struct err *err)
{
    CLEANUP(free) char *kernel = apt_path(b->apt, &b->package[0]);
    int r = stage_put_packages(b, t, err);

    if (r == 0)
        r = package_open(kernel, "data.tar", stage_put_kernel_modules, t, err);
    if (r == 0)
        r = stage_put_files(b, t, err);
    return r;
}

/* --- out of the tree --- */

static char *stage_setup(const struct build *b)
{
    char *setup = NULL;

    if (asprintf(&setup, "%s%s", setup_head, b->recipe->setup ? b->recipe->setup : "") < 0)
        return NULL;
    return setup;
}

static int stage_make_erofs(struct build *b, struct tree *t, struct err *err)
{
    CLEANUP(free) char *setup = stage_setup(b);
    uint64_t size;
    int r = stage_fill(b, t, err);

    if (r < 0)
        return r;
    r = setup ? tree_put_file(t, SETUP_PATH, 0755, setup, strlen(setup), err)
              : err_set(err, -ENOMEM, "out of memory");
    return r < 0 ? r : erofs_write(t, &size, err);
}

/* A directory of the chamber's directory, the owner's; a descriptor. */
static int stage_new_dir(int dir_fd, const char *name, const struct tree_owner *owner,
                         struct err *err)
{
    CLEANUP(fd) int fd = -1;

    if (mkdirat(dir_fd, name, 0755) == 0)
        fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || (geteuid() == 0 && fchown(fd, owner->uid, owner->gid) < 0))
        return err_set(err, -errno, "%s: cannot make it: %s", name, strerror(errno));
    return take_fd(&fd);
}

static int stage_put_scripts(struct build *b, const struct tree *t, int share, struct err *err)
{
    CLEANUP(free) char *setup = stage_setup(b);
    CLEANUP(free) char *owners = build_owners(t);
    int r;

    if (!setup || !owners)
        return err_set(err, -ENOMEM, "out of memory");
    r = file_write(share, "setup", setup, strlen(setup), 0644, err);
    return r < 0 ? r : file_write(share, "owners", owners, strlen(owners), 0644, err);
}

static int stage_make_dir(struct build *b, struct tree *t, int dir_fd,
                          const struct tree_owner *owner, struct err *err)
{
    CLEANUP(fd) int root = stage_new_dir(dir_fd, "root", owner, err);
    CLEANUP(fd) int share = root < 0 ? -1 : stage_new_dir(dir_fd, "share", owner, err);
    CLEANUP(fd) int work = share < 0 ? -1 : stage_new_dir(dir_fd, "work", owner, err);
    CLEANUP(fd) int merged = work < 0 ? -1 : stage_new_dir(dir_fd, "merged", owner, err);
    int r = merged < 0 ? err->code : stage_fill(b, t, err);

    if (r == 0 && geteuid() == 0 && fchown(dir_fd, owner->uid, owner->gid) < 0)
        r = err_set(err, -errno, "cannot give it away: %s", strerror(errno));
    if (r == 0)
        r = stage_put_scripts(b, t, share, err);
    return r < 0 ? r : tree_write_dir(t, root, owner, err);
}

/* The file or the directory of the first stage, and where the contents of files wait. */
static int stage_open(const struct build *b, bool dir, int *ret_out, int *ret_data, struct err *err)
{
    CLEANUP(free) char *path = NULL;

    if (asprintf(&path, "%s/" BUILD_STAGE, b->temp) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    if (dir && mkdir(path, 0700) < 0)
        return err_set(err, -errno, "%s: cannot make it: %s", path, strerror(errno));
    *ret_out = dir ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                   : open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (*ret_out >= 0 && dir)
        *ret_data = open(b->temp, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*ret_out < 0 || (dir && *ret_data < 0))
        return err_set(err, -errno, "%s: cannot make it: %s", path, strerror(errno));
    return 0;
}

int build_stage(struct build *b, const struct tree_owner *owner, struct err *err)
{
    CLEANUP(fd) int out = -1;
    CLEANUP(fd) int data = -1;
    const struct image_progress *p = b->apt->progress;
    struct tree t;
    int r = stage_open(b, owner != NULL, &out, &data, err);

    if (r < 0)
        return r;
    if (p && p->step)
        p->step(p->arg, "unpacking the packages");
    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* libarchive: names are bytes */
    r = tree_init(&t, owner ? data : out, STAGE_BLOCKS_MAX) < 0
            ? err_set(err, -ENOMEM, "out of memory")
            : 0;
    if (r == 0)
        r = owner ? stage_make_dir(b, &t, out, owner, err) : stage_make_erofs(b, &t, err);
    tree_done(&t);
    return r;
}
