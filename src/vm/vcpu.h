/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that run a machine's vCPUs, one each: sleeping while the guest waits, parked while
 * the machine is paused, calling back for everything that is not guest code.
 *
 * Locks: the machine lock, then a vCPU's own lock. A vCPU's CPU state belongs to its thread while
 * it is not parked.
 */
#pragma once

#include "board/board.h"

struct vcpus;

/* Why vCPUs are parked; several reasons may hold at a time. */
enum vcpu_pause {
    VCPU_PAUSE_START = 1 << 0, /* not yet started */
    VCPU_PAUSE_USER = 1 << 1,
    VCPU_PAUSE_POWER = 1 << 2, /* the guest is being reset or has ended */
    VCPU_PAUSE_DEBUG = 1 << 3,
};

struct vcpus_config {
    struct engine *engine;
    unsigned count;
    pthread_mutex_t *lock; /* the machine lock */
    /* On the vCPU's thread, lock not held. */
    enum board_action (*hypercall)(void *arg, struct cpu *cpu);
    bool keep_wedged;                      /* a debugger may want to see a CPU that cannot go on */
    bool (*on)(void *arg, unsigned index); /* false: the guest keeps it off */
    /* On the vCPU's thread, lock held, pause with VCPU_PAUSE_DEBUG already asked for. */
    void (*debug)(void *arg, unsigned index);
    void (*failed)(void *arg, unsigned index, const struct err *err); /* lock held */
    void *arg;
};

/* Threads start parked (VCPU_PAUSE_START). All functions: machine lock held, but not called from a
 * vCPU thread unless said otherwise. */
int must_use vcpus_new(const struct vcpus_config *config, struct vcpus **ret_vcpus,
                       struct err *err);
int must_use vcpus_start(struct vcpus *v, struct err *err); /* vcpus_resume() lets them go */
/* Adds a reason without waiting; from any thread. */
void vcpus_ask_pause(struct vcpus *v, enum vcpu_pause reason);
/* Adds a reason and returns when no vCPU runs guest code. Gives the lock away meanwhile. */
void vcpus_pause(struct vcpus *v, enum vcpu_pause reason);
void vcpus_resume(struct vcpus *v, enum vcpu_pause reason);
unsigned vcpus_paused(const struct vcpus *v); /* the reasons */
uint64_t vcpus_cpu_ns(struct vcpus *v);       /* CPU time that the threads have used so far */
/* Keeps one vCPU parked although the machine runs (a debugger steps another). */
void vcpus_hold(struct vcpus *v, unsigned index, bool hold);
/* Ends all threads; they cannot start again. Gives the lock away meanwhile. */
void vcpus_stop(struct vcpus *v);
void vcpus_free(struct vcpus *v); /* stopped; NULL is fine */

/* board_host.call_vcpus: on the vCPU thread `caller`, lock not held. */
void vcpus_call(struct vcpus *v, unsigned caller, uint64_t mask,
                void (*fn)(struct cpu *cpu, void *fn_arg), void *fn_arg);
