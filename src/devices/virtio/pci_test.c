/* SPDX-License-Identifier: Apache-2.0 */
/* virtio over PCI: capabilities found as a driver finds them, both interrupt kinds, bus mastering.
 */
#include "pci.h"

#include "base/bits.h"
#include "base/endian.h"
#include "base/unit_test.h"
#include "devices/bus/pci_msix.h"
#include "devices/core/device.h"
#include "test_driver.h"
#include "test_probe.h"

enum { WINDOW = 0x40000000, SLOT = 3, BAR0 = WINDOW, BAR1 = WINDOW + 0x10000 };
enum {
    COMMAND = 4,
    MEMORY = 2,
    BUS_MASTER = 4,
    CONFIG_VECTOR = 16,
    QUEUE_VECTOR = 26,
    STATUS = 20
};
enum { COMMON = 1, NOTIFY = 2, ISR = 3, DEVICE = 4, PCI_CFG = 5 };

enum { BELLS = 4, NOTIFY_AT = BAR0 + VIRTIO_REG_NOTIFY };

struct doorbell {
    uint64_t at;
    void (*ring)(void *arg);
    void *arg;
};

struct fixture {
    struct doorbell bell[BELLS];
    unsigned bells;
    struct pci_host *host;
    struct pci_function *fn;
    struct probe *p;
    struct drv d;
    bool line;
    unsigned messages;
    uint32_t data;
};

static void set_line(void *sink, unsigned pin, bool level)
{
    ((struct fixture *)sink)->line = level;
}

static void message(void *arg, uint64_t address, uint32_t data)
{
    struct fixture *f = arg;

    f->messages++;
    f->data = data;
}

/* --- A machine with doorbells --- */
static struct doorbell *bell_open(void *arg, void (*ring)(void *ring_arg), void *ring_arg)
{
    struct fixture *f = arg;
    struct doorbell *bell = f->bells < BELLS ? &f->bell[f->bells++] : NULL;

    if (bell)
        *bell = (struct doorbell){.ring = ring, .arg = ring_arg};
    return bell;
}

static bool bell_place(struct doorbell *bell, gpa_t gpa)
{
    bell->at = gpa.v;
    return true;
}

static const struct doorbell_ops bell_ops = {.open = bell_open, .place = bell_place};

static uint32_t cfg(struct fixture *f, unsigned reg, unsigned size)
{
    return (uint32_t)f->host->dev.ops->read(&f->host->dev, SLOT << 15 | reg, size);
}

static void cfg_set(struct fixture *f, unsigned reg, unsigned size, uint32_t val)
{
    f->host->dev.ops->write(&f->host->dev, SLOT << 15 | reg, size, val);
}

static uint64_t mem(struct fixture *f, uint32_t addr, unsigned size)
{
    return f->host->window.read(&f->host->dev, addr - WINDOW, size);
}

static void mem_set(struct fixture *f, uint32_t addr, unsigned size, uint64_t val)
{
    f->host->window.write(&f->host->dev, addr - WINDOW, size, val);
}

/* The device is driven by drv.h as before; its interrupts and memory go through the function. */
static void up(struct fixture *f, bool msi)
{
    memset(f, 0, sizeof(*f));
    f->p = probe_new();
    drv_attach(&f->d, &f->p->v);
    f->host = pci_host_new("pci", GPA(WINDOW), 0x100000);
    assert_non_null(f->host);
    for (unsigned i = 0; i < PCI_INTX_LINES; i++)
        pci_host_connect_intx(f->host, i, set_line, f, i);
    if (msi)
        pci_host_connect_msi(f->host, message, f);
    pci_host_connect_doorbells(f->host, &(struct doorbell_maker){&bell_ops, f});
    f->fn = virtio_pci_new("probe.pci", &f->p->v);
    assert_non_null(f->fn);
    assert_int_equal(pci_add(f->host, SLOT, f->fn, NULL), 0);
    virtio_pci_open_doorbells(f->fn);
    f->fn->dev.ops->reset(&f->fn->dev);
    f->fn->dev.ops->settle(&f->fn->dev);
    cfg_set(f, 0x10, 4, BAR0);
    cfg_set(f, 0x14, 4, BAR1);
    cfg_set(f, COMMAND, 2, MEMORY | BUS_MASTER);
}

