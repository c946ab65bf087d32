/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our FUSE server (protocol 7.31 and later: Linux include/uapi/linux/fuse.h): requests as bytes in,
 * replies as bytes out. It knows no sockets and no windows, so that tests and the fuzzer can talk
 * to it directly. Any number of threads may serve at once, each with a worker of its own.
 *
 * Walls: the guest names things only by (node, one component). A component holds no '/', and is
 * neither "." nor "..". Every name is resolved by openat2(RESOLVE_BENEATH | NO_SYMLINKS |
 * NO_MAGICLINKS) or by an *at() call that does not follow the last component, below the O_PATH
 * descriptor of a directory inside the share. What was found is held by its descriptor, so a rename
 * cannot change what a node is. Only regular files and directories are ever opened. The process
 * this runs in has a second wall (host/sandbox_tree.h).
 */
#pragma once

#include "share/share.h"

struct share_server;
struct share_worker;

struct share_server_config {
    int root_fd; /* O_PATH, the shared directory; taken over */
    int proc_fd; /* /proc/self/fd, to open again what a descriptor stands for; taken over */
    bool read_only;
    struct share_owner owner;
    bool become; /* create things as the user who asks for it (not squashed, capable) */
    unsigned nodes_max, files_max;
    /* Numbers that an earlier server has given a guest must mean nothing to a later one: theirs
     * differ by this, which no two of a share have in common. */
    uint32_t session;
};

int must_use share_server_new(const struct share_server_config *config,
                              struct share_server **ret_server, struct err *err);
void share_server_free(struct share_server *server); /* NULL is fine; no worker may be at work */

/* NULL: no memory. Used by one thread. */
struct share_worker *share_worker_new(struct share_server *server);
void share_worker_free(struct share_worker *worker);

/* Serves one request. The bytes may change meanwhile (they lie in shared memory). reply has room
 * bytes and an alignment of 8. The length of the reply, 0: there is none. */
size_t share_serve(struct share_worker *worker, const void *request, size_t len, void *reply,
                   size_t room);

/* For tests: nodes and open files there are. */
unsigned share_server_nodes(struct share_server *server);
unsigned share_server_files(struct share_server *server);
