/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EROFS images. Contract and format: image/erofs.h.
 *
 *   block 0          super block at 1024
 *   from block 1     contents of files (there already), then directories too large to be inline
 *   meta_blkaddr     inodes in the order of the tree's directories, the root first
 *
 * An inode's number (nid) is its distance from meta_blkaddr in slots of 32 bytes; slot 0 stays
 * empty, because 0 is no inode number to programs. An inode with an inline end must not have that
 * end cross a block.
 */
#include "image/erofs.h"

#include "base/endian.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    EROFS_SUPER = 1024,
    EROFS_SUPER_SIZE = 128,
    EROFS_SLOT = 32,
    EROFS_INODE = 64,
    EROFS_DIRENT = 12,
    EROFS_XATTR_HEAD = 12,
    EROFS_PLAIN = 0,
    EROFS_INLINE = 2,
    EROFS_COMPAT_CHECKSUM = 1,
    EROFS_COMPAT_MTIME = 2,
};
#define EROFS_MAGIC 0xe0f5e1e2u

struct erofs {
    struct tree *tree;
    uint64_t meta; /* first block of the inodes */
    uint64_t slot; /* next free one */
    uint64_t inodes;
    uint64_t at; /* offset of the first byte in buf */
    size_t fill;
    int error;
    uint8_t buf[256 * 1024];
};

/* --- directories' contents --- */

/* Calls fn for each block's worth of entries: which, and the block's bytes. */
struct erofs_dir_block {
    uint32_t first, count; /* among the names with "." and ".." at their places */
    size_t bytes;
};

/* "." and ".." sort before every name but those that begin with a byte below '.'. */
struct erofs_names {
    struct tree_node **sorted;
    uint32_t count, dot, dots; /* count: with both; where they stand */
    struct tree_inode *dir, *parent;
};

static bool erofs_is_before(const struct tree_node *n, const char *dots)
{
    size_t len = strlen(dots), common = n->name_len < len ? n->name_len : len;
    int r = memcmp(n->name, dots, common);

    return r < 0 || (r == 0 && n->name_len < len);
}

static int erofs_names(struct tree_inode *dir, struct erofs_names *ret)
{
    struct erofs_names s = {.sorted = tree_sorted(dir),
                            .count = dir->entries + 2,
                            .dir = dir,
                            .parent = dir->node ? dir->node->dir : dir};

    if (!s.sorted)
        return -ENOMEM;
    while (s.dot < dir->entries && erofs_is_before(s.sorted[s.dot], "."))
        s.dot++;
    s.dots = s.dot;
    while (s.dots < dir->entries && erofs_is_before(s.sorted[s.dots], ".."))
        s.dots++;
    s.dots++; /* behind "." */
    *ret = s;
    return 0;
}

static const char *erofs_name(const struct erofs_names *s, uint32_t i, size_t *ret_len,
                              struct tree_inode **ret_inode)
{
    const struct tree_node *n;

    if (i == s->dot || i == s->dots) {
        *ret_len = i == s->dot ? 1 : 2;
        *ret_inode = i == s->dot ? s->dir : s->parent;
        return "..";
    }
    n = s->sorted[i - (i > s->dot) - (i > s->dots)];
    *ret_len = n->name_len;
    *ret_inode = n->inode;
    return n->name;
}

/* The entries from `first` on that fit into one block. */
static struct erofs_dir_block erofs_dir_block(const struct erofs_names *s, uint32_t first)
{
    struct erofs_dir_block b = {.first = first};
    struct tree_inode *ignored;
    size_t len;

    while (first + b.count < s->count) {
        (void)erofs_name(s, first + b.count, &len, &ignored);
        if (b.bytes + EROFS_DIRENT + len > TREE_BLOCK)
            break;
        b.bytes += EROFS_DIRENT + len;
        b.count++;
    }
    return b;
}

static uint64_t erofs_dir_size(const struct erofs_names *s)
{
    uint64_t size = 0;
    struct erofs_dir_block b;

    for (uint32_t i = 0; i < s->count; i += b.count) {
        b = erofs_dir_block(s, i);
        size += i + b.count < s->count ? TREE_BLOCK : b.bytes;
    }
    return size;
}