static void down(struct fixture *f)
{
    device_free(&f->fn->dev);
    device_free(&f->host->dev);
    drv_done(&f->d);
}

/* Offset of the virtio capability of this type, 0: none. */
static unsigned capability(struct fixture *f, unsigned type)
{
    unsigned at = cfg(f, 0x34, 1), hops = 0;

    for (; at; at = cfg(f, at + 1, 1)) {
        assert_true(++hops < 48);
        if (cfg(f, at, 1) == 9 && cfg(f, at + 3, 1) == type)
            return at;
    }
    return 0;
}

static unsigned other_capability(struct fixture *f, unsigned id)
{
    unsigned at = cfg(f, 0x34, 1);

    while (at && cfg(f, at, 1) != id)
        at = cfg(f, at + 1, 1);
    return at;
}

static void one_chain(struct fixture *f)
{
    const struct drv_buf one = {DRV_DATA, 16, true};

    drv_add(&f->d, 0, &one, 1);
    mem_set(f, BAR0 + VIRTIO_REG_NOTIFY, 2, 0);
}

static void test_capabilities(void **state)
{
    struct fixture f;
    unsigned at;

    up(&f, false);
    assert_int_equal(cfg(&f, 0, 4), (0x1040 + 60) << 16 | 0x1af4);
    for (unsigned type = COMMON; type <= PCI_CFG; type++) {
        at = capability(&f, type);
        assert_true(at != 0);
        assert_true(cfg(&f, at + 2, 1) >= 16);
        assert_int_equal(cfg(&f, at + 4, 1), 0); /* BAR 0 */
        assert_true(cfg(&f, at + 8, 4) + cfg(&f, at + 12, 4) <= VIRTIO_REG_SIZE);
    }
    at = capability(&f, NOTIFY);
    assert_int_equal(cfg(&f, at + 12, 4), VIRTIO_NOTIFY_STRIDE * PROBE_QUEUES);
    assert_int_equal(cfg(&f, at + 16, 4), VIRTIO_NOTIFY_STRIDE);
    assert_int_equal(other_capability(&f, 0x10), 0); /* conventional: see pci.c */
    assert_int_equal(other_capability(&f, 0x11), 0); /* no MSI-X without a target */
    at = capability(&f, COMMON);
    assert_int_equal(mem(&f, BAR0 + cfg(&f, at + 8, 4) + 18, 2), PROBE_QUEUES);
    down(&f);
}

static void test_intx(void **state)
{
    struct fixture f;

    up(&f, false);
    drv_start(&f.d, 0);
    one_chain(&f);
    assert_true(f.line);
    assert_int_equal(cfg(&f, 6, 2) & 8, 8);
    cfg_set(&f, COMMAND, 2, MEMORY | BUS_MASTER | 0x400);
    assert_false(f.line);
    cfg_set(&f, COMMAND, 2, MEMORY | BUS_MASTER);
    assert_int_equal(mem(&f, BAR0 + VIRTIO_REG_ISR, 1), 1);
    assert_false(f.line);
    assert_int_equal(mem(&f, BAR0 + CONFIG_VECTOR, 2), VIRTIO_NO_VECTOR);
    down(&f);
}

