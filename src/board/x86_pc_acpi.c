/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI tables of the x86 board: RSDP, XSDT, FADT, FACS, DSDT, MADT, MCFG. Spec: ACPI 6.4, chapter
 * 5 (tables), 6.4 (resource templates), 19 (what the AML means); PCI Firmware 3.0, 4.1.2 (MCFG).
 * They lie one behind the other from one address; every pointer in them is physical.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "board/aml.h"
#include "board/x86_pc.h"
#include "devices/fw/acpi_pm.h"
#include "devices/irqchip/ioapic.h"
#include <errno.h>
#include <string.h>

enum { HEADER = 36, FACS_SIZE = 64, FADT_SIZE = 276, TABLES_MAX = 4 };
enum { AT_LENGTH = 4, AT_REVISION = 8, AT_OEM = 10, AT_TABLE = 16 };
enum { AT_OEM_REVISION = 24, AT_CREATOR = 28 };

struct acpi {
    uint8_t *buf;
    size_t room, len;
    uint64_t address;
    bool failed, firmware;
    struct pc_acpi_layout layout;
};

/* Room for a piece, zeroed, at a multiple of `alignment`; NULL when there is none. */
static uint8_t *acpi_take(struct acpi *t, size_t size, size_t alignment, uint64_t *ret_address)
{
    size_t at = align_up(t->len, alignment);

    if (at > t->room || size > t->room - at) {
        t->failed = true;
        return NULL;
    }
    t->len = at + size;
    *ret_address = t->address + at;
    memset(t->buf + at, 0, size);
    return t->buf + at;
}

/* Notes a pointer to another table, `at` bytes into the one that starts at `table`. */
static void acpi_point(struct acpi *t, uint64_t table, unsigned at, unsigned size)
{
    struct pc_acpi_layout *l = &t->layout;

    if (l->pointers == ARRAY_LEN(l->pointer)) {
        t->failed = true;
        return;
    }
    l->pointer[l->pointers].at = (uint32_t)(table - t->address) + at;
    l->pointer[l->pointers++].size = size;
}

static void acpi_sum(uint8_t *table, size_t len, size_t at)
{
    uint8_t sum = 0;

    table[at] = 0;
    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + table[i]);
    table[at] = (uint8_t)-sum;
}

static void acpi_finish(struct acpi *t, uint8_t *table, const char *signature, unsigned revision,
                        size_t len)
{
    struct pc_acpi_layout *l = &t->layout;

    if (l->tables == ARRAY_LEN(l->table)) {
        t->failed = true;
        return;
    }
    l->table[l->tables].at = (uint32_t)(table - t->buf);
    l->table[l->tables++].len = (uint32_t)len;
    memcpy(table, signature, 4);
    st_le32(table + AT_LENGTH, (uint32_t)len);
    table[AT_REVISION] = (uint8_t)revision;
    memcpy(table + AT_OEM, "POSADA", 6);
    memcpy(table + AT_TABLE, "POSADAPC", 8);
    st_le32(table + AT_OEM_REVISION, 1);
    memcpy(table + AT_CREATOR, "PSDA", 4);
    st_le32(table + AT_CREATOR + 4, 1);
    acpi_sum(table, len, PC_ACPI_CHECKSUM);
}

/* --- DSDT --- */
/* Resource templates, ACPI 6.4, 6.4.2 and 6.4.3. */
static size_t crs_io(uint8_t *at, unsigned port, unsigned len)
{
    const uint8_t io[] = {0x47, 1, 0, 0, 0, 0, 1, (uint8_t)len};

    memcpy(at, io, sizeof(io));
    st_le16(at + 2, (uint16_t)port);
    st_le16(at + 4, (uint16_t)port);
    return sizeof(io);
}

static size_t crs_irq(uint8_t *at, unsigned irq)
{
    at[0] = 0x22; /* without flags: edge, active high */
    st_le16(at + 1, (uint16_t)(1u << irq));
    return 3;
}

static size_t crs_memory(uint8_t *at, uint32_t base, uint32_t len)
{
    const uint8_t memory[12] = {0x86, 9, 0, 1}; /* fixed, writable */

    memcpy(at, memory, sizeof(memory));
    st_le32(at + 4, base);
    st_le32(at + 8, len);
    return sizeof(memory);
}

static size_t crs_bus_zero(uint8_t *at)
{
    const uint8_t bus[16] = {0x88, 13, 0, 2, 0x0c, 0, [14] = 1}; /* fixed, 0 to 0 */

    memcpy(at, bus, sizeof(bus));
    return sizeof(bus);
}

