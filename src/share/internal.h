/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the FUSE server share. */
#pragma once

#include "share/server.h"
#include <dirent.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

enum {
    SHARE_NAME_MAX = 255,
    SHARE_ARGUMENTS_MAX = 96 << 10, /* an xattr's value and name are the longest */
    SHARE_DIR_BUFFER = 32 << 10,
    /* How long a guest may believe what it was told of a file of the host. */
    SHARE_VALID_SECONDS = 1,
};

/* --- Nodes (node.c): files the guest knows of --- */
struct share_node {
    struct share_node *next_by_id, *next_by_file;
    uint64_t id;
    dev_t dev; /* with ino: which file it is. It cannot be reused while fd is open */
    ino_t ino;
    mode_t type;      /* S_IFMT bits, never change */
    int fd;           /* O_PATH */
    unsigned refs;    /* by threads at work; the table holds one while lookups > 0 */
    uint64_t lookups; /* by the guest */
    /* As at the last open: an unchanged file may stay in the guest's cache. */
    struct timespec opened_mtime;
    off_t opened_size;
};

struct share_nodes {
    pthread_mutex_t lock;
    struct share_node **by_id, **by_file;
    unsigned buckets, count, max;
    bool complained; /* once */
    uint64_t next_id;
};

int must_use share_nodes_init(struct share_nodes *t, unsigned max, uint32_t session);
void share_nodes_done(struct share_nodes *t);
/* Forgets all but the root. */
void share_nodes_clear(struct share_nodes *t);
/* NULL: none of that number. share_node_put() gives it back. */
struct share_node *share_node_get(struct share_nodes *t, uint64_t id);
void share_node_put(struct share_nodes *t, struct share_node *node);
/* The node of a file, one lookup more counted and a reference taken; NULL: not known. */
struct share_node *share_node_find(struct share_nodes *t, const struct stat *st);
/* The same, made if it is not there; takes fd over (also when it fails). -ENFILE: too many. */
int must_use share_node_add(struct share_nodes *t, int fd, const struct stat *st,
                            struct share_node **ret_node);
void share_node_forget(struct share_nodes *t, uint64_t id, uint64_t lookups);

/* --- Open files (file.c) --- */
struct share_file {
    int fd;
    bool dir;
    unsigned refs, slot;
    uint32_t generation;
    /* Directories: what getdents64() gave and the guest has not taken. */
    pthread_mutex_t lock;
    uint64_t offset; /* of the next entry in the buffer */
    size_t at, filled;
    uint8_t *buffer;
};

struct share_files {
    pthread_mutex_t lock;
    struct share_file **slot;
    uint32_t *generation;
    unsigned *free;
    unsigned max, free_count;
};

int must_use share_files_init(struct share_files *t, unsigned max, uint32_t session);
void share_files_done(struct share_files *t);
void share_files_clear(struct share_files *t);
/* Takes fd over (also when it fails). */
int must_use share_file_add(struct share_files *t, int fd, bool dir, uint64_t *ret_fh);
/* NULL: no such file, or it is not of that kind. share_file_put() gives it back. */
struct share_file *share_file_get(struct share_files *t, uint64_t fh, bool dir);
void share_file_put(struct share_files *t, struct share_file *f);
void share_file_close(struct share_files *t, uint64_t fh, bool dir);

/* --- The server and one call --- */
struct share_server {
    struct share_server_config config;
    struct share_nodes nodes;
    struct share_files files;
    dev_t root_dev;
    atomic_bool complained; /* once: a guest shall not fill the log */
};

struct share_worker {
    struct share_server *server;
    /* A copy of what is looked at; a WRITE's data stay where they are. */
    _Alignas(8) uint8_t request[sizeof(struct fuse_in_header) + SHARE_ARGUMENTS_MAX + 1];
};

