/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A GDB stub: the server side of GDB's remote serial protocol, over TCP on the loopback address.
 * One debugger at a time; while one is attached it alone decides when vCPUs run. The machine
 * starts stopped and waits for a debugger. Machine lock held everywhere.
 */
#pragma once

#include <posada/err.h>

struct gdb;
struct loop;
struct machine;

/* Binds 127.0.0.1:port, so that no socket has to be made later. -EADDRINUSE and friends. */
int must_use gdb_new(struct machine *machine, struct loop *loop, unsigned port,
                     struct gdb **ret_gdb, struct err *err);
void gdb_free(struct gdb *gdb); /* NULL is fine */

/* vCPU index hit a breakpoint or finished its step; from its thread, the pause asked for. */
void gdb_stopped(struct gdb *gdb, unsigned index);
/* The guest has ended; on the loop. */
void gdb_exited(struct gdb *gdb, unsigned code);