static size_t crs_window(uint8_t *at, uint32_t base, uint32_t len)
{
    const uint8_t window[26] = {0x87, 23, 0, 0, 0x0c, 1}; /* memory, fixed, writable */

    memcpy(at, window, sizeof(window));
    st_le32(at + 10, base);
    st_le32(at + 14, base + (len - 1));
    st_le32(at + 22, len);
    return sizeof(window);
}

static size_t crs_end(uint8_t *at)
{
    at[0] = 0x79;
    at[1] = 0; /* no checksum */
    return 2;
}

/* Slot s's pin p leads to PCI interrupt line (s + p) % 4, as the host bridge swizzles. */
static void dsdt_routing(struct aml *a)
{
    enum { SLOTS = 32, PINS = 4 };

    aml_name(a, "_PRT");
    aml_package(a, SLOTS * PINS);
    for (unsigned slot = 0; slot < SLOTS; slot++)
        for (unsigned pin = 0; pin < PINS; pin++) {
            aml_package(a, 4);
            aml_integer(a, (uint64_t)slot << 16 | 0xffff);
            aml_integer(a, pin);
            aml_integer(a, 0);
            aml_integer(a, pc_gsi_pci[(slot + pin) % PC_PCI_LINES]);
            aml_end(a);
        }
    aml_end(a);
}

static void dsdt_pci(struct aml *a, bool firmware)
{
    uint8_t crs[64];
    size_t len = crs_bus_zero(crs);

    if (firmware)
        len += crs_window(crs + len, PC_FIRMWARE_WINDOW, PC_IOAPIC - PC_FIRMWARE_WINDOW);
    else
        len += crs_window(crs + len, PC_PCI_WINDOW, PC_PCI_WINDOW_SIZE);
    len += crs_end(crs + len);
    aml_device(a, "PCI0");
    aml_name_eisa(a, "_HID", "PNP0A08");
    aml_name_eisa(a, "_CID", "PNP0A03");
    aml_name_integer(a, "_SEG", 0);
    aml_name_integer(a, "_BBN", 0);
    aml_name_integer(a, "_UID", 0);
    aml_name_buffer(a, "_CRS", crs, len);
    dsdt_routing(a);
    aml_end(a);
}

/* Ports and memory that no device below claims. */
static void dsdt_board(struct aml *a, bool firmware)
{
    uint8_t crs[64];
    size_t len = firmware ? 0 : crs_memory(crs, PC_ECAM, 0x100000);

    len += crs_io(crs + len, PC_PORT_PM, ACPI_PM_SIZE);
    len += crs_end(crs + len);
    aml_device(a, "MBRD");
    aml_name_eisa(a, "_HID", "PNP0C02");
    aml_name_integer(a, "_UID", 1);
    aml_name_buffer(a, "_CRS", crs, len);
    aml_end(a);
}

static void dsdt_port_device(struct aml *a, const char *name, const char *id, unsigned port,
                             unsigned len, unsigned irq)
{
    uint8_t crs[32];
    size_t n = crs_io(crs, port, len);

    if (irq)
        n += crs_irq(crs + n, irq);
    n += crs_end(crs + n);
    aml_device(a, name);
    if (strncmp(id, "PNP", 3)) {
        aml_name(a, "_HID");
        aml_string(a, id);
    } else {
        aml_name_eisa(a, "_HID", id);
    }
    aml_name_integer(a, "_UID", 1);
    aml_name_integer(a, "_STA", 15);
    aml_name_buffer(a, "_CRS", crs, n);
    aml_end(a);
}

/* The sleep types of a state: PM1a's, PM1b's, and two that are reserved. */
static void dsdt_sleep_state(struct aml *a, const char *name, unsigned type)
{
    aml_name(a, name);
    aml_package(a, 4);
    aml_integer(a, type);
    aml_integer(a, type);
    aml_integer(a, 0);
    aml_integer(a, 0);
    aml_end(a);
}

size_t pc_acpi_dsdt(bool firmware, uint8_t *buf, size_t room)
{
    struct aml a = {.buf = buf, .room = room};

    aml_scope(&a, "\\_SB_");
    dsdt_pci(&a, firmware);
    dsdt_board(&a, firmware);
    dsdt_port_device(&a, "COM1", "PNP0501", 0x3f8, 8, PC_IRQ_UART);
    dsdt_port_device(&a, "RTC0", "PNP0B00", 0x70, 2, PC_IRQ_RTC);
    dsdt_port_device(&a, "PEVT", "QEMU0001", PC_PORT_PANIC, 1, 0);
    aml_end(&a);
    dsdt_sleep_state(&a, "_S5_", ACPI_PM_SLEEP_OFF);
    return a.failed || a.depth ? 0 : a.len;
}

