/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The box a guest's monitor locks itself into once its machine is built and before guest code
 * runs. Afterwards it may compute, use what is open, and write in its guest's directory; it may
 * start no program, open nothing else, reach no network and no other process.
 *
 * Layers, each on its own: namespaces and a user of its own (root only), no_new_privs, Landlock
 * where the kernel has it, a seccomp allow-list. A layer the host lacks is skipped and reported by
 * sandbox_parts(); an error in one that is there stops the start.
 */
#pragma once

#include <posada/err.h>
#include <stdbool.h>

struct sandbox_config {
    int dir_fd;       /* the guest's directory: all it may write */
    const char *uuid; /* of the guest: names the user it runs as */
    const char *name;
};

/* In the parent, before the fork of the process that will enter: what only a parent can give. */
void sandbox_prepare_child(void);
/* One thread, everything open. */
int must_use sandbox_enter(const struct sandbox_config *config, struct err *err);

struct sandbox_part {
    const char *name;
    bool available;
    char detail[80];
};
/* What this host offers; how many were written. */
unsigned sandbox_parts(struct sandbox_part *parts, unsigned room);
