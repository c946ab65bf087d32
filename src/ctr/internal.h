/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the monitor of containers share.
 *
 * A container's life: built (root mounted, configuration written) -> its owner speaks -> starting
 * (posada-oci at work) -> running -> ended: what is left of it is deleted -> waiting for its next
 * run, or over.
 */
#pragma once

#include "ctr/group.h"
#include "ctr/job.h"
#include "ctr/net.h"
#include "ctr/pressure.h"
#include "ctr/proc.h"
#include "ctr/root.h"
#include "ctr/user.h"
#include "vm/control.h"
#include "vm/events.h"
#include "vm/store.h"

enum {
    CTR_STOP_SECONDS = 10,          /* for an end nobody gave a time for */
    CTR_LAST_WORDS_NS = 2000000000, /* for clients to take the end of its output */
};

enum ctr_phase { CTR_BUILT, CTR_STARTING, CTR_RUNNING, CTR_CLEANING, CTR_WAITING, CTR_OVER };

/* The monitor. */
struct ctrs {
    struct loop *loop;
    struct ctr *list;
    struct ctr_layers layers;
    struct loop_timer *idle;
    struct loop_timer *accept; /* no descriptors were left: commands wait until then */
    unsigned links;            /* connections that may bring another container */
    int listen_fd, dir_fd;
    char *run_dir;  /* of all guests: RUN/guests */
    char *data_dir; /* DATA/guests */
    char *oci_root; /* posada-oci's state */
    char *oci;      /* its program */
    char *self;     /* ours */
    json_t *seccomp;
    unsigned users; /* we are root of a user namespace with so many; 0: the host's */
    struct ctr_group group;
};

/* One more process in a container (exec, cp). */
struct ctr_exec {
    struct ctr_exec *next;
    struct ctr *ctr;
    struct ctr_proc *proc;
    unsigned number; /* of its files in the run directory */
    bool detached;
};

/* A question to posada-oci that a client waits for. */
struct ctr_question {
    struct ctr_question *next;
    struct ctr *ctr;
    struct conn *conn; /* NULL: gone meanwhile */
    struct ctr_job job;
    unsigned number;
    void (*answer)(struct ctr_question *q, const struct buf *out);
    void (*failed)(struct ctr_question *q); /* NULL: nothing more to do */
    char log[96], file[96];
};

struct ctr {
    struct ctr *next;
    struct ctrs *all;
    enum ctr_phase phase;
    struct guest guest;
    struct vm_config config;
    struct guest_record record;
    struct guest_log *log;
    struct control *control;
    struct conn *owner;   /* the command line that waits for it; NULL: detached */
    struct conn *starter; /* waits to hear how the start goes; NULL: nobody */
    struct ctr_root root;
    struct ctr_net net;
    struct ctr_pressure pressure;
    struct ctr_proc *proc;
    struct ctr_exec *execs;
    struct ctr_question *questions;
    struct ctr_job job;       /* the step of its life that is being done */
    struct loop_timer *timer; /* a stop's patience, a restart's delay, last words */
    struct loop_timer *sync;  /* writes a changed record down */
    char *run_path, *root_path, *log_path;
    int run_fd;
    pid_t pid; /* of its first process; 0: none */
    unsigned tries, numbers;
    unsigned stop_seconds; /* of the stop that is wanted */
    uint64_t last_words_ns;
    int early_status; /* it ended before its start had been told */
    bool begun, stop_wanted, kill_wanted, ended_early;
    bool killed; /* SIGKILL has been sent */
};

/* --- birth (birth.c) --- */
/* Takes the guest over, with its descriptors, and owner_fd. Says to the owner how it went. */
void ctr_new(struct ctrs *all, struct guest *guest, int owner_fd);
/* Takes over what a killed monitor left of a guest, whose lock we hold now: listed, with a stream,
 * but without a process. NULL: it cannot be, and has been said to have failed. */
struct ctr *ctr_take(struct ctrs *all, struct guest *guest);
/* It runs on no more, or must not: killed, said to have failed, deleted. */
void ctr_end_lost(struct ctr *c, const char *why);

