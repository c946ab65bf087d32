/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regions: the second tier. A region is a loop whose blocks lie in one guest page, generated as one
 * piece: its members are blocks lifted like all others, jumps between them are plain, and the
 * registers that no other code needs there hold what the loop uses most (gen_map). It is entered at
 * its head only, in place of the head's block, and left by every jump that is not to a member.
 * Nothing else differs: faults, slow accesses and ways out first bring memory and the registers
 * of all other code back, in cold ends.
 *
 * A loop is found by its backward jumps: each counts down until its target is looked at once. A
 * region is dropped with the page it was made from; who is inside leaves at the next
 * backward jump, since attention is looked at where these lead.
 */
#pragma once

#include "jit/gen.h"

enum { REGION_MEMBERS = 24, REGION_OPS = 900, REGION_COVERS = CPU_COVERS };

struct region_member {
    uint32_t offset; /* of its first byte in the page */
    bool kept;       /* part of the loop */
    bool target;     /* of a backward jump inside: looks at attention */
    bool indirect;   /* lifted with a computed jump at its end, which stays a way out */
    bool placed;
    unsigned cut; /* so many guest instructions are left of it; 0: all */
    uint8_t *label;
    struct ir_block *lifted;   /* in lockstep: before it was optimised */
    uint8_t cover[IR_MAX_OPS]; /* by op: 1 + number of the region_cover that serves it; 0: none */
    struct ir_block ir;
};

/* What a turn of the loop accesses by way of a register: root + low .. root + high - 1, root being
 * its value at the head (region_hoist.c). */
struct region_cover {
    ir_slot root;
    bool write, up, down; /* up, down: the loop moves it so */
    bool used;            /* low and high are of an access */
    int32_t low, high;
};

/* What lockstep must know of a region: the members' blocks as they were lifted. */
struct region_kept {
    unsigned count;
    struct {
        const struct ir_block *lifted;
        uint32_t offset;
        bool target, indirect;
    } member[];
};

/* How long a region is tried; after how many failures in a row its checks are thought over. */
enum { REGION_TRIAL_ENTRIES = 64, REGION_TRIAL_TURNS = 2048, REGION_TRIAL_FAILS = 32 };

enum region_mode {
    REGION_TRIAL, /* as REGION_PLAIN, but counts */
    REGION_PLAIN, /* with the registers of all other code */
    REGION_FULL,
};

struct region {
    enum region_mode mode;
    unsigned trial;                /* number of its counters in cpu->trial */
    unsigned count, current, next; /* members: being generated; behind that one */
    bool lockstep;                 /* leaves after so many backward jumps instead of on attention */
    unsigned ops, refused_count;
    uint16_t refused[REGION_MEMBERS]; /* offsets of what cannot be a member */
    uint8_t order[REGION_MEMBERS];
    unsigned order_count;
    const uint8_t *body;  /* of the head's block: where turns go that the checks do not allow */
    const uint8_t *check; /* where what is covered is checked */
    uint8_t *entry_jump;  /* rel32: to the head, behind its look at attention */
    struct gen_map map;
    struct region_cover cover[REGION_COVERS];
    unsigned cover_count;
    uint64_t wild; /* slots, as bits, that are not to be covered */
    struct region_member member[REGION_MEMBERS];
};

/* Where op number i of a member leads by itself: a member; -1: nowhere, or out. */
int region_edge(const struct region *r, const struct region_member *m, unsigned i);
/* The member that begins at this page offset; -1: none. */
int region_find(const struct region *r, int64_t page_offset);
/* Cuts a block off behind its guest instruction n, with an exit to what follows. */
void region_cut(struct ir_block *b, unsigned n);

/* --- region_plan.c --- */
/* Keeps the members of the loop at member 0, and cuts them, before they are optimised: what that
 * removes could be seen where they are cut. All that are reached if not `loop`. False: there is no
 * loop. */
bool region_close(struct region *r, bool loop);
/* The rest, once these have been optimised. */
void region_plan(struct region *r, const struct gen *g);

/* --- region_hoist.c --- */
/* Finds what can be covered. */
void region_hoist(struct region *r);

/* --- gen_region.c --- */
int32_t gen_cover_addend(const struct gen *g, const struct region_cover *c);
/* The cover that serves the current op, or NULL. */
const struct region_cover *gen_covered(const struct gen *g);
/* Generates the region at c.at, as gen_block(). outer: where the head's block shall lead. */
bool gen_region(struct gen *g, struct region *r);
/* From the registers of all other code to the region's, and back. */
void gen_map_enter(struct gen *g);
void gen_map_leave(struct gen *g);
/* A jump (cc < 0: unconditional) to a member. False: that is no member. */
bool gen_region_jump(struct gen *g, int cc, int64_t page_offset);
