/* SPDX-License-Identifier: Apache-2.0 */
/* PCI: configuration space, BARs, the memory window, INTx, MSI-X; through ECAM, as a guest does. */
#include "pci.h"

#include "base/bits.h"
#include "base/endian.h"
#include "base/unit_test.h"
#include "devices/core/device.h"
#include "pci_msix.h"

#include <errno.h>

enum { WINDOW = 0x40000000, WINDOW_SIZE = 0x1000000, REGISTERS = 0x3000, BAR_SIZE = 0x4000 };
enum { COMMAND = 4, STATUS = 6, BAR0 = 0x10, BAR1 = 0x14, CAPABILITIES = 0x34 };
enum { MEMORY = 2, BUS_MASTER = 4, INTX_DISABLE = 0x400 };

/* A device of some registers, each 4 bytes. */
struct plain {
    struct device dev; /* must be first */
    uint32_t reg[REGISTERS / 4];
    unsigned reads, writes;
};

static uint64_t plain_read(struct device *dev, uint32_t off, unsigned size)
{
    struct plain *p = container_of(dev, struct plain, dev);

    p->reads++;
    return p->reg[off / 4];
}

static void plain_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    struct plain *p = container_of(dev, struct plain, dev);

    p->writes++;
    p->reg[off / 4] = (uint32_t)val;
}

static const struct device_ops plain_ops = {
    .type = "plain",
    .instance_size = sizeof(struct plain),
    .mmio = {.size = REGISTERS, .access_min = 4, .access_max = 4},
    .read = plain_read,
    .write = plain_write,
};

struct machine {
    struct pci_host *host;
    struct pci_function *fn[2];
    struct plain *plain[2];
    bool line[PCI_INTX_LINES];
    unsigned messages;
    uint64_t address;
    uint32_t data;
    bool master[2];
};

static void set_line(void *sink, unsigned pin, bool level)
{
    ((struct machine *)sink)->line[pin] = level;
}

static void message(void *arg, uint64_t address, uint32_t data)
{
    struct machine *m = arg;

    m->messages++;
    m->address = address;
    m->data = data;
}

static void master(struct pci_function *fn, bool on)
{
    struct machine *m = fn->arg;

    m->master[fn == m->fn[1]] = on;
}

static const struct pci_function_hooks hooks = {.bus_master = master};

/* Two functions in slots 1 and 5, which share line 1. */
static void up(struct machine *m, bool msi)
{
    const struct pci_id id = {0x1234, 0x5678, 0x9abc, 0xdef0, 0x010802, 3};
    const unsigned slot[2] = {1, 5};

    *m = (struct machine){.host = pci_host_new("pci", GPA(WINDOW), WINDOW_SIZE)};
    assert_non_null(m->host);
    for (unsigned i = 0; i < PCI_INTX_LINES; i++)
        pci_host_connect_intx(m->host, i, set_line, m, i);
    if (msi)
        pci_host_connect_msi(m->host, message, m);
    for (unsigned i = 0; i < 2; i++) {
        m->plain[i] = container_of(device_new(&plain_ops, "plain"), struct plain, dev);
        m->fn[i] = pci_function_new(i ? "f1" : "f0", &id);
        m->fn[i]->hooks = &hooks;
        m->fn[i]->arg = m;
        pci_set_bar(m->fn[i], 0, &m->plain[i]->dev);
        pci_add_msix(m->fn[i], 1, 4);
        assert_int_equal(pci_add(m->host, slot[i], m->fn[i], NULL), 0);
        m->fn[i]->dev.ops->reset(&m->fn[i]->dev);
        m->fn[i]->dev.ops->settle(&m->fn[i]->dev);
    }
}

static void down(struct machine *m)
{
    for (unsigned i = 0; i < 2; i++) {
        device_free(&m->fn[i]->dev);
        device_free(&m->plain[i]->dev);
    }
    device_free(&m->host->dev);
}

static uint32_t cfg(struct machine *m, unsigned slot, unsigned reg, unsigned size)
{
    return (uint32_t)m->host->dev.ops->read(&m->host->dev, slot << 15 | reg, size);
}

