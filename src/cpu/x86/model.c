/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU models: which of the features an engine supports a guest is shown. The levels x86-64-v1 to
 * v4 are those of the System V ABI for x86-64 (version 1.0, table 3.1) with what an operating
 * system needs beside (NX, x2APIC, deadline timer...); a named level looks the same on every host
 * that has it, save for vendor, family and brand, which errata work-arounds depend on.
 * Leaves beyond features keep what the engine gave for "host" and are cut for named levels.
 */
#include "base/bits.h"
#include "cpu/x86/internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A feature: its bit, and the first level that has it (0: only by name or with "host"). */
struct x86_feature {
    const char *name;
    uint32_t leaf, subleaf;
    uint8_t reg, bit, level;
    bool optional; /* of a level: shown when supported, no reason to refuse otherwise */
};

#define LEAF_1(name, reg, bit, level)                                                              \
    {                                                                                              \
        name, 1, 0, reg, bit, level, false                                                         \
    }
#define LEAF_7(name, reg, bit, level)                                                              \
    {                                                                                              \
        name, 7, 0, reg, bit, level, false                                                         \
    }
#define LEAF_EXT(name, reg, bit, level)                                                            \
    {                                                                                              \
        name, 0x80000001, 0, reg, bit, level, false                                                \
    }
#define OPTIONAL(name, leaf, sub, reg, bit)                                                        \
    {                                                                                              \
        name, leaf, sub, reg, bit, 1, true                                                         \
    }

static const struct x86_feature x86_features[] = {
    LEAF_1("fpu", X86_EDX, 0, 1),
    OPTIONAL("vme", 1, 0, X86_EDX, 1),
    OPTIONAL("de", 1, 0, X86_EDX, 2),
    OPTIONAL("pse", 1, 0, X86_EDX, 3),
    LEAF_1("tsc", X86_EDX, 4, 1),
    LEAF_1("msr", X86_EDX, 5, 1),
    LEAF_1("pae", X86_EDX, 6, 1),
    OPTIONAL("mce", 1, 0, X86_EDX, 7),
    LEAF_1("cx8", X86_EDX, 8, 1),
    LEAF_1("apic", X86_EDX, 9, 1),
    OPTIONAL("sep", 1, 0, X86_EDX, 11),
    OPTIONAL("mtrr", 1, 0, X86_EDX, 12),
    LEAF_1("pge", X86_EDX, 13, 1),
    OPTIONAL("mca", 1, 0, X86_EDX, 14),
    LEAF_1("cmov", X86_EDX, 15, 1),
    OPTIONAL("pat", 1, 0, X86_EDX, 16),
    OPTIONAL("pse36", 1, 0, X86_EDX, 17),
    OPTIONAL("clflush", 1, 0, X86_EDX, 19),
    LEAF_1("mmx", X86_EDX, 23, 1),
    LEAF_1("fxsr", X86_EDX, 24, 1),
    LEAF_1("sse", X86_EDX, 25, 1),
    LEAF_1("sse2", X86_EDX, 26, 1),
    LEAF_EXT("syscall", X86_EDX, 11, 1),
    LEAF_EXT("nx", X86_EDX, 20, 1),
    LEAF_EXT("lm", X86_EDX, 29, 1),
    OPTIONAL("x2apic", 1, 0, X86_ECX, 21),
    OPTIONAL("tsc-deadline", 1, 0, X86_ECX, 24),
    OPTIONAL("hypervisor", 1, 0, X86_ECX, 31),
    OPTIONAL("arat", 6, 0, X86_EAX, 2),
    LEAF_1("sse3", X86_ECX, 0, 2),
    LEAF_1("ssse3", X86_ECX, 9, 2),
    LEAF_1("cx16", X86_ECX, 13, 2),
    LEAF_1("sse4.1", X86_ECX, 19, 2),
    LEAF_1("sse4.2", X86_ECX, 20, 2),
    LEAF_1("popcnt", X86_ECX, 23, 2),
    LEAF_EXT("lahf", X86_ECX, 0, 2),
    LEAF_1("fma", X86_ECX, 12, 3),
    LEAF_1("movbe", X86_ECX, 22, 3),
    LEAF_1("xsave", X86_ECX, 26, 3),
    LEAF_1("avx", X86_ECX, 28, 3),
    LEAF_1("f16c", X86_ECX, 29, 3),
    LEAF_7("bmi1", X86_EBX, 3, 3),
    LEAF_7("avx2", X86_EBX, 5, 3),
    LEAF_7("bmi2", X86_EBX, 8, 3),
    LEAF_EXT("lzcnt", X86_ECX, 5, 3),
    LEAF_7("avx512f", X86_EBX, 16, 4),
    LEAF_7("avx512dq", X86_EBX, 17, 4),
    LEAF_7("avx512cd", X86_EBX, 28, 4),
    LEAF_7("avx512bw", X86_EBX, 30, 4),
    LEAF_7("avx512vl", X86_EBX, 31, 4),
    LEAF_1("pclmul", X86_ECX, 1, 0),
    LEAF_1("pcid", X86_ECX, 17, 0),
    LEAF_1("aes", X86_ECX, 25, 0),
    LEAF_1("rdrand", X86_ECX, 30, 0),
    LEAF_7("fsgsbase", X86_EBX, 0, 0),
    LEAF_7("smep", X86_EBX, 7, 0),
    LEAF_7("erms", X86_EBX, 9, 0),
    LEAF_7("invpcid", X86_EBX, 10, 0),
    LEAF_7("rdseed", X86_EBX, 18, 0),
    LEAF_7("adx", X86_EBX, 19, 0),
    LEAF_7("smap", X86_EBX, 20, 0),
    LEAF_7("clflushopt", X86_EBX, 23, 0),
    LEAF_7("sha", X86_EBX, 29, 0),
    LEAF_7("umip", X86_ECX, 2, 0),
    LEAF_7("gfni", X86_ECX, 8, 0),
    LEAF_7("vaes", X86_ECX, 9, 0),
    LEAF_7("vpclmul", X86_ECX, 10, 0),
    LEAF_7("la57", X86_ECX, 16, 0),
    LEAF_7("rdpid", X86_ECX, 22, 0),
    LEAF_EXT("pdpe1gb", X86_EDX, 26, 0),
    LEAF_EXT("rdtscp", X86_EDX, 27, 0),
    {"xsaveopt", 0xd, 1, X86_EAX, 0, 3, true},
    {"xsavec", 0xd, 1, X86_EAX, 1, 3, true},
    {"xgetbv1", 0xd, 1, X86_EAX, 2, 3, true},
    {"invtsc", 0x80000007, 0, X86_EDX, 8, 0, false},
};

