/* SPDX-License-Identifier: Apache-2.0 */
/* A file system in the making. Contract: image/tree.h. */
#include "image/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NODES_MAX = 3000000, LINKS_FOLLOWED_MAX = 40, PATH_BYTES_MAX = 16384 };
#define TREE_MEMORY_MAX ((size_t)1 << 30)

/* --- memory --- */

void *tree_alloc(struct tree *t, size_t size)
{
    void *p = t->memory + size > TREE_MEMORY_MAX ? NULL : calloc(1, size);

    t->memory += p ? size : 0;
    return p;
}

static void tree_release(struct tree *t, void *p, size_t size)
{
    free(p);
    t->memory -= p ? size : 0;
}

static void tree_free_inode(struct tree *t, struct tree_inode *i)
{
    uint64_t whole = S_ISREG(i->mode) ? (i->size - i->tail_len + TREE_BLOCK - 1) / TREE_BLOCK : 0;

    /* Blocks that nobody names any more give their space back. */
    if (whole && i->block)
        (void)!fallocate(t->data_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                         (off_t)(i->block * TREE_BLOCK), (off_t)(whole * TREE_BLOCK));
    while (i->xattrs) {
        struct tree_xattr *x = i->xattrs;

        i->xattrs = x->next;
        tree_release(t, x, sizeof(*x) + x->name_len + x->value_len);
    }
    tree_release(t, i->tail, i->tail_len);
    free(i->sorted);
    tree_release(t, i, sizeof(*i));
}

/* --- names --- */

static uint32_t tree_hash(const struct tree *t, const struct tree_inode *dir, const char *name,
                          size_t len)
{
    uint64_t h = t->seed ^ (uintptr_t)dir * 0x9e3779b97f4a7c15ull;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)name[i]) * 0x100000001b3ull;
    return (uint32_t)(h ^ h >> 32);
}

static struct tree_node *tree_lookup(const struct tree *t, const struct tree_inode *dir,
                                     const char *name, size_t len)
{
    uint32_t hash = tree_hash(t, dir, name, len);
    struct tree_node *n = t->bucket[hash & (t->buckets - 1)];

    while (n && (n->hash != hash || n->dir != dir || n->name_len != len ||
                 memcmp(n->name, name, len) != 0))
        n = n->chain;
    return n;
}

static int tree_grow(struct tree *t)
{
    uint32_t buckets = t->buckets * 2;
    struct tree_node **bucket = calloc(buckets, sizeof(struct tree_node *));

    if (!bucket)
        return -ENOMEM;
    for (uint32_t i = 0; i < t->buckets; i++) {
        struct tree_node *next;

        for (struct tree_node *n = t->bucket[i]; n; n = next) {
            next = n->chain;
            n->chain = bucket[n->hash & (buckets - 1)];
            bucket[n->hash & (buckets - 1)] = n;
        }
    }
    free(t->bucket);
    t->bucket = bucket;
    t->buckets = buckets;
    return 0;
}

static int tree_add_node(struct tree *t, struct tree_inode *dir, const char *name, size_t len,
                         struct tree_inode *inode)
{
    struct tree_node *n;

    if (t->nodes >= NODES_MAX || dir->depth >= TREE_DEPTH_MAX)
        return -E2BIG;
    if (t->nodes >= t->buckets && tree_grow(t) < 0)
        return -ENOMEM;
    n = tree_alloc(t, sizeof(*n) + len + 1);
    if (!n)
        return -E2BIG;
    *n = (struct tree_node){.dir = dir,
                            .inode = inode,
                            .before = dir->last,
                            .hash = tree_hash(t, dir, name, len),
                            .layer = t->layer,
                            .name_len = (uint16_t)len};
    memcpy(n->name, name, len);
    n->chain = t->bucket[n->hash & (t->buckets - 1)];
    t->bucket[n->hash & (t->buckets - 1)] = n;
    if (dir->last)
        dir->last->next = n;
    else
        dir->first = n;
    dir->last = n;
    dir->entries++;
    t->nodes++;
    inode->links++;
    if (S_ISDIR(inode->mode)) {
        inode->node = n;
        inode->depth = dir->depth + 1;
    }
    return 0;
}

