/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file system in the making: directories, links and attributes in memory, contents of files in
 * blocks of a data file. Packages and image layers are laid into it one after the other; then it is
 * written out as an EROFS image (erofs.h) or as a directory (tree_dir.h).
 *
 * Names come from hostile archives and never reach the host's file system while a tree is filled:
 * "..", absolute names and symbolic links are resolved inside the tree, whose root is the end of
 * every way up. What is not honest is refused; counts, depth and memory are bounded.
 */
#pragma once

#include <posada/err.h>
#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

enum {
    TREE_BLOCK = 4096,
    TREE_TAIL_MAX = 2048, /* the end of a file's contents that is kept in memory, at most */
    TREE_DEPTH_MAX = 256,
    TREE_NAME_MAX = 255,
    TREE_TARGET_MAX = 4095,
    TREE_XATTRS_MAX = 32 * 1024, /* bytes of names and values of one file */
};

struct tree_xattr {
    struct tree_xattr *next;
    size_t name_len, value_len;
    char data[]; /* name, then value; neither is terminated */
};

/* What there is once, however many names it has. */
struct tree_inode {
    uint32_t mode; /* S_IF... and permissions */
    uint32_t uid, gid, links;
    int64_t mtime;
    uint32_t mtime_nsec;
    uint32_t major, minor; /* of devices */
    uint64_t size;         /* of a file or a symbolic link */
    uint64_t block;        /* first of the whole blocks of a file */
    uint8_t *tail;         /* a file: the bytes behind its whole blocks; a link: its target */
    size_t tail_len;
    struct tree_xattr *xattrs;
    struct tree_node *first, *last; /* of a directory: what is in it, in the order of its making */
    uint32_t entries, depth;
    struct tree_node *node; /* of a directory: its one name (NULL: the root); of a file: writers' */
    uint64_t nid;           /* writers' own: where it went; 0: not yet */
    struct tree_node **sorted;
};

/* One name of an inode. */
struct tree_node {
    struct tree_inode *dir, *inode;
    struct tree_node *next, *before; /* among its directory's */
    struct tree_node *chain;         /* among those of the same hash */
    uint32_t hash, layer;
    uint16_t name_len;
    char name[];
};

struct tree {
    struct tree_inode *root;
    struct tree_node **bucket;
    uint32_t buckets, nodes, seed;
    uint32_t layer;    /* being laid; raised by who lays them */
    size_t memory;     /* bytes of everything above */
    int data_fd;       /* not the tree's own */
    uint64_t next;     /* first free block of the data file */
    uint64_t data_max; /* blocks that may be used */
    bool keep_links;   /* a directory laid over a link to one leaves the link: Debian's packages */
};

/* Contents go to data_fd from block 1 on, data_max blocks at most. */
int must_use tree_init(struct tree *t, int data_fd, uint64_t data_max);
void tree_done(struct tree *t);

/* Attributes of what is laid down; contents follow by tree_write(). */
struct tree_entry {
    const char *path; /* as the archive has it */
    uint32_t mode, uid, gid, major, minor;
    int64_t mtime;
    uint32_t mtime_nsec;
    const char *target; /* of a symbolic link */
};

/* Lays it over what is there: a directory over a directory takes the new attributes, everything
 * else replaces. Missing directories are made. -EINVAL: a name that is not honest; -E2BIG: a limit.
 */
int must_use tree_put(struct tree *t, const struct tree_entry *entry, struct tree_inode **ret_inode,
                      struct err *err);
/* A file with its contents at once; entry->mode without S_IFREG. */
int must_use tree_put_file(struct tree *t, const char *path, uint32_t mode, const void *data,
                           size_t len, struct err *err);
/* Another name for what `target` names (not for a directory). */
int must_use tree_link(struct tree *t, const char *path, const char *target, struct err *err);
int must_use tree_add_xattr(struct tree *t, struct tree_inode *inode, const char *name,
                            const void *value, size_t len);
/* Takes a name and all below it away, if it is there, as far as it is of earlier layers (t->layer);
 * with `inside`, only what is in that directory. */
int must_use tree_remove(struct tree *t, const char *path, bool inside, struct err *err);
/* By its path, links followed on the way and, if `follow`, at the end; NULL: not there. */
struct tree_inode *tree_find(struct tree *t, const char *path, bool follow);

/* A file's contents, in pieces: offsets grow, gaps are zeroes. -ENOSPC: data_max. */
struct tree_writer {
    struct tree *tree;
    struct tree_inode *inode;
    uint64_t at; /* bytes so far */
    size_t fill;
    uint8_t block[64 * 1024];
};
void tree_write_begin(struct tree_writer *w, struct tree *t, struct tree_inode *inode);
int must_use tree_write(struct tree_writer *w, uint64_t offset, const void *data, size_t len);
int must_use tree_write_end(struct tree_writer *w);

/* A directory's names, sorted by their bytes; NULL without memory. Kept until the tree is done;
 * the tree is not changed any more. */
struct tree_node **tree_sorted(struct tree_inode *dir);

/* Zeroed memory that counts as the tree's (tree.c); NULL: there is none, or too much is used. */
void *tree_alloc(struct tree *t, size_t size);
