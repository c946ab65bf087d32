/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the stub's two halves: gdb.c (connection, packets, stopping) and gdb_command.c. */
#pragma once

#include "vm/gdb.h"
#include "vm/machine_debug.h"

enum { GDB_PACKET_MAX = 16384, GDB_OUT_MAX = 4 * GDB_PACKET_MAX, GDB_BREAKPOINTS_MAX = 256 };
enum { GDB_SIGNAL_INT = 2, GDB_SIGNAL_TRAP = 5 };

/* What a vCPU does at the next resume. */
enum gdb_action { GDB_STAY, GDB_CONTINUE, GDB_STEP };

struct gdb {
    struct machine *machine;
    struct loop *loop;
    int listen_fd, fd; /* fd -1: nobody attached */
    bool no_ack, closing;
    bool running;     /* the debugger has let the vCPUs go and waits for a stop reply */
    bool stop_posted; /* a vCPU's stop is on its way through the loop */
    unsigned vcpus;
    unsigned thread; /* vCPU that register and memory commands are about */
    unsigned stop_vcpu;

    uint64_t breakpoint[GDB_BREAKPOINTS_MAX]; /* sorted, no doubles */
    unsigned breakpoint_count;
    struct engine_debug debug[VM_CPUS_MAX];

    char in[GDB_PACKET_MAX + 1];
    size_t in_len;
    enum { GDB_IDLE, GDB_BODY, GDB_SUM1, GDB_SUM2 } in_state;
    uint8_t in_sum[2];
    uint8_t out[GDB_OUT_MAX];
    size_t out_len;
};

/* Carries out one command and sends its answer; packet has a NUL behind it. */
void gdb_command(struct gdb *gdb, char *packet, size_t len);

void gdb_send(struct gdb *gdb, const char *text); /* frames it; "" means not supported */
void gdb_send_stop(struct gdb *gdb, unsigned signal);
void gdb_resume(struct gdb *gdb, const enum gdb_action *action); /* one for each vCPU */
void gdb_detach(struct gdb *gdb);                                /* lets the guest run free */
