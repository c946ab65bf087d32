/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a layer's tar archive into a tree. Contract: image/layer.h. */
#include "image/layer.h"

#include "base/cleanup.h"
#include "image/digest.h"
#include "image/tree.h"
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define WHITEOUT ".wh."

struct layer_reader {
    struct tree *tree;
    const struct layer *layer;
    enum layer_whiteouts whiteouts;
    struct unpack *unpack;
    struct tree_writer *writer;
    ssize_t failed; /* of the unpacking */
    void (*amount)(void *arg, uint64_t bytes);
    const char *(*rename)(void *arg, const char *path, bool dir);
    void *arg;
};

static la_ssize_t layer_read(struct archive *a, void *arg, const void **ret_data)
{
    struct layer_reader *rd = arg;
    ssize_t n = unpack_read(rd->unpack, ret_data);

    if (rd->amount)
        rd->amount(rd->arg, unpack_packed(rd->unpack));
    if (n < 0)
        rd->failed = n;
    return n < 0 ? ARCHIVE_FATAL : n;
}

static int layer_broken(const struct layer_reader *rd, struct archive *a, struct err *err)
{
    const char *why = archive_error_string(a);

    if (rd->failed < 0 && rd->failed != -EINVAL)
        return err_set(err, (int)rd->failed, "cannot be read: %s", strerror((int)-rd->failed));
    return err_set(err, -EINVAL, "is damaged or cut short: %s",
                   rd->failed ? "not packed as its manifest says"
                   : why      ? why
                              : "not a tar archive");
}

static const char *layer_text(const char *native, const char *utf8)
{
    return native ? native : utf8;
}

/* Those that mean nothing to an overlay's own bookkeeping, or grant no more than a file's rights.
 */
static bool layer_takes_xattr(const char *name)
{
    return (strncmp(name, "user.", 5) == 0 && name[5] && strncmp(name, "user.overlay.", 13) != 0) ||
           strcmp(name, "security.capability") == 0;
}

static int layer_xattrs(struct layer_reader *rd, struct archive_entry *e, struct tree_inode *inode,
                        struct err *err)
{
    const char *name;
    const void *value;
    size_t len;
    int r = 0;

    (void)archive_entry_xattr_reset(e);
    while (r == 0 && archive_entry_xattr_next(e, &name, &value, &len) == ARCHIVE_OK)
        if (name && layer_takes_xattr(name))
            r = tree_add_xattr(rd->tree, inode, name, value, len);
    return r < 0 ? err_set(err, r, "has a file with too many extended attributes") : 0;
}

static int layer_contents(struct layer_reader *rd, struct archive *a, struct tree_inode *inode,
                          const char *path, struct err *err)
{
    const void *data;
    la_int64_t offset;
    size_t len;
    int s, r = 0;

    tree_write_begin(rd->writer, rd->tree, inode);
    while (r == 0 && (s = archive_read_data_block(a, &data, &len, &offset)) == ARCHIVE_OK)
        if (len)
            r = offset < 0 ? -EINVAL : tree_write(rd->writer, (uint64_t)offset, data, len);
    if (r == 0 && s != ARCHIVE_EOF)
        return layer_broken(rd, a, err);
    if (r == 0)
        r = tree_write_end(rd->writer);
    if (r == -ENOSPC)
        return err_set(err, r, "'%.200s': no space left on device", path);
    return r < 0 ? err_set(err, r, "'%.200s': %s", path, strerror(-r)) : 0;
}

/* --- whiteouts --- */

static int layer_keep_whiteout(struct layer_reader *rd, const char *dir, size_t dir_len,
                               const char *name, struct err *err)
{
    char path[8192];
    struct tree_entry e = {.path = path, .mode = S_IFCHR}; /* device 0, 0 */
    struct tree_inode *inode;

    (void)snprintf(path, sizeof(path), "%.*s%s", (int)dir_len, dir, name);
    return tree_put(rd->tree, &e, &inode, err);
}

