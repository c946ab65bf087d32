/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's view of files, built by its first process in a mount namespace of its own
 * (runtime-spec config.md "Mounts", config-linux.md). The root file system's owner is hostile and
 * may change it meanwhile: targets are looked up by container/path.h, and every mount goes onto a
 * descriptor. Attributes are set with mount_setattr(2), which changes what it names and nothing
 * else, so flags locked by an outer user namespace are no trouble.
 */
#pragma once

#include "container/cgroup.h"
#include "container/spec.h"

struct mounts {
    const struct spec *spec;
    const struct cgroup *cgroup;  /* path NULL: none */
    const char *empty;            /* an empty directory of ours: masks directories */
    const char *bundle;           /* relative sources are below it */
    int root;                     /* the root file system as a tree of its own, not attached yet */
    int *trees;                   /* by mount: what the runtime prepared, -1: nothing */
    int *devices;                 /* by device: the same, made with the rights of the host's root */
    int *late;                    /* by mount: becomes read-only in the end, -1: no */
    const struct spec_maps *maps; /* of the new user namespace */
    bool in_userns, no_pivot, dev_ours; /* dev_ours: /dev is a fresh mount, not a bind */
    int (*before_groups)(void *arg);    /* called before the first cgroup mount */
    void *arg;
    struct err *err;
};

/* In the runtime: what must be opened with its rights. user: the container gets a new user
 * namespace. Fills root and trees. */
int must_use mounts_prepare(struct mounts *m, const char *rootfs, bool user);
/* In the container's process, in this order. */
int must_use mounts_isolate(struct mounts *m, const char *rootfs);
int must_use mounts_make_all(struct mounts *m);
int must_use mounts_devices(struct mounts *m);
/* Whether path is one that a configuration has made a device of, by itself or by default. */
bool mounts_is_device(const struct spec *spec, const char *path);
int must_use mounts_hide(struct mounts *m);
int must_use mounts_pivot(struct mounts *m);

/* Parts, in files of their own. */
int must_use mounts_cgroup(struct mounts *m, const struct spec_mount *s, int target);
/* Replaces what lies at path by a bind of the host's file; the runtime's own view is looked at. */
int must_use mounts_bind_file(struct mounts *m, const char *from, const char *path);
int must_use mounts_attach(int tree, int target);
/* open_tree(2) with a clone: a descriptor or -errno. */
int must_use mounts_clone(int dir, const char *path, unsigned flags);
int must_use mounts_set(int tree, unsigned flags, uint64_t set, uint64_t clear,
                        uint64_t propagation, int userns);
/* MS_* of mount(2) as MOUNT_ATTR_*. */
uint64_t mounts_attributes(uint64_t flags);
/* Device nodes that a process in a user namespace cannot make: made on a tmpfs that nobody sees. */
int must_use mounts_prepare_devices(struct mounts *m);
/* Copies a directory's content: for tmpcopyup. */
int must_use mounts_copy_tree(int from, int to);
