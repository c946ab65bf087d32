/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A FUSE client in memory that speaks to the server directly, no guest and no box between them: for
 * tests that want to know whether the first wall holds alone. It may be as hostile as it likes.
 */
#pragma once

#include "share/server.h"
#include <linux/fuse.h>

struct client {
    char base[64];    /* a temporary directory: base/share is the share, base/outside is not */
    char share[80];   /* base/share */
    char outside[80]; /* base/outside: secret (a file), dir/deep */
    struct share_server *server;
    struct share_worker *worker;
    uint64_t unique;
    size_t reply_len; /* of the last call, behind the header */
    _Alignas(8) uint8_t request[128 << 10];
    _Alignas(8) uint8_t reply[(1 << 20) + 4096];
};

/* Makes the directories and a server over base/share; does INIT. */
struct client *client_new(bool read_only);
/* The same as a later server of its share. */
struct client *client_new_session(bool read_only, uint32_t session);
/* Removes all again. */
void client_free(struct client *c);

/* One call; its error (0 or negative). The answer is in c->reply behind the header. */
int client_call(struct client *c, uint32_t opcode, uint64_t node, const void *args, size_t len);
/* The same with two parts of arguments, such as a structure and a name with its NUL. */
int client_call2(struct client *c, uint32_t opcode, uint64_t node, const void *head,
                 size_t head_len, const void *tail, size_t tail_len);
/* What the answer begins with. */
void *client_answer(struct client *c);

/* Operations by name: 0 or a negative error. */
int client_lookup(struct client *c, uint64_t dir, const char *name, uint64_t *ret_node);
int client_open(struct client *c, uint64_t node, uint32_t flags, uint64_t *ret_fh);
int client_create(struct client *c, uint64_t dir, const char *name, uint32_t mode, uint32_t flags,
                  uint64_t *ret_node, uint64_t *ret_fh);
int client_mkdir(struct client *c, uint64_t dir, const char *name, uint64_t *ret_node);
int client_mknod(struct client *c, uint64_t dir, const char *name, uint32_t mode, uint32_t rdev);
int client_symlink(struct client *c, uint64_t dir, const char *name, const char *text);
int client_link(struct client *c, uint64_t old, uint64_t dir, const char *name);
int client_unlink(struct client *c, uint64_t dir, const char *name);
int client_rmdir(struct client *c, uint64_t dir, const char *name);
int client_rename(struct client *c, uint64_t from, const char *old, uint64_t to, const char *name,
                  uint32_t flags);
int client_read(struct client *c, uint64_t fh, uint64_t offset, uint32_t size); /* bytes */
int client_write(struct client *c, uint64_t fh, uint64_t offset, const void *data, uint32_t size);
int client_release(struct client *c, uint64_t fh);
int client_setattr(struct client *c, uint64_t node, const struct fuse_setattr_in *in);
int client_getattr(struct client *c, uint64_t node, struct fuse_attr *ret_attr);

/* Files of the host, relative to base. */
void host_write(struct client *c, const char *path, const char *text);
/* Whether the file has that content. */
bool host_is(struct client *c, const char *path, const char *text);
bool host_exists(struct client *c, const char *path);
/* Text of a path below base; of a small ring of buffers. */
const char *host_path(struct client *c, const char *path);
/* A number over names, kinds, modes and contents of all that lies in base/outside. */
uint64_t host_outside_digest(struct client *c);
