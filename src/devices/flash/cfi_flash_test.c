/* SPDX-License-Identifier: Apache-2.0 */
/* The flash chip: commands, programming and erasing, and what the host is told. */
#include "base/bits.h"
#include "base/unit_test.h"
#include "devices/core/device.h"
#include "devices/flash/cfi_flash.h"
#include <string.h>

enum { SIZE = 4 * CFI_FLASH_BLOCK };

struct chip {
    struct device *dev;
    uint8_t array[SIZE];
    unsigned changes;
    bool shown;
};

static void chip_show(void *arg, bool shown)
{
    ((struct chip *)arg)->shown = shown;
}

static void chip_changed(void *arg)
{
    ((struct chip *)arg)->changes++;
}

static void up(struct chip *c)
{
    const struct cfi_flash_host host = {c->array, SIZE, chip_show, chip_changed, c};

    *c = (struct chip){.dev = device_new(&cfi_flash_ops, "flash"), .shown = true};
    assert_non_null(c->dev);
    memset(c->array, 0xff, sizeof(c->array));
    cfi_flash_connect(c->dev, &host);
    cfi_flash_ops.reset(c->dev);
    cfi_flash_ops.settle(c->dev);
}

static uint8_t get(struct chip *c, uint32_t at)
{
    return (uint8_t)cfi_flash_ops.read(c->dev, at, 1);
}

static void put(struct chip *c, uint32_t at, uint8_t val)
{
    cfi_flash_ops.write(c->dev, at, 1, val);
}

/* As firmware finds out whether it looks at RAM, ROM or flash. */
static void looks_like_flash(void **state)
{
    struct chip c;

    up(&c);
    c.array[5] = 0x12;
    assert_true(c.shown);
    put(&c, 5, 0x50);
    assert_int_equal(get(&c, 5), 0x12); /* no RAM */
    put(&c, 5, 0x70);
    assert_false(c.shown);
    assert_int_equal(get(&c, 5), 0); /* the cleared status */
    put(&c, 5, 0xff);
    assert_true(c.shown);
    assert_int_equal(get(&c, 5), 0x12);
    put(&c, 0, 0x90);
    assert_int_equal(get(&c, 0), 0x89);
    put(&c, 0, 0x98);
    assert_int_equal(get(&c, 0x10), 'Q');
    assert_int_equal(get(&c, 0x27), 14);
    assert_int_equal(get(&c, 0x2d), 3); /* blocks less one */
    assert_int_equal(get(&c, 0x2f), 0x10);
    device_free(c.dev);
}

static void programs_and_erases(void **state)
{
    struct chip c;

    up(&c);
    put(&c, CFI_FLASH_BLOCK + 1, 0x10);
    put(&c, CFI_FLASH_BLOCK + 1, 0x5a);
    assert_int_equal(get(&c, 0), 0x80); /* ready */
    put(&c, CFI_FLASH_BLOCK + 1, 0x40);
    put(&c, CFI_FLASH_BLOCK + 1, 0x0f);
    put(&c, 0, 0xff);
    assert_int_equal(get(&c, CFI_FLASH_BLOCK + 1), 0x0a); /* bits are only cleared */
    assert_int_equal(c.changes, 2);
    put(&c, CFI_FLASH_BLOCK + 7, 0x20);
    put(&c, CFI_FLASH_BLOCK + 7, 0x70); /* no confirmation */
    assert_int_equal(get(&c, 0), 0xb0);
    assert_int_equal(c.changes, 2);
    put(&c, 0, 0x50);
    put(&c, CFI_FLASH_BLOCK + 7, 0x20);
    put(&c, CFI_FLASH_BLOCK + 7, 0xd0);
    put(&c, 0, 0xff);
    assert_int_equal(get(&c, CFI_FLASH_BLOCK + 1), 0xff);
    assert_int_equal(c.changes, 3);
    put(&c, 0, 0x40);
    put(&c, 0, 0xff); /* nothing to clear: no change */
    assert_int_equal(c.changes, 3);
    device_free(c.dev);
}

/* The register window is larger than most arrays. */
static void stays_inside_the_array(void **state)
{
    struct chip c;

    up(&c);
    assert_int_equal(cfi_flash_ops.read(c.dev, SIZE - 4, 8), UINT64_MAX);
    for (uint32_t at = SIZE; at < CFI_FLASH_MAX; at += CFI_FLASH_MAX - SIZE - 1) {
        put(&c, at, 0x40);
        put(&c, at, 0);
        put(&c, at, 0x20);
        put(&c, at, 0xd0);
    }
    assert_int_equal(c.changes, 0);
    cfi_flash_ops.write(c.dev, 0, 8, 0x0000d02000ff0040); /* pairs inside one access */
    put(&c, 0, 0xff);
    assert_int_equal(get(&c, 1), 0xff);
    device_free(c.dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looks_like_flash),
        cmocka_unit_test(programs_and_erases),
        cmocka_unit_test(stays_inside_the_array),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