static void cfg_set(struct machine *m, unsigned slot, unsigned reg, unsigned size, uint32_t val)
{
    m->host->dev.ops->write(&m->host->dev, slot << 15 | reg, size, val);
}

static uint64_t mem(struct machine *m, uint32_t addr, unsigned size)
{
    return m->host->window.read(&m->host->dev, addr - WINDOW, size);
}

static void mem_set(struct machine *m, uint32_t addr, unsigned size, uint64_t val)
{
    m->host->window.write(&m->host->dev, addr - WINDOW, size, val);
}

static void test_identity(void **state)
{
    struct machine m;

    up(&m, false);
    assert_int_equal(cfg(&m, 1, 0, 4), 0x56781234);
    assert_int_equal(cfg(&m, 1, 2, 2), 0x5678);
    assert_int_equal(cfg(&m, 1, 3, 1), 0x56);
    assert_int_equal(cfg(&m, 1, 8, 4), 0x01080203);
    assert_int_equal(cfg(&m, 1, 0x2c, 4), 0xdef09abc);
    assert_int_equal(cfg(&m, 1, 0x0e, 1), 0);  /* one function, type 0 */
    assert_int_equal(cfg(&m, 1, 0x3d, 1), 1);  /* pin A */
    assert_int_equal(cfg(&m, 1, 0x100, 4), 0); /* no extended capabilities */
    cfg_set(&m, 1, 0, 4, 0);
    cfg_set(&m, 1, 8, 4, 0);
    assert_int_equal(cfg(&m, 1, 0, 4), 0x56781234);
    down(&m);
}

static void test_nobody_answers(void **state)
{
    struct machine m;

    up(&m, false);
    assert_int_equal(cfg(&m, 0, 0, 4), 0xffffffff);
    assert_int_equal(cfg(&m, 31, 0, 2), 0xffff);
    assert_int_equal(m.host->dev.ops->read(&m.host->dev, 1 << 15 | 1 << 12, 4), 0xffffffff);
    cfg_set(&m, 2, 4, 2, 7);
    assert_int_equal(mem(&m, WINDOW, 4), 0xffffffff);
    assert_int_equal(mem(&m, WINDOW, 8), UINT64_MAX);
    mem_set(&m, WINDOW, 4, 1);
    assert_int_equal(m.host->dev.guest_errors, 0);
    down(&m);
}

static void test_slots(void **state)
{
    const struct pci_id id = {0};
    struct pci_function *fn = pci_function_new("more", &id);
    struct machine m;
    struct err err;

    up(&m, false);
    assert_int_equal(pci_add(m.host, 1, fn, &err), -EBUSY);
    assert_string_equal(err.text, "device 'more': PCI slot 1 already holds 'f0'");
    assert_int_equal(pci_add(m.host, 32, fn, &err), -EINVAL);
    device_free(&fn->dev);
    down(&m);
}

static void test_bar_sizing(void **state)
{
    struct machine m;

    up(&m, false);
    cfg_set(&m, 1, BAR0, 4, 0xffffffff);
    assert_int_equal(cfg(&m, 1, BAR0, 4), (uint32_t)-BAR_SIZE);
    cfg_set(&m, 1, BAR0, 4, WINDOW + 0x1234);
    assert_int_equal(cfg(&m, 1, BAR0, 4), WINDOW); /* aligned to its size */
    cfg_set(&m, 1, BAR1, 4, 0xffffffff);
    assert_int_equal(cfg(&m, 1, BAR1, 4), 0); /* no MSI target, so no table */
    down(&m);
}

static void map(struct machine *m, unsigned slot, uint32_t addr)
{
    cfg_set(m, slot, BAR0, 4, addr);
    cfg_set(m, slot, COMMAND, 2, MEMORY);
}

