/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roots of containers: an overlay of the image's layers, which all containers share, and what this
 * one changes. A layer is an EROFS file, mounted once however many images and containers have it,
 * so its pages are in memory once. Where the kernel mounts no EROFS for us, the lower one is a tree
 * of the store. Everything is mounted in the monitor's own mount namespace: it is gone with it.
 */
#pragma once

#include "vm/store.h"

enum { CTR_LAYERS_MAX = 128 };

struct ctr_layer;

/* All layers that are mounted; one for the process. */
struct ctr_layers {
    struct ctr_layer *list;
    int dir_fd;    /* the directory they are mounted in */
    bool own_user; /* we are root of a user namespace only */
};

struct ctr_root {
    struct ctr_layer *layer[CTR_LAYERS_MAX]; /* held */
    unsigned count;
    bool mounted;
};

int must_use ctr_layers_init(struct ctr_layers *all, bool own_user, struct err *err);

/* Mounts the guest's root at the directory `target`; "upper" and "work" in the guest's directory
 * are made when missing. */
int must_use ctr_root_mount(struct ctr_layers *all, const struct guest *guest,
                            const struct vm_config *config, const char *target,
                            struct ctr_root *ret, struct err *err);
/* -errno: it is still mounted, and what is below target must not be touched. */
int must_use ctr_root_unmount(struct ctr_layers *all, struct ctr_root *root, const char *target);
/* Whether this process may mount EROFS files at all: for who chooses what a guest is made of. */
bool ctr_root_has_erofs(void);
