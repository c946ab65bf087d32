/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile records of a guest's processor: what is accepted prints as it was read, and is compared
 * with what a host offers. As a program of its own: fuzz_cpuid_random [SEED [INPUTS]].
 */
#include "cpu/x86/x86.h"
#include "input.h"

#include <stdlib.h>
#include <string.h>

static const char good[] = "cpuid 1 host\n0 - d 68747541 444d4163 69746e65\n"
                           "1 - 60fb1 0 80202001 78bfbfd\n7 0 0 209c01a9 0 0\nd 1 7 0 0 0\n";

static void cpuid_try(const char *text)
{
    struct x86_cpuid_table table = {0}, again = {0}, offered = {.count = 0};
    struct err err = {0};
    char *printed;

    if (x86_cpuid_parse(text, "host", &table, &err)) {
        if (!err.text[0])
            abort(); /* a refusal is a sentence */
        return;
    }
    printed = x86_cpuid_print("host", &table);
    if (!printed || x86_cpuid_parse(printed, "host", &again, &err) ||
        memcmp(&table.row, &again.row, table.count * sizeof(table.row[0])) != 0)
        abort();
    free(printed);
    if (x86_cpuid_check(&table, &table, &err))
        abort(); /* a host that offers all of it */
    (void)!x86_cpuid_check(&table, &offered, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char letters[] = "0123456789abcdef -\n\0gX";
    char text[sizeof(good)];

    memcpy(text, good, sizeof(good));
    for (size_t i = 0; i + 1 < len && i < 12; i += 2)
        text[data[i] % (sizeof(good) - 1)] = letters[data[i + 1] % (sizeof(letters) - 1)];
    cpuid_try(text);
    return 0;
}