static void test_window(void **state)
{
    struct machine m;

    up(&m, false);
    map(&m, 1, WINDOW + 0x8000);
    mem_set(&m, WINDOW + 0x8004, 4, 0x11223344);
    assert_int_equal(mem(&m, WINDOW + 0x8004, 4), 0x11223344);
    mem_set(&m, WINDOW + 0x8008, 8, UINT64_C(0xaaaabbbbccccdddd)); /* two halves */
    assert_int_equal(m.plain[0]->reg[2], 0xccccdddd);
    assert_int_equal(m.plain[0]->reg[3], 0xaaaabbbb);
    assert_true(mem(&m, WINDOW + 0x8008, 8) == UINT64_C(0xaaaabbbbccccdddd));
    assert_int_equal(m.plain[0]->dev.guest_errors, 0);

    cfg_set(&m, 1, BAR0, 4, WINDOW + 0x10000); /* moved */
    assert_int_equal(mem(&m, WINDOW + 0x8004, 4), 0xffffffff);
    assert_int_equal(mem(&m, WINDOW + 0x10004, 4), 0x11223344);
    cfg_set(&m, 1, COMMAND, 2, 0);
    assert_int_equal(mem(&m, WINDOW + 0x10004, 4), 0xffffffff);
    down(&m);
}

static void test_window_refuses(void **state)
{
    struct machine m;

    up(&m, false);
    map(&m, 1, WINDOW);
    assert_int_equal(mem(&m, WINDOW + 4, 2), 0xffff); /* the device has no 2-byte access */
    mem_set(&m, WINDOW + 5, 1, 1);
    mem_set(&m, WINDOW + 6, 4, 1);                                /* misaligned */
    assert_int_equal(mem(&m, WINDOW + REGISTERS, 4), 0xffffffff); /* in the BAR, behind its end */
    mem_set(&m, WINDOW + REGISTERS - 4, 8, 1);                    /* over its end */
    assert_int_equal(m.plain[0]->reads + m.plain[0]->writes, 0);
    assert_int_equal(m.plain[0]->dev.guest_errors, 5);
    map(&m, 1, 0xffffc000); /* outside the window, at the top of 32 bits: unreachable, harmless */
    assert_int_equal(mem(&m, WINDOW, 4), 0xffffffff);
    map(&m, 1, WINDOW);
    map(&m, 5, WINDOW); /* on top of each other: the lower slot answers */
    mem_set(&m, WINDOW, 4, 9);
    assert_int_equal(m.plain[0]->writes, 1);
    assert_int_equal(m.plain[1]->writes, 0);
    down(&m);
}

static void test_command_and_master(void **state)
{
    struct machine m;

    up(&m, false);
    cfg_set(&m, 1, COMMAND, 2, 0xffff);
    assert_int_equal(cfg(&m, 1, COMMAND, 2), 0x546); /* I/O space and the odd bits stay 0 */
    assert_true(m.master[0]);
    assert_false(m.master[1]);
    cfg_set(&m, 1, COMMAND, 1, 0); /* byte-wise too */
    assert_false(m.master[0]);
    cfg_set(&m, 1, STATUS, 2, 0xffff);
    assert_int_equal(cfg(&m, 1, STATUS, 2), 0);
    down(&m);
}

static void test_intx(void **state)
{
    struct machine m;

    up(&m, false);
    pci_set_intx(m.fn[0], true);
    assert_true(m.line[1]); /* slot 1, pin A */
    assert_int_equal(cfg(&m, 1, STATUS, 2) & 8, 8);
    pci_set_intx(m.fn[1], true); /* slot 5 shares the line */
    pci_set_intx(m.fn[0], false);
    assert_true(m.line[1]);
    cfg_set(&m, 5, COMMAND, 2, INTX_DISABLE);
    assert_false(m.line[1]);
    assert_int_equal(cfg(&m, 5, STATUS, 2) & 8, 8); /* still asked for */
    cfg_set(&m, 5, COMMAND, 2, 0);
    assert_true(m.line[1]);
    pci_set_intx(m.fn[1], false);
    assert_false(m.line[0] || m.line[1] || m.line[2] || m.line[3]);
    down(&m);
}

static void test_msix_hidden_without_target(void **state)
{
    struct machine m;

    up(&m, false);
    assert_int_equal(cfg(&m, 1, CAPABILITIES, 1), 0);
    assert_false(pci_msix_enabled(m.fn[0]));
    pci_msix_send(m.fn[0], 0);
    pci_msix_send(m.fn[0], 99);
    down(&m);
}