static void test_bus_master(void **state)
{
    struct fixture f;

    up(&f, false);
    drv_start(&f.d, 0);
    cfg_set(&f, COMMAND, 2, MEMORY);
    one_chain(&f);
    assert_int_equal(f.p->taken, 0);
    cfg_set(&f, COMMAND, 2, MEMORY | BUS_MASTER);
    assert_int_equal(f.p->taken, 1);
    f.fn->dev.ops->reset(&f.fn->dev); /* a machine reset takes memory access away */
    f.fn->dev.ops->settle(&f.fn->dev);
    assert_false(f.p->v.dma);
    down(&f);
}

static void test_msix(void **state)
{
    struct fixture f;
    unsigned at;

    up(&f, true);
    at = other_capability(&f, 0x11);
    assert_true(at != 0);
    cfg_set(&f, at + 2, 2, 0x8000);
    for (unsigned i = 0; i <= PROBE_QUEUES; i++) {
        mem_set(&f, BAR1 + 16 * i, 8, 0xfee00000);
        mem_set(&f, BAR1 + 16 * i + 8, 8, 100 + i); /* data, and unmasked */
    }
    drv_start(&f.d, 0);
    mem_set(&f, BAR0 + CONFIG_VECTOR, 2, 2);
    mem_set(&f, BAR0 + 22, 2, 0);
    mem_set(&f, BAR0 + QUEUE_VECTOR, 2, 1);
    assert_int_equal(mem(&f, BAR0 + QUEUE_VECTOR, 2), 1);
    one_chain(&f);
    assert_int_equal(f.messages, 1);
    assert_int_equal(f.data, 101);
    virtio_config_changed(&f.p->v);
    assert_int_equal(f.messages, 2);
    assert_int_equal(f.data, 102);
    assert_false(f.line); /* messages replace the line and its status */
    assert_int_equal(mem(&f, BAR0 + VIRTIO_REG_ISR, 1), 0);
    mem_set(&f, BAR0 + QUEUE_VECTOR, 2, PROBE_QUEUES + 1);
    assert_int_equal(mem(&f, BAR0 + QUEUE_VECTOR, 2), VIRTIO_NO_VECTOR);
    one_chain(&f);
    assert_int_equal(f.messages, 2);
    down(&f);
}

/* The register file through configuration space, for firmware that has not placed the BARs. */
static void test_config_window(void **state)
{
    struct fixture f;
    unsigned at;

    up(&f, false);
    cfg_set(&f, COMMAND, 2, BUS_MASTER);
    at = capability(&f, PCI_CFG);
    cfg_set(&f, at + 8, 4, STATUS);
    cfg_set(&f, at + 12, 4, 1);
    cfg_set(&f, at + 16, 1, 3);
    assert_int_equal(cfg(&f, at + 16, 1), 3);
    assert_int_equal(drv_read(&f.d, STATUS, 1), 3);
    cfg_set(&f, at + 8, 4, 18);
    cfg_set(&f, at + 12, 4, 2);
    assert_int_equal(cfg(&f, at + 16, 4), PROBE_QUEUES);
    down(&f);
}

static void test_config_window_hostile(void **state)
{
    const uint32_t bad[][3] = {/* BAR, offset, length */
                               {1, 0, 4},
                               {255, 0, 4},
                               {0, 1, 4},
                               {0, VIRTIO_REG_SIZE, 1},
                               {0, UINT32_MAX, 1},
                               {0, UINT32_MAX - 3, 4},
                               {0, 0, 0},
                               {0, 0, 3},
                               {0, 0, 8},
                               {0, 0, UINT32_MAX},
                               {0, VIRTIO_REG_SIZE - 2, 4}};
    struct fixture f;
    unsigned at;

    up(&f, false);
    at = capability(&f, PCI_CFG);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        cfg_set(&f, at + 4, 1, bad[i][0]);
        cfg_set(&f, at + 8, 4, bad[i][1]);
        cfg_set(&f, at + 12, 4, bad[i][2]);
        cfg_set(&f, at + 16, 4, 0xffffffff);
        assert_int_equal(cfg(&f, at + 16, 4), 0);
    }
    assert_int_equal(drv_read(&f.d, STATUS, 1), 0);
    assert_int_equal(f.p->v.dev.guest_errors, 0);
    down(&f);
}

