/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `tohost` word of riscv-tests: how a bare program without devices says what came out. It
 * writes 1 for success, or the failed test's number * 2 + 1; with device 1 in the top byte it puts
 * a character. The result becomes a power-off with an exit code.
 */
#pragma once

#include <posada/chardev.h>
#include <posada/device.h>
#include <posada/err.h>

struct loop;
struct mem;
struct tohost;

struct tohost_config {
    struct loop *loop;
    struct mem *mem;
    uint64_t address;        /* physical, of the word */
    struct chardev *console; /* may be NULL */
    struct power_sink power;
};

int must_use tohost_new(const struct tohost_config *config, struct tohost **ret_tohost,
                        struct err *err);
void tohost_free(struct tohost *t); /* NULL is fine */
/* Looks at the word once; true when the program has ended. Machine lock held. */
bool tohost_look(struct tohost *t);
