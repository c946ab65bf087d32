/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the x86 CPU. */
#pragma once

#include "cpu/x86/x86.h"

/* The name of a feature bit, NULL: it has none here. */
const char *x86_feature_name(uint32_t leaf, uint32_t subleaf, unsigned reg, unsigned bit);

int must_use x86_translate(struct cpu *cpu, gva_t va, enum cpu_access access, bool probe,
                           struct cpu_translation *ret_t);

unsigned x86_gdb_read(struct cpu *cpu, unsigned n, uint8_t *buf);
unsigned x86_gdb_write(struct cpu *cpu, unsigned n, const uint8_t *buf);
const char *x86_gdb_xml(void);
