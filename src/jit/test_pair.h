/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: the JIT and the interpreter on two fake machines, which must come to the same, and the
 * randomness of what they run. */
#pragma once

#include "jit/jit.h"
#include "mmu/fake_cpu.h"

extern uint64_t test_rng_state;

uint64_t test_rng(void);
unsigned test_pick(unsigned n); /* below n */
/* A helper of guest code: ends the run. */
uint64_t test_stop(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c);

struct test_pair {
    struct fake *jitted, *plain;
    struct cpu_ops ops; /* of both; the test changes them before test_pair_jit() */
    struct jit *jit;
    struct jit_vcpu *vcpu;
};

void test_pair_init(struct test_pair *p);
/* stress: enum engine_stress. */
void test_pair_jit(struct test_pair *p, unsigned stress, const struct jit_pages *pages);
void test_pair_done(struct test_pair *p);

uint64_t test_jit_stat(struct jit *jit, const char *name);
