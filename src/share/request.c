/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests in, replies out: INIT, the table of operations, and the copies that keep a request from
 * changing while it is looked at.
 */
#include "share/internal.h"

#include "share/window.h"

#include <errno.h>
#include <posada/log.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MINOR_LEAST = 31, BACKGROUND = 24, CONGESTED = 18, FORGETS_MAX = 4096 };
enum op_flag { OP_WRITES = 1 /* refused on a read-only share */, OP_SILENT = 2 /* no reply */ };

struct op {
    share_op_fn run;
    unsigned flags;
};

/* --- Parts of a request and of its reply --- */
const void *share_take(struct share_call *c, size_t len)
{
    const void *at = c->arg;

    if (len > c->arg_len)
        return NULL;
    c->arg += len;
    c->arg_len -= len;
    return at;
}

int share_take_text(struct share_call *c, const char **ret_text)
{
    size_t len = strnlen((const char *)c->arg, c->arg_len);

    if (len == c->arg_len)
        return -EINVAL;
    *ret_text = share_take(c, len + 1);
    return 0;
}

int share_take_name(struct share_call *c, const char **ret_name)
{
    const char *name;
    int r = share_take_text(c, &name);

    if (r < 0)
        return r;
    if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
        return -EINVAL;
    if (strlen(name) > SHARE_NAME_MAX)
        return -ENAMETOOLONG;
    *ret_name = name;
    return 0;
}

void *share_give(struct share_call *c, size_t len)
{
    uint8_t *at = c->out + c->out_len;

    if (len > c->out_room - c->out_len)
        return NULL;
    memset(at, 0, len);
    c->out_len += len;
    return at;
}

/* --- Session --- */
static void session_clear(struct share_server *s)
{
    share_files_clear(&s->files);
    share_nodes_clear(&s->nodes);
}

static uint64_t init_features(const struct fuse_init_in *in)
{
    const uint64_t wanted = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES |
                            FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |
                            FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES |
                            FUSE_CACHE_SYMLINKS | FUSE_HANDLE_KILLPRIV_V2 | FUSE_INIT_EXT;

    return wanted & in->flags;
}

/* A new driver: what another one before it knew is gone. */
static int op_init(struct share_call *c)
{
    const struct fuse_init_in *in = share_take(c, offsetof(struct fuse_init_in, flags2));
    struct fuse_init_out *out = share_give(c, sizeof(*out));

    if (!in || !out)
        return -EINVAL;
    session_clear(c->s);
    out->major = FUSE_KERNEL_VERSION;
    out->minor = FUSE_KERNEL_MINOR_VERSION;
    if (in->major > FUSE_KERNEL_VERSION) {
        c->out_len = sizeof(out->major) + sizeof(out->minor); /* it asks again, in our version */
        return 0;
    }
    if (in->major < FUSE_KERNEL_VERSION || in->minor < MINOR_LEAST) {
        if (!atomic_exchange(&c->s->complained, true))
            log_warn("share: the guest speaks FUSE %u.%u; 7.%d is the oldest that works", in->major,
                     in->minor, MINOR_LEAST);
        return -EPROTO;
    }
    out->max_readahead = in->max_readahead;
    out->flags = (uint32_t)init_features(in);
    out->max_background = BACKGROUND;
    out->congestion_threshold = CONGESTED;
    out->max_write = SHARE_DATA_MAX;
    out->max_pages = SHARE_DATA_MAX / 4096;
    out->time_gran = 1;
    return 0;
}

static int op_destroy(struct share_call *c)
{
    session_clear(c->s);
    return 0;
}

static int op_forget(struct share_call *c)
{
    const struct fuse_forget_in *in = share_take(c, sizeof(*in));

    if (in)
        share_node_forget(&c->s->nodes, c->h->nodeid, in->nlookup);
    return 0;
}

