/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firmware on the x86 board: where it lies and what it is told. It finds its machine by fw_cfg
 * (QEMU docs/specs/fw_cfg.rst): memory, processors, boot order, ACPI tables with a script that
 * says which pointers and sums to mend once it has placed them (QEMU hw/acpi/bios-linker-loader.c
 * describes the commands), SMBIOS. And by CMOS bytes, for those that look no further.
 * The last 128 KiB lie once more below 1 MiB, as RAM: shadowing is done before it starts.
 */
#include "board/x86_pc_firmware.h"
#include "base/bits.h"
#include "base/endian.h"
#include "devices/bus/pci_ports.h"
#include "devices/bus/q35.h"
#include "devices/flash/cfi_flash.h"
#include "devices/fw/fw_cfg.h"
#include "devices/rtc/mc146818.h"
#include "mem/mem.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { PORT_FW_CFG = 0x510, PORT_UART = 0x3f8, E820_SIZE = 20, SHADOW = 0xc0000 };

/* --- Building --- */
static int firmware_add_rom(struct pc_firmware *fw, struct err *err)
{
    const struct board_config *c = &fw->kit->config;
    void *host = NULL;
    int r = mem_add_rom(c->mem, GPA(PC_HIGH - c->firmware_size), c->firmware_size, &host, err);

    fw->rom = host;
    return r;
}

static void firmware_show(void *arg, bool shown)
{
    struct pc_firmware *fw = (struct pc_firmware *)arg;

    mem_show_rom(fw->kit->config.mem, fw->flash_at, shown);
}

static void firmware_changed(void *arg)
{
    struct pc_firmware *fw = (struct pc_firmware *)arg;
    const struct board_flash *flash = &fw->kit->config.flash;

    if (flash->changed)
        flash->changed(flash->arg, fw->array);
}

/* Below the code, as OVMF expects its two parts. */
static int firmware_add_flash(struct pc_firmware *fw, struct err *err)
{
    const struct board_config *c = &fw->kit->config;
    struct cfi_flash_host host = {
        .size = c->flash.size, .show = firmware_show, .changed = firmware_changed, .arg = fw};
    struct mmio_window window = {
        .access = cfi_flash_ops.mmio, .read = cfi_flash_ops.read, .write = cfi_flash_ops.write};
    void *array = NULL;
    int r;

    if (!c->flash.contents)
        return 0;
    window.access.size = c->flash.size;
    fw->flash_at = GPA(PC_HIGH - c->firmware_size - c->flash.size);
    r = mem_add_rom(c->mem, fw->flash_at, c->flash.size, &array, err);
    if (!r)
        r = board_kit_new(fw->kit, &cfi_flash_ops, "flash", &fw->flash, err);
    if (r)
        return r;
    host.array = fw->array = array;
    memcpy(fw->array, c->flash.contents, c->flash.size);
    cfi_flash_connect(fw->flash, &host);
    r = device_init(fw->flash, err);
    return r ? r : mmio_bus_add_window(fw->kit->bus, fw->flash_at, &window, fw->flash, err);
}

int pc_firmware_add_fw_cfg(struct pc_firmware *fw, struct board_kit *kit, struct mmio_bus *ports,
                           struct err *err)
{
    int r;

    fw->kit = kit;
    r = board_kit_new(kit, &fw_cfg_ops, "fw-cfg", &fw->fw_cfg, err);
    if (!r)
        r = device_init(fw->fw_cfg, err);
    return r ? r : mmio_bus_add(ports, GPA(PORT_FW_CFG), fw->fw_cfg, err);
}

static int firmware_add_ports(struct pc_firmware *fw, struct mmio_bus *ports, struct device *reset,
                              struct err *err)
{
    struct device *pci = NULL;
    int r = pc_firmware_add_fw_cfg(fw, fw->kit, ports, err);

    if (!r)
        r = board_kit_new(fw->kit, &pci_ports_ops, "pci-ports", &pci, err);
    if (r)
        return r;
    pci_ports_connect(pci, fw->kit->pci);
    pci_ports_beside(pci, reset);
    r = device_init(pci, err);
    return r ? r : mmio_bus_add(ports, GPA(PCI_PORTS), pci, err);
}

int pc_firmware_build(struct pc_firmware *fw, struct board_kit *kit, struct mmio_bus *ports,
                      struct device *rtc, struct device *reset, struct err *err)
{
    int r;

    *fw = (struct pc_firmware){.kit = kit, .rtc = rtc};
    r = firmware_add_rom(fw, err);
    if (!r)
        r = firmware_add_flash(fw, err);
    if (!r)
        r = firmware_add_ports(fw, ports, reset, err);
    if (!r)
        r = board_kit_add_function(kit, Q35_HOST_SLOT, q35_host_new("mch"), err);
    if (!r)
        r = board_kit_add_function(kit, Q35_LPC_SLOT, q35_lpc_new("lpc", PC_PORT_PM), err);
    return r;
}

