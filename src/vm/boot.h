/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine starts from, put together: which files, where they go in RAM, and how the first
 * vCPU enters them. Decided once; written into RAM at power-on and at every reset.
 */
#pragma once

#include "board/board.h"
#include "vm/firmware.h"
#include "vm/loader.h"

struct boot {
    struct loader_image firmware, kernel, initrd; /* absent ones are zeroed */
    struct board_boot board;
    bool has_tohost;
    uint64_t tohost;
    struct firmware_files firmware_files;
};

/* Opens and checks the configuration's files and plans RAM. Configuration and *ret_boot stay where
 * they are; nothing is left open on failure. */
int must_use boot_open(struct boot *ret_boot, const struct vm_config *config,
                       const struct board_ops *board, struct err *err);
void boot_close(struct boot *boot); /* a zeroed one is fine */
/* Copies all images into RAM. */
int must_use boot_write(struct boot *boot, struct mem *mem, struct err *err);