static int op_batch_forget(struct share_call *c)
{
    const struct fuse_batch_forget_in *in = share_take(c, sizeof(*in));
    const struct fuse_forget_one *one;

    for (uint32_t i = 0; in && i < in->count && i < FORGETS_MAX; i++) {
        one = share_take(c, sizeof(*one));
        if (!one)
            break;
        share_node_forget(&c->s->nodes, one->nodeid, one->nlookup);
    }
    return 0;
}

/* A host's file system that makes us wait cannot be interrupted; the answer will come. */
static int op_interrupt(struct share_call *c)
{
    return 0;
}

/* What is not here is ENOSYS, which a guest remembers: locks are then its kernel's own, ACCESS and
 * IOCTL need no asking. */
static const struct op ops[] = {
    [FUSE_LOOKUP] = {share_op_lookup, 0},
    [FUSE_FORGET] = {op_forget, OP_SILENT},
    [FUSE_GETATTR] = {share_op_getattr, 0},
    [FUSE_SETATTR] = {share_op_setattr, OP_WRITES},
    [FUSE_READLINK] = {share_op_readlink, 0},
    [FUSE_SYMLINK] = {share_op_symlink, OP_WRITES},
    [FUSE_MKNOD] = {share_op_mknod, OP_WRITES},
    [FUSE_MKDIR] = {share_op_mkdir, OP_WRITES},
    [FUSE_UNLINK] = {share_op_unlink, OP_WRITES},
    [FUSE_RMDIR] = {share_op_rmdir, OP_WRITES},
    [FUSE_RENAME] = {share_op_rename, OP_WRITES},
    [FUSE_LINK] = {share_op_link, OP_WRITES},
    [FUSE_OPEN] = {share_op_open, 0},
    [FUSE_READ] = {share_op_read, 0},
    [FUSE_WRITE] = {share_op_write, OP_WRITES},
    [FUSE_STATFS] = {share_op_statfs, 0},
    [FUSE_RELEASE] = {share_op_release, 0},
    [FUSE_FSYNC] = {share_op_fsync, 0},
    [FUSE_SETXATTR] = {share_op_setxattr, OP_WRITES},
    [FUSE_GETXATTR] = {share_op_getxattr, 0},
    [FUSE_LISTXATTR] = {share_op_listxattr, 0},
    [FUSE_REMOVEXATTR] = {share_op_removexattr, OP_WRITES},
    [FUSE_FLUSH] = {share_op_flush, 0},
    [FUSE_INIT] = {op_init, 0},
    [FUSE_OPENDIR] = {share_op_opendir, 0},
    [FUSE_READDIR] = {share_op_readdir, 0},
    [FUSE_RELEASEDIR] = {share_op_releasedir, 0},
    [FUSE_FSYNCDIR] = {share_op_fsyncdir, 0},
    [FUSE_CREATE] = {share_op_create, OP_WRITES},
    [FUSE_INTERRUPT] = {op_interrupt, OP_SILENT},
    [FUSE_DESTROY] = {op_destroy, 0},
    [FUSE_BATCH_FORGET] = {op_batch_forget, OP_SILENT},
    [FUSE_FALLOCATE] = {share_op_fallocate, OP_WRITES},
    [FUSE_READDIRPLUS] = {share_op_readdirplus, 0},
    [FUSE_RENAME2] = {share_op_rename2, OP_WRITES},
    [FUSE_LSEEK] = {share_op_lseek, 0},
    [FUSE_COPY_FILE_RANGE] = {share_op_copy, OP_WRITES},
    [FUSE_SYNCFS] = {share_op_syncfs, 0},
};

static const struct op *op_find(uint32_t opcode)
{
    return opcode < ARRAY_LEN(ops) && ops[opcode].run ? &ops[opcode] : NULL;
}

/* --- One request --- */
static int call_run(struct share_call *c, const struct op *op)
{
    int r;

    if (!op)
        return -ENOSYS;
    if (op->flags & OP_WRITES && c->s->config.read_only)
        return -EROFS;
    r = op->run(c);
    return r > 0 ? 0 : r;
}

