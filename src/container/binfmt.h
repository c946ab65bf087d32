/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs of another architecture, run by a user-mode emulator of the host (Debian's
 * qemu-user-static) through binfmt_misc (Linux Documentation/admin-guide/binfmt-misc.rst). Since
 * Linux 6.7 a user namespace has entries of its own; the host's are neither needed nor touched.
 * Only flag F helps inside another root: the kernel opens the emulator when the entry is made.
 */
#pragma once

#include <posada/err.h>
#include <stdbool.h>
#include <stdint.h>

struct binfmt {
    const char *machine;  /* as uname(2) says */
    uint16_t elf_machine; /* e_machine; they are 64-bit and little-endian */
    char emulator[64];    /* path on the host */
};

/* What runs programs of machine here. -EOPNOTSUPP: nothing installed does, and what to install. */
int must_use binfmt_find(const char *machine, struct binfmt *ret, struct err *err);
/* Lets the caller's user namespace run them, by an entry of its own or else by the host's; in a
 * process that may mount and whose root is the host's. A descriptor that keeps the entry until it
 * is closed (-EOPNOTSUPP: neither is to be had). */
int must_use binfmt_enter(const struct binfmt *b, struct err *err);

/* --- for tests --- */
/* The line that makes the entry (register). */
enum { BINFMT_LINE = 320 };
void binfmt_line(const struct binfmt *b, char line[BINFMT_LINE]);
/* Whether an entry, as the kernel shows it, is enabled, has flag F and takes such programs. */
bool binfmt_entry_fits(const struct binfmt *b, const char *text);
