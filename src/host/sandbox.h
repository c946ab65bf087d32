/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The box a guest's monitor locks itself into once its machine is built and before guest code
 * runs. Afterwards it may compute, use what is open, and work in its guest's directory; it may
 * start no program, open nothing else, reach no network and no other process.
 *
 * Layers, each on its own: namespaces with the guest's directory as root, a user of its own (root
 * only), no_new_privs, no capabilities, Landlock, a seccomp allow-list. A layer that the host does
 * not offer is skipped; sandbox_parts() tells which there are. An error in one that is there stops
 * the start.
 */
#pragma once

#include <posada/err.h>
#include <stdbool.h>
#include <stdint.h>

struct sandbox_config {
    int dir_fd;                   /* the guest's directory: all it may reach; stays this number */
    const char *const *own_files; /* in it, which it may replace; NULL-terminated */
    const char *name;             /* of the guest, for messages */
    const char *uuid;             /* of the guest: chooses the user it runs as */
    const uint32_t *ioctls;       /* requests it goes on making, 0-terminated; NULL: none */
};

/* In the parent, before the fork of the process that will enter: what only a parent can give. */
void sandbox_prepare_child(void);
/* Closes every other directory that is open: each would be a way out. */
int must_use sandbox_enter(const struct sandbox_config *config, struct err *err);

struct sandbox_part {
    const char *name;
    bool available;
    char detail[80];
};
/* What this host offers to this user, found by trying it in a child; how many were written. */
unsigned sandbox_parts(struct sandbox_part *parts, unsigned room);
