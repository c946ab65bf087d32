/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: the image behind an image. Its name comes from the image, so it is a wish of whoever made
 * that: only read-only, only with its format told, and only beneath a folder the user named;
 * the kernel's RESOLVE_BENEATH keeps symbolic links inside too.
 */
#include "qcow2_impl.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "raw.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int refuse(const struct qcow2 *q, int code, const char *why, struct err *err)
{
    char name[200];

    /* For a terminal: the name is somebody else's. */
    snprintf(name, sizeof(name), "%.199s", q->h.backing);
    text_make_printable(name, strlen(name));
    return err_set(err, code, "disk '%s': its backing file '%s' %s", q->store.name, name, why);
}

/* The backing file's name as seen from the allowed folder: relative names count from the image's
 * own folder. Both are made absolute as text; what links do is the kernel's to judge. */
static int must_use name_beneath(const struct qcow2 *q, const struct blk_source *source,
                                 unsigned depth, char *ret, size_t size, struct err *err)
{
    const char *folder = source->backing_dir;
    CLEANUP(free) char *root = realpath(folder, NULL), *copy = NULL, *dir = NULL;
    char full[PATH_MAX];
    size_t len;
    int n;

    /* Further down the chain, paths count from the folder. */
    if (!root || asprintf(&copy, "%s%s%s", depth ? root : "", depth ? "/" : "", source->path) < 0)
        return err_set(err, -errno, "folder for backing files %s: %s", folder, strerror(errno));
    if (q->h.backing[0] == '/') {
        n = snprintf(full, sizeof(full), "%s", q->h.backing);
    } else {
        char *slash = strrchr(copy, '/');

        if (slash)
            slash[slash == copy] = 0;
        dir = realpath(slash ? copy : ".", NULL);
        n = snprintf(full, sizeof(full), "%s/%s", dir ? dir : "", q->h.backing);
    }
    len = strcmp(root, "/") ? strlen(root) : 0;
    if (n < 0 || (size_t)n >= sizeof(full) || strncmp(full, root, len) || full[len] != '/' ||
        strlen(full + len) >= size)
        return refuse(q, -EACCES, "lies outside the folder that is allowed for backing files", err);
    while (full[len] == '/')
        len++;
    strcpy(ret, full + len);
    return 0;
}

static int must_use open_beneath(struct qcow2 *q, const struct blk_source *source,
                                 const struct blk_source *behind, unsigned depth, struct err *err)
{
    CLEANUP(fd) int dir = open(source->backing_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool raw = !strcmp(behind->format, "raw");

    if (dir < 0)
        return err_set(err, -errno, "folder for backing files %s: %s", source->backing_dir,
                       strerror(errno));
    return raw ? raw_open(behind, dir, &q->backing, err)
               : qcow2_open_at(behind, dir, depth + 1, &q->backing, err);
}

int qcow2_open_backing(struct qcow2 *q, const struct blk_source *source, unsigned depth,
                       struct err *err)
{
    char beneath[PATH_MAX];
    struct blk_source behind = {
        .format = q->h.backing_format,
        .path = beneath,
        .name = q->store.name,
        .backing_dir = source->backing_dir,
        .read_only = true,
        .direct = source->direct,
    };
    int r;

    if (!source->backing_dir)
        return refuse(q, -EACCES,
                      "is not allowed; name the folder it may lie in (backing=DIR, --backing-dir)",
                      err);
    if (depth + 1 >= BLK_CHAIN_MAX)
        return refuse(q, -ELOOP, "is one too many: the chain is too long, or leads back to itself",
                      err);
    if (strcmp(behind.format, "raw") && strcmp(behind.format, "qcow2"))
        return refuse(q, -ENOEXEC,
                      "has no format that is known; give it one with `qemu-img rebase -u -F`", err);
    for (const char *c = q->h.backing; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return refuse(q, -EACCES, "has control characters in its name", err);
    r = name_beneath(q, source, depth, beneath, sizeof(beneath), err);
    return r ? r : open_beneath(q, source, &behind, depth, err);
}
