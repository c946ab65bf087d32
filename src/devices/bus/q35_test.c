/* SPDX-License-Identifier: Apache-2.0 */
/* The chip set's functions as firmware meets them: by ports, and by an ECAM that it places. */
#include "base/bits.h"
#include "base/unit_test.h"
#include "devices/bus/pci_ports.h"
#include "devices/bus/q35.h"
#include "devices/core/device.h"
#include "devices/fw/pc_control.h"
#include <posada/device.h>

enum { PM = 0x600, ADDRESS = 0, DATA = 4, PCIEXBAR = 0x60 };
#define WINDOW      UINT64_C(0x80000000)
#define WINDOW_SIZE UINT32_C(0x7ec00000)

struct board {
    struct pci_host *host;
    struct pci_function *mch, *lpc;
    struct device *ports, *reset;
    struct power_sink power;
    unsigned resets;
};

static void board_power(void *arg, enum power_action action, unsigned code)
{
    ((struct board *)arg)->resets += action == POWER_RESET;
}

static void settle(struct pci_function *fn)
{
    fn->dev.ops->reset(&fn->dev);
    fn->dev.ops->settle(&fn->dev);
}

static void up(struct board *b)
{
    struct err err;

    *b = (struct board){.host = pci_host_new("pci", GPA(WINDOW), WINDOW_SIZE),
                        .mch = q35_host_new("mch"),
                        .lpc = q35_lpc_new("lpc", PM),
                        .ports = device_new(&pci_ports_ops, "ports"),
                        .reset = device_new(&reset_control_ops, "reset"),
                        .power = {.request = board_power, .arg = b}};
    b->reset->power = &b->power;
    assert_int_equal(pci_add(b->host, Q35_HOST_SLOT, b->mch, &err), 0);
    assert_int_equal(pci_add(b->host, Q35_LPC_SLOT, b->lpc, &err), 0);
    pci_ports_connect(b->ports, b->host);
    pci_ports_beside(b->ports, b->reset);
    settle(b->mch);
    settle(b->lpc);
}

static void down(struct board *b)
{
    device_free(b->ports);
    device_free(b->reset);
    device_free(&b->mch->dev);
    device_free(&b->lpc->dev);
    device_free(&b->host->dev);
}

static uint32_t get(struct board *b, unsigned slot, unsigned reg)
{
    pci_ports_ops.write(b->ports, ADDRESS, 4, 0x80000000u | slot << 11 | reg);
    return (uint32_t)pci_ports_ops.read(b->ports, DATA, 4);
}

static void put(struct board *b, unsigned slot, unsigned reg, uint32_t val)
{
    pci_ports_ops.write(b->ports, ADDRESS, 4, 0x80000000u | slot << 11 | reg);
    pci_ports_ops.write(b->ports, DATA, 4, val);
}

static uint32_t window(struct board *b, uint64_t at)
{
    return (uint32_t)b->host->window.read(&b->host->dev, (uint32_t)(at - WINDOW), 4);
}

static void firmware_knows_them(void **state)
{
    struct board b;

    up(&b);
    assert_int_equal(get(&b, 0, 0), 0x29c08086);
    assert_int_equal(get(&b, 31, 0), 0x29188086);
    assert_int_equal(get(&b, 31, 8) >> 8, 0x060100);
    put(&b, 31, 0x40, 0xb001); /* power management cannot be moved */
    assert_int_equal(get(&b, 31, 0x40), PM | 1);
    put(&b, 0, 0x90, 0x31); /* shadowing is remembered */
    assert_int_equal(get(&b, 0, 0x90), 0x31);
    down(&b);
}

static void ecam_is_where_it_was_put(void **state)
{
    struct board b;

    up(&b);
    assert_int_equal(window(&b, 0xe0000000), UINT32_MAX);
    put(&b, 0, PCIEXBAR + 4, 0);
    put(&b, 0, PCIEXBAR, 0xe0000001);
    assert_int_equal(window(&b, 0xe0000000), 0x29c08086);
    assert_int_equal(window(&b, 0xe0000000 + (31 << 15)), 0x29188086);
    assert_int_equal(window(&b, 0xe0000000 + (1 << 20)), UINT32_MAX); /* another bus */
    b.host->window.write(&b.host->dev, 0xe0000000 + 0x90 - WINDOW, 1, 0x30);
    assert_int_equal(get(&b, 0, 0x90), 0x30);
    put(&b, 0, PCIEXBAR, 0xb0000001);
    assert_int_equal(window(&b, 0xe0000000), UINT32_MAX);
    assert_int_equal(window(&b, 0xb0000000), 0x29c08086);
    put(&b, 0, PCIEXBAR, 0xb0000000);
    assert_int_equal(window(&b, 0xb0000000), UINT32_MAX);
    put(&b, 0, PCIEXBAR, 0xb0000001);
    settle(b.mch); /* a reset takes it away */
    assert_int_equal(window(&b, 0xb0000000), UINT32_MAX);
    down(&b);
}

/* 0xcf9 in the middle of the address register. */
static void reset_register_between(void **state)
{
    struct board b;

    up(&b);
    pci_ports_ops.write(b.ports, ADDRESS, 4, 0x80000600);
    assert_int_equal(b.resets, 0);
    pci_ports_ops.write(b.ports, 1, 1, 2);
    pci_ports_ops.write(b.ports, 1, 1, 6);
    assert_int_equal(b.resets, 1);
    assert_int_equal(pci_ports_ops.read(b.ports, ADDRESS, 4), 0x80000600);
    down(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(firmware_knows_them),
        cmocka_unit_test(ecam_is_where_it_was_put),
        cmocka_unit_test(reset_register_between),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
