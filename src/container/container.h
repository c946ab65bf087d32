/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers as the OCI runtime-spec's runtime.md describes them: one function for each operation.
 * They are synchronous and leave nothing running but the container itself. err carries one
 * sentence; after a failed create or run nothing of the container is left.
 */
#pragma once

#include "container/spec.h"
#include "container/state.h"

enum container_manager { CONTAINER_CGROUPFS, CONTAINER_SYSTEMD, CONTAINER_NO_CGROUPS };

/* What all operations share. */
struct container_runtime {
    struct arena *arena;
    const char *root; /* directory of all containers */
    enum container_manager manager;
    struct cgroup
        *groups;       /* caller's, zeroed: what was found about this host's groups; may be NULL */
    const char *criu;  /* the program, NULL: the one in PATH */
    spec_note_fn note; /* hears of unknown fields and the like; NULL: nobody */
    void *note_arg;
};

struct container_create {
    const char *id, *bundle, *config; /* config NULL: config.json in the bundle */
    const char *console_socket, *pid_file;
    unsigned preserve_fds, listen_fds; /* the latter are among the former */
    bool no_pivot, no_new_keyring, detach, keep;
};

int must_use container_create(const struct container_runtime *rt, const struct container_create *c,
                              struct err *err);
int must_use container_start(const struct container_runtime *rt, const char *id, struct err *err);
/* create and start in one; then, unless c->detach, waits and deletes. *ret_code: what the program
 * ended with (128 + n for signal n). */
int must_use container_run(const struct container_runtime *rt, const struct container_create *c,
                           int *ret_code, struct err *err);

struct container_info {
    struct state state;
    enum state_status status;
    struct state_place at; /* open; container_close() */
};
int must_use container_open(const struct container_runtime *rt, const char *id,
                            struct container_info *ret, struct err *err);
void container_close(struct container_info *info);
/* Names of all containers, NULL-terminated, sorted. */
int must_use container_list(const struct container_runtime *rt, const char ***ret_ids,
                            struct err *err);

int must_use container_kill(const struct container_runtime *rt, const char *id, int signal,
                            bool all, struct err *err);
int must_use container_delete(const struct container_runtime *rt, const char *id, bool force,
                              struct err *err);
int must_use container_pause(const struct container_runtime *rt, const char *id, bool frozen,
                             struct err *err);
/* Pids in the runtime's namespace; *ret_pids is 0-terminated. */
int must_use container_processes(const struct container_runtime *rt, const char *id,
                                 pid_t **ret_pids, struct err *err);
int must_use container_update(const struct container_runtime *rt, const char *id,
                              const struct spec_resources *resources, struct err *err);

struct container_exec {
    const char *id;
    const struct spec_process *process; /* everything to do is in it */
    const struct spec *spec;            /* the container's, where it is known already, else NULL */
    const char *console_socket, *pid_file, *cgroup;
    unsigned preserve_fds;
    bool detach, keep_capabilities;
};
/* The container's own configuration: its process is a start for an exec's. */
int must_use container_exec_template(const struct container_runtime *rt, const char *id,
                                     struct spec *ret_spec, struct spec_process *ret,
                                     struct err *err);
int must_use container_exec(const struct container_runtime *rt, const struct container_exec *e,
                            int *ret_code, struct err *err);

struct container_checkpoint {
    const char *id, *image_path, *work_path, *parent_path; /* work, parent NULL: not given */
    int cgroups_mode;                                      /* checkpoint_cgroups_mode() */
    bool leave_running, pre_dump, ext_unix_sk, tcp_established, tcp_skip_in_flight, tcp_close,
        shell_job, file_locks, link_remap, auto_dedup;
};
/* Writes a running container to files and, unless it is to run on, ends and removes it. Needs a
 * usable criu: -EOPNOTSUPP says what is wrong with the one there is. */
int must_use container_checkpoint(const struct container_runtime *rt,
                                  const struct container_checkpoint *c, struct err *err);
struct container_restore {
    struct container_create create;
    struct container_checkpoint from; /* image_path, work_path, cgroups_mode, flags */
    const char *lsm_profile;          /* NULL: as it was */
};
/* The container that image_path holds, under an id and a bundle of now; then as container_run(). */
int must_use container_restore(const struct container_runtime *rt,
                               const struct container_restore *c, int *ret_code, struct err *err);

/* Shared by the files of this part. */
struct cgroup;
/* This host's hierarchies, looked for once. */
int must_use container_find_groups(const struct container_runtime *rt, struct cgroup *ret,
                                   struct err *err);
int must_use container_groups(const struct container_runtime *rt, const struct state *state,
                              struct cgroup *ret, struct err *err);
/* The configuration a container was made with. */
int must_use container_read_spec(const struct container_runtime *rt, const struct state_place *at,
                                 const char *id, struct spec *ret, struct err *err);
/* Ends and removes all that is left of it; the state goes last. groups, spec: where
 * somebody knows them already, else NULL. */
int must_use container_clean(const struct container_runtime *rt, struct container_info *c,
                             const struct cgroup *groups, const struct spec *spec, struct err *err);
/* From here on our signals wait for container_follow(): called before the program starts. */
void container_hold_signals(void);
/* Waits for the process, passing on our signals and, where these are not -1, the terminal and
 * messages of its notify socket. */
int must_use container_follow(pid_t pid, int master, int notify, int *ret_code, struct err *err);
int must_use container_write_pid(const char *path, pid_t pid, struct err *err);
int must_use container_connect(const char *path, struct err *err);
