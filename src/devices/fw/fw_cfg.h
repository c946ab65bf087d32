/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine tells its firmware: numbered items and named files, read byte by byte or by DMA.
 * The board fills it before each reset; contents are derived from the machine and never saved.
 */
#pragma once

#include <posada/device.h>

enum { FW_CFG_ITEMS_MAX = 32, FW_CFG_NAME_MAX = 56 };
enum fw_cfg_key {
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_FEATURES = 0x01,
    FW_CFG_UUID = 0x02,
    FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_CPUS = 0x05,
    FW_CFG_CPUS_MAX = 0x0f,
    FW_CFG_DIRECTORY = 0x19,
};

/* Register space of 12 bytes: selector at 0 (16 bits), data at 1, DMA address at 4. */
extern const struct device_ops fw_cfg_ops;

/* Forgets all items but the device's own (signature, features, directory). */
void fw_cfg_clear(struct device *dev);
/* Copies an item in; a key or name that is there already gets new contents. -ENOMEM, -ENOSPC. */
int must_use fw_cfg_add(struct device *dev, uint16_t key, const void *data, uint32_t len);
int must_use fw_cfg_add_file(struct device *dev, const char *name, const void *data, uint32_t len);
