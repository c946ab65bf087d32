/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of a guest's functions by address, from a file: the symbol table of an ELF file (vmlinux, a
 * bare program) or lines "ADDRESS TYPE NAME" (System.map, or /proc/kallsyms saved in the guest).
 */
#pragma once

#include <posada/err.h>
#include <stdint.h>

struct symbols;

/* -ENOEXEC when the file has none; damaged entries are left out. */
int must_use symbols_load(const char *path, struct symbols **ret_symbols, struct err *err);
void symbols_free(struct symbols *symbols); /* NULL is fine */
/* The function that holds the address; NULL: none does. */
const char *symbols_find(const struct symbols *symbols, uint64_t address);