struct share_call {
    struct share_server *s;
    const struct fuse_in_header *h;
    const uint8_t *arg; /* behind the header, a private copy; a NUL stands behind it */
    size_t arg_len;
    const uint8_t *data; /* WRITE: its bytes, in shared memory */
    size_t data_len;
    uint8_t *out; /* behind the reply's header */
    size_t out_room, out_len;
    bool became; /* another user: share_be_back() is due */
};

/* The next len bytes of the arguments; NULL: there are not as many. */
const void *share_take(struct share_call *c, size_t len);
/* The next string of the arguments as one component of a path: 0, -EINVAL, -ENAMETOOLONG. */
int must_use share_take_name(struct share_call *c, const char **ret_name);
/* The next string, whatever is in it. */
int must_use share_take_text(struct share_call *c, const char **ret_text);
/* Room for len more bytes of the reply, zeroed; NULL: no room. */
void *share_give(struct share_call *c, size_t len);

/* --- What several operations need (entry.c) --- */
struct share_node *share_call_node(const struct share_call *c); /* the header's; NULL: unknown */
/* Opens a component below a directory, O_CLOEXEC and never through a link; the descriptor. */
int must_use share_open_at(int dir_fd, const char *name, int flags, mode_t mode);
/* Opens what a descriptor stands for once more; the descriptor. */
int must_use share_reopen(const struct share_server *s, int fd, int flags);
int must_use share_stat(int fd, struct stat *st); /* any descriptor */
void share_fill_attr(const struct share_server *s, const struct stat *st, struct fuse_attr *attr);
/* Looks a component up and fills entry, counting the lookup. ret_node may be NULL. */
int must_use share_lookup(struct share_server *s, const struct share_node *dir, const char *name,
                          struct fuse_entry_out *entry);
/* Makes a node of fd (taken over) and fills entry. */
int must_use share_enter(struct share_server *s, int fd, struct fuse_entry_out *entry,
                         struct share_node **ret_node);
/* What a guest may set of a mode: -EPERM for set-user-ID and set-group-ID programs. */
int must_use share_check_mode(mode_t type, uint32_t mode);

/* What of a guest's open flags is passed on to the host. */
int share_open_flags(uint32_t flags);

/* FOPEN_NOFLUSH or 0, for an open file. */
uint32_t share_open_noflush(int fd, int flags);

/* Becomes who asks, to create something, and back (become.c). */
int must_use share_become(struct share_call *c);
void share_be_back(struct share_call *c);

typedef int (*share_op_fn)(struct share_call *c);
int share_op_lookup(struct share_call *c);
int share_op_getattr(struct share_call *c);
int share_op_setattr(struct share_call *c);
int share_op_readlink(struct share_call *c);
int share_op_statfs(struct share_call *c);
int share_op_mknod(struct share_call *c);
int share_op_mkdir(struct share_call *c);
int share_op_symlink(struct share_call *c);
int share_op_link(struct share_call *c);
int share_op_unlink(struct share_call *c);
int share_op_rmdir(struct share_call *c);
int share_op_rename(struct share_call *c);
int share_op_rename2(struct share_call *c);
int share_op_create(struct share_call *c);
int share_op_open(struct share_call *c);
int share_op_read(struct share_call *c);
int share_op_write(struct share_call *c);
int share_op_flush(struct share_call *c);
int share_op_release(struct share_call *c);
int share_op_fsync(struct share_call *c);
int share_op_fallocate(struct share_call *c);
int share_op_lseek(struct share_call *c);
int share_op_copy(struct share_call *c);
int share_op_opendir(struct share_call *c);
int share_op_readdir(struct share_call *c);
int share_op_readdirplus(struct share_call *c);
int share_op_releasedir(struct share_call *c);
int share_op_fsyncdir(struct share_call *c);
int share_op_syncfs(struct share_call *c);
int share_op_setxattr(struct share_call *c);
int share_op_getxattr(struct share_call *c);
int share_op_listxattr(struct share_call *c);
int share_op_removexattr(struct share_call *c);