enum { MODEL_LEVELS = 4, MODEL_HOST = 0 };
static const char model_level_prefix[] = "x86-64-v";

const char *x86_feature_name(uint32_t leaf, uint32_t subleaf, unsigned reg, unsigned bit)
{
    for (unsigned i = 0; i < ARRAY_LEN(x86_features); i++) {
        const struct x86_feature *f = &x86_features[i];

        if (f->leaf == leaf && f->subleaf == subleaf && f->reg == reg && f->bit == bit)
            return f->name;
    }
    return NULL;
}

/* --- Rows --- */
struct x86_cpuid *x86_cpuid_find(struct x86_cpuid_table *table, uint32_t leaf, uint32_t subleaf)
{
    for (uint32_t i = 0; i < table->count && i < X86_CPUID_MAX; i++) {
        struct x86_cpuid *row = &table->row[i];

        if (row->leaf == leaf && (!row->indexed || row->subleaf == subleaf))
            return row;
    }
    return NULL;
}

struct x86_cpuid *x86_cpuid_row(struct x86_cpuid_table *table, uint32_t leaf, uint32_t subleaf,
                                bool indexed)
{
    struct x86_cpuid *row = x86_cpuid_find(table, leaf, subleaf);

    if (row)
        return row;
    if (table->count == X86_CPUID_MAX)
        abort(); /* engines leave room: cannot happen from outside */
    row = &table->row[table->count++];
    *row = (struct x86_cpuid){.leaf = leaf, .subleaf = subleaf, .indexed = indexed};
    return row;
}

static void model_remove(struct x86_cpuid_table *table, uint32_t leaf)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < table->count; i++)
        if (table->row[i].leaf != leaf)
            table->row[kept++] = table->row[i];
    table->count = kept;
}

/* --- Model text --- */
static const struct x86_feature *model_feature(const char *name, size_t len)
{
    for (unsigned i = 0; i < ARRAY_LEN(x86_features); i++)
        if (strlen(x86_features[i].name) == len && !strncmp(x86_features[i].name, name, len))
            return &x86_features[i];
    return NULL;
}