/* Copies what decisions are made upon: all but a WRITE's data. False: too long, or no header. */
static bool call_load(struct share_worker *w, const uint8_t *request, size_t len,
                      struct share_call *c)
{
    const size_t write_head = sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in);
    size_t copied = len;

    if (len < sizeof(*c->h))
        return false;
    memcpy(w->request, request, sizeof(*c->h));
    c->h = (const struct fuse_in_header *)(const void *)w->request;
    if (c->h->opcode == FUSE_WRITE && len > write_head)
        copied = write_head;
    if (copied > sizeof(struct fuse_in_header) + SHARE_ARGUMENTS_MAX)
        return false;
    memcpy(w->request + sizeof(*c->h), request + sizeof(*c->h), copied - sizeof(*c->h));
    w->request[copied] = '\0';
    c->arg = w->request + sizeof(*c->h);
    c->arg_len = copied - sizeof(*c->h);
    c->data = request + copied;
    c->data_len = len - copied;
    return true;
}

size_t share_serve(struct share_worker *w, const void *request, size_t len, void *reply,
                   size_t room)
{
    struct share_call c = {.s = w->server, .h = (const void *)w->request};
    struct fuse_out_header *head = reply;
    const struct op *op;
    bool loaded;
    int r;

    if (len < sizeof(*c.h))
        return 0;
    loaded = call_load(w, request, len, &c);
    op = op_find(c.h->opcode);
    if (op && op->flags & OP_SILENT) {
        if (loaded)
            (void)op->run(&c);
        return 0;
    }
    if (room < sizeof(*head))
        return 0;
    c.out = (uint8_t *)reply + sizeof(*head);
    c.out_room = room - sizeof(*head);
    r = loaded ? call_run(&c, op) : -E2BIG;
    *head = (struct fuse_out_header){.len = (uint32_t)(sizeof(*head) + (r < 0 ? 0 : c.out_len)),
                                     .error = r,
                                     .unique = c.h->unique};
    return head->len;
}

/* --- Life --- */
static int server_root(struct share_server *s, struct err *err)
{
    struct share_node *root;
    struct stat st;
    int r = share_stat(s->config.root_fd, &st);

    if (!r && !S_ISDIR(st.st_mode))
        r = -ENOTDIR;
    if (!r) {
        s->root_dev = st.st_dev;
        r = share_node_add(&s->nodes, s->config.root_fd, &st, &root);
        s->config.root_fd = -1; /* the node's */
    }
    if (r < 0)
        return err_set(err, r, "share: %s", strerror(-r));
    share_node_put(&s->nodes, root);
    return 0;
}

int share_server_new(const struct share_server_config *config, struct share_server **ret_server,
                     struct err *err)
{
    struct share_server *s = calloc(1, sizeof(*s));
    int r;

    if (!s) {
        close(config->root_fd);
        close(config->proc_fd);
        return err_set(err, -ENOMEM, "share: out of memory");
    }
    s->config = *config;
    r = share_nodes_init(&s->nodes, config->nodes_max, config->session);
    if (!r)
        r = share_files_init(&s->files, config->files_max, config->session);
    r = r ? err_set(err, r, "share: out of memory") : server_root(s, err);
    if (r < 0) {
        share_server_free(s);
        return r;
    }
    *ret_server = s;
    return 0;
}

void share_server_free(struct share_server *s)
{
    if (!s)
        return;
    share_files_done(&s->files);
    share_nodes_done(&s->nodes);
    if (s->config.root_fd >= 0)
        close(s->config.root_fd);
    close(s->config.proc_fd);
    free(s);
}

struct share_worker *share_worker_new(struct share_server *server)
{
    struct share_worker *w = calloc(1, sizeof(*w));

    if (w)
        w->server = server;
    return w;
}

void share_worker_free(struct share_worker *worker)
{
    free(worker);
}

unsigned share_server_nodes(struct share_server *server)
{
    return server->nodes.count;
}

unsigned share_server_files(struct share_server *server)
{
    return server->files.max - server->files.free_count;
}
