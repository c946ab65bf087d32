/* SPDX-License-Identifier: Apache-2.0 */
/* What the x86 board has more when it starts firmware (SeaBIOS, OVMF), and fw_cfg. Private to the
 * board. */
#pragma once

#include "board/kit.h"
#include "board/x86_pc.h"

struct pc_firmware {
    struct board_kit *kit;
    struct device *fw_cfg, *flash, *rtc;
    const uint8_t *rom; /* firmware_size bytes, as the loader fills them */
    uint8_t *array;     /* the flash chip's */
    gpa_t flash_at;
};

/* ROM, flash, fw_cfg at its ports, configuration ports with the reset register between them, the
 * chip set's two functions. After PCI. */
int must_use pc_firmware_build(struct pc_firmware *fw, struct board_kit *kit,
                               struct mmio_bus *ports, struct device *rtc, struct device *reset,
                               struct err *err);
/* fw_cfg alone, for machines that start kernels: test programs ask it for the number of processors.
 */
int must_use pc_firmware_add_fw_cfg(struct pc_firmware *fw, struct board_kit *kit,
                                    struct mmio_bus *ports, struct err *err);
int must_use pc_firmware_tell(struct pc_firmware *fw, struct err *err); /* before a reset */
/* Before the devices' reset: fills what firmware reads. table: PC_ACPI_SIZE bytes to work in. */
int must_use pc_firmware_reset(struct pc_firmware *fw, uint8_t *table, struct err *err);
