/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "fw_cfg", the firmware's view of its machine. Spec: QEMU docs/specs/fw_cfg.rst (selector, data
 * and DMA register of x86; file directory). An item that is not there, and everything past an
 * item's end, reads as zeros. DMA takes effect at once: its control field is 0 or "error" when the
 * write that started it comes back.
 * Not modelled: items that firmware may write. Contract: fw_cfg.h.
 */
#include "devices/fw/fw_cfg.h"
#include "base/bits.h"
#include "base/endian.h"
#include "devices/core/device.h"
#include "mem/mem.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SELECT = 0, DATA = 1, DMA_HIGH = 4, DMA_LOW = 8, SIZE = 12, FILE_FIRST = 0x20 };
enum { FEATURE_PORTS = 1, FEATURE_DMA = 2, ENTRY_SIZE = 64, DMA_SIZE = 16 };
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };
enum { DMA_MAX = 64 << 20 }; /* of one transfer: it is made while the machine waits */
#define DMA_SIGNATURE UINT64_C(0x51454d5520434647)

struct fw_cfg_item {
    uint16_t key;
    char name[FW_CFG_NAME_MAX]; /* "": not in the directory */
    uint8_t *data;
    uint32_t len;
};

struct fw_cfg {
    struct device dev; /* must be first */
    unsigned count;
    struct fw_cfg_item item[FW_CFG_ITEMS_MAX];
    uint8_t directory[4 + FW_CFG_ITEMS_MAX * ENTRY_SIZE];
    uint32_t directory_len;

    uint16_t key;
    uint32_t offset;
    uint64_t dma;
};

static const struct state_field fw_cfg_state[] = {
    STATE_U16(struct fw_cfg, key),
    STATE_U32(struct fw_cfg, offset),
    STATE_U64(struct fw_cfg, dma),
    STATE_END,
};

static struct fw_cfg *fw_cfg_of(struct device *dev)
{
    return container_of(dev, struct fw_cfg, dev);
}

/* --- Items --- */
static struct fw_cfg_item *fw_cfg_find(struct fw_cfg *s, uint16_t key, const char *name)
{
    for (unsigned i = 0; i < s->count; i++)
        if (name ? !strcmp(s->item[i].name, name) : s->item[i].key == key)
            return &s->item[i];
    return NULL;
}

static int fw_cfg_fill(struct fw_cfg_item *item, const void *data, uint32_t len)
{
    uint8_t *copy = malloc(len ? len : 1);

    if (!copy)
        return -ENOMEM;
    memcpy(copy, data, len);
    free(item->data);
    item->data = copy;
    item->len = len;
    return 0;
}

static int fw_cfg_put(struct fw_cfg *s, uint16_t key, const char *name, const void *data,
                      uint32_t len)
{
    struct fw_cfg_item *item = fw_cfg_find(s, key, name);
    int r;

    if (item)
        return fw_cfg_fill(item, data, len);
    if (s->count == FW_CFG_ITEMS_MAX)
        return -ENOSPC;
    item = &s->item[s->count];
    *item = (struct fw_cfg_item){.key = key};
    r = fw_cfg_fill(item, data, len);
    if (r)
        return r;
    if (name)
        snprintf(item->name, sizeof(item->name), "%s", name);
    s->count++;
    return 0;
}

int fw_cfg_add(struct device *dev, uint16_t key, const void *data, uint32_t len)
{
    return fw_cfg_put(fw_cfg_of(dev), key, NULL, data, len);
}

static void fw_cfg_list(struct fw_cfg *s)
{
    uint8_t *at = s->directory + 4;
    unsigned files = 0;

    memset(s->directory, 0, sizeof(s->directory));
    for (unsigned i = 0; i < s->count; i++) {
        const struct fw_cfg_item *item = &s->item[i];

        if (!item->name[0])
            continue;
        st_be32(at, item->len);
        st_be16(at + 4, item->key);
        memcpy(at + 8, item->name, FW_CFG_NAME_MAX);
        at += ENTRY_SIZE;
        files++;
    }
    st_be32(s->directory, files);
    s->directory_len = (uint32_t)(at - s->directory);
}

int fw_cfg_add_file(struct device *dev, const char *name, const void *data, uint32_t len)
{
    struct fw_cfg *s = fw_cfg_of(dev);
    int r = fw_cfg_put(s, (uint16_t)(FILE_FIRST + s->count), name, data, len);

    fw_cfg_list(s);
    return r;
}

void fw_cfg_clear(struct device *dev)
{
    struct fw_cfg *s = fw_cfg_of(dev);

    for (unsigned i = 0; i < s->count; i++)
        free(s->item[i].data);
    s->count = 0;
    fw_cfg_list(s);
}

