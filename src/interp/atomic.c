/* SPDX-License-Identifier: Apache-2.0 */
/* Atomics of the interpreter. Contract: atomic.h. */
#include "interp/atomic.h"

#include "mmu/mmu.h"

static uint64_t atomic_extend(uint64_t v, unsigned aux)
{
    unsigned up = 64 - 8 * IR_MEM_SIZE(aux);

    return aux & IR_MEM_SIGNED ? (uint64_t)((int64_t)(v << up) >> up) : v << up >> up;
}

static uint64_t atomic_load(const void *host, unsigned aux)
{
    switch (aux & 3) {
    case IR_MEM_8: return __atomic_load_n((const uint8_t *)host, __ATOMIC_SEQ_CST);
    case IR_MEM_16: return __atomic_load_n((const uint16_t *)host, __ATOMIC_SEQ_CST);
    case IR_MEM_32: return __atomic_load_n((const uint32_t *)host, __ATOMIC_SEQ_CST);
    default: return __atomic_load_n((const uint64_t *)host, __ATOMIC_SEQ_CST);
    }
}

#define ATOMIC_SWAP(type)                                                                          \
    ({                                                                                             \
        type seen_ = (type)*expected;                                                              \
        bool done_ = __atomic_compare_exchange_n((type *)host, &seen_, (type)val, false,           \
                                                 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);              \
        *expected = seen_;                                                                         \
        done_;                                                                                     \
    })

/* Stores val if the old value is *expected; *expected becomes the old value. */
static bool atomic_cas(void *host, unsigned aux, uint64_t *expected, uint64_t val)
{
    switch (aux & 3) {
    case IR_MEM_8: return ATOMIC_SWAP(uint8_t);
    case IR_MEM_16: return ATOMIC_SWAP(uint16_t);
    case IR_MEM_32: return ATOMIC_SWAP(uint32_t);
    default: return ATOMIC_SWAP(uint64_t);
    }
}

bool interp_lr(struct cpu *cpu, uint64_t va, unsigned aux, uint64_t *ret)
{
    gpa_t gpa;
    const void *host = mmu_atomic(cpu, va, IR_MEM_SIZE(aux), false, &gpa);

    if (!host)
        return false;
    cpu->reserved_host = (uintptr_t)host;
    cpu->reserved_value = atomic_load(host, aux);
    *ret = atomic_extend(cpu->reserved_value, aux);
    return true;
}

bool interp_sc(struct cpu *cpu, uint64_t va, uint64_t val, unsigned aux, uint64_t *ret)
{
    gpa_t gpa;
    void *host = mmu_atomic(cpu, va, IR_MEM_SIZE(aux), true, &gpa);
    bool stored;

    if (!host)
        return false;
    stored =
        (uintptr_t)host == cpu->reserved_host && atomic_cas(host, aux, &cpu->reserved_value, val);
    cpu->reserved_host = 0;
    if (stored)
        mmu_atomic_done(cpu, va, gpa, IR_MEM_SIZE(aux));
    *ret = !stored;
    return true;
}

/* The new value; both operands extended as the comparison wants them. */
static uint64_t atomic_apply(enum ir_amo kind, uint64_t old, uint64_t val, unsigned aux)
{
    uint64_t a = atomic_extend(old, aux & 3), b = atomic_extend(val, aux & 3);
    int64_t sa = (int64_t)atomic_extend(old, aux | IR_MEM_SIGNED);
    int64_t sb = (int64_t)atomic_extend(val, aux | IR_MEM_SIGNED);

    switch (kind) {
    case IR_SWAP: return val;
    case IR_AMOADD: return old + val;
    case IR_AMOXOR: return old ^ val;
    case IR_AMOAND: return old & val;
    case IR_AMOOR: return old | val;
    case IR_MIN: return sa < sb ? old : val;
    case IR_MAX: return sa > sb ? old : val;
    case IR_MINU: return a < b ? old : val;
    case IR_MAXU: return a > b ? old : val;
    }
    return old;
}

bool interp_amo(struct cpu *cpu, uint64_t va, uint64_t val, unsigned aux, enum ir_amo kind,
                uint64_t *ret)
{
    gpa_t gpa;
    void *host = mmu_atomic(cpu, va, IR_MEM_SIZE(aux), true, &gpa);
    uint64_t old;

    if (!host)
        return false;
    old = atomic_load(host, aux);
    while (!atomic_cas(host, aux, &old, atomic_apply(kind, old, val, aux)))
        ;
    mmu_atomic_done(cpu, va, gpa, IR_MEM_SIZE(aux));
    *ret = atomic_extend(old, aux);
    return true;
}

bool interp_cas(struct cpu *cpu, uint64_t va, uint64_t expected, uint64_t val, unsigned aux,
                uint64_t *ret)
{
    gpa_t gpa;
    void *host = mmu_atomic(cpu, va, IR_MEM_SIZE(aux), true, &gpa);

    if (!host)
        return false;
    if (atomic_cas(host, aux, &expected, val))
        mmu_atomic_done(cpu, va, gpa, IR_MEM_SIZE(aux));
    *ret = atomic_extend(expected, aux);
    return true;
}
