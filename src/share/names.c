/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations that change names: create, link, rename, remove. Each works on one component below
 * a directory's descriptor and follows no link. Device nodes are nobody's to make here.
 */
#include "share/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RENAME_ALLOWED = RENAME_NOREPLACE | RENAME_EXCHANGE };

/* --- Making --- */
/* What the operations that make something have in common: a directory, a name, who it is for. */
struct making {
    struct share_node *dir;
    const char *name;
};

static int make_begin(struct share_call *c, struct making *m)
{
    int r = share_take_name(c, &m->name);

    if (r < 0)
        return r;
    m->dir = share_call_node(c);
    if (!m->dir)
        return -ESTALE;
    r = m->dir->type == S_IFDIR ? share_become(c) : -ENOTDIR;
    if (r < 0)
        share_node_put(&c->s->nodes, m->dir);
    return r;
}

/* r: how the making went. Answers with the new entry. */
static int make_end(struct share_call *c, const struct making *m, int r)
{
    struct fuse_entry_out *entry = share_give(c, sizeof(*entry));

    share_be_back(c);
    if (!r)
        r = entry ? share_lookup(c->s, m->dir, m->name, entry) : -EINVAL;
    share_node_put(&c->s->nodes, m->dir);
    return r;
}

static int make_node(int dir_fd, const char *name, mode_t mode)
{
    int fd;

    switch (mode & S_IFMT) {
    case 0:
    case S_IFREG:
        fd = share_open_at(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL, mode & 07777);
        return fd < 0 ? fd : close(fd);
    case S_IFIFO:
    case S_IFSOCK: return mknodat(dir_fd, name, mode, 0) < 0 ? -errno : 0;
    default: return -EPERM;
    }
}

int share_op_mknod(struct share_call *c)
{
    const struct fuse_mknod_in *in = share_take(c, sizeof(*in));
    struct making m;
    int r = in ? share_check_mode(S_IFREG, in->mode) : -EINVAL;

    if (!r)
        r = make_begin(c, &m);
    return r < 0 ? r : make_end(c, &m, make_node(m.dir->fd, m.name, in->mode));
}

int share_op_mkdir(struct share_call *c)
{
    const struct fuse_mkdir_in *in = share_take(c, sizeof(*in));
    struct making m;
    int r = in ? make_begin(c, &m) : -EINVAL;

    if (r < 0)
        return r;
    return make_end(c, &m, mkdirat(m.dir->fd, m.name, in->mode & 07777) < 0 ? -errno : 0);
}

int share_op_symlink(struct share_call *c)
{
    const char *text;
    struct making m;
    int r = make_begin(c, &m);

    if (r < 0)
        return r;
    r = share_take_text(c, &text);
    if (!r)
        r = symlinkat(text, m.dir->fd, m.name) < 0 ? -errno : 0;
    return make_end(c, &m, r);
}

static int link_to(const struct share_call *c, const struct share_node *from,
                   const struct making *m)
{
    char name[16];

    if (from->type == S_IFDIR)
        return -EPERM;
    (void)snprintf(name, sizeof(name), "%d", from->fd);
    return linkat(c->s->config.proc_fd, name, m->dir->fd, m->name, AT_SYMLINK_FOLLOW) < 0 ? -errno
                                                                                          : 0;
}

int share_op_link(struct share_call *c)
{
    const struct fuse_link_in *in = share_take(c, sizeof(*in));
    struct share_node *from = in ? share_node_get(&c->s->nodes, in->oldnodeid) : NULL;
    struct making m;
    int r = from ? make_begin(c, &m) : in ? -ESTALE : -EINVAL;

    if (!r)
        r = make_end(c, &m, link_to(c, from, &m));
    if (from)
        share_node_put(&c->s->nodes, from);
    return r;
}

