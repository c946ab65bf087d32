/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside src/jit: a machine's JIT, its vCPUs, and what their files call of each other.
 * Locking: `lock` guards the store and the generator. Evicting a segment additionally needs every
 * vCPU out of translated code: `halting` counts who asks, vcpu.inside says who is in. The evictor
 * waits without holding `lock`, since a vCPU inside may wait for the machine lock whose holder
 * reports a code write.
 */
#pragma once

#include "ir/ir.h"
#include "jit/cache.h"
#include "jit/gen.h"
#include "jit/jit.h"
#include <pthread.h>

struct lockstep;
struct perf_map;

/* Backward jumps to a place before it is looked at as a region's head; how many places count. */
enum { JIT_HOT = 8000 };
/* How many turns an entry of a region must have made on trial for what it then becomes. */
enum { JIT_TURNS_FULL = 10, JIT_TURNS_PLAIN = 3 };
enum { JIT_CONTEXTS = 16, JIT_STUB_BYTES = 16384, JIT_BLOCK_ROOM = 160 * 1024 };
/* Generator flags beside the context key. */
enum { JIT_KEY_COUNT = 1u << GEN_KEY_COUNT_BIT, JIT_KEY_APART = 1u << GEN_KEY_APART_BIT };

/* Jump cache of one code address space under one context key. */
struct jit_context {
    uint64_t space[2], epoch, last_used;
    uint32_t key;
    unsigned rounding;
    bool valid;
    struct jump_entry *jumps;
};

struct jit_vcpu {
    struct jit *jit;
    struct cpu *cpu;
    struct jit_pages pages;
    struct jit_context *current;
    struct jit_context context[JIT_CONTEXTS];
    struct jump_entry *tables;
    struct place_entry *places; /* empty under STRESS_LINKS */
    struct jit_vcpu *next;
    struct lockstep *lockstep; /* or NULL */
    uint64_t compared;         /* blocks executed twice */
    uint64_t tick, cleared;    /* evictions this vCPU has cleared its jump caches for */
    uint64_t apart;            /* at this pc, code without windows is to go on; odd: nowhere */
    uint64_t body; /* in lockstep: at this pc, the head's own code is to run; odd: nowhere */
    _Atomic bool inside;
    uint64_t enters, links, switches, interpreted;
    uint64_t exits[GEN_EXITS];
};

struct jit {
    const struct cpu_ops *ops;
    struct mem *mem;
    unsigned stress;
    struct cache cache;
    struct jit_stubs stubs;
    pthread_mutex_t lock;
    _Atomic unsigned halting;
    _Atomic uint64_t evicted;
    struct jit_vcpu *vcpus;
    struct perf_map *perf_map; /* NULL: not asked for */
    struct gen gen;
    struct ir_block ir;
    uint32_t target_key; /* of the block being generated */
    uint64_t target_page;
    uint64_t translated, translated_insns, translated_bytes;
    struct region *region; /* room to make one; NULL until then */
    uint64_t regions_discarded, regions_made, regions_refused, region_ns;
};

/* --- context.c --- */
/* Merges the host's sticky flags, which are the guest's while translated code may run. */
void jit_sync_fp(struct cpu *cpu);
/* The context that code must run in now; clears what a flush or an eviction made void. */
void jit_select_context(struct jit_vcpu *v);
/* Where code at the guest-virtual pc is, if the current jump cache knows it; else NULL. */
const uint8_t *jit_find_jump(const struct jit_vcpu *v, uint64_t pc);
void jit_forget_jump(struct jit_vcpu *v, uint64_t pc);
void jit_fill_jump(struct jit_vcpu *v, uint64_t pc, const struct jit_block *block);

/* --- translate.c --- */
/* The translation at pc, with JIT_KEY_APART or 0 in its key. NULL: none can be made, or cpu->fault
 * is pending. */
struct jit_block *jit_find(struct jit_vcpu *v, uint64_t pc, uint32_t apart);
/* Lifts what lies at pc into jit->ir. False: nothing that fits in the page. */
bool jit_lift(struct jit_vcpu *v, uint64_t pc, gpa_t gpa, gpa_t gpa2);
/* A copy of jit->ir, in memory that goes when its translation does. */
struct ir_block *jit_keep_ir(struct jit *jit);
/* Tells the generator about the context that code in the page of gpa is made for. */
void jit_set_gen(struct jit_vcpu *v, uint64_t gpa);
void jit_make_room(struct jit *jit);
void jit_name_block(struct jit *jit, const struct jit_block *block);

/* --- region.c --- */
/* Makes a region of the loop at head, once, if it is one. */
void jit_make_region_locked(struct jit_vcpu *v, struct jit_block *head);
/* The code at pc was jumped back to often: the same. judge: its region has been tried enough, or
 * its checks keep failing, which may end it or change its kind. */
void jit_heat(struct jit_vcpu *v, uint64_t pc, bool judge);
/* A trial's counters start anew. */
void jit_reset_trial(struct cpu *cpu, unsigned n);

/* For perf maps. */
void jit_name_stubs(const struct jit *jit, size_t bytes);
