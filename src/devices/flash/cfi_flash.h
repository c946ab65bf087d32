/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flash chip in which firmware keeps its variables. The array is memory of the board's (a ROM
 * region of mem, see mem_add_rom()): the guest reads it there without exits while the chip says
 * `shown`, and writes always come here.
 */
#pragma once

#include <posada/device.h>

enum { CFI_FLASH_BLOCK = 4096, CFI_FLASH_MAX = 16 << 20 };

extern const struct device_ops cfi_flash_ops;

struct cfi_flash_host {
    uint8_t *array;                      /* size bytes, erased: 0xff; stays the caller's */
    uint32_t size;                       /* whole blocks, at most CFI_FLASH_MAX */
    void (*show)(void *arg, bool shown); /* reads go to the array, or to the chip; optional */
    void (*changed)(void *arg);          /* the array's contents; optional */
    void *arg;
};
/* Before device_init(); the host's functions run with the machine lock held. */
void cfi_flash_connect(struct device *dev, const struct cfi_flash_host *host);