static void tree_remove_node(struct tree *t, struct tree_node *n)
{
    struct tree_node **at = &t->bucket[n->hash & (t->buckets - 1)];

    while (S_ISDIR(n->inode->mode) && n->inode->first) /* as deep as TREE_DEPTH_MAX */
        tree_remove_node(t, n->inode->first);
    while (*at != n)
        at = &(*at)->chain;
    *at = n->chain;
    *(n->before ? &n->before->next : &n->dir->first) = n->next;
    *(n->next ? &n->next->before : &n->dir->last) = n->before;
    n->dir->entries--;
    t->nodes--;
    if (--n->inode->links == 0)
        tree_free_inode(t, n->inode);
    tree_release(t, n, sizeof(*n) + n->name_len + 1u);
}

static struct tree_inode *tree_new_inode(struct tree *t, const struct tree_entry *e)
{
    struct tree_inode *i = tree_alloc(t, sizeof(*i));

    if (i)
        *i = (struct tree_inode){.mode = e->mode,
                                 .uid = e->uid,
                                 .gid = e->gid,
                                 .major = e->major,
                                 .minor = e->minor,
                                 .mtime = e->mtime,
                                 .mtime_nsec = e->mtime_nsec};
    return i;
}

int tree_init(struct tree *t, int data_fd, uint64_t data_max)
{
    const struct tree_entry root = {.mode = S_IFDIR | 0755};

    *t = (struct tree){.data_fd = data_fd, .next = 1, .data_max = data_max, .buckets = 1024};
    if (getrandom(&t->seed, sizeof(t->seed), 0) != sizeof(t->seed))
        t->seed = (uint32_t)time(NULL);
    t->bucket = calloc(t->buckets, sizeof(struct tree_node *));
    t->root = t->bucket ? tree_new_inode(t, &root) : NULL;
    if (!t->root)
        return -ENOMEM;
    t->root->links = 1;
    return 0;
}

void tree_done(struct tree *t)
{
    t->data_fd = -1; /* what was written stays */
    while (t->root && t->root->first)
        tree_remove_node(t, t->root->first);
    if (t->root)
        tree_free_inode(t, t->root);
    free(t->bucket);
    *t = (struct tree){.data_fd = -1, .memory = t->memory}; /* 0, or something leaked */
}

/* --- paths --- */

/* A way through the tree: what is left of it, and where it has come. */
struct tree_way {
    struct tree_inode *dir;
    char rest[2 * PATH_BYTES_MAX];
    const char *name; /* the last name; empty: the directory itself */
    size_t len;
    unsigned followed;
};

static int tree_follow(struct tree *t, struct tree_way *w, const struct tree_inode *link,
                       const char *behind)
{
    char *old = strdup(behind);
    int n;

    if (!old)
        return -ENOMEM;
    n = snprintf(w->rest, PATH_BYTES_MAX, "%.*s/%s", (int)link->tail_len, (char *)link->tail, old);
    free(old);
    if (++w->followed > LINKS_FOLLOWED_MAX)
        return -ELOOP;
    if (n >= PATH_BYTES_MAX)
        return -ENAMETOOLONG;
    if (w->rest[0] == '/')
        w->dir = t->root;
    return 0;
}

static int tree_make_dir(struct tree *t, struct tree_inode *dir, const char *name, size_t len,
                         struct tree_inode **ret)
{
    const struct tree_entry plain = {.mode = S_IFDIR | 0755};
    struct tree_inode *i = tree_new_inode(t, &plain);
    int r = i ? tree_add_node(t, dir, name, len, i) : -E2BIG;

    if (r == 0)
        *ret = i;
    else if (i)
        tree_release(t, i, sizeof(*i));
    return r;
}

/* One name that is not the last. */
static int tree_step(struct tree *t, struct tree_way *w, const char *name, size_t len,
                     const char *behind, bool make)
{
    struct tree_node *n = tree_lookup(t, w->dir, name, len);

    if (!n && !make)
        return -ENOENT;
    if (!n)
        return tree_make_dir(t, w->dir, name, len, &w->dir);
    if (S_ISLNK(n->inode->mode))
        return tree_follow(t, w, n->inode, behind);
    if (!S_ISDIR(n->inode->mode))
        return -ENOTDIR;
    if (make)
        n->layer = t->layer; /* what is put below it makes it this layer's too */
    w->dir = n->inode;
    return 0;
}

static bool tree_is_dots(const char *name, size_t len)
{
    return len <= 2 && strncmp(name, "..", len) == 0;
}

