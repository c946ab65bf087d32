/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binary tracing: fixed 64-byte records in a ring (a file mapped shared, so a kill -9 loses
 * nothing), off by default at the price of one predicted branch. tools/tracecat prints a ring as
 * text. A new event is one line in TRACE_EVENTS: number, name, class and what its arguments mean
 * stay in one place, for the writer and for the printer.
 */
#pragma once

#include <posada/err.h>
#include <stdbool.h>

enum trace_class {
    TRACE_INSN = 1 << 0, /* each guest instruction, and the registers it changed */
    TRACE_MEM = 1 << 1,  /* each guest load and store */
    TRACE_IRQ = 1 << 2,  /* interrupt lines, traps taken and returned from */
    TRACE_MMIO = 1 << 3, /* device register accesses */
    TRACE_MMU = 1 << 4,  /* translation faults and flushes */
    TRACE_BLOCK = 1 << 5 /* blocks lifted, compiled, invalidated */
};

/*           id  name           class        argument names (at most five) */
#define TRACE_EVENTS(X)                                                                            \
    X(1, insn, TRACE_INSN, "pc", "opcode", "length", "context", "")                                \
    X(2, reg, TRACE_INSN, "slot", "value", "", "", "")                                             \
    X(3, load, TRACE_MEM, "va", "gpa", "size", "value", "")                                        \
    X(4, store, TRACE_MEM, "va", "gpa", "size", "value", "")                                       \
    X(5, irq_line, TRACE_IRQ, "sink", "pin", "level", "", "")                                      \
    X(6, trap, TRACE_IRQ, "pc", "cause", "tval", "to_pc", "privilege")                             \
    X(7, trap_return, TRACE_IRQ, "pc", "to_pc", "privilege", "", "")                               \
    X(8, mmio_read, TRACE_MMIO, "gpa", "size", "value", "", "")                                    \
    X(9, mmio_write, TRACE_MMIO, "gpa", "size", "value", "", "")                                   \
    X(10, page_fault, TRACE_MMU, "va", "access", "cause", "", "")                                  \
    X(11, tlb_flush, TRACE_MMU, "kind", "va", "asid", "", "")                                      \
    X(12, block_lift, TRACE_BLOCK, "pc", "gpa", "instructions", "ops", "")                         \
    X(13, block_drop, TRACE_BLOCK, "gpa", "count", "", "", "")

#define TRACE_ENUM(id, name, cls, a, b, c, d, e) TRACE_EV_##name = (id),
enum trace_event { TRACE_EVENTS(TRACE_ENUM) };
#undef TRACE_ENUM

enum { TRACE_NO_VCPU = 0xffff };

struct trace_record {
    uint64_t time_ns; /* host monotonic time */
    uint32_t seq;     /* position in the run, wraps */
    uint16_t event;   /* enum trace_event */
    uint16_t vcpu;    /* TRACE_NO_VCPU when none was running, or who is not known */
    uint64_t arg[5];
    uint64_t reserved;
};

extern uint32_t trace_mask; /* classes switched on; written only by trace_open/close */

static inline bool trace_on(enum trace_class cls)
{
    return __builtin_expect((trace_mask & (uint32_t)cls) != 0, 0);
}

/* Appends a record; call only under trace_on(). Safe from several threads. */
void trace_put(enum trace_event event, unsigned vcpu, uint64_t a, uint64_t b, uint64_t c,
               uint64_t d, uint64_t e);

/* Creates the ring file at path with room for `records` and switches the classes of the
 * comma-separated list `classes` ("insn,mem,irq,mmio,mmu,block") on. */
int must_use trace_open(const char *path, const char *classes, uint32_t records, struct err *err);
void trace_close(void);