static int layer_keep_opaque(struct layer_reader *rd, const char *dir, struct err *err)
{
    struct tree_inode *inode = *dir ? tree_find(rd->tree, dir, false) : rd->tree->root;
    struct tree_entry e = {.path = dir, .mode = S_IFDIR | 0755};
    int r = inode ? 0 : tree_put(rd->tree, &e, &inode, err);

    if (r == 0 && inode && S_ISDIR(inode->mode) &&
        tree_add_xattr(rd->tree, inode, "trusted.overlay.opaque", "y", 1) < 0)
        r = err_set(err, -E2BIG, "has too many whiteouts");
    return r;
}

/* path ends in a name that begins with ".wh." */
static int layer_whiteout(struct layer_reader *rd, const char *path, const char *name,
                          struct err *err)
{
    size_t dir_len = (size_t)(name - path);
    const char *what = name + strlen(WHITEOUT);
    char dir[8192];

    if (dir_len + strlen(what) >= sizeof(dir))
        return err_set(err, -EINVAL, "'%.200s...': the name is too long", path);
    (void)snprintf(dir, sizeof(dir), "%.*s", (int)dir_len, path);
    if (strcmp(what, WHITEOUT ".opq") == 0)
        return rd->whiteouts == LAYER_KEEP ? layer_keep_opaque(rd, dir, err)
                                           : tree_remove(rd->tree, *dir ? dir : "/", true, err);
    if (strncmp(what, WHITEOUT, strlen(WHITEOUT)) == 0)
        return 0; /* bookkeeping of aufs */
    if (!*what || strcmp(what, ".") == 0 || strcmp(what, "..") == 0)
        return err_set(err, -EINVAL, "'%.200s': a whiteout of nothing", path);
    if (rd->whiteouts == LAYER_KEEP)
        return layer_keep_whiteout(rd, path, dir_len, what, err);
    (void)snprintf(dir + dir_len, sizeof(dir) - dir_len, "%s", what);
    return tree_remove(rd->tree, dir, false, err);
}

/* --- entries --- */

static int layer_put(struct layer_reader *rd, struct archive *a, struct archive_entry *e,
                     const char *path, struct err *err)
{
    struct tree_entry entry = {
        .path = path,
        .mode = (uint32_t)archive_entry_mode(e) & (S_IFMT | 07777),
        .uid = (uint32_t)archive_entry_uid(e),
        .gid = (uint32_t)archive_entry_gid(e),
        .mtime = archive_entry_mtime(e),
        .mtime_nsec = (uint32_t)archive_entry_mtime_nsec(e) % 1000000000u,
        .target = layer_text(archive_entry_symlink(e), archive_entry_symlink_utf8(e)),
    };
    struct tree_inode *inode = NULL;
    int r;

    if (S_ISCHR(entry.mode) || S_ISBLK(entry.mode)) {
        entry.major = (uint32_t)archive_entry_rdevmajor(e) & 0xfff;
        entry.minor = (uint32_t)archive_entry_rdevminor(e) & 0xfffff;
        if (S_ISCHR(entry.mode) && !entry.major && !entry.minor)
            return 0; /* an overlay's whiteout: not the layer's to say */
    }
    if (S_ISLNK(entry.mode) && !entry.target)
        return err_set(err, -EINVAL, "'%.200s': a symbolic link to nothing", path);
    if (S_ISREG(entry.mode) && archive_entry_size(e) > 0 &&
        (uint64_t)archive_entry_size(e) / TREE_BLOCK > rd->tree->data_max - rd->tree->next)
        return err_set(err, -ENOSPC, "'%.200s' (%lld bytes): no space left on device", path,
                       (long long)archive_entry_size(e));
    r = tree_put(rd->tree, &entry, &inode, err);
    if (r == 0)
        r = layer_xattrs(rd, e, inode, err);
    return r == 0 && S_ISREG(entry.mode) ? layer_contents(rd, a, inode, path, err) : r;
}

/* In a directory of aufs's own bookkeeping. */
static bool layer_is_aufs(const char *path)
{
    const char *at =
        strncmp(path, WHITEOUT WHITEOUT, 8) == 0 ? path : strstr(path, "/" WHITEOUT WHITEOUT);

    return at && strchr(at + 1, '/');
}