/* The level of the model's first word, MODEL_HOST for all; -1: unknown. */
static int model_level(const char *model, size_t len)
{
    size_t prefix = sizeof(model_level_prefix) - 1;

    if ((len == 4 && !strncmp(model, "host", 4)) || (len == 3 && !strncmp(model, "max", 3)))
        return MODEL_HOST;
    if (len != prefix + 1 || strncmp(model, model_level_prefix, prefix) != 0)
        return -1;
    return model[prefix] >= '1' && model[prefix] <= '0' + MODEL_LEVELS ? model[prefix] - '0' : -1;
}

/* Calls fn for every ",+name" and ",-name"; stops at the first error. */
static int model_each(const char *model,
                      int (*fn)(void *arg, const struct x86_feature *f, bool on, struct err *err),
                      void *arg, struct err *err)
{
    const char *word = model + strcspn(model, ",");

    while (*word++ == ',') {
        size_t len = strcspn(word, ",");
        const struct x86_feature *f = len > 1 ? model_feature(word + 1, len - 1) : NULL;
        int r;

        if (!f || (*word != '+' && *word != '-'))
            return err_set(err, -EINVAL,
                           "CPU model '%s': '%.*s' is no feature; write +NAME or -NAME, such as "
                           "+aes",
                           model, (int)len, word);
        r = fn(arg, f, *word == '+', err);
        if (r)
            return r;
        word += len;
    }
    return 0;
}

static int model_parse(const char *model, int *ret_level, struct err *err)
{
    *ret_level = model_level(model, strcspn(model, ","));
    if (*ret_level >= 0)
        return 0;
    return err_set(err, -EINVAL,
                   "CPU model '%s' of x86_64 is unknown: use host, max, or x86-64-v1 to "
                   "x86-64-v4, with ,+FEATURE or ,-FEATURE behind",
                   model);
}

static int model_accept(void *arg, const struct x86_feature *f, bool on, struct err *err)
{
    return 0;
}

int x86_model_check(const char *model, struct err *err)
{
    int level, r = model_parse(model, &level, err);

    return r ? r : model_each(model, model_accept, NULL, err);
}

/* --- Filtering --- */
struct model_work {
    const char *model;
    const struct x86_cpuid_table *supported;
    struct x86_cpuid_table *table;
};

static bool model_supports(const struct x86_cpuid_table *table, const struct x86_feature *f)
{
    for (uint32_t i = 0; i < table->count; i++) {
        const struct x86_cpuid *row = &table->row[i];

        if (row->leaf == f->leaf && (!row->indexed || row->subleaf == f->subleaf))
            return row->reg[f->reg] >> f->bit & 1;
    }
    return false;
}

static void model_set(struct x86_cpuid_table *table, const struct x86_feature *f, bool on)
{
    struct x86_cpuid *row = x86_cpuid_find(table, f->leaf, f->subleaf);

    if (row)
        row->reg[f->reg] = (uint32_t)bits_set(row->reg[f->reg], f->bit, 1, on);
}

static int model_refuse(const char *model, const struct x86_feature *f, struct err *err)
{
    return err_set(err, -EOPNOTSUPP,
                   "CPU model '%s': this host has no %s; use a lower level (x86-64-v2) or host",
                   model, f->name);
}

static int model_switch(void *arg, const struct x86_feature *f, bool on, struct err *err)
{
    struct model_work *w = arg;

    if (on && !model_supports(w->supported, f))
        return model_refuse(w->model, f, err);
    model_set(w->table, f, on);
    return 0;
}

/* Feature words whose unnamed bits no named level shows. */
static void model_blank(struct x86_cpuid_table *table)
{
    static const struct {
        uint32_t leaf, subleaf;
        uint8_t regs; /* bit per register */
    } words[] = {
        {1, 0, BIT(X86_ECX) | BIT(X86_EDX)},
        {7, 0, BIT(X86_EAX) | BIT(X86_EBX) | BIT(X86_ECX) | BIT(X86_EDX)},
        {6, 0, BIT(X86_EAX) | BIT(X86_EBX) | BIT(X86_ECX)},
        {0xd, 1, BIT(X86_EAX) | BIT(X86_ECX) | BIT(X86_EDX)},
        {0x80000001, 0, BIT(X86_ECX) | BIT(X86_EDX)},
        {0x80000007, 0, BIT(X86_EBX) | BIT(X86_EDX)},
        {0x80000008, 0, BIT(X86_EBX)},
    };

    for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
        struct x86_cpuid *row = x86_cpuid_find(table, words[i].leaf, words[i].subleaf);

        for (unsigned reg = 0; row && reg < 4; reg++)
            if (words[i].regs >> reg & 1)
                row->reg[reg] = 0;
    }
}

