/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shorter lists of system calls for the threads of a monitor in its sandbox: on top of the
 * process's own (sandbox.h), each by the thread itself. A call that is not on the list fails with
 * EPERM and is told of in the log. A thread inherits its maker's list, so the main thread shortens
 * its own when it has made the others.
 */
#pragma once

#include <posada/err.h>
#include <stdint.h>

enum sandbox_thread {
    SANDBOX_MAIN,   /* the event loop: clients, logs, helpers, timers */
    SANDBOX_VCPU,   /* guest code and the devices it touches */
    SANDBOX_WORKER, /* disk requests */
    SANDBOX_THREADS,
};

/* Makes the lists ready, before the process is sandboxed and makes threads: from then on
 * sandbox_enter_thread() means something, and all threads share one heap. ioctls: those of
 * sandbox_config. Once in a process. */
int must_use sandbox_prepare_threads(const uint32_t *ioctls, struct err *err);
/* This host takes no lists: sandbox_enter_thread() means nothing again. */
void sandbox_forget_threads(void);
/* Locks the calling thread in. 0 also without lists; -errno when the kernel refuses. */
int must_use sandbox_enter_thread(enum sandbox_thread kind);
/* How many system calls such a thread may make, those bound to arguments included. */
unsigned sandbox_thread_call_count(enum sandbox_thread kind);