static uint8_t erofs_file_type(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG: return 1;
    case S_IFDIR: return 2;
    case S_IFCHR: return 3;
    case S_IFBLK: return 4;
    case S_IFIFO: return 5;
    case S_IFSOCK: return 6;
    case S_IFLNK: return 7;
    default: return 0;
    }
}

static void erofs_fill_dir_block(const struct erofs_names *s, const struct erofs_dir_block *b,
                                 uint8_t *block)
{
    size_t name_at = (size_t)b->count * EROFS_DIRENT;

    for (uint32_t i = 0; i < b->count; i++) {
        uint8_t *e = block + (size_t)i * EROFS_DIRENT;
        struct tree_inode *inode;
        size_t len;
        const char *name = erofs_name(s, b->first + i, &len, &inode);

        st_le64(e, inode->nid);
        st_le16(e + 8, (uint16_t)name_at);
        e[10] = erofs_file_type(inode->mode);
        e[11] = 0;
        memcpy(block + name_at, name, len);
        name_at += len;
    }
}

/* --- places --- */

/* The usual beginnings of names are numbers. */
static uint8_t erofs_prefix(const struct tree_xattr *x, size_t *ret_len)
{
    static const struct {
        const char *text;
        uint8_t index;
    } prefixes[] = {{"user.", 1}, {"trusted.", 4}, {"security.", 6}};

    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        *ret_len = strlen(prefixes[i].text);
        if (x->name_len > *ret_len && strncmp(x->data, prefixes[i].text, *ret_len) == 0)
            return prefixes[i].index;
    }
    *ret_len = 0;
    return 0;
}

static size_t erofs_xattr_size(const struct tree_inode *i)
{
    size_t n = 0;

    for (const struct tree_xattr *x = i->xattrs; x; x = x->next) {
        size_t prefix;

        (void)erofs_prefix(x, &prefix);
        n += (4 + x->name_len - prefix + x->value_len + 3) & ~(size_t)3;
    }
    return n ? EROFS_XATTR_HEAD + n : 0;
}

static bool erofs_is_inline(const struct tree_inode *i)
{
    return i->tail_len > 0;
}

/* A small directory goes beside its inode: tail_len says so, the bytes are made when written. */
static int erofs_place_dir(struct erofs *e, struct tree_inode *dir)
{
    struct erofs_names s;
    int r = erofs_names(dir, &s);

    if (r < 0)
        return r;
    dir->size = erofs_dir_size(&s);
    dir->tail_len = dir->size % TREE_BLOCK <= TREE_TAIL_MAX ? dir->size % TREE_BLOCK : 0;
    dir->block = e->tree->next;
    e->tree->next += (dir->size - dir->tail_len + TREE_BLOCK - 1) / TREE_BLOCK;
    return e->tree->next > e->tree->data_max ? -ENOSPC : 0;
}

static int erofs_place(struct erofs *e, struct tree_inode *i)
{
    size_t head = EROFS_INODE + erofs_xattr_size(i), whole;
    uint64_t start;
    int r = S_ISDIR(i->mode) ? erofs_place_dir(e, i) : 0;

    if (r < 0 || i->nid)
        return r;
    start = e->slot * EROFS_SLOT;
    if (erofs_is_inline(i)) {
        /* Only the end may not cross a block; the inode before it may. */
        uint64_t tail_at = start + head;

        if (tail_at / TREE_BLOCK != (tail_at + i->tail_len - 1) / TREE_BLOCK) {
            tail_at = (tail_at / TREE_BLOCK + 1) * TREE_BLOCK;
            start = tail_at - head;
            start = (start + EROFS_SLOT - 1) / EROFS_SLOT * EROFS_SLOT;
        }
    }
    whole = head + i->tail_len;
    i->nid = start / EROFS_SLOT;
    e->slot = (start + whole + EROFS_SLOT - 1) / EROFS_SLOT;
    e->inodes++;
    return 0;
}

/* Every inode once, a directory before what is in it. As deep as TREE_DEPTH_MAX. */
static int erofs_walk(struct erofs *e, struct tree_inode *dir,
                      int (*fn)(struct erofs *e, struct tree_inode *i))
{
    struct tree_node **sorted = tree_sorted(dir);
    int r = 0;

    if (!sorted)
        return -ENOMEM;
    for (uint32_t n = 0; r == 0 && n < dir->entries; n++)
        if (!S_ISDIR(sorted[n]->inode->mode))
            r = fn(e, sorted[n]->inode);
    for (uint32_t n = 0; r == 0 && n < dir->entries; n++) {
        if (!S_ISDIR(sorted[n]->inode->mode))
            continue;
        r = fn(e, sorted[n]->inode);
        if (r == 0)
            r = erofs_walk(e, sorted[n]->inode, fn);
    }
    return r;
}

