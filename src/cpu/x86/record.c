/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CPUID table as text, for the guest's record, and whether another host can show it. First line
 * "cpuid 1 MODEL", then a row a line: leaf, subleaf or "-", EAX, EBX, ECX, EDX, all hexadecimal;
 * last line "end".
 * What a record says is hostile like any file.
 */
#include "base/bits.h"
#include "cpu/x86/internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char record_head[] = "cpuid 1 ", record_end[] = "end\n";

enum { RECORD_LINE = 64, RECORD_NAMES = 3 };

char *x86_cpuid_print(const char *model, const struct x86_cpuid_table *table)
{
    size_t room = sizeof(record_head) + strlen(model) + 2 + (size_t)table->count * RECORD_LINE +
                  sizeof(record_end);
    char *text = malloc(room);
    size_t at;

    if (!text)
        return NULL;
    at = (size_t)snprintf(text, room, "%s%s\n", record_head, model);
    for (uint32_t i = 0; i < table->count && i < X86_CPUID_MAX; i++) {
        const struct x86_cpuid *row = &table->row[i];
        char subleaf[12] = "-";

        if (row->indexed)
            snprintf(subleaf, sizeof(subleaf), "%" PRIx32, row->subleaf);
        at += (size_t)snprintf(text + at, room - at,
                               "%" PRIx32 " %s %" PRIx32 " %" PRIx32 " %" PRIx32 " %" PRIx32 "\n",
                               row->leaf, subleaf, row->reg[X86_EAX], row->reg[X86_EBX],
                               row->reg[X86_ECX], row->reg[X86_EDX]);
    }
    (void)snprintf(text + at, room - at, "%s", record_end);
    return text;
}

/* A hexadecimal number of at most eight digits and the character behind it. */
static bool record_number(const char **at, char end, uint32_t *ret)
{
    uint32_t value = 0;
    unsigned digits = 0;

    for (; digits <= 8; digits++, (*at)++) {
        char c = **at;

        if (c >= '0' && c <= '9')
            value = value << 4 | (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint32_t)(c - 'a' + 10);
        else
            break;
    }
    if (!digits || digits > 8 || **at != end)
        return false;
    (*at)++;
    *ret = value;
    return true;
}

static bool record_row(const char **at, struct x86_cpuid *ret)
{
    struct x86_cpuid row = {0};

    if (!record_number(at, ' ', &row.leaf))
        return false;
    if (!strncmp(*at, "- ", 2))
        *at += 2;
    else if (record_number(at, ' ', &row.subleaf))
        row.indexed = 1;
    else
        return false;
    for (unsigned i = 0; i < 4; i++)
        if (!record_number(at, i < 3 ? ' ' : '\n', &row.reg[i]))
            return false;
    *ret = row;
    return true;
}

static bool record_has_head(const char *text)
{
    return !strncmp(text, record_head, sizeof(record_head) - 1);
}

static bool record_is_whole(const char *text)
{
    size_t len = strlen(text), end = sizeof(record_end) - 1;

    return len > end && text[len - end - 1] == '\n' && !strcmp(text + len - end, record_end);
}

/* What is behind the head when the record is of this model; NULL: it is not. */
static const char *record_of(const char *text, const char *model)
{
    size_t len = strlen(model);

    if (!record_has_head(text))
        return NULL;
    text += sizeof(record_head) - 1;
    return !strncmp(text, model, len) && text[len] == '\n' ? text + len + 1 : NULL;
}

bool x86_cpuid_is_of_other(const char *text, const char *model)
{
    return record_has_head(text) && record_is_whole(text) && !record_of(text, model);
}

int x86_cpuid_parse(const char *text, const char *model, struct x86_cpuid_table *ret_table,
                    struct err *err)
{
    struct x86_cpuid_table *table = ret_table;
    const char *at = record_of(text, model);

    if (x86_cpuid_is_of_other(text, model))
        return err_set(err, -EINVAL, "the record of the guest's processor is of another model");
    table->count = 0;
    while (at && strcmp(at, record_end) != 0 && table->count < X86_CPUID_OFFERED_MAX &&
           record_row(&at, &table->row[table->count]))
        table->count++;
    if (!at || strcmp(at, record_end) != 0 || !x86_cpuid_find(table, 0, 0) ||
        !x86_cpuid_find(table, 1, 0))
        return err_set(err, -EINVAL,
                       "the record of the guest's processor (file 'cpu' in its directory) is "
                       "damaged; remove it, and the guest gets what this host has");
    return 0;
}

