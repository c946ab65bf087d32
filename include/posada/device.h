/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device sees of the world, and nothing more: its registers being accessed, guest memory by
 * DMA, interrupt lines out, the guest clock, randomness and its back end. Devices never see
 * engines, host clocks or files; that is what makes snapshots, replay, fuzzing and migration
 * between techniques possible.
 *
 * Rules of the core (src/devices/core):
 * - every callback runs with the machine lock held, so a device needs no lock of its own;
 * - the bus refuses wrong width, misalignment and range before read/write and counts a guest error;
 * - reset() touches own state only; settle() then runs for every device. settle() also runs after
 *   state has been loaded into *every* device and when one of the device's timers fires, and it
 *   must be idempotent: outputs are a function of state. All devices settle youngest first, so
 *   that lines are right before the interrupt controller they end in looks at them;
 * - nothing a guest does may stop the process: guest_error_*() counts, traces and rate-limits.
 */
#pragma once

#include <posada/clock.h>
#include <posada/err.h>
#include <posada/state.h>
#include <stdbool.h>

struct mem;

/* One wire into an interrupt controller or CPU. set() is called on changes only. */
struct irq_line {
    void (*set)(void *sink, unsigned pin, bool level);
    void *sink;
    unsigned pin;
    bool level; /* an output: derived, never saved */
};

void irq_connect(struct irq_line *line, void (*set)(void *, unsigned, bool), void *sink,
                 unsigned pin);
void irq_set(struct irq_line *line, bool level); /* unconnected lines swallow the level */

/* What a guest may ask the machine to do with itself; see power_request(). */
enum power_action { POWER_OFF, POWER_RESET, POWER_PANIC };
struct power_sink {
    void (*request)(void *arg, enum power_action action, unsigned code);
    void *arg;
};

struct device_mmio {
    uint32_t size;      /* bytes of register space; 0: none */
    uint8_t access_min; /* widths in bytes a single access may have */
    uint8_t access_max;
    bool unaligned; /* accesses need not be naturally aligned (rare) */
};

struct device {
    const struct device_ops *ops;
    char name[32]; /* unique in the machine, stable across save and load */
    struct clock *clock;
    struct mem *mem; /* for DMA; NULL when the device has none */
    struct power_sink *power;
    uint64_t (*random)(void); /* 64 random bits */
    uint64_t guest_errors;    /* counted since start, never saved */
};

struct device_ops {
    const char *type; /* FDT compatible string where there is one */
    size_t instance_size;
    struct device_mmio mmio;
    int must_use (*init)(struct device *dev, struct err *err); /* after wiring, before reset */
    void (*done)(struct device *dev);
    void (*reset)(struct device *dev);
    void (*settle)(struct device *dev);
    uint64_t (*read)(struct device *dev, uint32_t off, unsigned size);
    void (*write)(struct device *dev, uint32_t off, unsigned size, uint64_t val);
    /* Wires, for boards and tools: the n-th interrupt output, NULL past the last; and an interrupt
     * controller's input (sink is the device, as irq_connect() wants it). Both optional. */
    struct irq_line *(*irq)(struct device *dev, unsigned n);
    void (*input)(void *sink, unsigned pin, bool level);
    uint16_t state_version;
    const struct state_field *state; /* NULL: nothing to save */
    /* For devices with state that a table cannot hold (queues of in-flight work): settle it into
     * fields before a save. Optional. */
    void (*quiesce)(struct device *dev);
};

/* An access that makes no sense to the device: counted in dev->guest_errors, logged at debug with
 * a rate limit. The read form returns 0 so that `default: return guest_error_read(...)` reads
 * well. */
uint64_t guest_error_read(struct device *dev, uint32_t off);
void guest_error_write(struct device *dev, uint32_t off, uint64_t val);
void guest_error(struct device *dev, const char *fmt, ...) printf_fn(2, 3);

/* Asks the machine to power off, reset or note a panic; acts after the current instruction. */
void power_request(struct device *dev, enum power_action action, unsigned code);