static int model_apply_level(struct model_work *w, unsigned level, struct err *err)
{
    model_blank(w->table);
    for (unsigned i = 0; i < ARRAY_LEN(x86_features); i++) {
        const struct x86_feature *f = &x86_features[i];

        if (!f->level || f->level > level)
            continue;
        if (model_supports(w->supported, f))
            model_set(w->table, f, true);
        else if (!f->optional)
            return model_refuse(w->model, f, err);
    }
    return 0;
}

/* AMX, SGX, processor trace, performance counters, memory encryption, shadow stacks and other
 * features with MSRs of their own: state that the layout has no place for, or that would not
 * survive a move.
 */
static void model_remove_unsupported(struct x86_cpuid_table *table)
{
    static const uint32_t leaves[] = {5,    0xa,  0x12,       0x14,       0x18,      0x1c,
                                      0x1d, 0x1e, 0x80000022, 0x8000001f, 0x8000001b};
    static const struct x86_feature bits[] = {
        {"amx-bf16", 7, 0, X86_EDX, 22, 0, false},    {"amx-tile", 7, 0, X86_EDX, 24, 0, false},
        {"amx-int8", 7, 0, X86_EDX, 25, 0, false},    {"sgx", 7, 0, X86_EBX, 2, 0, false},
        {"pt", 7, 0, X86_EBX, 25, 0, false},          {"pdcm", 1, 0, X86_ECX, 15, 0, false},
        {"monitor", 1, 0, X86_ECX, 3, 0, false},      {"vmx", 1, 0, X86_ECX, 5, 0, false},
        {"svm", 0x80000001, 0, X86_ECX, 2, 0, false}, {"mpx", 7, 0, X86_EBX, 14, 0, false},
        {"shstk", 7, 0, X86_ECX, 7, 0, false},        {"kl", 7, 0, X86_ECX, 23, 0, false},
        {"bus-lock", 7, 0, X86_ECX, 24, 0, false},    {"enqcmd", 7, 0, X86_ECX, 29, 0, false},
        {"pks", 7, 0, X86_ECX, 31, 0, false},         {"uintr", 7, 0, X86_EDX, 5, 0, false},
        {"arch-lbr", 7, 0, X86_EDX, 19, 0, false},    {"ibt", 7, 0, X86_EDX, 20, 0, false},
        {"fred", 7, 1, X86_EAX, 17, 0, false},        {"xfd", 0xd, 1, X86_EAX, 4, 0, false},
    };
    struct x86_cpuid *xsave;

    for (unsigned i = 0; i < ARRAY_LEN(leaves); i++)
        model_remove(table, leaves[i]);
    xsave = x86_cpuid_find(table, 0xd, 0); /* removing moves rows */
    for (unsigned i = 0; i < ARRAY_LEN(bits); i++)
        model_set(table, &bits[i], false);
    if (xsave)
        xsave->reg[X86_EAX] &= 0x2e7; /* x87 SSE AVX AVX-512 PKRU: 2,696 bytes at most */
}

/* XCR0's bits follow the features. */
static void model_settle_xsave(struct x86_cpuid_table *table)
{
    struct x86_cpuid *row = x86_cpuid_find(table, 0xd, 0);
    const struct x86_cpuid *leaf1 = x86_cpuid_find(table, 1, 0);
    const struct x86_cpuid *leaf7 = x86_cpuid_find(table, 7, 0);
    bool avx512 = leaf7 && leaf7->reg[X86_EBX] >> 16 & 1;
    bool pku = leaf7 && leaf7->reg[X86_ECX] >> 3 & 1;

    if (!row || !leaf1)
        return;
    if (!(leaf1->reg[X86_ECX] >> 26 & 1)) {
        model_remove(table, 0xd);
        return;
    }
    row->reg[X86_EAX] &=
        3u | (leaf1->reg[X86_ECX] >> 28 & 1) << 2 | (avx512 ? 0xe0u : 0) | (pku ? 0x200u : 0);
    row->reg[X86_EDX] = 0;
}