static bool bells_at(const struct fixture *f, uint64_t first, uint64_t second)
{
    return f->bells == PROBE_QUEUES && f->bell[0].at == first && f->bell[1].at == second;
}

/* They are where a queue that is served has its notification address, and nowhere else. */
static void test_doorbells(void **state)
{
    const struct drv_buf one = {DRV_DATA, 16, true};
    struct fixture f;
    unsigned taken;

    up(&f, true);
    assert_true(bells_at(&f, 0, 0));
    drv_start(&f.d, BIT(VIRTIO_F_RING_RESET));
    assert_true(bells_at(&f, NOTIFY_AT, NOTIFY_AT + VIRTIO_NOTIFY_STRIDE));
    drv_add(&f.d, 0, &one, 1);
    taken = f.p->taken;
    f.bell[0].ring(f.bell[0].arg);
    assert_int_equal(f.p->taken, taken + 1);
    drv_write(&f.d, 22, 2, 1); /* the second queue is reset by itself */
    drv_write(&f.d, 58, 2, 1);
    assert_true(bells_at(&f, NOTIFY_AT, 0));
    drv_write(&f.d, STATUS, 1, 0);
    assert_true(bells_at(&f, 0, 0));
    f.bell[0].ring(f.bell[0].arg); /* late: nothing happens, nobody is blamed */
    assert_int_equal(f.p->v.dev.guest_errors, 0);
    down(&f);
}

static void test_doorbells_follow_the_bar(void **state)
{
    struct fixture f;
    struct pci_function *front;
    const struct pci_id id = {.vendor = 1, .device = 1};

    up(&f, true);
    drv_start(&f.d, 0);
    cfg_set(&f, COMMAND, 2, BUS_MASTER); /* not decoded */
    assert_true(bells_at(&f, 0, 0));
    cfg_set(&f, COMMAND, 2, MEMORY | BUS_MASTER);
    assert_true(bells_at(&f, NOTIFY_AT, NOTIFY_AT + VIRTIO_NOTIFY_STRIDE));
    cfg_set(&f, 0x10, 4, BAR0 + 0x20000);
    assert_int_equal(f.bell[0].at, NOTIFY_AT + 0x20000);
    cfg_set(&f, 0x10, 4, 0xfec00000); /* where the bus does not reach */
    assert_true(bells_at(&f, 0, 0));
    cfg_set(&f, 0x10, 4, BAR0);
    pci_host_place_ecam(f.host, BAR0, true); /* in front of everything */
    assert_true(bells_at(&f, 0, 0));
    pci_host_place_ecam(f.host, BAR0, false);
    assert_int_equal(f.bell[0].at, NOTIFY_AT);
    front = pci_function_new("front", &id); /* of two BARs the lower slot's answers */
    assert_non_null(front);
    pci_set_bar(front, 0, &f.fn->msix.dev);
    assert_int_equal(pci_add(f.host, SLOT - 1, front, NULL), 0);
    f.host->dev.ops->write(&f.host->dev, (SLOT - 1) << 15 | 0x10, 4, NOTIFY_AT);
    f.host->dev.ops->write(&f.host->dev, (SLOT - 1) << 15 | COMMAND, 2, MEMORY);
    assert_true(bells_at(&f, 0, 0));
    device_free(&front->dev);
    f.host->function[SLOT - 1] = NULL;
    down(&f);
}

RUN_TESTS(cmocka_unit_test(test_capabilities), cmocka_unit_test(test_intx),
          cmocka_unit_test(test_bus_master), cmocka_unit_test(test_msix),
          cmocka_unit_test(test_config_window), cmocka_unit_test(test_config_window_hostile),
          cmocka_unit_test(test_doorbells), cmocka_unit_test(test_doorbells_follow_the_bar))