static uint64_t acpi_add_dsdt(struct acpi *t)
{
    size_t at = align_up(t->len, 16), len = 0;
    uint64_t address = 0;

    if (at + HEADER < t->room)
        len = pc_acpi_dsdt(t->firmware, t->buf + at + HEADER, t->room - at - HEADER);
    if (!len) {
        t->failed = true;
        return 0;
    }
    t->len = at + HEADER + len;
    address = t->address + at;
    memset(t->buf + at, 0, HEADER);
    acpi_finish(t, t->buf + at, "DSDT", 2, HEADER + len);
    return address;
}

/* --- FADT --- */
static void fadt_block(uint8_t *f, unsigned at, unsigned extended, unsigned port, unsigned len)
{
    if (at)
        st_le32(f + at, port);
    f[extended] = 1; /* system I/O */
    f[extended + 1] = (uint8_t)(len * 8);
    f[extended + 3] = len == 4 ? 3 : len == 2 ? 2 : 1; /* access size */
    st_le64(f + extended + 4, port);
}

static uint64_t acpi_add_fadt(struct acpi *t, uint64_t facs, uint64_t dsdt)
{
    enum { FACS_AT = 36, DSDT_AT = 40, SCI = 46, PM1_EVENT = 56, PM1_CONTROL = 64, TIMER = 76 };
    enum { EVENT_LEN = 88, CONTROL_LEN = 89, TIMER_LEN = 91, C2_LATENCY = 96, C3_LATENCY = 98 };
    enum { CENTURY = 108, BOOT_ARCH = 109, FLAGS = 112, RESET = 116, RESET_VALUE = 128 };
    enum { MINOR = 131, X_DSDT = 140, X_EVENT = 148, X_CONTROL = 172, X_TIMER = 208 };
    /* legacy devices, no VGA, no PCIe power management: and so no keyboard controller */
    enum { BOOT_LEGACY = 1, BOOT_NO_VGA = 4, BOOT_NO_ASPM = 16 };
    /* caches flush, C1, no sleep button, no RTC wake bit, 32-bit timer, reset register */
    const uint32_t flags = BIT(0) | BIT(2) | BIT(5) | BIT(6) | BIT(8) | BIT(10);
    uint64_t address = 0;
    uint8_t *f = acpi_take(t, FADT_SIZE, 16, &address);

    if (!f)
        return 0;
    st_le32(f + FACS_AT, (uint32_t)facs);
    st_le32(f + DSDT_AT, (uint32_t)dsdt);
    st_le64(f + X_DSDT, dsdt);
    st_le16(f + SCI, PC_IRQ_SCI);
    fadt_block(f, PM1_EVENT, X_EVENT, PC_PORT_PM + ACPI_PM_EVENT, 4);
    fadt_block(f, PM1_CONTROL, X_CONTROL, PC_PORT_PM + ACPI_PM_CONTROL, 2);
    fadt_block(f, TIMER, X_TIMER, PC_PORT_PM + ACPI_PM_TIMER, 4);
    f[EVENT_LEN] = 4;
    f[CONTROL_LEN] = 2;
    f[TIMER_LEN] = 4;
    st_le16(f + C2_LATENCY, 0xfff); /* there is none */
    st_le16(f + C3_LATENCY, 0xfff);
    f[CENTURY] = 0x32;
    st_le16(f + BOOT_ARCH, BOOT_LEGACY | BOOT_NO_VGA | BOOT_NO_ASPM);
    st_le32(f + FLAGS, flags);
    fadt_block(f, 0, RESET, PC_PORT_RESET, 1);
    f[RESET_VALUE] = 6;
    f[MINOR] = 4;
    acpi_point(t, address, FACS_AT, 4);
    acpi_point(t, address, DSDT_AT, 4);
    acpi_point(t, address, X_DSDT, 8);
    acpi_finish(t, f, "FACP", 6, FADT_SIZE);
    return address;
}

static uint64_t acpi_add_facs(struct acpi *t)
{
    uint64_t address = 0;
    uint8_t *f = acpi_take(t, FACS_SIZE, 64, &address);

    if (!f)
        return 0;
    memcpy(f, "FACS", 4);
    st_le32(f + AT_LENGTH, FACS_SIZE);
    f[32] = 2;
    return address;
}

/* --- MADT --- */
static uint8_t *madt_local(uint8_t *at, unsigned cpu)
{
    const uint8_t entry[8] = {0, 8, (uint8_t)cpu, (uint8_t)cpu, 1};

    memcpy(at, entry, sizeof(entry));
    return at + sizeof(entry);
}

