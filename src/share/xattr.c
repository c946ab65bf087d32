/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes: names in "user." and no others. What a guest writes elsewhere (security.,
 * trusted., system.) would mean something to the host: file capabilities, labels, ACLs.
 */
#include "share/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

static int xattr_name(struct share_call *c, const char **ret_name)
{
    int r = share_take_text(c, ret_name);

    return r ? r : strncmp(*ret_name, "user.", 5) || !(*ret_name)[5] ? -EOPNOTSUPP : 0;
}

/* Only files and directories have such attributes. */
static int xattr_open(const struct share_call *c)
{
    struct share_node *node = share_call_node(c);
    int fd;

    if (!node)
        return -ESTALE;
    if (node->type == S_IFDIR)
        fd = share_open_at(node->fd, ".", O_RDONLY | O_DIRECTORY, 0);
    else
        fd = node->type == S_IFREG ? share_reopen(c->s, node->fd, O_RDONLY) : -EOPNOTSUPP;
    share_node_put(&c->s->nodes, node);
    return fd;
}

int share_op_setxattr(struct share_call *c)
{
    const struct fuse_setxattr_in *in = share_take(c, FUSE_COMPAT_SETXATTR_IN_SIZE);
    const char *name;
    const void *value;
    int r = in ? xattr_name(c, &name) : -EINVAL, fd;

    if (r < 0)
        return r;
    value = share_take(c, in->size);
    if (!value || in->flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE))
        return -EINVAL;
    fd = xattr_open(c);
    if (fd < 0)
        return fd;
    r = fsetxattr(fd, name, value, in->size, (int)in->flags) < 0 ? -errno : 0;
    close(fd);
    return r;
}

/* Answers with what fill() gives, or with its size when the guest asks for that (size 0). */
static int xattr_answer(struct share_call *c, const struct fuse_getxattr_in *in, const char *name)
{
    size_t room = in->size < c->out_room ? in->size : c->out_room;
    int fd = xattr_open(c);
    ssize_t n;

    if (fd < 0)
        return fd;
    n = name ? fgetxattr(fd, name, in->size ? c->out : NULL, room)
             : flistxattr(fd, in->size ? (char *)c->out : NULL, room);
    n = n < 0 ? -errno : n;
    close(fd);
    return (int)n;
}

static int xattr_answer_size(struct share_call *c, size_t size)
{
    struct fuse_getxattr_out *out = share_give(c, sizeof(*out));

    if (!out)
        return -EINVAL;
    out->size = (uint32_t)size;
    return 0;
}

int share_op_getxattr(struct share_call *c)
{
    const struct fuse_getxattr_in *in = share_take(c, sizeof(*in));
    const char *name;
    int r = in ? xattr_name(c, &name) : -EINVAL;

    if (!r)
        r = xattr_answer(c, in, name);
    if (r < 0)
        return r;
    if (!in->size)
        return xattr_answer_size(c, (size_t)r);
    c->out_len = (size_t)r;
    return 0;
}

/* Leaves the names that the guest may ask for; how many bytes. */
static size_t xattr_filter(char *names, size_t len)
{
    size_t kept = 0;

    for (size_t at = 0, n; at < len; at += n) {
        n = strnlen(names + at, len - at) + 1;
        if (n > len - at)
            break;
        if (strncmp(names + at, "user.", 5) != 0)
            continue;
        memmove(names + kept, names + at, n);
        kept += n;
    }
    return kept;
}

int share_op_listxattr(struct share_call *c)
{
    const struct fuse_getxattr_in *in = share_take(c, sizeof(*in));
    int r = in ? xattr_answer(c, in, NULL) : -EINVAL;

    if (r < 0)
        return r;
    if (!in->size)
        return xattr_answer_size(c, (size_t)r);
    c->out_len = xattr_filter((char *)c->out, (size_t)r);
    return 0;
}

int share_op_removexattr(struct share_call *c)
{
    const char *name;
    int r = xattr_name(c, &name), fd;

    if (r < 0)
        return r;
    fd = xattr_open(c);
    if (fd < 0)
        return fd;
    r = fremovexattr(fd, name) < 0 ? -errno : 0;
    close(fd);
    return r;
}
