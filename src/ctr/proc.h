/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process of a container as a stream: its first one, or one of exec. Output comes by pipes (or
 * FIFOs, or a terminal's master) and stops when clients lag, so the process waits as in any pipe;
 * input waits in a queue until it takes it.
 */
#pragma once

#include "ctr/job.h"
#include "vm/stream.h"

struct ctr_proc;
struct conn;

struct ctr_proc_config {
    struct loop *loop;
    struct guest_log *log; /* NULL: none */
    bool lives_on;         /* goes on without clients; else the last one's leaving ends it */
    int tty_dir;           /* where a terminal's socket may lie, -1: no terminal */
    const char *tty_name;  /* its name there; copied */
    bool open_stdin;
    /* All of its output has been passed on; the caller says the end to the stream's clients. */
    void (*ended)(void *arg, int status);
    /* The last client left and it does not live on. */
    void (*abandoned)(void *arg);
    void *arg;
};

/* Its stream takes clients from now on. NULL: no memory. */
struct ctr_proc *ctr_proc_new(const struct ctr_proc_config *config);

/* What its process will write to. ret_fds: what it gets as 0, 1, 2; -1: /dev/null. The caller
 * closes them by ctr_proc_close_ends() once it is started, or failed to. */
int must_use ctr_proc_open(struct ctr_proc *p, int ret_fds[3], struct err *err);
void ctr_proc_close_ends(int fds[3]);
/* FIFOs in a directory instead of pipes, so that another monitor can go on where a killed one
 * stopped: what is in them stays as long as the process has them open. */
int must_use ctr_proc_open_fifos(struct ctr_proc *p, int dir_fd, int ret_fds[3], struct err *err);
/* The FIFOs of an earlier monitor. */
int must_use ctr_proc_adopt_fifos(struct ctr_proc *p, int dir_fd, struct err *err);

/* Its process is there: its end counts from now on; `signals` that clients send go to it. */
int must_use ctr_proc_started(struct ctr_proc *p, pid_t pid, struct err *err);
/* Its process is somebody else's child and has ended. */
void ctr_proc_ended(struct ctr_proc *p, int status);
/* Tells the stream's clients that it has started, for one that came behind. */
void ctr_proc_announce(struct ctr_proc *p);
struct stream *ctr_proc_stream(struct ctr_proc *p);
void ctr_proc_signal(const struct ctr_proc *p, unsigned signal);
void ctr_proc_free(struct ctr_proc *p); /* kills what still runs; NULL is fine */