/* Goes to the directory that holds the path's last name. follow: a link there is followed too. */
static int tree_go(struct tree *t, struct tree_way *w, const char *path, bool make, bool follow)
{
    const char *at;

    if (strlen(path) >= PATH_BYTES_MAX)
        return -ENAMETOOLONG;
    strcpy(w->rest, path);
    w->dir = t->root;
    w->followed = 0;
    for (at = w->rest;;) {
        const char *name, *end;
        size_t len;
        int r = 0;

        at += strspn(at, "/");
        len = strcspn(at, "/");
        end = at + len;
        name = at;
        if (len > TREE_NAME_MAX)
            return -ENAMETOOLONG;
        w->name = name;
        w->len = len;
        at = end;
        if (tree_is_dots(name, len)) {
            if (len == 2 && w->dir->node)
                w->dir = w->dir->node->dir;
            w->len = 0;
            if (!*end)
                return 0;
            continue;
        }
        if (!end[strspn(end, "/")]) { /* the last */
            const struct tree_node *n = follow ? tree_lookup(t, w->dir, name, len) : NULL;

            if (!n || !S_ISLNK(n->inode->mode))
                return 0;
            r = tree_follow(t, w, n->inode, "");
            at = w->rest;
        } else {
            unsigned before = w->followed;

            r = tree_step(t, w, name, len, end, make);
            at = w->followed != before ? w->rest : end;
        }
        if (r < 0)
            return r;
    }
}

/* Archives have no business with "..": whoever writes it means harm. */
static bool tree_is_honest(const char *path)
{
    for (const char *at = path; *at;) {
        size_t len = strcspn(at, "/");

        if (len == 2 && strncmp(at, "..", 2) == 0)
            return false;
        at += len;
        at += strspn(at, "/");
    }
    return *path;
}

static int tree_error(int r, const char *path, struct err *err)
{
    switch (r) {
    case -EINVAL: return err_set(err, r, "'%.200s' is no name that an honest archive has", path);
    case -E2BIG: return err_set(err, r, "'%.200s': too many files, or too much about them", path);
    case -ELOOP: return err_set(err, -EINVAL, "'%.200s': symbolic links in a circle", path);
    case -ENOTDIR:
        return err_set(err, -EINVAL, "'%.200s': below something that is no directory", path);
    case -ENAMETOOLONG: return err_set(err, -EINVAL, "'%.200s...': the name is too long", path);
    default: return err_set(err, r, "'%.200s': %s", path, strerror(-r));
    }
}

struct tree_inode *tree_find(struct tree *t, const char *path, bool follow)
{
    struct tree_way w;
    const struct tree_node *n;

    if (tree_go(t, &w, path, false, follow) < 0)
        return NULL;
    n = w.len ? tree_lookup(t, w.dir, w.name, w.len) : NULL;
    return w.len ? (n ? n->inode : NULL) : w.dir;
}

/* --- laying --- */

static void tree_take_attributes(struct tree *t, struct tree_inode *i, const struct tree_entry *e)
{
    i->mode = e->mode;
    i->uid = e->uid;
    i->gid = e->gid;
    i->mtime = e->mtime;
    i->mtime_nsec = e->mtime_nsec;
    while (i->xattrs) {
        struct tree_xattr *x = i->xattrs;

        i->xattrs = x->next;
        tree_release(t, x, sizeof(*x) + x->name_len + x->value_len);
    }
}

static int tree_put_new(struct tree *t, struct tree_way *w, const struct tree_entry *e,
                        struct tree_inode **ret)
{
    size_t len = S_ISLNK(e->mode) ? strlen(e->target) : 0;
    struct tree_inode *i;
    int r;

    if (len > TREE_TARGET_MAX || (S_ISLNK(e->mode) && !len))
        return -EINVAL;
    i = tree_new_inode(t, e);
    if (!i)
        return -E2BIG;
    if (len && !(i->tail = tree_alloc(t, len))) {
        tree_release(t, i, sizeof(*i));
        return -E2BIG;
    }
    if (len)
        memcpy(i->tail, e->target, len);
    i->tail_len = i->size = len;
    r = tree_add_node(t, w->dir, w->name, w->len, i);
    if (r < 0)
        tree_free_inode(t, i);
    else
        *ret = i;
    return r;
}

static int tree_put_at(struct tree *t, struct tree_way *w, const struct tree_entry *e,
                       struct tree_inode **ret)
{
    struct tree_node *old = w->len ? tree_lookup(t, w->dir, w->name, w->len) : NULL;
    struct tree_inode *dir = w->len ? (old ? old->inode : NULL) : w->dir;

