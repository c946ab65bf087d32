/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU for tests. Contract: fake_cpu.h. */
#include "mmu/fake_cpu.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static int fake_fault(struct cpu *cpu, uint64_t cause, uint64_t va)
{
    if (!cpu->fault.pending)
        cpu->fault = (struct cpu_fault){.pending = true, .cause = cause, .value = va};
    return -EFAULT;
}

static const struct fake_map *fake_find(const struct fake *f, uint64_t va)
{
    for (unsigned i = 0; i < FAKE_MAPS; i++)
        if (va - f->map[i].va < f->map[i].size)
            return &f->map[i];
    return NULL;
}

static bool fake_allows(const struct fake_map *m, enum cpu_access access)
{
    switch (access) {
    case CPU_LOAD: return m->r;
    case CPU_STORE: return m->w;
    default: return m->x;
    }
}

static int fake_translate(struct cpu *cpu, gva_t va, enum cpu_access access, bool probe,
                          struct cpu_translation *ret_t)
{
    struct fake *f = container_of(cpu, struct fake, cpu);
    const struct fake_map *m = fake_find(f, va.v);

    f->walks++;
    if (!m || !fake_allows(m, access))
        return probe ? -EFAULT : fake_fault(cpu, FAKE_PAGE_FAULT | access, va.v);
    *ret_t = (struct cpu_translation){.gpa = GPA(va.v - m->va + m->gpa),
                                      .leaf_size = m->size,
                                      .page_size = m->piece ? m->piece : m->size,
                                      .readable = m->r,
                                      .writable = m->w,
                                      .executable = m->x};
    return 0;
}

static void fake_access_fault(struct cpu *cpu, gva_t va, enum cpu_access access, bool misaligned)
{
    (void)fake_fault(cpu, (misaligned ? FAKE_MISALIGNED : FAKE_ACCESS) | access, va.v);
}

const struct cpu_ops fake_cpu_ops = {.isa = "fake",
                                     .global_count = 32,
                                     .translate = fake_translate,
                                     .access_fault = fake_access_fault};

static bool fake_io_read(void *arg, gpa_t gpa, unsigned size, uint64_t *ret_val)
{
    (void)arg;
    *ret_val = gpa.v + size;
    return gpa.v - FAKE_DEVICE < GUEST_PAGE_SIZE;
}

static bool fake_io_write(void *arg, gpa_t gpa, unsigned size, uint64_t val)
{
    struct fake *f = arg;

    (void)size;
    f->device_writes++;
    f->device_gpa = gpa.v;
    f->device_val = val;
    return gpa.v - FAKE_DEVICE < GUEST_PAGE_SIZE;
}

static void fake_code_write(void *arg, gpa_t gpa, uint64_t len)
{
    struct fake *f = arg;

    f->code_writes++;
    f->code_gpa = gpa.v;
    f->code_len = len;
}

struct fake *fake_new(void)
{
    struct fake *f = calloc(1, sizeof(*f));
    int r;

    assert(f);
    f->cpu.ops = &fake_cpu_ops;
    f->cpu.mem = mem_new();
    f->cpu.mmu = mmu_new(&f->cpu);
    assert(f->cpu.mem && f->cpu.mmu);
    r = mem_add_ram(f->cpu.mem, GPA(FAKE_RAM), FAKE_PAGES * GUEST_PAGE_SIZE, NULL);
    assert(!r);
    mem_set_io(f->cpu.mem, &(struct mem_io){fake_io_read, fake_io_write, f});
    mem_on_code_write(f->cpu.mem, fake_code_write, f);
    fake_map(f, 0, 0, 0, UINT64_C(1) << 40, "rwx");
    return f;
}

void fake_free(struct fake *f)
{
    mmu_free(f->cpu.mmu);
    mem_free(f->cpu.mem);
    free(f);
}

void fake_map(struct fake *f, unsigned n, uint64_t va, uint64_t gpa, uint64_t size, const char *rwx)
{
    f->map[n] = (struct fake_map){.va = va,
                                  .gpa = gpa,
                                  .size = size,
                                  .r = strchr(rwx, 'r'),
                                  .w = strchr(rwx, 'w'),
                                  .x = strchr(rwx, 'x')};
}
