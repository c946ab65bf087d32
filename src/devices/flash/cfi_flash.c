/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parallel flash with Intel's command set (id 1) and a CFI table: JEDEC JESD68.01, JEP137B; Intel
 * "StrataFlash" data sheets, commands and status. One chip, 8 bits wide; accesses of several bytes
 * are as many of one. Programming clears bits, erasing a block of 4 KiB sets them; both are done
 * when the command's last write is.
 * Not modelled: write to buffer, suspension, locks (answered, without effect), protection
 * registers. Contract: cfi_flash.h.
 */
#include "devices/flash/cfi_flash.h"
#include "base/bits.h"
#include "devices/core/device.h"
#include <string.h>

enum { /* commands */
       READ_ARRAY = 0xff,
       READ_STATUS = 0x70,
       READ_ID = 0x90,
       READ_CFI = 0x98,
       CLEAR_STATUS = 0x50,
       PROGRAM = 0x40,
       PROGRAM_OLD = 0x10,
       ERASE = 0x20,
       CONFIRM = 0xd0,
       LOCK = 0x60,
};
enum { STATUS_READY = 0x80, STATUS_ERASE = 0x20, STATUS_PROGRAM = 0x10 };
enum { ID_MAKER = 0x89, ID_DEVICE = 0x18, CFI_SIZE = 0x31 };

struct cfi_flash {
    struct device dev; /* must be first */
    struct cfi_flash_host host;
    bool hidden; /* as the host was last told */

    uint8_t mode;  /* what reads give: READ_ARRAY, READ_STATUS, READ_ID, READ_CFI */
    uint8_t waits; /* command whose second write comes next, 0: none */
    uint8_t status;
};

static const struct state_field flash_state[] = {
    STATE_U8(struct cfi_flash, mode),
    STATE_U8(struct cfi_flash, waits),
    STATE_U8(struct cfi_flash, status),
    STATE_END,
};

static struct cfi_flash *flash_of(struct device *dev)
{
    return container_of(dev, struct cfi_flash, dev);
}

/* The CFI table from byte 0x10 on, for a chip of this size: blocks of 4 KiB, one region. */
static uint8_t flash_cfi(const struct cfi_flash *s, uint32_t at)
{
    const uint32_t blocks = s->host.size / CFI_FLASH_BLOCK - 1;
    uint8_t log2 = 0;
    const uint8_t fixed[CFI_SIZE] = {
        [0x10] = 'Q',
        [0x11] = 'R',
        [0x12] = 'Y',
        [0x13] = 1,        /* Intel's command set */
        [0x15] = CFI_SIZE, /* of the extended table: none */
        [0x1b] = 0x45,
        [0x1c] = 0x55, /* volts */
        [0x1f] = 7,
        [0x21] = 10,
        [0x23] = 4,
        [0x25] = 4, /* times */
        [0x2c] = 1,
        [0x2d] = (uint8_t)blocks,
        [0x2e] = (uint8_t)(blocks >> 8),
        [0x2f] = (uint8_t)(CFI_FLASH_BLOCK >> 8),
        [0x30] = (uint8_t)(CFI_FLASH_BLOCK >> 16),
    };

    while ((UINT64_C(1) << log2) < s->host.size)
        log2++;
    if (at == 0x27)
        return log2;
    return at < sizeof(fixed) ? fixed[at] : 0;
}

static uint8_t flash_byte(const struct cfi_flash *s, uint32_t off)
{
    switch (s->mode) {
    case READ_ARRAY: return off < s->host.size ? s->host.array[off] : 0xff;
    case READ_ID: return off == 0 ? ID_MAKER : off == 1 ? ID_DEVICE : 0;
    case READ_CFI: return flash_cfi(s, off);
    default: return s->status;
    }
}

static uint64_t flash_read(struct device *dev, uint32_t off, unsigned size)
{
    const struct cfi_flash *s = flash_of(dev);
    uint64_t val = 0;

    for (unsigned i = 0; i < size; i++)
        val |= (uint64_t)flash_byte(s, off + i) << 8 * i;
    return val;
}

/* --- Commands --- */
static void flash_settle(struct device *dev)
{
    struct cfi_flash *s = flash_of(dev);
    bool hidden = s->mode != READ_ARRAY;

    if (hidden == s->hidden)
        return;
    s->hidden = hidden;
    if (s->host.show)
        s->host.show(s->host.arg, !hidden);
}

static void flash_changed(struct cfi_flash *s)
{
    if (s->host.changed)
        s->host.changed(s->host.arg);
}

static void flash_program(struct cfi_flash *s, uint32_t off, uint8_t val)
{
    if (off < s->host.size && s->host.array[off] != (s->host.array[off] & val)) {
        s->host.array[off] &= val;
        flash_changed(s);
    }
    s->status |= STATUS_READY;
}

static void flash_erase(struct cfi_flash *s, uint32_t off)
{
    uint32_t block = off / CFI_FLASH_BLOCK * CFI_FLASH_BLOCK;

    if (block < s->host.size) {
        memset(s->host.array + block, 0xff, CFI_FLASH_BLOCK);
        flash_changed(s);
    }
    s->status |= STATUS_READY;
}

static void flash_second(struct cfi_flash *s, uint32_t off, uint8_t val)
{
    uint8_t command = s->waits;

    s->waits = 0;
    switch (command) {
    case PROGRAM: flash_program(s, off, val); break;
    case ERASE:
        if (val == CONFIRM)
            flash_erase(s, off);
        else
            s->status |= STATUS_READY | STATUS_ERASE | STATUS_PROGRAM; /* a wrong sequence */
        break;
    default: s->status |= STATUS_READY; break; /* locks */
    }
}

static void flash_first(struct cfi_flash *s, uint8_t val)
{
    s->mode = READ_STATUS;
    switch (val) {
    case 0:
    case READ_ARRAY: s->mode = READ_ARRAY; break;
    case READ_STATUS: break;
    case READ_ID:
    case READ_CFI: s->mode = val; break;
    case CLEAR_STATUS:
        s->status = 0;
        s->mode = READ_ARRAY;
        break;
    case PROGRAM:
    case PROGRAM_OLD: s->waits = PROGRAM; break;
    case ERASE:
    case LOCK: s->waits = val; break;
    default:
        guest_error(&s->dev, "unknown command 0x%x", val);
        s->mode = READ_ARRAY;
        break;
    }
}

static void flash_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    struct cfi_flash *s = flash_of(dev);

    for (unsigned i = 0; i < size; i++) {
        if (s->waits)
            flash_second(s, off + i, (uint8_t)(val >> 8 * i));
        else
            flash_first(s, (uint8_t)(val >> 8 * i));
    }
    flash_settle(dev);
}

/* --- Life --- */
static void flash_reset(struct device *dev)
{
    struct cfi_flash *s = flash_of(dev);

    s->mode = READ_ARRAY;
    s->waits = 0;
    s->status = STATUS_READY;
}

void cfi_flash_connect(struct device *dev, const struct cfi_flash_host *host)
{
    flash_of(dev)->host = *host;
}

const struct device_ops cfi_flash_ops = {
    .type = "cfi-flash",
    .instance_size = sizeof(struct cfi_flash),
    .mmio = {.size = CFI_FLASH_MAX, .access_min = 1, .access_max = 8},
    .reset = flash_reset,
    .settle = flash_settle,
    .read = flash_read,
    .write = flash_write,
    .state_version = 1,
    .state = flash_state,
};
