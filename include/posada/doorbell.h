/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doorbells: addresses of register space where a guest's write need not stop its vCPU. The engine
 * notes the write (KVM: ioeventfd), the guest goes on, and the owner's ring() runs on the event
 * loop's thread soon after. The value is lost, and writes that come in quick succession are one
 * ring: fit for notifications ("look at your queue") alone. Where an engine has none, or an
 * address has none placed, the write reaches the device's registers as ever; so a device with
 * doorbells serves both. Everything here runs with the machine lock held.
 */
#pragma once

#include <posada/types.h>
#include <stdbool.h>

struct doorbell;

struct doorbell_ops {
    /* A doorbell that is nowhere yet; NULL: not to be had. While a machine is being built, whose
     * it stays. */
    struct doorbell *(*open)(void *arg, void (*ring)(void *ring_arg), void *ring_arg);
    /* Moves it; gpa 0: nowhere. False: it is nowhere now, the host has no room for it. A write
     * that came before may still ring afterwards. */
    bool (*place)(struct doorbell *bell, gpa_t gpa);
};

/* Who hands them out; ops NULL: nobody. */
struct doorbell_maker {
    const struct doorbell_ops *ops;
    void *arg;
};
