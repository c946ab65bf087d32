/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of this folder: status bits, causes, the context key, internal calls.
 */
#pragma once

#include "cpu/riscv/decode.h"
#include "cpu/riscv/riscv.h"

struct ir_block;

/* mstatus (sstatus shows a part of it). */
#define MSTATUS_SIE  (1ull << 1)
#define MSTATUS_MIE  (1ull << 3)
#define MSTATUS_SPIE (1ull << 5)
#define MSTATUS_MPIE (1ull << 7)
#define MSTATUS_SPP  (1ull << 8)
#define MSTATUS_MPP  (3ull << 11)
#define MSTATUS_FS   (3ull << 13)
#define MSTATUS_MPRV (1ull << 17)
#define MSTATUS_SUM  (1ull << 18)
#define MSTATUS_MXR  (1ull << 19)
#define MSTATUS_TVM  (1ull << 20)
#define MSTATUS_TW   (1ull << 21)
#define MSTATUS_TSR  (1ull << 22)
#define MSTATUS_UXL  (2ull << 32)
#define MSTATUS_SXL  (2ull << 34)
#define MSTATUS_SD   (1ull << 63)
enum { MSTATUS_MPP_SHIFT = 11, MSTATUS_FS_SHIFT = 13 };

#define ENVCFG_FIOM  (1ull << 0)
#define ENVCFG_CBIE  (3ull << 4)
#define ENVCFG_CBCFE (1ull << 6)
#define ENVCFG_CBZE  (1ull << 7)
#define MENVCFG_ADUE (1ull << 61)
#define MENVCFG_STCE (1ull << 63)

#define SATP_MODE(satp) ((unsigned)((satp) >> 60))
#define SATP_ASID(satp) ((satp) >> 44 & 0xffff)
#define SATP_PPN        ((1ull << 44) - 1)
enum { SATP_BARE = 0, SATP_SV39 = 8, SATP_SV48 = 9, SATP_SV57 = 10 };

enum riscv_cause {
    CAUSE_FETCH_MISALIGNED = 0,
    CAUSE_FETCH_ACCESS = 1,
    CAUSE_ILLEGAL = 2,
    CAUSE_BREAKPOINT = 3,
    CAUSE_LOAD_MISALIGNED = 4,
    CAUSE_LOAD_ACCESS = 5,
    CAUSE_STORE_MISALIGNED = 6,
    CAUSE_STORE_ACCESS = 7,
    CAUSE_ECALL_U = 8, /* + privilege */
    CAUSE_FETCH_PAGE = 12,
    CAUSE_LOAD_PAGE = 13,
    CAUSE_STORE_PAGE = 15,
};
#define CAUSE_INTERRUPT (1ull << 63)

/* Context key: what a lift depends on. */
enum { CONTEXT_PRIV = 3, CONTEXT_MMU = 1 << 2, CONTEXT_FS_SHIFT = 3, CONTEXT_FRM_SHIFT = 5 };
enum { CONTEXT_CBZE = 1 << 8 }; /* cbo.zero is permitted */
enum context_fs { CONTEXT_FS_OFF, CONTEXT_FS_CLEAN, CONTEXT_FS_DIRTY };

static inline enum context_fs context_fs(uint32_t context)
{
    return (enum context_fs)(context >> CONTEXT_FS_SHIFT & 3);
}
static inline unsigned context_frm(uint32_t context)
{
    return context >> CONTEXT_FRM_SHIFT & 7;
}

static inline bool riscv_has(const struct riscv_cpu *rv, enum riscv_extension ext)
{
    return rv->extensions >> ext & 1;
}

