/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LR/SC, AMO and CAS on guest RAM by host atomics, so that vCPU threads see each other's in one
 * order. LR/SC compares the value that LR saw: a store of the same value in between goes unseen,
 * which no program that uses the pair as a compare-and-swap can tell.
 * aux: IR_MEM_* size and sign. False: cpu->fault is pending and *ret is untouched.
 */
#pragma once

#include "ir/ir.h"

bool interp_lr(struct cpu *cpu, uint64_t va, unsigned aux, uint64_t *ret);
bool interp_sc(struct cpu *cpu, uint64_t va, uint64_t val, unsigned aux, uint64_t *ret);
bool interp_amo(struct cpu *cpu, uint64_t va, uint64_t val, unsigned aux, enum ir_amo kind,
                uint64_t *ret);
bool interp_cas(struct cpu *cpu, uint64_t va, uint64_t expected, uint64_t val, unsigned aux,
                uint64_t *ret);