/* --- CREATE: make and open --- */
/* The kernel believes there is none; should there be one after all, it is opened as what it is. */
static int create_open(struct share_call *c, const struct making *m, int flags, uint32_t mode,
                       struct fuse_entry_out *entry)
{
    int fd = share_open_at(m->dir->fd, m->name, flags | O_CREAT | O_EXCL, mode & 07777), path, r;
    struct share_node *node;

    share_be_back(c);
    if (fd == -EEXIST && !(flags & O_EXCL)) {
        path = share_open_at(m->dir->fd, m->name, O_PATH, 0);
    } else {
        if (fd < 0)
            return fd;
        path = share_reopen(c->s, fd, O_PATH);
    }
    r = path < 0 ? path : share_enter(c->s, path, entry, &node);
    if (r < 0) {
        if (fd >= 0)
            close(fd);
        return r;
    }
    if (fd < 0)
        fd = node->type == S_IFREG ? share_reopen(c->s, node->fd, flags) : -EEXIST;
    if (fd < 0)
        share_node_forget(&c->s->nodes, node->id, 1);
    share_node_put(&c->s->nodes, node);
    return fd;
}

int share_op_create(struct share_call *c)
{
    const struct fuse_create_in *in = share_take(c, sizeof(*in));
    struct fuse_entry_out *entry = share_give(c, sizeof(*entry));
    struct fuse_open_out *open = share_give(c, sizeof(*open));
    struct making m;
    int r = in && open ? share_check_mode(S_IFREG, in->mode) : -EINVAL, fd;

    if (!r)
        r = make_begin(c, &m);
    if (r < 0)
        return r;
    fd = create_open(c, &m, share_open_flags(in->flags) | (int)(in->flags & O_EXCL), in->mode,
                     entry);
    share_node_put(&c->s->nodes, m.dir);
    if (fd < 0)
        return fd;
    open->open_flags = share_open_noflush(fd, O_WRONLY);
    r = share_file_add(&c->s->files, fd, false, &open->fh);
    if (r < 0)
        share_node_forget(&c->s->nodes, entry->nodeid, 1);
    return r;
}

/* --- Removing and renaming --- */
static int name_remove(struct share_call *c, int flags)
{
    struct share_node *dir;
    const char *name;
    int r = share_take_name(c, &name);

    if (r < 0)
        return r;
    dir = share_call_node(c);
    if (!dir)
        return -ESTALE;
    r = unlinkat(dir->fd, name, flags) < 0 ? -errno : 0;
    share_node_put(&c->s->nodes, dir);
    return r;
}

int share_op_unlink(struct share_call *c)
{
    return name_remove(c, 0);
}

int share_op_rmdir(struct share_call *c)
{
    return name_remove(c, AT_REMOVEDIR);
}

static int name_rename(struct share_call *c, uint64_t to_id, unsigned flags)
{
    struct share_node *from, *to;
    const char *old, *name;
    int r = share_take_name(c, &old);

    if (!r)
        r = share_take_name(c, &name);
    if (!r && flags & ~(unsigned)RENAME_ALLOWED)
        r = -EINVAL;
    if (r < 0)
        return r;
    from = share_call_node(c);
    to = share_node_get(&c->s->nodes, to_id);
    /* Not by libc, which makes another system call when there are no flags. */
    if (!from || !to)
        r = -ESTALE;
    else if (syscall(SYS_renameat2, from->fd, old, to->fd, name, flags) < 0)
        r = -errno;
    if (from)
        share_node_put(&c->s->nodes, from);
    if (to)
        share_node_put(&c->s->nodes, to);
    return r;
}

int share_op_rename(struct share_call *c)
{
    const struct fuse_rename_in *in = share_take(c, sizeof(*in));

    return in ? name_rename(c, in->newdir, 0) : -EINVAL;
}

int share_op_rename2(struct share_call *c)
{
    const struct fuse_rename2_in *in = share_take(c, sizeof(*in));

    return in ? name_rename(c, in->newdir, in->flags) : -EINVAL;
}