/* Privilege that loads and stores have: MPRV lends M mode another's. */
static inline unsigned riscv_data_privilege(const struct riscv_cpu *rv)
{
    if (rv->privilege == RISCV_M && (rv->mstatus & MSTATUS_MPRV))
        return (unsigned)((rv->mstatus & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT);
    return rv->privilege;
}

/* cpu.c */
void riscv_settle(struct riscv_cpu *rv);       /* context key and MMU spaces from the registers */
void riscv_settle_fp(struct riscv_cpu *rv);    /* the same when no space changed */
void riscv_recheck_irq(struct riscv_cpu *rv);  /* something may have become deliverable */
void riscv_flush_all(struct riscv_cpu *rv);    /* cached translations */
void riscv_timer_settle(struct riscv_cpu *rv); /* tells the board about stimecmp */
uint64_t riscv_mip(const struct riscv_cpu *rv);

/* csr.c */
uint64_t riscv_csr_helper(struct cpu *cpu, uint64_t insn, uint64_t operand, uint64_t unused);
/* What the lift must know about a CSR access before it runs. */
struct riscv_csr_facts {
    bool ends;  /* a write must end the block */
    bool alone; /* the access must be the block's only instruction */
};
struct riscv_csr_facts riscv_csr_facts(unsigned number);
const char *riscv_csr_name(unsigned number);   /* NULL: unknown */
void riscv_csr_legalise(struct riscv_cpu *rv); /* loaded registers: only what a write can leave */
/* Debugger: no privilege checks, false for an unknown register. */
bool riscv_csr_peek(struct riscv_cpu *rv, unsigned number, uint64_t *ret_val);
bool riscv_csr_poke(struct riscv_cpu *rv, unsigned number, uint64_t val);

/* trap.c */
void riscv_raise(struct cpu *cpu);
bool riscv_interrupt(struct cpu *cpu);
bool riscv_wakeup_pending(const struct cpu *cpu);
bool riscv_wedged(const struct cpu *cpu);
void riscv_access_fault(struct cpu *cpu, gva_t va, enum cpu_access access, bool misaligned);
uint64_t riscv_mret_helper(struct cpu *cpu, uint64_t insn, uint64_t b, uint64_t c);
uint64_t riscv_sret_helper(struct cpu *cpu, uint64_t insn, uint64_t b, uint64_t c);
uint64_t riscv_wfi_helper(struct cpu *cpu, uint64_t insn, uint64_t b, uint64_t c);
uint64_t riscv_ecall_helper(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c);

/* walk.c, pmp.c */
int riscv_translate(struct cpu *cpu, gva_t va, enum cpu_access access, bool probe,
                    struct cpu_translation *ret_t);
/* fence.c: SFENCE.VMA and SINVAL.VMA; cache-block operations. */
uint64_t riscv_sfence_helper(struct cpu *cpu, uint64_t insn, uint64_t va, uint64_t asid);
/* The rights to use cbo.inval (0), clean (1), flush (2) and zero (4) now. */
bool riscv_cbo_enabled(const struct riscv_cpu *rv, unsigned which);
uint64_t riscv_pause_helper(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c);
uint64_t riscv_cbo_helper(struct cpu *cpu, uint64_t insn, uint64_t va, uint64_t c);
uint64_t riscv_fs_dirty_helper(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c);

struct pmp_verdict {
    bool readable, writable, executable;
    uint64_t size; /* largest of 1 GiB, 2 MiB, 4 KiB around gpa with one verdict */
};
struct pmp_verdict riscv_pmp(const struct riscv_cpu *rv, gpa_t gpa, unsigned privilege);
void riscv_pmp_settle(struct riscv_cpu *rv);
void riscv_pmp_legalise(struct riscv_cpu *rv);
uint64_t riscv_pmpaddr_read(const struct riscv_cpu *rv, unsigned n);
void riscv_pmpaddr_write(struct riscv_cpu *rv, unsigned n, uint64_t val);
void riscv_pmpcfg_write(struct riscv_cpu *rv, unsigned first, uint64_t val);

/* lift.c */
void riscv_lift(struct cpu *cpu, struct cpu_fetch *fetch, uint64_t pc, unsigned max_insns,
                struct ir_block *block);

/* gdb.c, disas.c */
unsigned riscv_gdb_read(struct cpu *cpu, unsigned n, uint8_t *buf);
unsigned riscv_gdb_write(struct cpu *cpu, unsigned n, const uint8_t *buf);
const char *riscv_gdb_xml(void);
unsigned riscv_disassemble(const uint8_t *bytes, size_t len, uint64_t pc, char *buf, size_t size);
extern const char *const riscv_slot_names[RISCV_SLOTS];