static int layer_entry(struct layer_reader *rd, struct archive *a, struct archive_entry *e,
                       struct err *err)
{
    const char *path = layer_text(archive_entry_pathname(e), archive_entry_pathname_utf8(e));
    const char *link = layer_text(archive_entry_hardlink(e), archive_entry_hardlink_utf8(e));
    const char *slash, *name;

    if (!path || !*path)
        return err_set(err, -EINVAL, "has an entry without a name");
    if (rd->rename) {
        const char *other = rd->rename(rd->arg, path, archive_entry_filetype(e) == AE_IFDIR);

        if (other && !*other)
            return 0;
        path = other ? other : path;
    }
    slash = strrchr(path, '/');
    name = slash ? slash + 1 : path;
    if (rd->unpack && layer_is_aufs(path))
        return 0;
    if (rd->unpack && strncmp(name, WHITEOUT, strlen(WHITEOUT)) == 0)
        return layer_whiteout(rd, path, name, err);
    if (link)
        return tree_link(rd->tree, path, link, err);
    switch (archive_entry_filetype(e)) {
    case AE_IFREG:
    case AE_IFDIR:
    case AE_IFLNK:
    case AE_IFCHR:
    case AE_IFBLK:
    case AE_IFIFO: return layer_put(rd, a, e, path, err);
    default: return err_set(err, -EINVAL, "'%.200s': of an unknown kind", path);
    }
}

static int layer_entries(struct layer_reader *rd, struct archive *a, struct err *err)
{
    struct archive_entry *e;
    int s, r = 0;

    while (r == 0) {
        s = archive_read_next_header(a, &e);
        if (s == ARCHIVE_EOF)
            return 0;
        if (s != ARCHIVE_OK && s != ARCHIVE_WARN)
            return layer_broken(rd, a, err);
        r = layer_entry(rd, a, e, err);
    }
    return r;
}

static int layer_verify(const struct layer *layer, struct unpack *u, struct err *err)
{
    char packed[DIGEST_TEXT], plain[DIGEST_TEXT];
    int r = unpack_end(u, packed, plain);

    if (r < 0)
        return err_set(err, r, "is damaged or cut short");
    if (layer->sha256 && strcmp(packed, layer->sha256) != 0)
        return err_set(err, -EINVAL, "is not what its digest sha256:%.12s... says", layer->sha256);
    if (layer->diff_id && strcmp(plain, layer->diff_id) != 0)
        return err_set(err, -EINVAL, "holds something else than the image's configuration says");
    return 0;
}

int layer_lay(struct tree *t, const struct layer *layer, enum layer_whiteouts whiteouts,
              void (*amount)(void *arg, uint64_t bytes), void *arg, struct err *err)
{
    struct layer_reader rd = {.tree = t,
                              .layer = layer,
                              .whiteouts = whiteouts,
                              .unpack = unpack_new(layer->fd, layer->kind),
                              .writer = malloc(sizeof(*rd.writer)),
                              .amount = amount,
                              .arg = arg};
    struct archive *a = archive_read_new();
    int r = -ENOMEM;

    t->layer++;
    if (rd.unpack && rd.writer && a) {
        archive_read_support_format_tar(a);
        r = archive_read_open(a, &rd, NULL, layer_read, NULL) == ARCHIVE_OK
                ? layer_entries(&rd, a, err)
                : layer_broken(&rd, a, err);
    } else {
        (void)err_set(err, r, "out of memory");
    }
    (void)archive_read_free(a);
    free(rd.writer);
    if (rd.unpack) {
        struct err ignored;
        int v = layer_verify(layer, rd.unpack, r == 0 ? err : &ignored);

        r = r == 0 ? v : r;
    }
    return r;
}

int layer_lay_tar(struct tree *t, struct archive *tar,
                  const char *(*rename)(void *arg, const char *path, bool dir), void *arg,
                  struct err *err)
{
    struct layer_reader rd = {
        .tree = t, .writer = malloc(sizeof(*rd.writer)), .rename = rename, .arg = arg};
    int r = rd.writer ? layer_entries(&rd, tar, err) : err_set(err, -ENOMEM, "out of memory");

    free(rd.writer);
    return r;
}