/* --- bytes --- */

static void erofs_flush(struct erofs *e)
{
    ssize_t n;

    if (!e->error && e->fill) {
        n = pwrite(e->tree->data_fd, e->buf, e->fill, (off_t)e->at);
        if (n != (ssize_t)e->fill)
            e->error = n < 0 ? -errno : -ENOSPC;
    }
    e->at += e->fill;
    e->fill = 0;
}

static void erofs_seek(struct erofs *e, uint64_t offset)
{
    if (offset == e->at + e->fill)
        return;
    erofs_flush(e);
    e->at = offset;
}

static void erofs_put(struct erofs *e, const void *data, size_t len)
{
    while (len) {
        size_t n = sizeof(e->buf) - e->fill;

        n = n < len ? n : len;
        if (data)
            memcpy(e->buf + e->fill, data, n);
        else
            memset(e->buf + e->fill, 0, n);
        data = data ? (const uint8_t *)data + n : NULL;
        len -= n;
        e->fill += n;
        if (e->fill == sizeof(e->buf))
            erofs_flush(e);
    }
}

/* The whole blocks of a large directory; those that are inline come with the inode. */
static int erofs_write_dir(struct erofs *e, struct tree_inode *dir)
{
    struct erofs_dir_block b;
    struct erofs_names s;
    uint8_t block[TREE_BLOCK];
    uint64_t at = dir->block * TREE_BLOCK;

    if (!S_ISDIR(dir->mode) || dir->size == dir->tail_len)
        return 0;
    if (erofs_names(dir, &s) < 0)
        return -ENOMEM;
    for (uint32_t i = 0; i < s.count; i += b.count) {
        b = erofs_dir_block(&s, i);
        if (i + b.count == s.count && dir->tail_len)
            break;
        memset(block, 0, sizeof(block));
        erofs_fill_dir_block(&s, &b, block);
        erofs_seek(e, at);
        erofs_put(e, block, sizeof(block));
        at += TREE_BLOCK;
    }
    return e->error;
}

static void erofs_put_dir_tail(struct erofs *e, struct tree_inode *dir)
{
    struct erofs_dir_block b = {0};
    struct erofs_names s;
    uint8_t block[TREE_BLOCK] = {0};

    if (erofs_names(dir, &s) < 0) {
        e->error = -ENOMEM;
        return;
    }
    for (uint32_t i = 0; i < s.count; i += b.count)
        b = erofs_dir_block(&s, i);
    erofs_fill_dir_block(&s, &b, block);
    erofs_put(e, block, dir->tail_len);
}

static void erofs_put_xattr(struct erofs *e, const struct tree_xattr *x)
{
    size_t prefix, size;
    uint8_t head[4] = {0};

    head[1] = erofs_prefix(x, &prefix);
    head[0] = (uint8_t)(x->name_len - prefix);
    st_le16(head + 2, (uint16_t)x->value_len);
    size = sizeof(head) + x->name_len - prefix + x->value_len;
    erofs_put(e, head, sizeof(head));
    erofs_put(e, x->data + prefix, x->name_len - prefix + x->value_len);
    erofs_put(e, NULL, (size_t)(-(int64_t)size & 3));
}

static uint32_t erofs_device(const struct tree_inode *i)
{
    return (i->minor & 0xff) | i->major << 8 | (i->minor & ~0xffu) << 12;
}

/* A directory: its name, its ".", and the ".." of each directory in it. */
static uint32_t erofs_links(const struct tree_inode *i)
{
    uint32_t links = 2;

    if (!S_ISDIR(i->mode))
        return i->links;
    for (const struct tree_node *n = i->first; n; n = n->next)
        links += S_ISDIR(n->inode->mode);
    return links;
}