static void test_msix(void **state)
{
    struct machine m;
    unsigned cap;

    up(&m, true);
    cap = cfg(&m, 1, CAPABILITIES, 1);
    assert_int_equal(cfg(&m, 1, cap, 1), 0x11);
    assert_int_equal(cfg(&m, 1, cap + 2, 2), 3); /* 4 vectors */
    cfg_set(&m, 1, BAR1, 4, WINDOW + 0x20000);
    cfg_set(&m, 1, COMMAND, 2, MEMORY | BUS_MASTER);
    cfg_set(&m, 1, cap + 2, 2, 0x8000);
    assert_true(pci_msix_enabled(m.fn[0]));
    mem_set(&m, WINDOW + 0x20010, 8, UINT64_C(0xfee00123)); /* vector 1 */
    mem_set(&m, WINDOW + 0x20018, 4, 0x4321);

    pci_msix_send(m.fn[0], 1); /* masked after reset: waits */
    assert_int_equal(m.messages, 0);
    assert_int_equal(mem(&m, WINDOW + 0x20800, 4), 2);
    mem_set(&m, WINDOW + 0x2001c, 4, 0);
    assert_int_equal(m.messages, 1);
    assert_int_equal(m.address, 0xfee00123);
    assert_int_equal(m.data, 0x4321);
    assert_int_equal(mem(&m, WINDOW + 0x20800, 4), 0);

    cfg_set(&m, 1, cap + 2, 2, 0xc000); /* function mask */
    pci_msix_send(m.fn[0], 1);
    assert_int_equal(m.messages, 1);
    cfg_set(&m, 1, cap + 2, 2, 0x8000);
    assert_int_equal(m.messages, 2);
    cfg_set(&m, 1, COMMAND, 2, MEMORY); /* messages are bus-master writes */
    pci_msix_send(m.fn[0], 1);
    assert_int_equal(m.messages, 2);
    cfg_set(&m, 1, COMMAND, 2, MEMORY | BUS_MASTER);
    assert_int_equal(m.messages, 3);
    pci_msix_send(m.fn[0], 0xffff);
    assert_int_equal(m.messages, 3);
    down(&m);
}

/* A loaded state cannot change what is fixed. */
static void test_loaded_nonsense(void **state)
{
    struct machine m;

    up(&m, true);
    memset(m.fn[0]->config, 0xff, sizeof(m.fn[0]->config));
    memset(m.fn[0]->msix.table, 0xff, sizeof(m.fn[0]->msix.table));
    m.fn[0]->msix.pending = UINT32_MAX;
    m.fn[0]->dev.ops->settle(&m.fn[0]->dev);
    assert_int_equal(cfg(&m, 1, 0, 4), 0x56781234);
    assert_int_equal(cfg(&m, 1, COMMAND, 2), 0x546);
    assert_int_equal(cfg(&m, 1, BAR0, 4), (uint32_t)-BAR_SIZE);
    assert_true(m.fn[0]->msix.pending == 0xf);
    for (unsigned reg = 0; reg < PCI_ECAM_FUNCTION; reg++) {
        for (unsigned size = 1; size <= 4; size *= 2) {
            if (reg % size)
                continue;
            cfg_set(&m, 1, reg, size, reg * UINT32_C(2654435761));
            (void)cfg(&m, 1, reg, size);
        }
    }
    assert_int_equal(cfg(&m, 1, 0, 4), 0x56781234);
    down(&m);
}

RUN_TESTS(cmocka_unit_test(test_identity), cmocka_unit_test(test_nobody_answers),
          cmocka_unit_test(test_slots), cmocka_unit_test(test_bar_sizing),
          cmocka_unit_test(test_window), cmocka_unit_test(test_window_refuses),
          cmocka_unit_test(test_command_and_master), cmocka_unit_test(test_intx),
          cmocka_unit_test(test_msix_hidden_without_target), cmocka_unit_test(test_msix),
          cmocka_unit_test(test_loaded_nonsense))