/* --- Whether a host has all of it --- */
/* Words of feature bits: what is set in a guest's must be set in the host's. */
static const struct {
    uint32_t leaf, subleaf;
    uint8_t regs; /* bit per register */
} record_words[] = {
    {1, 0, BIT(X86_ECX) | BIT(X86_EDX)},
    {7, 0, BIT(X86_EBX) | BIT(X86_ECX) | BIT(X86_EDX)},
    {7, 1, BIT(X86_EAX) | BIT(X86_EDX)},
    {0xd, 0, BIT(X86_EAX)},
    {0xd, 1, BIT(X86_EAX)},
    {0x80000001, 0, BIT(X86_ECX) | BIT(X86_EDX)},
    {0x80000007, 0, BIT(X86_EDX)},
    {0x80000008, 0, BIT(X86_EBX)},
    {0x40000001, 0, BIT(X86_EAX)},
};

static uint32_t record_word(const struct x86_cpuid_table *table, uint32_t leaf, uint32_t subleaf,
                            unsigned reg)
{
    for (uint32_t i = 0; i < table->count && i < X86_CPUID_MAX; i++) {
        const struct x86_cpuid *row = &table->row[i];

        if (row->leaf == leaf && (!row->indexed || row->subleaf == subleaf))
            return row->reg[reg];
    }
    return 0;
}

static void record_name(char *text, size_t room, uint32_t leaf, uint32_t subleaf, unsigned reg,
                        unsigned bit)
{
    static const char *const regs[] = {"EAX", "EBX", "ECX", "EDX"};
    const char *name = x86_feature_name(leaf, subleaf, reg, bit);
    size_t len = strlen(text);

    if (name)
        snprintf(text + len, room - len, "%s%s", len ? ", " : "", name);
    else
        snprintf(text + len, room - len, "%sbit %u of %s in CPUID 0x%" PRIx32 ".%" PRIu32,
                 len ? ", " : "", bit, regs[reg], leaf, subleaf);
}

/* The names of the first few. */
static void record_missing(const struct x86_cpuid_table *wanted,
                           const struct x86_cpuid_table *offered, char *text, size_t room)
{
    unsigned count = 0;

    for (unsigned i = 0; i < ARRAY_LEN(record_words); i++)
        for (unsigned reg = 0; reg < 4; reg++) {
            uint32_t leaf = record_words[i].leaf, subleaf = record_words[i].subleaf;
            uint32_t lost = record_words[i].regs >> reg & 1
                                ? record_word(wanted, leaf, subleaf, reg) &
                                      ~record_word(offered, leaf, subleaf, reg)
                                : 0;

            for (; lost; lost &= lost - 1)
                if (count++ < RECORD_NAMES)
                    record_name(text, room, leaf, subleaf, reg, (unsigned)__builtin_ctz(lost));
        }
    if (count > RECORD_NAMES)
        snprintf(text + strlen(text), room - strlen(text), " and %u more", count - RECORD_NAMES);
}

static void record_vendor(const struct x86_cpuid_table *table, char text[13])
{
    static const uint8_t order[] = {X86_EBX, X86_EDX, X86_ECX};

    for (unsigned i = 0; i < 3; i++)
        for (unsigned byte = 0; byte < 4; byte++) {
            char c = (char)(record_word(table, 0, 0, order[i]) >> 8 * byte);

            text[4 * i + byte] = c >= ' ' && c <= '~' ? c : '?';
        }
    text[12] = '\0';
}

int x86_cpuid_check(const struct x86_cpuid_table *wanted, const struct x86_cpuid_table *offered,
                    struct err *err)
{
    unsigned bits = record_word(wanted, 0x80000008, 0, X86_EAX) & 0xff;
    unsigned had = record_word(offered, 0x80000008, 0, X86_EAX) & 0xff;
    char was[13], is[13], missing[200] = "";

    record_vendor(wanted, was);
    record_vendor(offered, is);
    if (strcmp(was, is) != 0)
        return err_set(err, -EOPNOTSUPP,
                       "the guest was made on a processor by %s, this host's is by %s; start it "
                       "there, or make another guest with its disks",
                       was, is);
    record_missing(wanted, offered, missing, sizeof(missing));
    if (*missing)
        return err_set(err, -EOPNOTSUPP,
                       "this host's processor lacks what the guest has seen so far: %s; start it "
                       "on the host it was made on, or give it another --cpu-model",
                       missing);
    if (bits > had)
        return err_set(err, -EOPNOTSUPP,
                       "the guest has seen %u bits of physical address, this host has %u", bits,
                       had);
    return 0;
}
