/* SPDX-License-Identifier: Apache-2.0 */
/* Instruction fetch for lifts, and the debugger's access to guest-virtual memory. */
#include "mem/mem.h"
#include "mmu/slow.h"

#include <errno.h>

static bool fetch_place(struct cpu *cpu, uint64_t va, struct mmu_place *ret_place)
{
    if (!mmu_place(cpu, va, CPU_FETCH, ret_place))
        return false;
    if (!ret_place->host)
        cpu->ops->access_fault(cpu, GVA(va), CPU_FETCH, false);
    return ret_place->host;
}

bool mmu_fetch(struct cpu *cpu, uint64_t va, gpa_t *ret_gpa)
{
    struct mmu_place place;

    if (!fetch_place(cpu, va, &place))
        return false;
    *ret_gpa = place.gpa;
    return true;
}

const uint8_t *mmu_fetch_host(struct cpu *cpu, uint64_t va)
{
    const struct tlb_entry *e = tlb_slot(&cpu->mmu->code->code, va);
    struct mmu_place place;

    if (likely(tlb_hit(e, va, 1)))
        return (const uint8_t *)(uintptr_t)(va + e->addend);
    return fetch_place(cpu, va, &place) ? place.host : NULL;
}

/* The host's copy of the page that holds va, at most two of them a block. */
static const uint8_t *fetcher_page(struct mmu_fetcher *f, uint64_t va)
{
    uint64_t page = va & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
    gpa_t gpa;

    for (unsigned i = 0; i < f->pages; i++)
        if (f->va[i] == page)
            return f->host[i];
    if (f->pages == 2 || !mmu_fetch(f->fetch.cpu, va, &gpa))
        return NULL;
    gpa.v &= ~(uint64_t)(GUEST_PAGE_SIZE - 1);
    if (f->claim)
        f->claim(f->arg, gpa);
    f->va[f->pages] = page;
    f->page[f->pages] = gpa;
    f->host[f->pages] = mem_page(f->fetch.cpu->mem, gpa);
    return f->host[f->pages++];
}

static bool fetcher_half(struct cpu_fetch *fetch, uint64_t pc, uint16_t *ret_bits)
{
    struct mmu_fetcher *f = container_of(fetch, struct mmu_fetcher, fetch);
    const uint8_t *host = fetcher_page(f, pc);

    if (!host)
        return false;
    memcpy(ret_bits, host + (pc & (GUEST_PAGE_SIZE - 2)), sizeof(*ret_bits));
    return true;
}

void mmu_fetcher_init(struct mmu_fetcher *f, struct cpu *cpu, void (*claim)(void *arg, gpa_t page),
                      void *arg)
{
    *f = (struct mmu_fetcher){
        .fetch = {.half = fetcher_half, .cpu = cpu}, .claim = claim, .arg = arg};
}

static size_t mmu_left_in_page(uint64_t va, size_t len)
{
    size_t room = GUEST_PAGE_SIZE - (va & (GUEST_PAGE_SIZE - 1));

    return len < room ? len : room;
}

/* Translates for the debugger: as a load, else (execute-only pages) as a fetch. */
static bool mmu_probe(struct cpu *cpu, uint64_t va, gpa_t *ret_gpa)
{
    struct cpu_translation t = {0};

    if (cpu->ops->translate(cpu, GVA(va), CPU_LOAD, true, &t) < 0 &&
        cpu->ops->translate(cpu, GVA(va), CPU_FETCH, true, &t) < 0)
        return false;
    *ret_gpa = t.gpa;
    return true;
}

int mmu_peek(struct cpu *cpu, uint64_t va, void *buf, size_t len)
{
    uint8_t *to = buf;

    while (len) {
        size_t piece = mmu_left_in_page(va, len);
        gpa_t gpa;

        if (!mmu_probe(cpu, va, &gpa) || mem_read(cpu->mem, gpa, to, piece) < 0)
            return -EFAULT;
        va += piece;
        to += piece;
        len -= piece;
    }
    return 0;
}

int mmu_poke(struct cpu *cpu, uint64_t va, const void *buf, size_t len)
{
    const uint8_t *from = buf;

    while (len) {
        size_t piece = mmu_left_in_page(va, len);
        gpa_t gpa;

        if (!mmu_probe(cpu, va, &gpa) || mem_write(cpu->mem, gpa, from, piece) < 0)
            return -EFAULT;
        va += piece;
        from += piece;
        len -= piece;
    }
    return 0;
}
