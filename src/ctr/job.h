/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that the monitor of containers starts: posada-oci for one step of a container, this
 * program again in another role. None is waited for; their end comes by the event loop. What goes
 * wrong in posada-oci is one sentence in its log file.
 */
#pragma once

#include "base/buf.h"
#include <posada/err.h>
#include <stdbool.h>
#include <sys/types.h>

struct loop;

enum { CTR_STATUS_UNKNOWN = -1 }; /* the process was not ours, and this kernel does not tell */

/* A process of ours whose end is awaited. */
struct ctr_child {
    struct loop *loop;
    pid_t pid;
    int pidfd; /* -1: none is awaited */
    void (*ended)(void *arg, int status);
    void *arg;
    struct ctr_child *next; /* of all that are awaited */
};

/* argv[0] is the path. in, out, err_fd: what it finds as 0, 1, 2; -1: /dev/null. keep: becomes 3
 * and on, `kept` of them. It stands in a session of its own and has no other descriptor of ours. */
struct ctr_spawn {
    char *const *argv;
    int in, out, err_fd;
    const int *keep;
    unsigned kept;
};
/* Lets this process have as many descriptors as it may; ctr_spawn_program()'s keep the limit of
 * before. */
void ctr_spawn_raise_files(void);
int must_use ctr_spawn_program(const struct ctr_spawn *s, pid_t *ret_pid, struct err *err);

/* Waits for a process that is our child, or became so when its parent ended; also for
 * somebody else's, whose status may stay unknown. */
int must_use ctr_child_watch(struct ctr_child *c, struct loop *loop, pid_t pid,
                             void (*ended)(void *arg, int status), void *arg, struct err *err);
void ctr_child_signal(const struct ctr_child *c, int signal);
void ctr_child_forget(struct ctr_child *c); /* kills one that still runs */
/* Sees out children that nobody awaits: what our programs left behind becomes ours. Not while a
 * process may be ours that somebody is about to await. */
void ctr_child_reap(void);
/* 0 to 255 of a wait status; 128 + n for signal n; 125 for an unknown one. */
unsigned ctr_exit_code(int status);

/* One call of posada-oci. */
struct ctr_job {
    struct ctr_child child;
    int log_dir; /* the directory of its log: the caller's */
    char log_name[24];
    int out_fd; /* -1: its output is not wanted */
    struct buf out;
    /* Ended; err has its sentence where code is not 0. The job is free for another before. */
    void (*done)(void *arg, int code, const struct buf *out, const struct err *err);
    void *arg;
};

struct ctr_oci {
    const char *program, *root; /* posada-oci; where it keeps its state */
    const char *log;            /* its log file; a name in log_dir is the same file */
    int log_dir;
    const char *manager; /* of control groups */
};

enum { CTR_WORDS_MAX = 24 };

/* The words of posada-oci with what all of its calls have in common in front. */
void ctr_oci_words(const struct ctr_oci *oci, const char *const *words, const char **ret_argv);
/* words: NULL-terminated. in, out, err_fd: as above; output: gather what it prints instead of
 * out. */
struct ctr_job_config {
    struct loop *loop;
    const struct ctr_oci *oci;
    const char *const *words;
    int in, out, err_fd;
    bool output;
    void (*done)(void *arg, int code, const struct buf *out, const struct err *err);
    void *arg;
};
int must_use ctr_job_start(struct ctr_job *job, const struct ctr_job_config *config,
                           struct err *err);
bool ctr_job_runs(const struct ctr_job *job);
void ctr_job_done(struct ctr_job *job); /* kills it */
/* What posada-oci wrote to its log last, -EIO when it said nothing. The file is removed. */
int ctr_oci_error(int log_dir, const char *name, struct err *ret);
