/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The box a guest's monitor locks itself into once its machine is built and before guest code
 * runs. Afterwards it may compute, use what is open, and work in its guest's directory; it may
 * start no program, open nothing else, reach no network and no other process.
 *
 * Layers, each on its own: namespaces with the guest's directory as root, a user of its own (root
 * only), no_new_privs, no capabilities, Landlock, a seccomp allow-list. A layer that the host does
 * not offer is skipped and told of; sandbox_parts() tells which there are. An error in one that is
 * there stops the start. So does, unless a thin box was asked for, a host that offers neither of
 * the two layers that hide files, or no seccomp: there a flaw in a device would be a way out.
 */
#pragma once

#include <posada/err.h>
#include <stdbool.h>
#include <stdint.h>

enum sandbox_level {
    SANDBOX_AUTO,   /* what the host offers, if that is enough */
    SANDBOX_STRICT, /* all layers (a user of its own: only as root) */
    SANDBOX_THIN,   /* what the host offers */
};

struct sandbox_config {
    enum sandbox_level level;
    int dir_fd;                   /* the guest's directory: all it may reach; stays this number */
    const char *const *own_files; /* in it, which it may replace; NULL-terminated */
    const char *name;             /* of the guest, for messages */
    const char *uuid;             /* of the guest: chooses the user it runs as */
    const uint32_t *ioctls;       /* requests it goes on making, 0-terminated; NULL: none */
};

/* In the parent, before and after the fork of the process that will enter: what only a parent can
 * give, and that its other children do not get it. */
void sandbox_prepare_child(void);
void sandbox_child_is_born(void);
struct sandbox_missing {
    char text[400]; /* layers that are not there, and why: "namespaces (...), landlock (...)" */
};
/* Closes every other directory that is open: each would be a way out. -EOPNOTSUPP when the host
 * offers too little for the level. */
int must_use sandbox_enter(const struct sandbox_config *config, struct sandbox_missing *ret_missing,
                           struct err *err);
/* "strict" or "thin"; NULL: SANDBOX_AUTO. -EINVAL. */
int must_use sandbox_level_parse(const char *text, enum sandbox_level *ret_level);

/* How many system calls a monitor may make at all, those that are bound to arguments included. */
unsigned sandbox_call_count(void);

struct sandbox_part {
    const char *name;
    bool available;
    char detail[80];
};
/* Whether guests start here at SANDBOX_AUTO, by what sandbox_parts() found. */
bool sandbox_parts_suffice(const struct sandbox_part *parts, unsigned count);
/* What this host offers to this user, found by trying it in a child; how many were written. */
unsigned sandbox_parts(struct sandbox_part *parts, unsigned room);
