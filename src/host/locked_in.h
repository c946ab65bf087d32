/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests: does a piece of code keep to the system calls of a monitor's thread? Here a call that
 * is not on the list ends the process, so that no test overlooks it.
 */
#pragma once

#include "host/process.h"
#include "host/sandbox_thread.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOCKED_IN_MAX = 16 };

struct locked_in {
    enum sandbox_thread kind;
    bool (*fn)(void *arg);
    void *arg;
    unsigned threads;
    atomic_uint fine; /* threads */
};

static inline void *locked_in_thread(void *arg)
{
    struct locked_in *trial = (struct locked_in *)arg;

    if (!sandbox_enter_thread(trial->kind) && trial->fn(trial->arg))
        trial->fine++;
    return NULL;
}

/* The child's part. A monitor's main thread is its process's first one, the others are not. */
static inline bool locked_in_child(struct locked_in *trial)
{
    struct err err = {0};
    pthread_t thread[LOCKED_IN_MAX];
    unsigned n = 0;

    signal(SIGSYS, SIG_DFL); /* cmocka has taken it */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || sandbox_prepare_threads(NULL, &err) < 0) {
        fprintf(stderr, "no lists here: %s\n", err.text);
        return false;
    }
    if (trial->kind == SANDBOX_MAIN)
        (void)locked_in_thread(trial);
    else
        while (n < trial->threads && !pthread_create(&thread[n], NULL, locked_in_thread, trial))
            n++;
    while (n)
        (void)pthread_join(thread[--n], NULL);
    return trial->fine == trial->threads;
}

/* Whether fn says so in a child, in as many threads at once that may do what those of that kind
 * may; the main thread is one. */
static inline bool locked_in_many(enum sandbox_thread kind, unsigned threads, bool (*fn)(void *arg),
                                  void *arg)
{
    struct locked_in trial = {.kind = kind, .fn = fn, .arg = arg, .threads = threads};
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(locked_in_child(&trial) ? 0 : 1);
    if (process_wait(pid, &status) < 0)
        return false;
    if (WIFSIGNALED(status))
        fprintf(stderr, "ended by signal %d%s\n", WTERMSIG(status),
                WTERMSIG(status) == SIGSYS ? ": a system call that is on no list" : "");
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static inline bool locked_in(enum sandbox_thread kind, bool (*fn)(void *arg), void *arg)
{
    return locked_in_many(kind, 1, fn, arg);
}
