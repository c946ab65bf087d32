/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reset, A20 and panic ports of a PC. Specs: Intel UPI-41/8042 as the IBM PC/AT technical
 * reference uses it; ICH9 data sheet, 13.7.5 (RST_CNT, 0xcf9) and 13.7.3 (0x92); QEMU
 * docs/specs/pvpanic.rst. Contract: pc_control.h.
 * Not modelled: keyboard, mouse, the A20 gate's effect (address line 20 is always open).
 */
#include "devices/fw/pc_control.h"
#include "base/bits.h"
#include "devices/core/device.h"

/* --- Keyboard controller --- */
enum { I8042_DATA = 0, I8042_COMMAND = 1 };
enum { STATUS_OUTPUT = 1, STATUS_SYSTEM = 4, STATUS_COMMAND = 8 };
enum { COMMAND_READ = 0x20, COMMAND_WRITE = 0x60, COMMAND_TEST = 0xaa, COMMAND_TEST_PORT = 0xab };
enum { COMMAND_TEST_AUX = 0xa9, COMMAND_READ_OUT = 0xd0, COMMAND_WRITE_OUT = 0xd1 };
enum { COMMAND_PULSE_RESET = 0xfe, TEST_PASSED = 0x55, OUT_IDLE = 0x03, OUT_RESET = 1 };
enum { PORT_OK = 0 };

struct i8042 {
    struct device dev; /* must be first */
    uint8_t mode;      /* the command byte */
    uint8_t output;    /* what port 0x60 reads */
    bool full, was_command;
    uint8_t expects; /* command whose data byte comes next, 0: none */
};

static const struct state_field i8042_state[] = {
    STATE_U8(struct i8042, mode),    STATE_U8(struct i8042, output),
    STATE_BOOL(struct i8042, full),  STATE_BOOL(struct i8042, was_command),
    STATE_U8(struct i8042, expects), STATE_END,
};

static struct i8042 *i8042_of(struct device *dev)
{
    return container_of(dev, struct i8042, dev);
}

static void i8042_answer(struct i8042 *s, uint8_t byte)
{
    s->output = byte;
    s->full = true;
}

static void i8042_command(struct i8042 *s, uint8_t val)
{
    s->was_command = true;
    s->expects = 0;
    switch (val) {
    case COMMAND_READ: i8042_answer(s, s->mode); break;
    case COMMAND_TEST: i8042_answer(s, TEST_PASSED); break;
    case COMMAND_TEST_PORT:
    case COMMAND_TEST_AUX: i8042_answer(s, PORT_OK); break;
    case COMMAND_READ_OUT: i8042_answer(s, OUT_IDLE); break;
    case COMMAND_WRITE:
    case COMMAND_WRITE_OUT: s->expects = val; break;
    case COMMAND_PULSE_RESET: power_request(&s->dev, POWER_RESET, 0); break;
    default: break; /* enable, disable: nothing is connected */
    }
}

static void i8042_data(struct i8042 *s, uint8_t val)
{
    s->was_command = false;
    if (s->expects == COMMAND_WRITE)
        s->mode = val;
    else if (s->expects == COMMAND_WRITE_OUT && !(val & OUT_RESET))
        power_request(&s->dev, POWER_RESET, 0);
    s->expects = 0;
}

static uint64_t i8042_read(struct device *dev, uint32_t off, unsigned size)
{
    struct i8042 *s = i8042_of(dev);

    if (off == I8042_COMMAND)
        return (uint64_t)(STATUS_SYSTEM | (s->full ? STATUS_OUTPUT : 0) |
                          (s->was_command ? STATUS_COMMAND : 0));
    s->full = false;
    return s->output;
}

static void i8042_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    if (off == I8042_COMMAND)
        i8042_command(i8042_of(dev), (uint8_t)val);
    else
        i8042_data(i8042_of(dev), (uint8_t)val);
}

static uint64_t i8042_read_command(struct device *dev, uint32_t off, unsigned size)
{
    return i8042_read(dev, I8042_COMMAND, size);
}

