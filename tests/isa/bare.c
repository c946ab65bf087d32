/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bare FILE [INSTRUCTIONS]: runs a bare-metal RISC-V program that reports through the word
 * `tohost`, on one CPU with 32 MiB of RAM at 0x80000000 and no device but a time that goes by.
 * Every block is verified, run by the interpreter and forgotten, so nothing but lift, CSRs, walk
 * and interpreter can be at fault. Exit code: 0 passed, the number of the failed test (tohost / 2),
 * 125 for anything else.
 */
#include "cpu/riscv/riscv.h"
#include "interp/interp.h"
#include "mem/mem.h"
#include "mmu/mmu.h"

#include <elf.h>
#include <posada/clock.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BARE_RAM = 0x80000000, BARE_RAM_SIZE = 32 << 20, BARE_FAILED = 125 };

struct bare {
    uint8_t *file;
    size_t size;
    uint64_t entry, tohost;
    struct cpu *cpu;
    struct mem *mem;
    struct ir_block block;
};

static noreturn_fn void bare_die(const char *what, const char *why)
{
    fprintf(stderr, "bare: %s: %s\n", what, why);
    exit(BARE_FAILED);
}

static void bare_read(struct bare *b, const char *path)
{
    FILE *f = fopen(path, "rb");
    long size;

    if (!f || fseek(f, 0, SEEK_END) || (size = ftell(f)) < 0 || fseek(f, 0, SEEK_SET))
        bare_die(path, "cannot be read");
    b->size = (size_t)size;
    b->file = malloc(b->size + 1);
    if (!b->file || fread(b->file, 1, b->size, f) != b->size)
        bare_die(path, "cannot be read");
    b->file[b->size] = 0;
    fclose(f);
}

/* Bytes [at, at + len) of the file. */
static const void *bare_part(const struct bare *b, uint64_t at, uint64_t len)
{
    if (at > b->size || len > b->size - at)
        bare_die("program", "is cut off");
    return b->file + at;
}

static void bare_load_segments(struct bare *b, const Elf64_Ehdr *eh)
{
    for (unsigned i = 0; i < eh->e_phnum; i++) {
        Elf64_Phdr ph;

        memcpy(&ph, bare_part(b, eh->e_phoff + i * sizeof(ph), sizeof(ph)), sizeof(ph));
        if (ph.p_type != PT_LOAD || !ph.p_filesz)
            continue;
        if (mem_write(b->mem, GPA(ph.p_paddr), bare_part(b, ph.p_offset, ph.p_filesz), ph.p_filesz))
            bare_die("program", "does not fit into RAM");
    }
}

static void bare_find_tohost(struct bare *b, const Elf64_Shdr *symtab, const Elf64_Shdr *strtab)
{
    const char *names = bare_part(b, strtab->sh_offset, strtab->sh_size);

    for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= symtab->sh_size; at += sizeof(Elf64_Sym)) {
        Elf64_Sym sym;

        memcpy(&sym, bare_part(b, symtab->sh_offset + at, sizeof(sym)), sizeof(sym));
        if (sym.st_name < strtab->sh_size && !strcmp(names + sym.st_name, "tohost"))
            b->tohost = sym.st_value;
    }
}

static Elf64_Shdr bare_section(const struct bare *b, const Elf64_Ehdr *eh, unsigned n)
{
    Elf64_Shdr sh;

    memcpy(&sh, bare_part(b, eh->e_shoff + n * sizeof(sh), sizeof(sh)), sizeof(sh));
    return sh;
}

static void bare_load(struct bare *b)
{
    Elf64_Ehdr eh;

    memcpy(&eh, bare_part(b, 0, sizeof(eh)), sizeof(eh));
    if (memcmp(eh.e_ident, ELFMAG, SELFMAG) || eh.e_machine != EM_RISCV)
        bare_die("program", "is no RISC-V ELF file");
    bare_load_segments(b, &eh);
    for (unsigned i = 0; i < eh.e_shnum; i++) {
        Elf64_Shdr sh = bare_section(b, &eh, i), names;

        if (sh.sh_type != SHT_SYMTAB)
            continue;
        names = bare_section(b, &eh, sh.sh_link);
        bare_find_tohost(b, &sh, &names);
    }
    b->entry = eh.e_entry;
    if (!b->tohost)
        bare_die("program", "has no symbol tohost");
}

