/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A running machine inside one process: a board with its devices, an engine with its vCPU threads,
 * and the wires between them. It knows nothing of run directories, sockets or the command line;
 * the monitor (src/vm/monitor.c) gives it a loop, character back ends and someone to tell.
 *
 * Locking: one machine lock. Every device callback, loop callback and function here runs with it
 * held; vCPU threads take it for device accesses only. CPU state belongs to its vCPU thread and is
 * touched by others only while the machine is paused.
 */
#pragma once

#include <posada/chardev.h>
#include <posada/device.h>
#include <posada/engine.h>
#include <posada/vm.h>
#include <pthread.h>

struct loop;
struct machine;

struct machine_io {
    struct chardev *console;         /* behind the 16550 UART: the kernel's console */
    struct chardev *virtio_console;  /* behind hvc0; may be NULL */
    struct chardev *agent;           /* behind the port AGENT_PORT; may be NULL */
    struct vsockdev *vsock;          /* NULL: no such device */
    struct netdev *net[VM_NETS_MAX]; /* behind the configuration's net[i] */
    struct fsdev *share[VM_SHARES_MAX];
    int dir_fd; /* the guest's directory, for what its machine keeps; -1: nothing is kept */
};

struct machine_events {
    /* The guest powered off, asked for a reset (already carried out) or panicked. code: the test
     * finisher's or tohost's exit code. Machine lock held, vCPUs about to stop. */
    void (*power)(void *arg, enum power_action action, unsigned code);
    /* An engine or device cannot go on. */
    void (*failed)(void *arg, const struct err *err);
    void *arg;
};

/* Builds everything: opens and loads files, allocates RAM, creates devices and vCPUs. After it
 * returns no further file is opened, so that the caller can lock its sandbox. lock is the loop's.
 */
int must_use machine_new(const struct vm_config *config, struct loop *loop, pthread_mutex_t *lock,
                         const struct machine_io *io, const struct machine_events *events,
                         struct machine **ret_machine, struct err *err);
/* Starts vCPU threads and guest time. */
int must_use machine_start(struct machine *m, struct err *err);
void machine_pause(struct machine *m); /* returns when no vCPU runs guest code */
void machine_resume(struct machine *m);
bool machine_paused(const struct machine *m);
void machine_stop(struct machine *m); /* ends vCPU threads; the machine cannot start again */
void machine_free(struct machine *m); /* stops if needed; NULL is fine */

/* For inspection, stats, the debugger stub. */
const char *machine_engine_name(const struct machine *m);
struct engine *machine_engine(struct machine *m);
struct clock *machine_clock(struct machine *m);
unsigned machine_stats(struct machine *m, struct engine_stat *stats, unsigned room);
