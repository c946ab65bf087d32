/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the extensions a CPU has, as the device tree wants them (Linux riscv/extensions.yaml).
 */
#include "cpu/riscv/internal.h"

#include <stdio.h>

/* Canonical order: single letters, then Z by category, then S. */
static const char *const isa_names[] = {
    "i",      "m",      "a",      "f",      "d",       "c",        "zicbom",
    "zicbop", "zicboz", "zicntr", "zicond", "zicsr",   "zifencei", "zba",
    "zbb",    "zbs",    "sstc",   "svadu",  "svinval", "svnapot",  "svvptc",
};

static const uint8_t isa_extension[ARRAY_LEN(isa_names)] = {
    RISCV_EXT_I,      RISCV_EXT_M,      RISCV_EXT_A,        RISCV_EXT_F,       RISCV_EXT_D,
    RISCV_EXT_C,      RISCV_EXT_Zicbom, RISCV_EXT_Zicbop,   RISCV_EXT_Zicboz,  RISCV_EXT_Zicntr,
    RISCV_EXT_Zicond, RISCV_EXT_Zicsr,  RISCV_EXT_Zifencei, RISCV_EXT_Zba,     RISCV_EXT_Zbb,
    RISCV_EXT_Zbs,    RISCV_EXT_Sstc,   RISCV_EXT_Svadu,    RISCV_EXT_Svinval, RISCV_EXT_Svnapot,
    RISCV_EXT_Svvptc,
};

unsigned riscv_isa_extensions(const struct cpu *cpu, const char *names[RISCV_ISA_EXTENSIONS_MAX])
{
    const struct riscv_cpu *rv = (const struct riscv_cpu *)(const void *)cpu;
    unsigned n = 0;

    for (unsigned i = 0; i < ARRAY_LEN(isa_names); i++)
        if (riscv_has(rv, isa_extension[i]))
            names[n++] = isa_names[i];
    return n;
}

size_t riscv_isa_string(const struct cpu *cpu, char *buf, size_t size)
{
    const char *names[RISCV_ISA_EXTENSIONS_MAX];
    unsigned count = riscv_isa_extensions(cpu, names);
    size_t at = (size_t)snprintf(buf, size, "rv64");

    for (unsigned i = 0; i < count; i++)
        at += (size_t)snprintf(at < size ? buf + at : NULL, at < size ? size - at : 0, "%s%s",
                               names[i][1] ? "_" : "", names[i]);
    return at;
}