/* --- The script for ACPI tables --- */
enum { SCRIPT_STEP = 128, SCRIPT_STEPS = 32, SCRIPT_FILE = 56 };
enum { STEP_ALLOCATE = 1, STEP_POINTER = 2, STEP_SUM = 3, ZONE_HIGH = 1, ZONE_LOW = 2 };
#define FILE_TABLES "etc/acpi/tables"
#define FILE_RSDP   "etc/acpi/rsdp"

struct script {
    uint8_t step[SCRIPT_STEPS][SCRIPT_STEP];
    unsigned count;
};

static uint8_t *script_add(struct script *s, unsigned command, const char *file)
{
    uint8_t *step = s->step[s->count < SCRIPT_STEPS - 1 ? s->count++ : s->count];

    st_le32(step, command);
    snprintf((char *)step + 4, SCRIPT_FILE, "%s", file);
    return step + 4 + SCRIPT_FILE;
}

static void script_allocate(struct script *s, const char *file, unsigned alignment, unsigned zone)
{
    uint8_t *rest = script_add(s, STEP_ALLOCATE, file);

    st_le32(rest, alignment);
    rest[4] = (uint8_t)zone;
}

/* A pointer into the tables. */
static void script_point(struct script *s, const char *file, uint32_t at, uint32_t size)
{
    uint8_t *rest = script_add(s, STEP_POINTER, file);

    snprintf((char *)rest, SCRIPT_FILE, "%s", FILE_TABLES);
    st_le32(rest + SCRIPT_FILE, at);
    rest[SCRIPT_FILE + 4] = (uint8_t)size;
}

static void script_sum(struct script *s, const char *file, uint32_t at, uint32_t start,
                       uint32_t len)
{
    uint8_t *rest = script_add(s, STEP_SUM, file);

    st_le32(rest, at);
    st_le32(rest + 4, start);
    st_le32(rest + 8, len);
}

static void firmware_make_script(struct script *s, const struct pc_acpi_layout *l, uint8_t *table)
{
    script_allocate(s, FILE_RSDP, 16, ZONE_LOW);
    script_allocate(s, FILE_TABLES, 64, ZONE_HIGH);
    for (unsigned i = 0; i < l->pointers; i++)
        script_point(s, FILE_TABLES, l->pointer[i].at, l->pointer[i].size);
    for (unsigned i = 0; i < l->tables; i++) {
        table[l->table[i].at + PC_ACPI_CHECKSUM] = 0;
        script_sum(s, FILE_TABLES, l->table[i].at + PC_ACPI_CHECKSUM, l->table[i].at,
                   l->table[i].len);
    }
    script_point(s, FILE_RSDP, PC_RSDP_XSDT, 8);
    table[8] = table[32] = 0;
    script_sum(s, FILE_RSDP, 8, 0, 20);
    script_sum(s, FILE_RSDP, 32, 0, PC_RSDP_SIZE);
}

static int firmware_tell_acpi(struct pc_firmware *fw, uint8_t *table, struct err *err)
{
    struct script script = {.count = 0};
    struct pc_acpi_layout layout;
    int r = pc_acpi_tables(fw->kit->config.cpus, true, table, PC_ACPI_SIZE, 0, &layout, err);

    if (r)
        return r;
    firmware_make_script(&script, &layout, table);
    r = fw_cfg_add_file(fw->fw_cfg, FILE_RSDP, table, PC_RSDP_SIZE);
    if (!r)
        r = fw_cfg_add_file(fw->fw_cfg, FILE_TABLES, table, layout.len);
    if (!r)
        r = fw_cfg_add_file(fw->fw_cfg, "etc/table-loader", script.step,
                            script.count * SCRIPT_STEP);
    return r;
}

/* --- The rest of what it is told --- */
static int firmware_tell_memory(struct pc_firmware *fw, struct err *err)
{
    struct pc_memory_range range[PC_MEMORY_RANGES];
    unsigned n = pc_memory_map(fw->kit->config.memory, fw->rom, range);
    uint8_t e820[PC_MEMORY_RANGES * E820_SIZE];

    for (unsigned i = 0; i < n; i++) {
        st_le64(e820 + i * E820_SIZE, range[i].start);
        st_le64(e820 + i * E820_SIZE + 8, range[i].size);
        st_le32(e820 + i * E820_SIZE + 16, range[i].type);
    }
    return fw_cfg_add_file(fw->fw_cfg, "etc/e820", e820, n * E820_SIZE);
}

/* Disks in their order, then networks: device paths as Open Firmware writes them. */
static int firmware_tell_order(struct pc_firmware *fw, struct err *err)
{
    const struct board_config *c = &fw->kit->config;
    char text[(VM_DISKS_MAX + VM_NETS_MAX) * 64] = "";
    size_t len = 0;

    for (unsigned i = 0; i < c->disk_count; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "/pci@i0cf8/scsi@%x/disk@0,0\n",
                                board_kit_disk_slot(i));
    for (unsigned i = 0; i < c->net_count; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len,
                                "/pci@i0cf8/ethernet@%x/ethernet-phy@0\n", board_kit_net_slot(i));
    return fw_cfg_add_file(fw->fw_cfg, "bootorder", text, (uint32_t)len + 1);
}

