/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine for guests of a few instructions on the KVM engine: RAM, a page of ROM, one port, one
 * register. Shared by the programs of this folder; a verdict a line, as tests/run wants.
 */
#pragma once

#include "cpu/x86/x86.h"
#include "engine/kvm/kvm.h"
#include "mem/mem.h"

enum {
    RAM = 0x10000,
    CODE = 0x1000,
    DATA = 0x5000,
    REGISTER = 0x8000000, /* behind the largest RAM */
    ROM = 0x8010000,
    PORT = 0x80,
    LATCH = PORT + 4 /* as the board says: of no effect by itself */
};

struct small {
    struct mem *mem;
    struct engine *engine;
    struct x86_cpu *x;
    uint64_t port_value, port_reads, memory_value, memory_at;
    unsigned port_writes;
    uint64_t latched; /* bytes written to LATCH, the last one lowest */
    void *rom;
};

/* False: err says why; small_free() in any case. */
bool small_new(struct small *s, uint64_t ram, unsigned stress, struct err *err);
void small_free(struct small *s);
/* Whether there can be one here; says why not. */
bool small_there(void);
/* Makes `to`, a freed one, what `from` is; that is gone afterwards. */
void small_adopt(struct small *to, struct small *from);
/* Makes a vCPU that was reset run flat 32-bit code at CODE. */
void small_flat(struct x86_cpu *x);
/* The vCPU as after reset, at this code, flat. */
void small_enter(struct small *s, const uint8_t *code, size_t len);
/* Runs up to the guest's write to PORT and parks. */
bool small_run(struct small *s, struct err *err);

/* Prints it; small_failed() once one was bad. */
void verdict(const char *name, bool good, const struct err *err);
bool small_failed(void);
