/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's end of a guest's virtio-vsock device, by Unix sockets. The guest reaches what listens
 * on PATH_P when it connects to its host's (CID 2) port P. A program on the host reaches the
 * guest's port P by connecting to PATH and saying "CONNECT P\n"; it hears "OK Q\n", Q being its own
 * port, and from then on the guest's bytes, or the end when nobody there listens.
 *
 * A monitor in its sandbox opens no sockets: a helper process connects to PATH_P and hands the
 * connection over. It is asked by port number only, and has PATH's directory as its root.
 */
#pragma once

#include <posada/err.h>
#include <posada/vsockdev.h>
#include <sys/types.h>

struct loop;

struct net_vsock_config {
    const char *guest;       /* its name */
    const char *path;        /* absolute */
    int log_fd;              /* where the helper complains */
    void (*lost)(void *arg); /* the helper is gone: the guest cannot reach the host's sockets */
    void *arg;
};

/* Makes the socket PATH and starts the helper: before the sandbox. A socket at PATH on which nobody
 * listens any more is replaced. */
int must_use net_vsock_open(struct loop *loop, const struct net_vsock_config *config,
                            struct vsockdev **ret_dev, struct err *err);
/* Starts a helper alone: in place of one that is gone. ret_fd goes to net_vsock_reconnect(). */
int must_use net_vsock_start(const struct net_vsock_config *config, pid_t *ret_pid, int *ret_fd,
                             struct err *err);
/* Takes helper_fd over, also when it fails. Connections that were open stay so. -EBUSY: its helper
 * is there. */
int must_use net_vsock_reconnect(struct vsockdev *dev, int helper_fd);
/* NULL is fine. PATH stays: see net_vsock_tidy(). */
void net_vsock_close(struct vsockdev *dev);
/* The same over descriptors (either may be -1), which it takes over also when it fails. */
int must_use net_vsock_new(struct loop *loop, int listen_fd, int helper_fd,
                           const struct net_vsock_config *config, struct vsockdev **ret_dev,
                           struct err *err);
/* Removes PATH when it is a socket on which nobody listens any more. */
void net_vsock_tidy(const char *path);

/* The helper: argument PATH. The exit code. */
int net_vsock_main(const char *path);
