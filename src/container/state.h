/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the runtime remembers of a container: one file ROOT/ID, whose creation claims the id. One
 * JSON object: the record below in its first line, and as "config" the configuration as it was. It
 * is written before anything is made, so that "delete --force" knows what to undo whenever the
 * creator died; later only numbers of fixed width change in it. Whoever creates or deletes holds
 * its lock (file_lock), and loses it when he dies, however; it goes last.
 *
 * One file, for making one costs more than most system calls of a start, and a directory is worse:
 * it has a block at once, and to free that may wait for the disk. What some containers need besides
 * is named after the file's inode (a socket's path has room for no long name):
 *
 *   ROOT/:INODE.start   the socket the waiting init listens on; gone once started
 *
 *   ROOT/:INODE.notify  a directory with its NOTIFY_SOCKET
 *
 * For create, which does more anyway, the file is ROOT/ID/status: crun's own test suite reads it
 * there.
 */
#pragma once

#include "container/arena.h"
#include <posada/err.h>
#include <stdbool.h>
#include <sys/types.h>

enum state_status {
    STATE_CREATING, /* its creator lives */
    STATE_CREATED,
    STATE_RUNNING,
    STATE_PAUSED,
    STATE_STOPPED, /* or its creator died */
};
extern const char *const state_status_names[];

struct state {
    const char *id;
    pid_t pid;           /* 0: not yet */
    uint64_t start_time; /* of that process, in ticks since boot: pids come back */
    const char *bundle, *rootfs, *created, *owner;
    uint32_t owner_uid;
    const char *cgroup;   /* path below each hierarchy, NULL: none */
    unsigned cgroup_made; /* how many of its last parts are ours to remove */
    const char *scope;    /* systemd unit, NULL: none */
    bool scope_made;      /* it was started for us: before, another's may have that name */
    bool own_pids;        /* its pid namespace ends with its init */
    bool systemd, detached;
    const char *annotations; /* the JSON object as text, NULL: none */
    const char *descriptors; /* what its 0, 1, 2 were, a JSON array as text: restore needs it */
};

/* The directory of all containers; root NULL: the default one. Made when make. */
int must_use state_open_root(const char *root, bool make, int *ret_fd, struct err *err);
const char *state_default_root(struct arena *arena, struct err *err);

/* Where the state of one is. */
struct state_place {
    int root, file; /* -1: not open */
};
#define STATE_NOWHERE ((struct state_place){-1, -1})

/* Claims the id: makes its file, in a folder of its own or not, and holds its lock. -EEXIST when it
 * is taken. */
int must_use state_claim(const char *root, const char *id, bool folder, struct state_place *ret,
                         struct err *err);
/* Removes the empty folder of a creator that was killed right then. */
void state_sweep(const char *root, const char *id);
/* An existing one: -ENOENT with a sentence otherwise. */
int must_use state_open(const char *root, const char *id, struct state_place *ret, struct err *err);
void state_close(struct state_place *at);
/* -EAGAIN: somebody else has it, for longer than we waited. -ENOENT: it was deleted meanwhile. */
int must_use state_lock(const struct state_place *at, unsigned wait_ms);
void state_unlock(const struct state_place *at);
/* The name, below the root, of what belongs to it. */
struct state_name {
    char text[32];
};
struct state_name state_name(const struct state_place *at, const char *what);
#define STATE_START  "start"
#define STATE_NOTIFY "notify"

/* Writes the record with the configuration behind it, then (update) only its numbers. */
int must_use state_save(const struct state_place *at, const struct state *state, const char *config,
                        size_t len, struct err *err);
int must_use state_update(const struct state_place *at, const struct state *state, struct err *err);
int must_use state_load(struct arena *arena, const struct state_place *at, const char *id,
                        struct state *ret_state, struct err *err);
/* The configuration as it was when the container was made, in the arena. */
int must_use state_config(struct arena *arena, const struct state_place *at, const char *id,
                          char **ret_text, size_t *ret_len, struct err *err);
/* Without looking at freezers: STATE_RUNNING may be paused. */
enum state_status state_look(const struct state_place *at, const struct state *state);
/* A pidfd of its init, -ESRCH when that has ended. */
int must_use state_pidfd(const struct state *state);
void state_remove(const struct state_place *at, const char *id);

/* Start time of a process in ticks, 0 when there is none (a zombie counts as none). */
uint64_t state_start_time(pid_t pid);
int must_use state_check_id(const char *id, struct err *err);
