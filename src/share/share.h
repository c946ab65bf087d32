/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shares: a folder of the host in a guest. Our FUSE server runs in a helper process of its own, in
 * a box of its own (host/sandbox_tree.h); here are the monitor's side of it and its start.
 */
#pragma once

#include <posada/err.h>
#include <posada/fsdev.h>
#include <stdbool.h>
#include <sys/types.h>

struct loop;

/* Whose the files are. Numbers a guest sees and numbers of the host are the same, unless squashed:
 * then one user of the host does everything, and all belongs to one user of the guest. */
struct share_owner {
    bool squash;
    uid_t uid; /* of the host */
    gid_t gid;
    uid_t guest_uid;
    gid_t guest_gid;
};

struct share_config {
    const char *guest; /* its name, for messages */
    const char *tag;
    const char *path; /* of the host, absolute */
    bool read_only;
    struct share_owner owner;
    int log_fd;                                 /* where the helper complains */
    void (*lost)(void *arg, struct fsdev *dev); /* the helper has ended */
    void *arg;
};

/* Starts the helper and waits until it is in its box. fsdev_close() ends it. */
int must_use share_new(struct loop *loop, const struct share_config *config, struct fsdev **ret_dev,
                       struct err *err);
/* Starts a helper alone, in place of one that is gone: its link and its window, for
 * share_reconnect(). */
int must_use share_start(const struct share_config *config, pid_t *ret_pid, int ret_fds[2],
                         struct err *err);
/* Takes both descriptors over, also when it fails; -EBUSY: its helper is there. What the guest has
 * open stays lost (ESTALE, EBADF); whatever it looks up from now on works. */
int must_use share_reconnect(struct fsdev *dev, int link_fd, int window_fd);
/* The monitor's side alone, for a helper somebody else has started (tests): takes link_fd and
 * window_fd over, also when it fails. */
int must_use share_link_new(struct loop *loop, const struct share_config *config, int link_fd,
                            int window_fd, struct fsdev **ret_dev, struct err *err);
void fsdev_close(struct fsdev *dev); /* NULL is fine */

/* The helper: arguments are guest, path, "ro" or "rw", owner's five numbers. The exit code. */
int share_main(char *const *arguments, unsigned count);