static int firmware_tell_numbers(struct pc_firmware *fw, struct err *err)
{
    const struct board_config *c = &fw->kit->config;
    uint8_t raw[8];
    int r;

    st_le64(raw, c->memory);
    r = fw_cfg_add(fw->fw_cfg, FW_CFG_RAM_SIZE, raw, 8);
    st_le16(raw, (uint16_t)c->cpus);
    if (!r)
        r = fw_cfg_add(fw->fw_cfg, FW_CFG_CPUS, raw, 2);
    if (!r)
        r = fw_cfg_add(fw->fw_cfg, FW_CFG_CPUS_MAX, raw, 2);
    st_le16(raw, PORT_UART); /* SeaBIOS's own console, there being no screen */
    return r ? r : fw_cfg_add_file(fw->fw_cfg, "etc/sercon-port", raw, 2);
}

static int firmware_tell_smbios(struct pc_firmware *fw, uint8_t *table, struct err *err)
{
    const struct board_config *c = &fw->kit->config;
    uint32_t len = 0;
    int r = pc_smbios_tables(c->memory, c->cpus, table, PC_SMBIOS_SIZE, 0, &len, err);

    if (!r)
        r = fw_cfg_add_file(fw->fw_cfg, "etc/smbios/smbios-anchor", table, PC_SMBIOS_ENTRY);
    return r ? r
             : fw_cfg_add_file(fw->fw_cfg, "etc/smbios/smbios-tables", table + PC_SMBIOS_TABLES,
                               len - PC_SMBIOS_TABLES);
}

/* The bytes that IBM's and later BIOSes keep: sizes of memory, boot order, processors. */
static void firmware_set_cmos(struct pc_firmware *fw)
{
    enum { BASE = 0x15, EXTENDED = 0x17, EXTENDED_TOO = 0x30, ABOVE_16M = 0x34, HIGH = 0x5b };
    enum { ORDER = 0x3d, HARD_DISK_FIRST = 0x02, CPUS = 0x5f };
    const struct board_config *c = &fw->kit->config;
    uint64_t low = pc_low_memory(c->memory, true), high = c->memory - low;
    uint64_t extended = low > PC_MEGABYTE ? (low - PC_MEGABYTE) >> 10 : 0;
    uint64_t above = low > 16 * PC_MEGABYTE ? (low - 16 * PC_MEGABYTE) >> 16 : 0;
    const struct {
        uint8_t at, bytes;
        uint64_t val;
    } all[] = {
        {BASE, 2, 640},
        {EXTENDED, 2, extended < 0xfc00 ? extended : 0xfc00},
        {EXTENDED_TOO, 2, extended < 0xfc00 ? extended : 0xfc00},
        {ABOVE_16M, 2, above},
        {HIGH, 3, high >> 16},
        {ORDER, 1, HARD_DISK_FIRST},
        {CPUS, 1, c->cpus - 1},
    };

    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        for (unsigned k = 0; k < all[i].bytes; k++)
            mc146818_set_byte(fw->rtc, (uint8_t)(all[i].at + k), (uint8_t)(all[i].val >> 8 * k));
}

/* The end of the ROM below 1 MiB, nothing in front of it. */
static int firmware_shadow(struct pc_firmware *fw)
{
    const struct board_config *c = &fw->kit->config;
    uint64_t size = c->firmware_size < PC_FIRMWARE_LOW ? c->firmware_size : PC_FIRMWARE_LOW;
    int r = mem_fill(c->mem, GPA(SHADOW), 0, PC_MEGABYTE - SHADOW);

    return r ? r
             : mem_write(c->mem, GPA(PC_MEGABYTE - size), fw->rom + c->firmware_size - size, size);
}

int pc_firmware_tell(struct pc_firmware *fw, struct err *err)
{
    int r;

    fw_cfg_clear(fw->fw_cfg);
    r = firmware_tell_numbers(fw, err);
    return r ? r : firmware_tell_memory(fw, err);
}

int pc_firmware_reset(struct pc_firmware *fw, uint8_t *table, struct err *err)
{
    int r = firmware_shadow(fw);

    firmware_set_cmos(fw);
    if (!r)
        r = pc_firmware_tell(fw, err);
    if (!r)
        r = firmware_tell_order(fw, err);
    if (!r)
        r = firmware_tell_acpi(fw, table, err);
    if (!r)
        r = firmware_tell_smbios(fw, table, err);
    return r == -ENOMEM || r == -ENOSPC ? err_set(err, r, "no room for what firmware is told") : r;
}
