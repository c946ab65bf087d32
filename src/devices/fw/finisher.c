/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SiFive test finisher ("sifive,test1", "sifive,test0"): one write-only register.
 * Spec: SiFive FU540-C000 manual has it as the "Test Finisher"; values as Linux and OpenSBI use
 * them through "syscon-poweroff" and "syscon-reboot". Reads give zero. No state.
 */
#include "devices/fw/finisher.h"

static uint64_t finisher_read(struct device *dev, uint32_t off, unsigned size)
{
    return off ? guest_error_read(dev, off) : 0;
}

static void finisher_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    unsigned code = (unsigned)(val >> 16) & 0xffff;

    if (off) {
        guest_error_write(dev, off, val);
        return;
    }
    switch (val & 0xffff) {
    case FINISHER_PASS: power_request(dev, POWER_OFF, 0); break;
    case FINISHER_RESET: power_request(dev, POWER_RESET, 0); break;
    case FINISHER_FAIL: power_request(dev, POWER_OFF, code ? code : 1); break; /* never success */
    default: guest_error_write(dev, off, val); break;
    }
}

const struct device_ops finisher_ops = {
    .type = "sifive,test1",
    .instance_size = sizeof(struct device),
    .mmio = {.size = 0x1000, .access_min = 2, .access_max = 4},
    .read = finisher_read,
    .write = finisher_write,
};