static int erofs_write_inode(struct erofs *e, struct tree_inode *i)
{
    size_t xattrs = erofs_xattr_size(i);
    uint8_t b[EROFS_INODE] = {0};
    bool device = S_ISCHR(i->mode) || S_ISBLK(i->mode);

    if (e->at + e->fill > e->meta * TREE_BLOCK + i->nid * EROFS_SLOT)
        return 0; /* another name of one that is written */
    erofs_seek(e, e->meta * TREE_BLOCK + i->nid * EROFS_SLOT);
    st_le16(b, (uint16_t)(1 | (erofs_is_inline(i) ? EROFS_INLINE : EROFS_PLAIN) << 1));
    st_le16(b + 2, (uint16_t)(xattrs ? (xattrs - EROFS_XATTR_HEAD) / 4 + 1 : 0));
    st_le16(b + 4, (uint16_t)i->mode);
    st_le64(b + 8, i->size);
    st_le32(b + 16, device ? erofs_device(i) : (uint32_t)i->block);
    st_le32(b + 20, (uint32_t)i->nid);
    st_le32(b + 24, i->uid);
    st_le32(b + 28, i->gid);
    st_le64(b + 32, (uint64_t)i->mtime);
    st_le32(b + 40, i->mtime_nsec);
    st_le32(b + 44, erofs_links(i));
    erofs_put(e, b, sizeof(b));
    if (xattrs)
        erofs_put(e, NULL, EROFS_XATTR_HEAD);
    for (const struct tree_xattr *x = i->xattrs; x; x = x->next)
        erofs_put_xattr(e, x);
    if (S_ISDIR(i->mode) && i->tail_len)
        erofs_put_dir_tail(e, i);
    else if (i->tail_len)
        erofs_put(e, i->tail, i->tail_len);
    return e->error;
}

static uint32_t erofs_crc32c(const uint8_t *data, size_t len)
{
    uint32_t crc = ~0u;

    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return crc;
}

static int erofs_write_super(struct erofs *e, uint64_t blocks)
{
    uint8_t block[TREE_BLOCK] = {0}, *b = block + EROFS_SUPER;

    st_le32(b, EROFS_MAGIC);
    st_le32(b + 8, EROFS_COMPAT_CHECKSUM | EROFS_COMPAT_MTIME);
    b[12] = 12; /* log2 of the block's size */
    st_le16(b + 14, (uint16_t)e->tree->root->nid);
    st_le64(b + 16, e->inodes);
    st_le32(b + 36, (uint32_t)blocks);
    st_le32(b + 40, (uint32_t)e->meta);
    st_le32(b + 4, erofs_crc32c(b, TREE_BLOCK - EROFS_SUPER));
    return pwrite(e->tree->data_fd, block, TREE_BLOCK, 0) == TREE_BLOCK ? 0 : -EIO;
}

static int erofs_write_all(struct erofs *e, uint64_t *ret_size)
{
    struct tree *t = e->tree;
    uint64_t end;
    int r;

    e->slot = 1;
    r = erofs_place(e, t->root);
    if (r == 0)
        r = erofs_walk(e, t->root, erofs_place);
    if (r < 0)
        return r;
    e->meta = t->next;
    end = (e->meta * TREE_BLOCK + e->slot * EROFS_SLOT + TREE_BLOCK - 1) / TREE_BLOCK;
    if (end > t->data_max || end > UINT32_MAX)
        return -ENOSPC;
    r = erofs_write_dir(e, t->root);
    if (r == 0)
        r = erofs_walk(e, t->root, erofs_write_dir);
    erofs_seek(e, e->meta * TREE_BLOCK);
    if (r == 0)
        r = erofs_write_inode(e, t->root);
    if (r == 0)
        r = erofs_walk(e, t->root, erofs_write_inode);
    erofs_flush(e);
    if (r == 0)
        r = e->error;
    if (r == 0 && ftruncate(t->data_fd, (off_t)(end * TREE_BLOCK)) < 0)
        r = -errno;
    if (r == 0)
        r = erofs_write_super(e, end);
    *ret_size = end * TREE_BLOCK;
    return r;
}

int erofs_write(struct tree *t, uint64_t *ret_size, struct err *err)
{
    struct erofs *e = calloc(1, sizeof(*e));
    uint64_t size = 0;
    int r = -ENOMEM;

    if (e) {
        e->tree = t;
        r = erofs_write_all(e, &size);
    }
    free(e);
    if (r < 0)
        return err_set(err, r, "cannot write the file system: %s", strerror(-r));
    *ret_size = size;
    return 0;
}
