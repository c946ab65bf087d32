/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What checkpoint and restore share: a container's mounts that come from outside, which criu wants
 * named, and a file of ours among its images that remembers them.
 *
 * "posada.json": {"version": 1, "cgroup": path or null, "descriptors": [three texts],
 *                 "mounts": [{"at": mount point inside, "source": path on the host}]}
 */
#pragma once

#include "container/arena.h"
#include "container/container.h"

#define CHECKPOINT_FILE "posada.json"

struct checkpoint_mount {
    const char *at, *source;
};
struct checkpoint_record {
    const char *cgroup; /* NULL: it had none */
    const char *descriptors[3];
    struct checkpoint_mount *mounts;
    unsigned count;
};

/* Mounts of the process that are binds of something outside its mount namespace, each with where
 * this host shows the same. What it does not show is by name only a device or a bind of the
 * configuration; anything else may have been mounted by the container. */
int must_use checkpoint_find_mounts(struct arena *arena, const struct spec *spec, pid_t pid,
                                    struct checkpoint_record *ret, struct err *err);
/* The same from the texts of two mountinfo files (changed by it). */
int must_use checkpoint_match_mounts(struct arena *arena, const struct spec *spec, char *inside,
                                     char *host, struct checkpoint_record *ret, struct err *err);
int must_use checkpoint_save(int images, const struct checkpoint_record *record, struct err *err);
int must_use checkpoint_load(struct arena *arena, int images, struct checkpoint_record *ret,
                             struct err *err);
/* A directory by path, made when make: a descriptor. */
int must_use checkpoint_open_dir(const char *path, bool make, const char *what, struct err *err);
/* The criu configuration that annotation or administrator wants, NULL: none. */
const char *checkpoint_config(const struct spec *spec);
/* "soft" and the like as criu's number, -1: no such mode. */
int checkpoint_cgroups_mode(const char *name);
/* The name of a kind of namespace below /proc/PID/ns. */
const char *checkpoint_namespace_file(uint64_t flag);
/* Whether a namespace file names one we are in ourselves: criu, too, then, so it is no matter. */
bool checkpoint_is_our_namespace(const char *path, uint64_t flag);
/* Adds the last complaint of criu's log to err. */
int checkpoint_explain(int work, const char *log, const char *what, const char *id, int code,
                       const char *message, struct err *err);
