/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading directories. A directory's descriptor and buffer belong to its handle; a guest that goes
 * on where it stopped is served from the buffer, any other offset is the host's to judge.
 */
#include "share/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

struct entry64 { /* struct linux_dirent64 of getdents64(2) */
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[];
};

int share_op_opendir(struct share_call *c)
{
    struct fuse_open_out *out = share_give(c, sizeof(*out));
    struct share_node *node = share_call_node(c);
    int fd;

    if (!node)
        return -ESTALE;
    if (!out)
        fd = -EINVAL;
    else if (node->type != S_IFDIR)
        fd = -ENOTDIR;
    else
        fd = share_open_at(node->fd, ".", O_RDONLY | O_DIRECTORY, 0);
    share_node_put(&c->s->nodes, node);
    return fd < 0 ? fd : share_file_add(&c->s->files, fd, true, &out->fh);
}

int share_op_releasedir(struct share_call *c)
{
    const struct fuse_release_in *in = share_take(c, sizeof(*in));

    if (!in)
        return -EINVAL;
    share_file_close(&c->s->files, in->fh, true);
    return 0;
}

/* The next entry of the host, NULL with *ret_r 0 at the end. */
static const struct entry64 *dir_next(struct share_file *f, int *ret_r)
{
    *ret_r = 0;
    if (f->at == f->filled) {
        long n = syscall(SYS_getdents64, f->fd, f->buffer, SHARE_DIR_BUFFER);

        f->at = 0;
        f->filled = n > 0 ? (size_t)n : 0;
        *ret_r = n < 0 ? -errno : 0;
        if (n <= 0)
            return NULL;
    }
    return (const struct entry64 *)(const void *)(f->buffer + f->at);
}

static int dir_seek(struct share_file *f, uint64_t offset)
{
    if (!f->buffer)
        f->buffer = malloc(SHARE_DIR_BUFFER);
    if (!f->buffer)
        return -ENOMEM;
    if (offset == f->offset)
        return 0;
    f->at = f->filled = 0;
    if (lseek(f->fd, (off_t)offset, SEEK_SET) < 0)
        return -errno;
    f->offset = offset;
    return 0;
}

static bool dir_is_dots(const char *name)
{
    return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static void dir_put_name(struct share_call *c, struct fuse_dirent *d, const struct entry64 *e,
                         size_t len)
{
    d->ino = dir_is_dots(e->name) ? c->h->nodeid : e->ino;
    d->off = (uint64_t)e->off;
    d->namelen = (uint32_t)len;
    d->type = e->type;
    memcpy(d->name, e->name, len);
}

/* 1: it is in; 0: no room; negative: it cannot be told. */
static int dir_put(struct share_call *c, const struct share_node *dir, const struct entry64 *e,
                   bool plus)
{
    size_t len = strnlen(e->name, SHARE_NAME_MAX + 1), head, size;
    struct fuse_direntplus *p;
    uint8_t *at;
    int r = 0;

    head = plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
    size = FUSE_REC_ALIGN(head + len);
    if (len > SHARE_NAME_MAX)
        return -EOVERFLOW;
    at = share_give(c, size);
    if (!at)
        return 0;
    if (!plus) {
        dir_put_name(c, (struct fuse_dirent *)(void *)at, e, len);
        return 1;
    }
    p = (struct fuse_direntplus *)(void *)at;
    if (!dir_is_dots(e->name))
        r = share_lookup(c->s, dir, e->name, &p->entry_out);
    if (r < 0) /* gone meanwhile, or no room for another node: the name alone */
        memset(&p->entry_out, 0, sizeof(p->entry_out));
    dir_put_name(c, &p->dirent, e, len);
    return 1;
}

static int dir_fill(struct share_call *c, const struct share_node *dir, struct share_file *f,
                    bool plus)
{
    const struct entry64 *e;
    int r;

    while ((e = dir_next(f, &r))) {
        r = dir_put(c, dir, e, plus);
        if (!r)
            return c->out_len ? 0 : -EINVAL;
        f->at += e->reclen;
        f->offset = (uint64_t)e->off;
    }
    return c->out_len ? 0 : r;
}

static int dir_read(struct share_call *c, bool plus)
{
    const struct fuse_read_in *in = share_take(c, sizeof(*in));
    struct share_file *f = in ? share_file_get(&c->s->files, in->fh, true) : NULL;
    struct share_node *dir;
    int r;

    if (!f)
        return in ? -EBADF : -EINVAL;
    dir = share_call_node(c);
    if (in->size < c->out_room)
        c->out_room = in->size;
    pthread_mutex_lock(&f->lock);
    r = dir ? dir_seek(f, in->offset) : -ESTALE;
    if (!r)
        r = dir_fill(c, dir, f, plus);
    pthread_mutex_unlock(&f->lock);
    if (dir)
        share_node_put(&c->s->nodes, dir);
    share_file_put(&c->s->files, f);
    return r;
}

int share_op_readdir(struct share_call *c)
{
    return dir_read(c, false);
}

int share_op_readdirplus(struct share_call *c)
{
    return dir_read(c, true);
}

int share_op_statfs(struct share_call *c)
{
    struct share_node *node = share_call_node(c);
    struct fuse_statfs_out *out = share_give(c, sizeof(*out));
    struct statfs st;
    int r;

    if (!node)
        return -ESTALE;
    r = !out ? -EINVAL : fstatfs(node->fd, &st) < 0 ? -errno : 0;
    share_node_put(&c->s->nodes, node);
    if (r < 0)
        return r;
    out->st = (struct fuse_kstatfs){
        .blocks = st.f_blocks,
        .bfree = st.f_bfree,
        .bavail = st.f_bavail,
        .files = st.f_files,
        .ffree = st.f_ffree,
        .bsize = (uint32_t)st.f_bsize,
        .namelen = SHARE_NAME_MAX,
        .frsize = (uint32_t)st.f_frsize,
    };
    return 0;
}