/* The selected item's bytes from the offset on; *ret_len 0 past the end or when it is not there. */
static const uint8_t *fw_cfg_rest(struct fw_cfg *s, uint32_t *ret_len)
{
    static const uint8_t signature[4] = {'Q', 'E', 'M', 'U'};
    static const uint8_t features[4] = {FEATURE_PORTS | FEATURE_DMA};
    const struct fw_cfg_item *item = fw_cfg_find(s, s->key, NULL);
    const uint8_t *data = item ? item->data : NULL;
    uint32_t len = item ? item->len : 0;

    switch (s->key) {
    case FW_CFG_SIGNATURE:
        data = signature;
        len = sizeof(signature);
        break;
    case FW_CFG_FEATURES:
        data = features;
        len = sizeof(features);
        break;
    case FW_CFG_DIRECTORY:
        data = s->directory;
        len = s->directory_len;
        break;
    default: break;
    }
    *ret_len = s->offset < len ? len - s->offset : 0;
    return *ret_len ? data + s->offset : NULL;
}

static void fw_cfg_advance(struct fw_cfg *s, uint32_t by)
{
    s->offset = by > UINT32_MAX - s->offset ? UINT32_MAX : s->offset + by;
}

static void fw_cfg_select(struct fw_cfg *s, uint16_t key)
{
    s->key = key;
    s->offset = 0;
}

/* --- DMA --- */
static bool fw_cfg_dma_read(struct fw_cfg *s, uint64_t to, uint32_t len)
{
    uint32_t there;
    const uint8_t *data = fw_cfg_rest(s, &there);

    if (len > DMA_MAX || !mem_is_ram(s->dev.mem, GPA(to), len))
        return false;
    if (there > len)
        there = len;
    return !mem_write(s->dev.mem, GPA(to), data ? data : (const uint8_t *)"", there) &&
           !mem_fill(s->dev.mem, GPA(to + there), 0, len - there);
}

static void fw_cfg_run_dma(struct fw_cfg *s)
{
    uint8_t raw[DMA_SIZE], result[4] = {0};
    uint32_t control, len;
    bool ok = true;

    if (!s->dev.mem || mem_read(s->dev.mem, GPA(s->dma), raw, sizeof(raw))) {
        guest_error(&s->dev, "a request at 0x%llx, outside memory", (unsigned long long)s->dma);
        return;
    }
    control = ld_be32(raw);
    len = ld_be32(raw + 4);
    if (control & DMA_SELECT)
        fw_cfg_select(s, (uint16_t)(control >> 16));
    if (control & DMA_READ)
        ok = fw_cfg_dma_read(s, ld_be64(raw + 8), len);
    else if (control & DMA_WRITE)
        ok = false;
    if (ok && control & (DMA_READ | DMA_SKIP))
        fw_cfg_advance(s, len);
    st_be32(result, ok ? 0 : DMA_ERROR);
    (void)!mem_write(s->dev.mem, GPA(s->dma), result, sizeof(result));
}

/* --- Registers --- */
static uint64_t fw_cfg_read(struct device *dev, uint32_t off, unsigned size)
{
    struct fw_cfg *s = fw_cfg_of(dev);
    const uint8_t *data;
    uint32_t there;

    if (off == DATA && size == 1) {
        data = fw_cfg_rest(s, &there);
        fw_cfg_advance(s, 1);
        return there ? *data : 0;
    }
    if (off >= DMA_HIGH && size == 4) /* says that there is DMA */
        return htobe32((uint32_t)(DMA_SIGNATURE >> (off == DMA_HIGH ? 32 : 0)));
    return guest_error_read(dev, off);
}

static void fw_cfg_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    struct fw_cfg *s = fw_cfg_of(dev);

    if (off == SELECT && size == 2) {
        fw_cfg_select(s, (uint16_t)val);
    } else if (off == DMA_HIGH && size == 4) {
        s->dma = (uint64_t)be32toh((uint32_t)val) << 32;
    } else if (off == DMA_LOW && size == 4) {
        s->dma |= be32toh((uint32_t)val);
        fw_cfg_run_dma(s);
        s->dma = 0;
    } else {
        guest_error_write(dev, off, val);
    }
}

static void fw_cfg_reset(struct device *dev)
{
    struct fw_cfg *s = fw_cfg_of(dev);

    fw_cfg_select(s, 0);
    s->dma = 0;
}

const struct device_ops fw_cfg_ops = {
    .type = "fw-cfg",
    .instance_size = sizeof(struct fw_cfg),
    .mmio = {.size = SIZE, .access_min = 1, .access_max = 4},
    .done = fw_cfg_clear,
    .reset = fw_cfg_reset,
    .read = fw_cfg_read,
    .write = fw_cfg_write,
    .state_version = 1,
    .state = fw_cfg_state,
};