    if (!w->len && !S_ISDIR(e->mode))
        return -EINVAL; /* the root is a directory */
    if (dir && t->keep_links && S_ISDIR(e->mode) && S_ISLNK(dir->mode)) {
        struct tree_inode *there = tree_find(t, e->path, true);

        if (there && S_ISDIR(there->mode)) {
            *ret = there;
            return 0;
        }
    }
    if (dir && S_ISDIR(dir->mode) && S_ISDIR(e->mode)) {
        tree_take_attributes(t, dir, e);
        if (old)
            old->layer = t->layer;
        *ret = dir;
        return 0;
    }
    if (old)
        tree_remove_node(t, old);
    return tree_put_new(t, w, e, ret);
}

int tree_put(struct tree *t, const struct tree_entry *e, struct tree_inode **ret, struct err *err)
{
    struct tree_way w;
    int r = tree_is_honest(e->path) ? tree_go(t, &w, e->path, true, false) : -EINVAL;

    if (r == 0)
        r = tree_put_at(t, &w, e, ret);
    return r < 0 ? tree_error(r, e->path, err) : 0;
}

int tree_link(struct tree *t, const char *path, const char *target, struct err *err)
{
    struct tree_inode *inode;
    struct tree_node *old;
    struct tree_way w;
    int r = tree_is_honest(path) && tree_is_honest(target) ? 0 : -EINVAL;

    if (r < 0)
        return tree_error(r, tree_is_honest(path) ? target : path, err);
    inode = tree_find(t, target, false);
    if (!inode || S_ISDIR(inode->mode))
        return err_set(err, -EINVAL, "'%.200s': a hard link to '%.200s', which is %s", path, target,
                       inode ? "a directory" : "not there");
    r = tree_go(t, &w, path, true, false);
    if (r < 0 || !w.len)
        return tree_error(r < 0 ? r : -EINVAL, path, err);
    old = tree_lookup(t, w.dir, w.name, w.len);
    if (old && old->inode == inode)
        return 0;
    inode->links++; /* its only name may be what is replaced */
    if (old)
        tree_remove_node(t, old);
    r = tree_add_node(t, w.dir, w.name, w.len, inode);
    if (--inode->links == 0)
        tree_free_inode(t, inode);
    return r < 0 ? tree_error(r, path, err) : 0;
}

static size_t tree_xattr_bytes(const struct tree_inode *i)
{
    size_t n = 0;

    for (const struct tree_xattr *x = i->xattrs; x; x = x->next)
        n += x->name_len + x->value_len + 4;
    return n;
}

int tree_add_xattr(struct tree *t, struct tree_inode *inode, const char *name, const void *value,
                   size_t len)
{
    size_t name_len = strlen(name);
    struct tree_xattr *x;

    if (name_len > TREE_NAME_MAX || len > TREE_XATTRS_MAX ||
        tree_xattr_bytes(inode) + name_len + len > TREE_XATTRS_MAX)
        return -E2BIG;
    x = tree_alloc(t, sizeof(*x) + name_len + len);
    if (!x)
        return -E2BIG;
    *x = (struct tree_xattr){.next = inode->xattrs, .name_len = name_len, .value_len = len};
    memcpy(x->data, name, name_len);
    if (len)
        memcpy(x->data + name_len, value, len);
    inode->xattrs = x;
    return 0;
}

/* What earlier layers put below a directory. What this layer put there stays, with its way. */
static void tree_remove_older(struct tree *t, struct tree_inode *dir)
{
    struct tree_node *next;

    for (struct tree_node *n = dir->first; n; n = next) {
        next = n->next;
        if (n->layer != t->layer)
            tree_remove_node(t, n);
        else if (S_ISDIR(n->inode->mode))
            tree_remove_older(t, n->inode);
    }
}

int tree_remove(struct tree *t, const char *path, bool inside, struct err *err)
{
    struct tree_node *n;
    struct tree_way w;
    int r = tree_is_honest(path) ? tree_go(t, &w, path, false, false) : -EINVAL;

    if (r == -ENOENT || r == -ENOTDIR)
        return 0;
    if (r < 0)
        return tree_error(r, path, err);
    n = w.len ? tree_lookup(t, w.dir, w.name, w.len) : NULL;
    if (w.len && !n)
        return 0;
    if (n && !inside && n->layer != t->layer)
        tree_remove_node(t, n);
    else if (!n || S_ISDIR(n->inode->mode))
        tree_remove_older(t, n ? n->inode : w.dir);
    return 0;
}