/* --- start (start.c) --- */
void ctr_begin(struct ctr *c);
void ctr_run_again(struct ctr *c);                   /* the next run, by its restart policy */
void ctr_fail(struct ctr *c, const struct err *err); /* this run cannot be */
/* A stream for the first process of the next run; NULL: no memory. */
struct ctr_proc *ctr_first_proc(struct ctr *c);
/* One posada-oci as the step that is being done. fds NULL: /dev/null. */
int must_use ctr_step(struct ctr *c, const char *const *words, const int fds[3],
                      void (*done)(void *arg, int code, const struct buf *out,
                                   const struct err *err),
                      struct err *err);

/* --- life and its end (life.c) --- */
void ctr_stop(struct ctr *c, unsigned seconds);
void ctr_kill(struct ctr *c);
/* Frozen behind a stop's signal, which waits for the processes to be thawed. */
void ctr_loosen(struct ctr *c);
/* This run is over: told to everybody, deleted behind. Later calls change nothing. */
void ctr_end(struct ctr *c, enum vm_state state, unsigned code, const char *reason);
/* Asked to end before it began, or between two runs: then the last run's end stands. */
void ctr_end_unborn(struct ctr *c, const char *why);
bool ctr_is_due(struct ctr *c); /* once more, by its restart policy */
void ctr_state(struct ctr *c, enum vm_state state, const char *fmt, ...) printf_fn(3, 4);
void ctr_sync(struct ctr *c); /* writes the record down now */
void ctr_on_sync(void *arg);
void ctr_on_timer(void *arg);
/* Nothing of the run is left but the record; false: its root is still mounted. */
bool ctr_clear(struct ctr *c);
void ctr_free(struct ctr *c);
/* posada-oci for this container. */
struct ctr_oci ctr_oci_of(const struct ctr *c, const char *log_path);
/* The exit code of a start that failed. */
unsigned ctr_failure_code(const struct err *err);

/* --- building (build.c) --- */
int must_use ctr_build(struct ctr *c, struct err *err);
/* A file of a run directory; not synced, for it is gone with the host. */
int must_use ctr_write_run(int dir_fd, const char *name, const char *text, struct err *err);
int must_use ctr_write_json(int dir_fd, const char *name, json_t *json, struct err *err);
int must_use ctr_open_root(const struct ctr *c, int *ret_fd, struct err *err);
/* A user of the container by name, NULL: the container's own; refused where there is only root. */
int must_use ctr_find_user(const struct ctr *c, const char *wish, struct ctr_user *ret,
                           struct err *err);

/* --- memory (memory.c) --- */
/* A running one: its high mark moves, or no longer does, as its configuration says. */
void ctr_memory_watch(struct ctr *c);
/* One that has just ended: whether the kernel killed some of it at its limit. */
bool ctr_memory_was_short(const struct ctr *c);
void ctr_memory_numbers(const struct ctr *c, json_t *numbers);

/* --- what clients ask (ops.c, exec.c) --- */
void ctr_request(void *arg, struct conn *conn, const json_t *request);
void ctr_gone(void *arg, struct conn *conn, bool detached);
void ctr_exec_request(struct ctr *c, struct conn *conn, const json_t *request);
void ctr_exec_free_all(struct ctr *c);
void ctr_questions_free(struct ctr *c);
/* Asks posada-oci for a client, NULL: for ourselves; answer is called only when it succeeds. */
void ctr_ask(struct ctr *c, struct conn *conn, const char *const *words, bool output,
             void (*answer)(struct ctr_question *q, const struct buf *out));

/* --- after a kill -9 (adopt.c) --- */
void ctrs_adopt(struct ctrs *all);
/* The first process of any container that a killed monitor left running; 0: of none. */
pid_t ctrs_left_init(void);
void ctr_note_init(const struct ctr *c); /* for the next monitor */

/* --- the monitor (monitor.c) --- */
void ctrs_forget(struct ctrs *all, struct ctr *c); /* it is over: freed by the caller */
