/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest virtual memory for software CPUs: TLBs in front of the ISA's page-table walk.
 *
 * An address space is a key the ISA chooses (root, ASID, effective privilege, SUM/MXR...: all a
 * cached permission depends on). The MMU keeps the tables of the MMU_SPACES most recent keys, so
 * that a switch swaps pointers and clears nothing; a flush marks spaces stale. Data and code have
 * a current space each (MPRV).
 *
 * First level: direct-mapped tables, separate for read, write and code. An entry maps RAM only:
 * host = va + addend. Everything else (devices, pages with translated code on write, page-crossing
 * and misaligned-device accesses) takes the slow path and is handled there, precisely.
 * Behind it a second level of leaf entries, in three page sizes, that misses look up before they
 * walk (leaf.c).
 * Invariant: a write entry exists only for a page whose PTE is dirty and that holds no translated
 * code; setting PAGE_CODE on a page removes its write entries first (mmu_protect_code).
 */
#pragma once

#include <posada/cpu.h>
#include <string.h>

enum { TLB_BITS = 12, TLB_SIZE = 1 << TLB_BITS, MMU_SPACES = 16 };
/* Tables are emptied, and searched, by the groups that were filled: most programs use few. */
enum { TLB_GROUPS = 64, TLB_GROUP = TLB_SIZE / TLB_GROUPS };

/* An address that falls into another slot, so that no access, canonical or not, can hit it. */
#define TLB_EMPTY(index) ((uint64_t)((index) ? 0 : GUEST_PAGE_SIZE))

struct tlb_entry {
    uint64_t tag; /* page-aligned va; empty: TLB_EMPTY(index), which no va of this slot matches */
    uintptr_t addend;
};

/* Which large pages a space has (had) entries of, as a hash of their numbers: flushing any address
 * of a large page must find all the 4 KiB pieces of it. */
enum { MMU_LARGE_KINDS = 4, MMU_LARGE_WORDS = 8 }; /* 2 MiB, 1 GiB, 512 GiB, 256 TiB */
enum { MMU_CODE_WORDS = 64 };

struct mmu_leaf;

struct tlb {
    struct tlb_entry entry[TLB_SIZE];
    uint64_t used; /* a bit a group: may hold entries */
};

struct mmu_space {
    struct tlb read, write, code;
    uint64_t large[MMU_LARGE_KINDS][MMU_LARGE_WORDS];
    uint64_t code_pages[MMU_CODE_WORDS]; /* fetched from since the space was emptied, hashed */
    uint64_t code_epoch; /* changes, to a value never used before, when a fetched page is flushed */
    uint64_t life;       /* a number never used before, since it was emptied */
    uint64_t key[2];
    uint64_t last_used;
    bool valid; /* has a key */
    bool stale; /* to be emptied before it is used again */
};

/* Under stress: an entry of whatever table, and the tag that empties it. */
struct mmu_filled {
    struct tlb_entry *entry;
    uint64_t empty;
    bool write;
};

enum { MMU_GONE = 64 };

struct mmu {
    struct mmu_space *data, *code; /* current; never NULL */
    struct cpu *cpu;
    bool tiny; /* stress: only the two entries filled last stay */
    struct mmu_filled filled[2];
    bool no_fast; /* tracing and stress: never fill a TLB, every access takes the slow path */
    /* Where other CPUs make code of pages that this one may have write entries for: they set
     * PAGE_CODE and our ATTENTION_CODE, then read the bytes. Told of each such page when its entry
     * goes. NULL: there are no others. */
    void (*found_code)(void *arg, gpa_t page);
    void *found_arg;
    /* Write entries that made room: a block that checked an address by one may go on storing there
     * until it ends, so they are kept until then. */
    struct tlb_entry gone[MMU_GONE];
    unsigned gone_count;
    struct mmu_leaf *leaves; /* second level */
    uint64_t tick, epochs, lives, misses, walks, flushes, switches;
    struct mmu_space *spaces; /* MMU_SPACES of them */
};

struct mmu *mmu_new(struct cpu *cpu); /* NULL without memory */
void mmu_free(struct mmu *mmu);

/* Makes the spaces of these keys current. key[0]: translation root and ASID, key[1]: effective
 * privilege and permission modifiers, in the ISA's own encoding. */
void mmu_switch(struct mmu *mmu, const uint64_t data_key[2], const uint64_t code_key[2]);
/* Forgets everything; or every space for which match(arg, key) says so. */
void mmu_flush_all(struct mmu *mmu);
void mmu_flush_matching(struct mmu *mmu, bool (*match)(void *arg, const uint64_t key[2]),
                        void *arg);
/* Forgets one page in the matching spaces (all if match is NULL); large pages are found too. */
void mmu_flush_page(struct mmu *mmu, gva_t va, bool (*match)(void *arg, const uint64_t key[2]),
                    void *arg);