int x86_model_apply(const char *model, struct x86_cpuid_table *table, struct err *err)
{
    struct x86_cpuid_table supported = *table;
    struct model_work w = {model, &supported, table};
    int level, r = model_parse(model, &level, err);

    if (r)
        return r;
    model_remove_unsupported(table);
    if (level != MODEL_HOST)
        r = model_apply_level(&w, (unsigned)level, err);
    if (!r)
        r = model_each(model, model_switch, &w, err);
    if (!r)
        model_settle_xsave(table);
    return r;
}

/* --- What differs between vCPUs --- */
enum {
    LEAF_TIMING = 0x40000010,
    LEAF_KVM = 0x40000000,
    APIC_KHZ = 1000000,
    CORE_CRYSTAL = 1000000
};

static unsigned place_bits(unsigned cpus)
{
    unsigned bits = 0;

    while ((1u << bits) < cpus)
        bits++;
    return bits;
}

/* Extended topology: one thread a core, all cores in one package. */
static void place_topology(struct x86_cpuid_table *table, uint32_t leaf, unsigned index,
                           unsigned cpus)
{
    struct x86_cpuid *row;

    model_remove(table, leaf);
    for (unsigned sub = 0; sub < 3; sub++) {
        row = x86_cpuid_row(table, leaf, sub, true);
        row->reg[X86_EAX] = sub == 1 ? place_bits(cpus) : 0;
        row->reg[X86_EBX] = sub == 0 ? 1 : sub == 1 ? cpus : 0;
        row->reg[X86_ECX] = sub | (sub < 2 ? sub + 1 : 0) << 8; /* level type: SMT, core */
        row->reg[X86_EDX] = index;
    }
}

/* TSC and APIC timer frequencies: Intel's leaf 0x15 (its crystal is what drives the APIC timer),
 * and the hypervisors' timing leaf. */
static void place_frequencies(struct x86_cpuid_table *table, uint32_t tsc_khz)
{
    struct x86_cpuid *row, *kvm = x86_cpuid_find(table, LEAF_KVM, 0);
    struct x86_cpuid *first = x86_cpuid_find(table, 0, 0);

    if (!tsc_khz)
        return;
    if (first && first->reg[X86_EAX] >= 0x15) {
        row = x86_cpuid_row(table, 0x15, 0, false);
        row->reg[X86_EAX] = CORE_CRYSTAL;
        row->reg[X86_EBX] = tsc_khz;
        row->reg[X86_ECX] = CORE_CRYSTAL * 1000;
    }
    if (!kvm)
        return;
    kvm->reg[X86_EAX] = LEAF_TIMING;
    row = x86_cpuid_row(table, LEAF_TIMING, 0, false);
    row->reg[X86_EAX] = tsc_khz;
    row->reg[X86_EBX] = APIC_KHZ;
}

void x86_cpuid_place(struct x86_cpuid_table *table, unsigned index, unsigned cpus, uint32_t tsc_khz)
{
    struct x86_cpuid *row = x86_cpuid_find(table, 1, 0);
    unsigned width = place_bits(cpus);

    if (row) {
        row->reg[X86_EBX] = (row->reg[X86_EBX] & 0xffff) | cpus << 16 | index << 24;
        row->reg[X86_EDX] = (uint32_t)bits_set(row->reg[X86_EDX], 28, 1, cpus > 1);
    }
    for (uint32_t i = 0; i < table->count; i++) /* caches: first two levels a core's own */
        if (table->row[i].leaf == 4 && table->row[i].reg[X86_EAX] & 0x1f) {
            uint32_t *eax = &table->row[i].reg[X86_EAX];
            bool shared = (*eax >> 5 & 7) >= 3;

            *eax = (*eax & 0x3fff) | (shared ? (1u << width) - 1 : 0) << 14 |
                   ((1u << width) - 1) << 26;
        }
    row = x86_cpuid_find(table, 0x80000008, 0);
    if (row)
        row->reg[X86_ECX] = width << 12 | (cpus - 1);
    row = x86_cpuid_find(table, 0x8000001e, 0);
    if (row) {
        row->reg[X86_EAX] = index;
        row->reg[X86_EBX] = index & 0xff;
        row->reg[X86_ECX] = 0;
    }
    place_topology(table, 0xb, index, cpus);
    if (x86_cpuid_find(table, 0x1f, 0))
        place_topology(table, 0x1f, index, cpus);
    place_frequencies(table, tsc_khz);
}