static uint8_t *madt_override(uint8_t *at, unsigned irq, unsigned gsi, unsigned flags)
{
    const uint8_t entry[10] = {2, 10, 0, (uint8_t)irq};

    memcpy(at, entry, sizeof(entry));
    st_le32(at + 4, gsi);
    st_le16(at + 8, (uint16_t)flags);
    return at + sizeof(entry);
}

static uint64_t acpi_add_madt(struct acpi *t, unsigned cpus)
{
    enum { IOAPIC_ENTRY = 12, NMI_ENTRY = 6, DUAL_8259 = 1, LEVEL_HIGH = 0x0d };
    const uint8_t ioapic[IOAPIC_ENTRY] = {1, IOAPIC_ENTRY, 0};
    const uint8_t nmi[NMI_ENTRY] = {4, NMI_ENTRY, 0xff, 0, 0, 1}; /* all CPUs' LINT1 */
    size_t size = HEADER + 8 + 8 * cpus + IOAPIC_ENTRY + (2 + PC_PCI_LINES) * 10 + NMI_ENTRY;
    uint64_t address = 0;
    uint8_t *m = acpi_take(t, size, 16, &address), *at;

    if (!m)
        return 0;
    st_le32(m + HEADER, PC_LAPIC);
    st_le32(m + HEADER + 4, DUAL_8259);
    at = m + HEADER + 8;
    for (unsigned i = 0; i < cpus; i++)
        at = madt_local(at, i);
    memcpy(at, ioapic, sizeof(ioapic));
    st_le32(at + 4, PC_IOAPIC);
    at += sizeof(ioapic);
    at = madt_override(at, PC_IRQ_TIMER, PC_GSI_TIMER, 0);
    at = madt_override(at, PC_IRQ_SCI, PC_IRQ_SCI, LEVEL_HIGH);
    for (unsigned i = 0; i < PC_PCI_LINES; i++)
        at = madt_override(at, pc_gsi_pci[i], pc_gsi_pci[i], LEVEL_HIGH);
    memcpy(at, nmi, sizeof(nmi));
    acpi_finish(t, m, "APIC", 5, size);
    return address;
}

static uint64_t acpi_add_mcfg(struct acpi *t)
{
    enum { SIZE = HEADER + 8 + 16 };
    uint64_t address = 0;
    uint8_t *m = acpi_take(t, SIZE, 16, &address);

    if (!m)
        return 0;
    st_le64(m + HEADER + 8, PC_ECAM); /* segment 0, buses 0 to 0 */
    acpi_finish(t, m, "MCFG", 1, SIZE);
    return address;
}

/* --- All --- */
static uint64_t acpi_add_xsdt(struct acpi *t, const uint64_t *table, unsigned count)
{
    size_t size = HEADER + 8 * count;
    uint64_t address = 0;
    uint8_t *x = acpi_take(t, size, 16, &address);

    for (unsigned i = 0; x && i < count; i++) {
        st_le64(x + HEADER + 8 * i, table[i]);
        acpi_point(t, address, HEADER + 8 * i, 8);
    }
    if (x)
        acpi_finish(t, x, "XSDT", 1, size);
    return address;
}

static void acpi_fill_rsdp(uint8_t *r, uint64_t xsdt)
{
    memcpy(r, "RSD PTR ", 8);
    memcpy(r + 9, "POSADA", 6);
    r[15] = 2;
    st_le32(r + 20, PC_RSDP_SIZE);
    st_le64(r + PC_RSDP_XSDT, xsdt);
    acpi_sum(r, 20, 8);
    acpi_sum(r, PC_RSDP_SIZE, 32);
}

int pc_acpi_tables(unsigned cpus, bool firmware, uint8_t *buf, size_t room, uint64_t address,
                   struct pc_acpi_layout *ret_layout, struct err *err)
{
    struct acpi t = {.buf = buf, .room = room, .address = address, .firmware = firmware};
    uint64_t rsdp_at = 0, facs, dsdt, xsdt, table[TABLES_MAX];
    uint8_t *rsdp = acpi_take(&t, PC_RSDP_SIZE, 16, &rsdp_at);

    facs = acpi_add_facs(&t);
    dsdt = acpi_add_dsdt(&t);
    table[0] = acpi_add_fadt(&t, facs, dsdt);
    table[1] = acpi_add_madt(&t, cpus);
    if (!firmware)
        table[2] = acpi_add_mcfg(&t);
    xsdt = acpi_add_xsdt(&t, table, firmware ? 2 : 3);
    if (t.failed || !rsdp)
        return err_set(err, -ENOSPC, "no room for the ACPI tables");
    acpi_fill_rsdp(rsdp, xsdt);
    t.layout.len = (uint32_t)t.len;
    if (ret_layout)
        *ret_layout = t.layout;
    return 0;
}