/* Removes every write entry for this physical page, in all spaces. True when there was one: this
 * CPU may then have written to the page without a report. Only by the CPU's own thread. */
bool mmu_protect_code(struct mmu *mmu, gpa_t gpa);
/* The same for every page that has PAGE_CODE by now; tells mmu->found_code() of each that had one.
 */
void mmu_protect_all_code(struct mmu *mmu);
/* Before write entries are forgotten by a flush: does the above if another CPU asks for it. */
void mmu_before_forgetting(struct mmu *mmu);
/* False: there is no room to keep an entry that makes room for another one. */
bool mmu_keep_gone(struct mmu *mmu, const struct tlb_entry *entry);
/* Between two blocks: tells mmu->found_code() of pages behind the entries kept so that have
 * PAGE_CODE by now, and forgets them all. */
void mmu_settle_gone(struct mmu *mmu);
static inline void mmu_settle(struct mmu *mmu)
{
    if (mmu->gone_count)
        mmu_settle_gone(mmu);
}

/* --- Slow paths: walk, fill, device access. False: cpu->fault is pending. --- */
bool mmu_load_slow(struct cpu *cpu, uint64_t va, unsigned size, uint64_t *ret_val);
bool mmu_store_slow(struct cpu *cpu, uint64_t va, unsigned size, uint64_t val);
/* Zeroes `bytes` (a power of two, at most a page) at va rounded down to a multiple of it. */
bool mmu_zero(struct cpu *cpu, uint64_t va, unsigned bytes);
/* Call after an atomic stored through mmu_atomic()'s pointer. */
void mmu_atomic_done(struct cpu *cpu, uint64_t va, gpa_t gpa, unsigned size);
/* Host address of size (power of two) naturally aligned bytes of RAM at va for an atomic; NULL
 * with a pending fault (misaligned, device memory, protection). write: needs store permission. */
void *mmu_atomic(struct cpu *cpu, uint64_t va, unsigned size, bool write, gpa_t *ret_gpa);
/* Physical address for fetching at va: false with a pending fault. */
bool mmu_fetch(struct cpu *cpu, uint64_t va, gpa_t *ret_gpa);
/* Host address of the code byte at va, from the TLB or by a walk: NULL with a pending fault. */
const uint8_t *mmu_fetch_host(struct cpu *cpu, uint64_t va);
/* Debugger's view: translates without side effects and copies. 0 or -EFAULT. */
int must_use mmu_peek(struct cpu *cpu, uint64_t va, void *buf, size_t len);
int must_use mmu_poke(struct cpu *cpu, uint64_t va, const void *buf, size_t len);
/* cpu_fetch over the MMU; notes the physical pages it touched (at most two). */
struct mmu_fetcher {
    struct cpu_fetch fetch; /* must be first */
    gpa_t page[2];
    unsigned pages;
    uint64_t va[2]; /* of those pages */
    const uint8_t *host[2];
    /* Called for each page before its bytes are read: marks it PAGE_CODE. May be NULL. */
    void (*claim)(void *arg, gpa_t page);
    void *arg;
};
/* A third page ends the block (half() is false with no fault pending). */
void mmu_fetcher_init(struct mmu_fetcher *f, struct cpu *cpu, void (*claim)(void *arg, gpa_t page),
                      void *arg);

/* --- Fast paths --- */
static inline struct tlb_entry *tlb_slot(struct tlb *table, uint64_t va)
{
    return &table->entry[(va >> GUEST_PAGE_SHIFT) & (TLB_SIZE - 1)];
}

static inline bool tlb_is_empty(const struct tlb *table, const struct tlb_entry *e)
{
    return e->tag == TLB_EMPTY(e - table->entry);
}

/* True when [va, va+size) hits this entry: the tag matches and the access stays in the page. */
static inline bool tlb_hit(const struct tlb_entry *e, uint64_t va, unsigned size)
{
    return (va ^ e->tag) <= (uint64_t)(GUEST_PAGE_SIZE - size);
}

/* size is a constant 1, 2, 4 or 8 at every call, so this folds to one load. Guest memory is
 * little-endian and may be misaligned. */
static inline bool mmu_load(struct cpu *cpu, uint64_t va, unsigned size, uint64_t *ret_val)
{
    const struct tlb_entry *e = tlb_slot(&cpu->mmu->data->read, va);
    uint64_t val = 0;

    if (unlikely(!tlb_hit(e, va, size)))
        return mmu_load_slow(cpu, va, size, ret_val);
    memcpy(&val, (const void *)(va + e->addend), size);
    *ret_val = val;
    return true;
}

static inline bool mmu_store(struct cpu *cpu, uint64_t va, unsigned size, uint64_t val)
{
    const struct tlb_entry *e = tlb_slot(&cpu->mmu->data->write, va);

    if (unlikely(!tlb_hit(e, va, size)))
        return mmu_store_slow(cpu, va, size, val);
    memcpy((void *)(va + e->addend), &val, size);
    return true;
}
