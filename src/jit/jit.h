/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JIT: IR blocks to x86-64, one translation store a machine, shared by its vCPUs.
 *
 * A translation is keyed by the physical address of its first byte and the context key, and is
 * position-independent in guest-virtual space: code finds its own page in cpu->jit.page. So a
 * library page is translated once however many processes map it wherever.
 *
 * Control flow: jumps inside a guest page are linked directly; all others go through the vCPU's
 * current jump cache, a table keyed by guest-virtual pc that belongs to one pair of code address
 * space and context key. Flushing a mapping clears jump caches, never translations.
 *
 * Dropping code: a page whose code is written loses all its translations; each is patched at its
 * first instruction to leave to the dispatcher, so that links and jump caches need no search.
 */
#pragma once

#include <posada/cpu.h>
#include <posada/engine.h>

struct jit;
struct jit_vcpu;

enum jit_exit {
    JIT_EXIT_ATTENTION, /* cpu->attention is set; pc exact */
    JIT_EXIT_CPU,       /* cpu->exit says why; pc exact */
    JIT_EXIT_FAULT,     /* cpu->fault is pending; pc is the faulting instruction's */
    JIT_EXIT_MISS,      /* no translation could be made here: interpret one instruction */
};

struct jit_config {
    struct mem *mem;
    const struct cpu_ops *ops;
    size_t code_bytes; /* 0: default */
    bool perf_map;
    const char *symbols;
    unsigned stress; /* enum engine_stress */
};

/* -EOPNOTSUPP when the host CPU lacks what the code generator uses (x86-64-v3). */
int must_use jit_probe(struct err *err);
int must_use jit_new(const struct jit_config *config, struct jit **ret_jit, struct err *err);
void jit_free(struct jit *jit);

/* The owner keeps track of pages with code: claim() comes before a page is read, note() says which
 * of its bytes became code (none: first > last). Jit lock held. */
struct jit_pages {
    void (*claim)(void *arg, gpa_t page);
    void (*note)(void *arg, gpa_t page, unsigned first, unsigned last);
    void *arg;
};

int must_use jit_vcpu_new(struct jit *jit, struct cpu *cpu, const struct jit_pages *pages,
                          struct jit_vcpu **ret_vcpu, struct err *err);
void jit_vcpu_free(struct jit_vcpu *vcpu);

/* Runs translated code until something needs the caller. */
enum jit_exit jit_run(struct jit_vcpu *vcpu);

/* Guest code bytes in [gpa, gpa+len), inside one page, have changed. Any thread. */
void jit_code_written(struct jit *jit, gpa_t gpa, uint64_t len);

/* The same for a whole page, from inside jit_pages.claim(). */
void jit_drop_page_locked(struct jit *jit, gpa_t page);

unsigned jit_stats(struct jit *jit, struct engine_stat *stats, unsigned room);
