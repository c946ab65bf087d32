/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of files: GETATTR, SETATTR. */
#include "share/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static int attr_give(struct share_call *c, int fd)
{
    struct fuse_attr_out *out = share_give(c, sizeof(*out));
    struct stat st;
    int r = out ? share_stat(fd, &st) : -EINVAL;

    if (r < 0)
        return r;
    *out = (struct fuse_attr_out){.attr_valid = SHARE_VALID_SECONDS};
    share_fill_attr(c->s, &st, &out->attr);
    return 0;
}

int share_op_getattr(struct share_call *c)
{
    const struct fuse_getattr_in *in = share_take(c, sizeof(*in));
    struct share_file *f = NULL;
    struct share_node *node;
    int r;

    if (!in)
        return -EINVAL;
    if (in->getattr_flags & FUSE_GETATTR_FH) {
        f = share_file_get(&c->s->files, in->fh, false);
        if (!f)
            return -EBADF;
        r = attr_give(c, f->fd);
        share_file_put(&c->s->files, f);
        return r;
    }
    node = share_call_node(c);
    if (!node)
        return -ESTALE;
    r = attr_give(c, node->fd);
    share_node_put(&c->s->nodes, node);
    return r;
}

static int attr_set_owner(const struct share_call *c, const struct share_node *node,
                          const struct fuse_setattr_in *in)
{
    const struct share_owner *o = &c->s->config.owner;
    uid_t uid = in->valid & FATTR_UID ? in->uid : (uid_t)-1;
    gid_t gid = in->valid & FATTR_GID ? in->gid : (gid_t)-1;

    if (o->squash) /* all belongs to one user; to "give" it to that user again is fine */
        return (in->valid & FATTR_UID && uid != o->guest_uid) ||
                       (in->valid & FATTR_GID && gid != o->guest_gid)
                   ? -EPERM
                   : 0;
    if ((in->valid & FATTR_UID && uid == (uid_t)-1) || (in->valid & FATTR_GID && gid == (gid_t)-1))
        return -EINVAL;
    return fchownat(node->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* Without CAP_FSETID only who is in its group may set a folder's set-group-ID bit. */
static int attr_join_group(struct share_call *c, const struct share_node *node)
{
    struct stat st;
    int r = share_stat(node->fd, &st);

    if (r < 0)
        return r;
    c->became = c->s->config.become;
    if (c->became)
        (void)syscall(SYS_setfsgid, st.st_gid);
    return 0;
}

static int attr_set_mode(struct share_call *c, const struct share_node *node, uint32_t mode)
{
    char name[16];
    int r = share_check_mode(node->type, mode);

    if (!r && node->type == S_IFDIR && mode & S_ISGID)
        r = attr_join_group(c, node);
    if (r < 0)
        return r;
    (void)snprintf(name, sizeof(name), "%d", node->fd);
    r = fchmodat(c->s->config.proc_fd, name, mode & 07777, 0) < 0 ? -errno : 0;
    share_be_back(c);
    return r;
}

static int attr_set_size(const struct share_call *c, const struct share_node *node,
                         const struct fuse_setattr_in *in)
{
    struct share_file *f = NULL;
    int fd, r;

    if (in->valid & FATTR_FH) {
        f = share_file_get(&c->s->files, in->fh, false);
        if (!f)
            return -EBADF;
    }
    if (node->type != S_IFREG)
        r = -EINVAL;
    else
        r = fd = f ? f->fd : share_reopen(c->s, node->fd, O_WRONLY);
    if (r >= 0) {
        r = in->size > INT64_MAX || ftruncate(fd, (off_t)in->size) < 0 ? -errno : 0;
        r = in->size > INT64_MAX ? -EFBIG : r;
        if (!f)
            close(fd);
    }
    if (f)
        share_file_put(&c->s->files, f);
    return r;
}

static struct timespec attr_time(bool set, bool now, uint64_t sec, uint32_t nsec)
{
    if (!set)
        return (struct timespec){.tv_nsec = UTIME_OMIT};
    if (now)
        return (struct timespec){.tv_nsec = UTIME_NOW};
    /* Two values of nsec have another meaning to the kernel. */
    return (struct timespec){.tv_sec = (time_t)sec, .tv_nsec = nsec > 999999999 ? 0 : nsec};
}

static int attr_set_times(const struct share_node *node, const struct fuse_setattr_in *in)
{
    const struct timespec times[2] = {
        attr_time(in->valid & FATTR_ATIME, in->valid & FATTR_ATIME_NOW, in->atime, in->atimensec),
        attr_time(in->valid & FATTR_MTIME, in->valid & FATTR_MTIME_NOW, in->mtime, in->mtimensec),
    };

    return utimensat(node->fd, "", times, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int attr_set(struct share_call *c, const struct share_node *node,
                    const struct fuse_setattr_in *in)
{
    int r = 0;

    if (in->valid & FATTR_MODE)
        r = attr_set_mode(c, node, in->mode);
    if (!r && in->valid & (FATTR_UID | FATTR_GID))
        r = attr_set_owner(c, node, in);
    if (!r && in->valid & FATTR_SIZE)
        r = attr_set_size(c, node, in);
    if (!r && in->valid & (FATTR_ATIME | FATTR_MTIME))
        r = attr_set_times(node, in);
    return r;
}

int share_op_setattr(struct share_call *c)
{
    const struct fuse_setattr_in *in = share_take(c, sizeof(*in));
    struct share_node *node;
    int r;

    if (!in)
        return -EINVAL;
    node = share_call_node(c);
    if (!node)
        return -ESTALE;
    r = attr_set(c, node, in);
    if (!r)
        r = attr_give(c, node->fd);
    share_node_put(&c->s->nodes, node);
    return r;
}