static bool bare_io_read(void *arg, gpa_t gpa, unsigned size, uint64_t *ret_val)
{
    return false;
}

static bool bare_io_write(void *arg, gpa_t gpa, unsigned size, uint64_t val)
{
    return false;
}

static void bare_make_cpu(struct bare *b)
{
    static const struct mem_io none = {bare_io_read, bare_io_write, NULL};
    struct err err;
    struct cpu *cpu = calloc(1, riscv_cpu_ops.instance_size);

    b->mem = mem_new();
    if (!cpu || !b->mem || mem_add_ram(b->mem, GPA(BARE_RAM), BARE_RAM_SIZE, &err))
        bare_die("machine", "cannot be made");
    mem_set_io(b->mem, &none);
    cpu->ops = &riscv_cpu_ops;
    cpu->mem = b->mem;
    cpu->clock = clock_new(NULL);
    cpu->mmu = mmu_new(cpu);
    if (!cpu->clock || !cpu->mmu || cpu->ops->init(cpu, "max", &err))
        bare_die("machine", "cannot be made");
    b->cpu = cpu;
}

static void bare_step(struct bare *b)
{
    struct cpu *cpu = b->cpu;
    struct mmu_fetcher fetcher;
    struct err err;

    if (atomic_exchange(&cpu->attention, 0) & ATTENTION_IRQ && cpu->ops->interrupt(cpu))
        return;
    mmu_fetcher_init(&fetcher, cpu, NULL, NULL);
    cpu->ops->lift(cpu, &fetcher.fetch, cpu->pc, IR_MAX_INSNS, &b->block);
    if (ir_verify(&b->block, &err)) {
        ir_print(&b->block, riscv_cpu_ops.globals, stderr);
        bare_die("lift", err.text);
    }
    if (interp_run_block(cpu, &b->block) == INTERP_FAULT)
        cpu->ops->raise(cpu);
    cpu->exit = CPU_EXIT_NONE;
}

/* The verdict, or -1 while there is none. Odd: finished. An even word is a request of the test
 * environment (a character for its console); it is answered by clearing it. */
static int bare_verdict(struct bare *b)
{
    uint64_t word;

    if (mem_read(b->mem, GPA(b->tohost), &word, sizeof(word)))
        bare_die("program", "has tohost outside RAM");
    if (!word)
        return -1;
    if (word & 1)
        return word >> 1 > 124 ? 124 : (int)(word >> 1);
    if (word >> 48 == 0x0101)
        fputc((int)(word & 0xff), stderr);
    word = 0;
    return mem_write(b->mem, GPA(b->tohost), &word, sizeof(word)) ? 124 : -1;
}

static void bare_trace(struct bare *b)
{
    const struct riscv_cpu *rv = riscv_of(b->cpu);
    uint8_t bytes[4];
    char text[96] = "?";

    if (!mmu_peek(b->cpu, b->cpu->pc, bytes, sizeof(bytes)))
        (void)riscv_cpu_ops.disassemble(bytes, sizeof(bytes), b->cpu->pc, text, sizeof(text));
    fprintf(stderr, "%u %016llx %s\n", rv->privilege, (unsigned long long)b->cpu->pc, text);
}

int main(int argc, char **argv)
{
    static struct bare b;
    uint64_t limit = argc > 2 ? strtoull(argv[2], NULL, 0) : 50000000;
    bool trace = getenv("BARE_TRACE") != NULL;
    int verdict = -1;

    if (argc < 2)
        bare_die("usage", "bare FILE [INSTRUCTIONS]");
    bare_read(&b, argv[1]);
    bare_make_cpu(&b);
    bare_load(&b);
    b.cpu->ops->reset(b.cpu);
    riscv_boot(b.cpu, RISCV_M, b.entry, 0, 0, false);
    while (verdict < 0 && b.cpu->instret < limit) {
        if (trace)
            bare_trace(&b);
        bare_step(&b);
        clock_advance(b.cpu->clock, 1000);
        verdict = bare_verdict(&b);
    }
    if (verdict < 0)
        bare_die(argv[1], "gave no verdict in time");
    if (verdict)
        fprintf(stderr, "%s: test %d failed\n", argv[1], verdict);
    return verdict;
}
