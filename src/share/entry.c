/* SPDX-License-Identifier: Apache-2.0 */
/* Names to nodes, and what a guest is told of a file. The walls are described in share/server.h. */
#include "share/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

struct share_node *share_call_node(const struct share_call *c)
{
    return share_node_get(&c->s->nodes, c->h->nodeid);
}

int share_open_at(int dir_fd, const char *name, int flags, mode_t mode)
{
    const struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_NOFOLLOW | O_CLOEXEC),
        .mode = flags & O_CREAT ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));

    return fd < 0 ? -errno : (int)fd;
}

int share_reopen(const struct share_server *s, int fd, int flags)
{
    char name[16];
    int again;

    (void)snprintf(name, sizeof(name), "%d", fd);
    again = openat(s->config.proc_fd, name, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    return again < 0 ? -errno : again;
}

int share_stat(int fd, struct stat *st)
{
    return fstatat(fd, "", st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int share_check_mode(mode_t type, uint32_t mode)
{
    return type != S_IFDIR && mode & (S_ISUID | S_ISGID) ? -EPERM : 0;
}

/* Files of another file system that is mounted inside could have the number of one of ours. */
static uint64_t entry_ino(const struct share_server *s, const struct stat *st)
{
    if (st->st_dev == s->root_dev)
        return st->st_ino;
    return st->st_ino ^ (uint64_t)(st->st_dev * UINT64_C(0x9e3779b97f4a7c15)) << 40;
}

void share_fill_attr(const struct share_server *s, const struct stat *st, struct fuse_attr *attr)
{
    const struct share_owner *o = &s->config.owner;

    *attr = (struct fuse_attr){
        .ino = entry_ino(s, st),
        .size = (uint64_t)st->st_size,
        .blocks = (uint64_t)st->st_blocks,
        .atime = (uint64_t)st->st_atim.tv_sec,
        .mtime = (uint64_t)st->st_mtim.tv_sec,
        .ctime = (uint64_t)st->st_ctim.tv_sec,
        .atimensec = (uint32_t)st->st_atim.tv_nsec,
        .mtimensec = (uint32_t)st->st_mtim.tv_nsec,
        .ctimensec = (uint32_t)st->st_ctim.tv_nsec,
        .mode = st->st_mode,
        .nlink = (uint32_t)st->st_nlink,
        .uid = o->squash ? o->guest_uid : st->st_uid,
        .gid = o->squash ? o->guest_gid : st->st_gid,
        .rdev = major(st->st_rdev) << 8 | (minor(st->st_rdev) & 0xff),
        .blksize = (uint32_t)st->st_blksize,
    };
}

static void entry_fill(const struct share_server *s, const struct share_node *node,
                       const struct stat *st, struct fuse_entry_out *entry)
{
    *entry = (struct fuse_entry_out){
        .nodeid = node->id, .entry_valid = SHARE_VALID_SECONDS, .attr_valid = SHARE_VALID_SECONDS};
    share_fill_attr(s, st, &entry->attr);
}

int share_enter(struct share_server *s, int fd, struct fuse_entry_out *entry,
                struct share_node **ret_node)
{
    struct share_node *node;
    struct stat st;
    int r = share_stat(fd, &st);

    if (r < 0) {
        close(fd);
        return r;
    }
    r = share_node_add(&s->nodes, fd, &st, &node);
    if (r < 0)
        return r;
    entry_fill(s, node, &st, entry);
    if (ret_node)
        *ret_node = node;
    else
        share_node_put(&s->nodes, node);
    return 0;
}

int share_lookup(struct share_server *s, const struct share_node *dir, const char *name,
                 struct fuse_entry_out *entry)
{
    struct share_node *node;
    struct stat st;
    int fd;

    if (dir->type != S_IFDIR)
        return -ENOTDIR;
    /* A file that is known needs no descriptor: ours keeps its number from being used again. */
    if (fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
        return -errno;
    node = share_node_find(&s->nodes, &st);
    if (node) {
        entry_fill(s, node, &st, entry);
        share_node_put(&s->nodes, node);
        return 0;
    }
    fd = share_open_at(dir->fd, name, O_PATH, 0);
    return fd < 0 ? fd : share_enter(s, fd, entry, NULL);
}

int share_op_lookup(struct share_call *c)
{
    struct share_node *dir = share_call_node(c);
    struct fuse_entry_out *entry = share_give(c, sizeof(*entry));
    const char *name;
    int r = share_take_name(c, &name);

    if (!dir)
        return -ESTALE;
    if (!entry)
        r = -EINVAL;
    if (!r)
        r = share_lookup(c->s, dir, name, entry);
    if (r == -ENOENT) { /* node 0: the guest may remember for a while that there is none */
        entry->entry_valid = SHARE_VALID_SECONDS;
        r = 0;
    }
    share_node_put(&c->s->nodes, dir);
    return r;
}

int share_op_readlink(struct share_call *c)
{
    struct share_node *node = share_call_node(c);
    ssize_t n = -1;

    if (!node)
        return -ESTALE;
    /* The text is the guest's to follow, in its own tree. */
    n = readlinkat(node->fd, "", (char *)c->out, c->out_room);
    n = n < 0 ? -errno : n;
    share_node_put(&c->s->nodes, node);
    if (n < 0)
        return n == -ENOENT ? -EINVAL : (int)n;
    c->out_len = (size_t)n;
    return 0;
}
