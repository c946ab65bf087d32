/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chamber: a program of a directory tree run as that tree's root, seeing nothing else of the
 * host, while the tree itself stays as it is. For programs that one does not want to run on the
 * host: packages configuring themselves. Those of another architecture are run by an emulator of
 * the host's (container/binfmt.h), which is all that is seen of the host then.
 *
 * Namespaces of its own for users, mounts, processes, network, IPC and host name. User 0 in there
 * is an ordinary one outside (as root: one that nobody else is; as an ordinary user: oneself, with
 * the subordinate ids of subuid(5) and newuidmap(1) for the others). Changes go to memory (tmpfs
 * under overlayfs) and end with it, so a death at any point leaves nothing behind; there are six
 * device nodes, no network interface and none of the capabilities that reach beyond files.
 *
 * The caller's directory holds: `root` (the tree), `share` (for what goes in and comes out), `work`
 * and `merged` (empty). In there: /, with /mnt showing the tree once more but without what is
 * mounted over /dev, /proc and /run; and /run/share.
 */
#pragma once

#include <posada/err.h>
#include <sys/types.h>

struct binfmt;

struct chamber_ids {
    uid_t uid; /* who has to own the directory and all in it: user 0 in there */
    gid_t gid;
    unsigned others, other_uid, other_gid; /* 1 to others - 1: from these on */
};

/* Who one is in there. -EOPNOTSUPP: an ordinary user without subordinate ids. */
int must_use chamber_ids(struct chamber_ids *ret, struct err *err);
/* A user namespace in which one is that, with nobody in it, for setns(2): a descriptor. */
int must_use chamber_make_users(const struct chamber_ids *ids, struct err *err);
/* Tries whether this host makes chambers; foreign: for programs of that architecture too (NULL: the
 * host's only). -EOPNOTSUPP with the reason when not. */
int must_use chamber_check(const struct chamber_ids *ids, const struct binfmt *foreign,
                           struct err *err);
/* Runs argv (paths are those in there) and waits; in a process that may be used up: its mounts and
 * its signals change. What is written to 1 and 2 goes where the caller's does. The exit status
 * (128+n for a signal), or a negative errno. Dies with the caller. */
int must_use chamber_run(const struct chamber_ids *ids, const struct binfmt *foreign, int dir_fd,
                         const char *const *argv, struct err *err);
/* Removes a tree, whichever of the users that one is in there its files belong to; name: below
 * dir_fd. */
int must_use chamber_remove(const struct chamber_ids *ids, int dir_fd, const char *name,
                            struct err *err);