static void i8042_write_command(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    i8042_write(dev, I8042_COMMAND, size, val);
}

static void i8042_reset(struct device *dev)
{
    struct i8042 *s = i8042_of(dev);

    s->mode = s->output = s->expects = 0;
    s->full = s->was_command = false;
}

#define ONE_BYTE                                                                                   \
    {                                                                                              \
        .size = 1, .access_min = 1, .access_max = 1                                                \
    }

const struct mmio_window i8042_data_window = {
    .access = ONE_BYTE, .read = i8042_read, .write = i8042_write};
const struct mmio_window i8042_command_window = {
    .access = ONE_BYTE, .read = i8042_read_command, .write = i8042_write_command};

const struct device_ops i8042_ops = {
    .type = "i8042",
    .instance_size = sizeof(struct i8042),
    .mmio = {.size = 2, .access_min = 1, .access_max = 1},
    .reset = i8042_reset,
    .read = i8042_read,
    .write = i8042_write,
    .state_version = 1,
    .state = i8042_state,
};

/* --- Ports of one byte that keep what was written --- */
struct byte_port {
    struct device dev; /* must be first */
    uint8_t value;
};

static const struct state_field byte_state[] = {STATE_U8(struct byte_port, value), STATE_END};

static struct byte_port *byte_of(struct device *dev)
{
    return container_of(dev, struct byte_port, dev);
}

static uint64_t byte_read(struct device *dev, uint32_t off, unsigned size)
{
    return byte_of(dev)->value;
}

static void byte_reset(struct device *dev)
{
    byte_of(dev)->value = 0;
}

/* --- Port 0x92: bit 0 resets, bit 1 is A20 --- */
static void port92_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    if (val & 1)
        power_request(dev, POWER_RESET, 0);
    byte_of(dev)->value = val & 2;
}

const struct device_ops port92_ops = {
    .type = "port92",
    .instance_size = sizeof(struct byte_port),
    .mmio = ONE_BYTE,
    .reset = byte_reset,
    .read = byte_read,
    .write = port92_write,
    .state_version = 1,
    .state = byte_state,
};

/* --- Port 0xcf9: a rising bit 2 resets, bit 1 says how thoroughly --- */
enum { RESET_HARD = 2, RESET_NOW = 4, RESET_FULL = 8 };

static void reset_control_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    if (val & RESET_NOW && !(byte_of(dev)->value & RESET_NOW))
        power_request(dev, POWER_RESET, 0);
    byte_of(dev)->value = val & (RESET_HARD | RESET_FULL);
}

const struct device_ops reset_control_ops = {
    .type = "reset-control",
    .instance_size = sizeof(struct byte_port),
    .mmio = ONE_BYTE,
    .reset = byte_reset,
    .read = byte_read,
    .write = reset_control_write,
    .state_version = 1,
    .state = byte_state,
};

/* --- Debug exit --- */
static uint64_t debug_exit_read(struct device *dev, uint32_t off, unsigned size)
{
    return 0;
}

static void debug_exit_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    power_request(dev, POWER_OFF, ((unsigned)val << 1 | 1) & 0xff);
}

const struct device_ops debug_exit_ops = {
    .type = "isa-debug-exit",
    .instance_size = sizeof(struct device),
    .mmio = {.size = 4, .access_min = 1, .access_max = 4},
    .read = debug_exit_read,
    .write = debug_exit_write,
};

/* --- Panic --- */
enum { PANIC_PANICKED = 1 };

static uint64_t pvpanic_read(struct device *dev, uint32_t off, unsigned size)
{
    return PANIC_PANICKED; /* the events that are understood */
}

static void pvpanic_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    if (val & PANIC_PANICKED)
        power_request(dev, POWER_PANIC, 0);
}

const struct device_ops pvpanic_ops = {
    .type = "pvpanic",
    .instance_size = sizeof(struct device),
    .mmio = ONE_BYTE,
    .read = pvpanic_read,
    .write = pvpanic_write,
};
