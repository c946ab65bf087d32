/* SPDX-License-Identifier: Apache-2.0 */
/* fw_cfg: items, directory, both ways to read, and requests that make no sense. */
#include "base/bits.h"
#include "base/endian.h"
#include "base/unit_test.h"
#include "devices/core/device.h"
#include "devices/fw/fw_cfg.h"
#include "mem/mem.h"
#include <errno.h>

enum { RAM = 0x10000, REQUEST = 0x100, TARGET = 0x1000 };
enum { ERROR = 1, READ = 2, SKIP = 4, SELECT = 8, WRITE = 16 };

static struct device *up(void)
{
    struct device *dev = device_new(&fw_cfg_ops, "fw-cfg");
    struct err err;

    assert_non_null(dev);
    dev->mem = mem_new();
    assert_int_equal(mem_add_ram(dev->mem, GPA(0), RAM, &err), 0);
    fw_cfg_ops.reset(dev);
    return dev;
}

static void down(struct device *dev)
{
    struct mem *mem = dev->mem;

    device_free(dev);
    mem_free(mem);
}

static uint8_t next(struct device *dev)
{
    return (uint8_t)fw_cfg_ops.read(dev, 1, 1);
}

static void choose(struct device *dev, uint16_t key)
{
    fw_cfg_ops.write(dev, 0, 2, key);
}

/* One request; what its control field says afterwards. */
static uint32_t request(struct device *dev, uint32_t control, uint32_t len, uint64_t to)
{
    uint8_t raw[16];

    st_be32(raw, control);
    st_be32(raw + 4, len);
    st_be64(raw + 8, to);
    assert_int_equal(mem_write(dev->mem, GPA(REQUEST), raw, sizeof(raw)), 0);
    fw_cfg_ops.write(dev, 4, 4, 0);
    fw_cfg_ops.write(dev, 8, 4, htobe32(REQUEST));
    assert_int_equal(mem_read(dev->mem, GPA(REQUEST), raw, 4), 0);
    return ld_be32(raw);
}

static void items_by_port(void **state)
{
    struct device *dev = up();

    assert_int_equal(fw_cfg_add(dev, FW_CFG_CPUS, "\2\0", 2), 0);
    choose(dev, FW_CFG_SIGNATURE);
    for (const char *c = "QEMU"; *c; c++)
        assert_int_equal(next(dev), *c);
    assert_int_equal(next(dev), 0); /* past the end */
    choose(dev, FW_CFG_CPUS);
    assert_int_equal(next(dev), 2);
    choose(dev, 0x777); /* not there */
    assert_int_equal(next(dev), 0);
    assert_int_equal(be32toh((uint32_t)fw_cfg_ops.read(dev, 4, 4)), 0x51454d55);
    down(dev);
}

static void directory_lists_files(void **state)
{
    struct device *dev = up();
    uint8_t raw[4 + 2 * 64];

    assert_int_equal(fw_cfg_add(dev, FW_CFG_CPUS, "\1\0", 2), 0);
    assert_int_equal(fw_cfg_add_file(dev, "etc/one", "1", 1), 0);
    assert_int_equal(fw_cfg_add_file(dev, "etc/two", "222", 3), 0);
    assert_int_equal(fw_cfg_add_file(dev, "etc/one", "11", 2), 0); /* new contents */
    choose(dev, FW_CFG_DIRECTORY);
    for (unsigned i = 0; i < sizeof(raw); i++)
        raw[i] = next(dev);
    assert_int_equal(ld_be32(raw), 2);
    assert_int_equal(ld_be32(raw + 4), 2);
    assert_string_equal((char *)raw + 12, "etc/one");
    assert_string_equal((char *)raw + 64 + 12, "etc/two");
    choose(dev, ld_be16(raw + 64 + 8));
    assert_int_equal(next(dev), '2');
    fw_cfg_clear(dev);
    choose(dev, FW_CFG_DIRECTORY);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(next(dev), 0);
    down(dev);
}

static void reading_by_dma(void **state)
{
    struct device *dev = up();
    uint8_t raw[8];

    assert_int_equal(fw_cfg_add(dev, 0x40, "abcdef", 6), 0);
    assert_int_equal(mem_fill(dev->mem, GPA(TARGET), 0xff, 8), 0);
    assert_int_equal(request(dev, 0x40u << 16 | SELECT | READ, 4, TARGET), 0);
    assert_int_equal(request(dev, SKIP, 1, 0), 0);
    assert_int_equal(request(dev, READ, 3, TARGET + 4), 0); /* 'f', then zeros */
    assert_int_equal(mem_read(dev->mem, GPA(TARGET), raw, sizeof(raw)), 0);
    assert_memory_equal(raw, "abcdf\0\0\xff", 8);
    down(dev);
}

static void requests_without_sense(void **state)
{
    struct device *dev = up();
    uint64_t errors;

    assert_int_equal(request(dev, SELECT | READ, 16, RAM - 8), ERROR); /* half outside */
    assert_int_equal(request(dev, SELECT | READ, 16, UINT64_MAX - 4), ERROR);
    assert_int_equal(request(dev, SELECT | READ, UINT32_MAX, 0), ERROR);
    assert_int_equal(request(dev, SELECT | WRITE, 4, TARGET), ERROR);
    assert_int_equal(request(dev, SKIP, UINT32_MAX, 0), 0);
    assert_int_equal(request(dev, SKIP, UINT32_MAX, 0), 0);
    assert_int_equal(next(dev), 0);
    errors = dev->guest_errors;
    fw_cfg_ops.write(dev, 8, 4, htobe32(RAM - 8)); /* the request itself outside */
    assert_int_equal(dev->guest_errors, errors + 1);
    for (unsigned i = 0; i < FW_CFG_ITEMS_MAX; i++)
        assert_int_equal(fw_cfg_add(dev, (uint16_t)(0x100 + i), "x", 1), 0);
    assert_int_equal(fw_cfg_add(dev, 0x200, "x", 1), -ENOSPC);
    down(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_by_port),
        cmocka_unit_test(directory_lists_files),
        cmocka_unit_test(reading_by_dma),
        cmocka_unit_test(requests_without_sense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
